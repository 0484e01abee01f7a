/*
 * place.c - errors of an expression, at the place in the file where the reader must look.
 *
 * libpg_query counts bytes of the text; the scope says where the text starts. Within a `|` block
 * every further line starts at the block's indent. In a quoted scalar with escapes, or a plain one
 * folded over several lines, the place is as near as bytes can tell.
 */
#include "engine/expr/expr_private.h"
#include <ctype.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

enum { MESSAGE_MAX = 2048, WORD_MAX = 64 };

static mr_place place_of(const mr_compile *c, int32_t location);
static uint32_t token_size(const char *at);

bool mr_compile_error(mr_compile *c, int32_t location, uint16_t code, const char *format, ...)
{
    char message[MESSAGE_MAX];
    va_list arguments;

    MR_ASSERT(code >= 300 && code < 400);
    if (c->status != MR_OK) {
        return false;
    }
    va_start(arguments, format);
    (void)vsnprintf(message, sizeof(message), format, arguments);
    va_end(arguments);
    c->status = mr_diag_set(c->diag, MR_ERR_CONFIG, code, "%s", message);
    if (c->diag != NULL) {
        c->diag->place = place_of(c, location);
    }
    return false;
}

bool mr_compile_no_memory(mr_compile *c)
{
    if (c->status == MR_OK) {
        c->status = mr_diag_set(c->diag, MR_ERR_MEMORY, 0, "no memory for an expression");
    }
    return false;
}

/* Damerau-Levenshtein over the last three rows; words are short, and cut at WORD_MAX. */
void mr_nearest_word_try(mr_nearest_word *nearest, const char *word, const char *candidate)
{
    const size_t n = strlen(word), m = strlen(candidate);
    uint32_t rows[3][WORD_MAX + 1];

    if (n > WORD_MAX || m > WORD_MAX || n + 2 < m || m + 2 < n) {
        return;
    }
    for (size_t j = 0; j <= m; j++) {
        rows[0][j] = (uint32_t)j;
    }
    for (size_t i = 1; i <= n; i++) {
        uint32_t *row = rows[i % 3], *last = rows[(i + 2) % 3], *before = rows[(i + 1) % 3];
        row[0] = (uint32_t)i;
        for (size_t j = 1; j <= m; j++) {
            const uint32_t change = last[j - 1] + (word[i - 1] != candidate[j - 1]);
            uint32_t best = last[j] + 1 < row[j - 1] + 1 ? last[j] + 1 : row[j - 1] + 1;
            best = change < best ? change : best;
            if (i > 1 && j > 1 && word[i - 1] == candidate[j - 2] &&
                word[i - 2] == candidate[j - 1] && before[j - 2] + 1 < best) {
                best = before[j - 2] + 1;
            }
            row[j] = best;
        }
    }
    const uint32_t distance = rows[n % 3][m];
    if (distance <= 2 && distance < n && (nearest->best == NULL || distance < nearest->distance)) {
        nearest->best = candidate;
        nearest->distance = distance;
    }
}

const char *mr_value_type_text(mr_value_type type, char out[MR_TYPE_TEXT_MAX])
{
    if (type.type == MR_TYPE_UNKNOWN) {
        (void)snprintf(out, MR_TYPE_TEXT_MAX, "a literal");
        return out;
    }
    const mr_field field = {
        .type = (mr_type)type.type, .precision = type.precision, .scale = type.scale};
    return mr_type_text(&field, out);
}

static mr_place place_of(const mr_compile *c, int32_t location)
{
    mr_place place = c->scope->place;
    const size_t size = strlen(c->text);
    const size_t at = location < 0 ? 0 : (size_t)location > size ? size : (size_t)location;
    size_t line_start = 0;
    uint32_t lines = 0;

    place.length = token_size(c->text + at);
    if (place.line == 0) {
        return place;
    }
    for (size_t i = 0; i < at; i++) {
        if (c->text[i] == '\n') {
            lines++;
            line_start = i + 1;
        }
    }
    if (lines == 0) {
        place.column += (uint32_t)at;
    } else if (c->scope->literal_block) {
        place.line += lines;
        place.column = c->scope->indent + (uint32_t)(at - line_start);
    }
    return place;
}

/* Bytes of the word, number, quoted text or operator that starts here: what a caret underlines. */
static uint32_t token_size(const char *at)
{
    static const char operators[] = "+-*/<>=~!@#%^&|`?:";
    uint32_t size = 0;

    if (*at == '\'' || *at == '"') {
        for (size = 1; at[size] != '\0' && at[size] != at[0]; size++) {
        }
        return at[size] == '\0' ? size : size + 1;
    }
    while (isalnum((unsigned char)at[size]) || at[size] == '_' || (at[size] & 0x80) != 0 ||
           (at[size] == '.' && size > 0 && isalnum((unsigned char)at[size + 1]))) {
        size++;
    }
    if (size == 0) {
        while (at[size] != '\0' && strchr(operators, at[size]) != NULL) {
            size++;
        }
    }
    return size == 0 ? 1 : size;
}

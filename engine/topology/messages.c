/*
 * messages.c - the mistakes of a document: collected while loading, sorted by place at the end.
 *
 * Loading goes on after a mistake, so that one run shows all of them; the count is bounded by
 * MR_TOPOLOGY_ERRORS_MAX, behind which one last message says that there are more. A node that
 * several aliases share would be complained about several times: equal messages are dropped.
 */
#include "engine/base/assert.h"
#include "engine/base/utf8.h"
#include "engine/topology/topology_private.h"
#include <stdio.h>
#include <string.h>

enum { TEXT_MAX = 1024, DISTANCE_MAX = 2, WORD_MAX = 128 };

static void add(mr_load *load, bool is_warning, mr_place place, uint16_t code, const char *hint,
                const char *text);
static bool stands_before(const mr_message *a, const mr_message *b);
static bool is_same(const mr_message *a, const mr_message *b);
static const char *shown_line(mr_load *load, uint32_t line);
static const char *line_of(mr_load *load, uint32_t line);
static uint32_t distance(const char *a, const char *b);

void *mr_load_take(mr_load *load, size_t count, size_t size_bytes)
{
    void *memory = mr_arena_take_array(load->arena, count, size_bytes);

    if (memory == NULL) {
        load->no_memory = true;
    }
    return memory;
}

const char *mr_load_print(mr_load *load, const char *format, ...)
{
    char text[TEXT_MAX];
    va_list arguments;

    va_start(arguments, format);
    const int size = vsnprintf(text, sizeof(text), format, arguments);
    va_end(arguments);
    MR_ASSERT(size >= 0);
    const char *copy = mr_arena_copy(load->arena, text, strlen(text));
    if (copy == NULL) {
        load->no_memory = true;
        return "";
    }
    return copy;
}

void mr_load_error(mr_load *load, mr_place place, uint16_t code, const char *hint,
                   const char *format, ...)
{
    char text[TEXT_MAX];
    va_list arguments;

    va_start(arguments, format);
    (void)vsnprintf(text, sizeof(text), format, arguments);
    va_end(arguments);
    add(load, false, place, code, hint, text);
}

void mr_load_warning(mr_load *load, mr_place place, uint16_t code, const char *hint,
                     const char *format, ...)
{
    char text[TEXT_MAX];
    va_list arguments;

    va_start(arguments, format);
    (void)vsnprintf(text, sizeof(text), format, arguments);
    va_end(arguments);
    add(load, true, place, code, hint, text);
}

void mr_load_diag(mr_load *load, const mr_diag *diag, mr_place place)
{
    static const char separator[] = "\nhint: ";
    const char *hint = strstr(diag->text, separator);
    const int size = hint != NULL ? (int)(hint - diag->text) : (int)diag->text_size_bytes;

    mr_load_error(load, diag->place.line > 0 ? diag->place : place, diag->code,
                  hint != NULL ? mr_load_print(load, "%s", hint + sizeof(separator) - 1) : NULL,
                  "%.*s", size, diag->text);
}

void mr_load_finish_messages(mr_load *load)
{
    mr_message *messages = load->messages;
    uint32_t kept = 0;

    for (uint32_t i = 1; i < load->message_count; i++) { /* Stable: equal places keep order. */
        const mr_message moved = messages[i];
        uint32_t at = i;
        while (at > 0 && stands_before(&moved, &messages[at - 1])) {
            messages[at] = messages[at - 1];
            at--;
        }
        messages[at] = moved;
    }
    for (uint32_t i = 0; i < load->message_count; i++) {
        bool is_repeated = false;
        for (uint32_t k = 0; k < kept; k++) {
            is_repeated = is_repeated || is_same(&messages[k], &messages[i]);
        }
        if (!is_repeated) {
            messages[kept] = messages[i];
            messages[kept].line = shown_line(load, messages[i].place.line);
            kept++;
        }
    }
    load->message_count = kept;
}

void mr_load_hide(mr_load *load, mr_place place)
{
    if (load->hidden_count < MR_HIDDEN_MAX) {
        load->hidden[load->hidden_count++] = place;
    }
}

void mr_nearest_try(mr_nearest *nearest, const char *candidate)
{
    const uint32_t found = distance(nearest->word, candidate);

    if (found > 0 && found <= DISTANCE_MAX && found < strlen(nearest->word) &&
        (nearest->best == NULL || found < nearest->distance)) {
        nearest->best = candidate;
        nearest->distance = found;
    }
}

const char *mr_nearest_hint(mr_load *load, const mr_nearest *nearest)
{
    return nearest->best != NULL ? mr_load_print(load, "did you mean \"%s\"?", nearest->best)
                                 : NULL;
}

static void add(mr_load *load, bool is_warning, mr_place place, uint16_t code, const char *hint,
                const char *text)
{
    MR_ASSERT(load->message_count <= MR_TOPOLOGY_ERRORS_MAX + 1);
    if (!is_warning) {
        load->error_count++;
    }
    if (load->message_count > MR_TOPOLOGY_ERRORS_MAX) {
        return;
    }
    mr_message *message = &load->messages[load->message_count++];
    *message = (mr_message){.is_warning = is_warning, .code = code, .place = place, .hint = hint};
    if (load->message_count > MR_TOPOLOGY_ERRORS_MAX) {
        *message = (mr_message){.code = 118, .place = {.file = place.file, .line = UINT32_MAX}};
        text = "more mistakes follow that are not shown";
        message->hint = "correct these first: often others follow from them";
    }
    message->place.file = load->plan->file;
    message->text = mr_load_print(load, "%s", text);
    if (message->place.length == 0) {
        message->place.length = 1;
    }
}

static bool stands_before(const mr_message *a, const mr_message *b)
{
    if (a->place.line != b->place.line) {
        return a->place.line < b->place.line;
    }
    if (a->place.column != b->place.column) {
        return a->place.column < b->place.column;
    }
    return a->code < b->code;
}

static bool is_same(const mr_message *a, const mr_message *b)
{
    return a->code == b->code && a->place.line == b->place.line &&
           a->place.column == b->place.column && strcmp(a->text, b->text) == 0;
}

/* The line, cut where a secret begins. */
static const char *shown_line(mr_load *load, uint32_t line)
{
    const char *text = line_of(load, line);

    for (uint32_t i = 0; i < load->hidden_count && text != NULL; i++) {
        const bool is_all = load->hidden_count == MR_HIDDEN_MAX;
        uint32_t left = is_all ? 1 : load->hidden[i].column;
        size_t size = 0;
        if (load->hidden[i].line != line && !is_all) {
            continue;
        }
        for (; text[size] != '\0'; size++) { /* Columns count characters. */
            left -= ((uint8_t)text[size] & 0xc0) != 0x80 ? 1 : 0;
            if (left == 0) {
                break;
            }
        }
        text = mr_load_print(load, "%.*s***", (int)size, text);
    }
    return text;
}

static const char *line_of(mr_load *load, uint32_t line)
{
    const char *at = load->source->text;
    const char *end = at + load->source->size_bytes;

    if (line == 0 || line == UINT32_MAX) {
        return NULL;
    }
    for (uint32_t i = 1; i < line && at < end; i++) {
        const char *next = memchr(at, '\n', (size_t)(end - at));
        at = next != NULL ? next + 1 : end;
    }
    if (at >= end) {
        return NULL;
    }
    const char *stop = memchr(at, '\n', (size_t)(end - at));
    size_t size = stop != NULL ? (size_t)(stop - at) : (size_t)(end - at);
    if (size > 0 && at[size - 1] == '\r') {
        size--;
    }
    char *copy = mr_arena_copy(load->arena, at, size);
    if (copy == NULL || mr_utf8_valid((const uint8_t *)copy, size)) {
        return copy;
    }
    for (size_t i = 0; i < size; i++) { /* A terminal or a JSON reader must be able to show it. */
        copy[i] = copy[i] == '\0' || (copy[i] & 0x80) != 0 ? '?' : copy[i];
    }
    return copy;
}

/* Levenshtein's, of words up to WORD_MAX; longer ones are far from everything. */
static uint32_t distance(const char *a, const char *b)
{
    uint32_t row[WORD_MAX + 1];
    const size_t size_a = strlen(a), size_b = strlen(b);

    if (size_a > WORD_MAX || size_b > WORD_MAX) {
        return WORD_MAX;
    }
    for (uint32_t k = 0; k <= size_b; k++) {
        row[k] = k;
    }
    for (size_t i = 1; i <= size_a; i++) {
        uint32_t diagonal = row[0];
        row[0] = (uint32_t)i;
        for (size_t k = 1; k <= size_b; k++) {
            const uint32_t replaced = diagonal + (a[i - 1] != b[k - 1]);
            const uint32_t removed = row[k] + 1, added = row[k - 1] + 1;
            diagonal = row[k];
            row[k] = replaced < removed ? replaced : removed;
            row[k] = row[k] < added ? row[k] : added;
        }
    }
    return row[size_b];
}

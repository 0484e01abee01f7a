/*
 * eval_json.c - `->`, `->>`, jsonb_typeof and jsonb_array_length. A jsonb cell is PostgreSQL's own
 * text form, made and tested at decode: keys sorted by length, then bytes, each once; ": " and ", "
 * between. So a member is found by comparing the quoted key, and a value is a part of the text:
 * nothing is copied but strings with escapes that `->>` must resolve.
 */
#include "engine/base/utf8.h"
#include "engine/expr/expr_private.h"
#include <string.h>

/* Behind the string that starts at `at`. */
static const uint8_t *skip_string(const uint8_t *at, const uint8_t *end)
{
    MR_ASSERT(at < end && *at == '"');
    for (at++; at < end && *at != '"'; at++) {
        if (*at == '\\') {
            at++;
        }
    }
    return at < end ? at + 1 : end;
}

/* Behind the value that starts at `at`. */
static const uint8_t *skip_value(const uint8_t *at, const uint8_t *end)
{
    uint32_t depth = 0;

    while (at < end) {
        if (*at == '"') {
            at = skip_string(at, end);
        } else if (*at == '{' || *at == '[') {
            depth++;
            at++;
        } else if (*at == '}' || *at == ']') {
            if (depth == 0) {
                return at;
            }
            depth--;
            at++;
        } else if (*at == ',' && depth == 0) {
            return at;
        } else {
            at++;
            continue;
        }
        if (depth == 0) {
            return at;
        }
    }
    return end;
}

static const uint8_t *skip_separator(const uint8_t *at, const uint8_t *end)
{
    while (at < end && (*at == ',' || *at == ':' || *at == ' ')) {
        at++;
    }
    return at;
}

/* The value of a member; NULL bytes = not there. */
static mr_view object_member(mr_view json, mr_view quoted)
{
    const uint8_t *end = json.bytes + json.size_bytes, *at = json.bytes + 1;

    if (json.size_bytes < 2 || json.bytes[0] != '{') {
        return (mr_view){0};
    }
    while (at < end && *at == '"') {
        const uint8_t *key = at;
        at = skip_string(at, end);
        const uint32_t key_bytes = (uint32_t)(at - key);
        at = skip_separator(at, end);
        const uint8_t *value = at;
        at = skip_value(at, end);
        if (key_bytes == quoted.size_bytes && memcmp(key, quoted.bytes, key_bytes) == 0) {
            return (mr_view){value, (uint32_t)(at - value)};
        }
        at = skip_separator(at, end);
    }
    return (mr_view){0};
}

/* Element `index` (from 0), or how many there are. */
static int64_t array_walk(mr_view json, int64_t index, mr_view *element)
{
    const uint8_t *end = json.bytes + json.size_bytes, *at = json.bytes + 1;
    int64_t count = 0;

    while (at < end && *at != ']') {
        const uint8_t *value = at;
        at = skip_value(at, end);
        if (count++ == index) {
            *element = (mr_view){value, (uint32_t)(at - value)};
            return count;
        }
        at = skip_separator(at, end);
    }
    return count;
}

static mr_view array_element(mr_view json, int64_t index)
{
    mr_view element = {0};

    if (json.size_bytes == 0 || json.bytes[0] == '{') {
        return element;
    }
    if (json.bytes[0] != '[') { /* PostgreSQL keeps a lone scalar as an array of one. */
        return index == 0 || index == -1 ? json : element;
    }
    if (index < 0) {
        index += array_walk(json, INT64_MAX, &element);
    }
    if (index >= 0) {
        (void)array_walk(json, index, &element);
    }
    return element;
}

static uint32_t hex_digits(const uint8_t *at)
{
    uint32_t value = 0;

    for (uint32_t i = 0; i < 4; i++) {
        const uint8_t digit = at[i];
        value = value * 16 + (uint32_t)(digit <= '9' ? digit - '0' : (digit | 0x20) - 'a' + 10);
    }
    return value;
}

/* The text of a JSON string; `to` has room for it. Returns the size. */
static uint32_t unescape(const uint8_t *at, const uint8_t *end, uint8_t *to)
{
    static const char from[] = "bfnrt", into[] = "\b\f\n\r\t";
    uint8_t *start = to;

    while (at < end) {
        if (*at != '\\') {
            *to++ = *at++;
            continue;
        }
        at++;
        if (*at == 'u') {
            uint32_t code_point = hex_digits(at + 1);
            at += 5;
            if (code_point >= 0xd800 && code_point < 0xdc00 && end - at >= 6) {
                code_point =
                    0x10000 + ((code_point - 0xd800) << 10) + (hex_digits(at + 2) - 0xdc00);
                at += 6;
            }
            to += mr_utf8_encode(code_point, to);
            continue;
        }
        const char *found = strchr(from, *at);
        *to++ = found != NULL ? (uint8_t)into[found - from] : *at;
        at++;
    }
    return (uint32_t)(to - start);
}

static mr_view find(const mr_json_key *key, mr_view json)
{
    if (key->is_index) {
        return array_element(json, key->index);
    }
    return key->quoted.bytes == NULL ? (mr_view){0} : object_member(json, key->quoted);
}

/* Runs the access; `text`: as ->>. */
static void get(mr_frame *frame, const mr_program_step *step, bool text)
{
    const mr_view *a = frame->registers[step->a].column.as.views;
    mr_view *out = frame->registers[step->dst].cells;
    uint64_t *words = mr_frame_words(frame, step, 1);
    uint64_t live[MR_BATCH_WORDS_MAX];

    mr_frame_live(frame, step, 1, live);
    for (uint32_t row = 0; mr_next_row(live, frame->word_count, &row); row++) {
        mr_view value = find(step->extra, a[row]);
        const bool is_null = value.bytes == NULL || (text && value.bytes[0] == 'n');
        if (is_null) {
            words[row / 64] &= ~(1ull << (row % 64));
            continue;
        }
        if (text && value.bytes[0] == '"') {
            value.bytes++;
            value.size_bytes -= 2;
            if (value.size_bytes > 0 && memchr(value.bytes, '\\', value.size_bytes) != NULL) {
                uint8_t *to = mr_frame_room(frame, row, value.size_bytes);
                if (to == NULL) {
                    continue;
                }
                value =
                    mr_frame_take(frame, unescape(value.bytes, value.bytes + value.size_bytes, to));
            }
        }
        out[row] = value;
    }
}

void mr_run_get(mr_frame *frame, const mr_program_step *step)
{
    get(frame, step, false);
}

void mr_run_get_text(mr_frame *frame, const mr_program_step *step)
{
    get(frame, step, true);
}

static mr_view kind_of(uint8_t first)
{
    static const char *const names[] = {"object", "array", "string", "boolean", "null", "number"};
    const char *name = names[first == '{'                   ? 0
                             : first == '['                 ? 1
                             : first == '"'                 ? 2
                             : first == 't' || first == 'f' ? 3
                             : first == 'n'                 ? 4
                                                            : 5];

    return (mr_view){(const uint8_t *)name, (uint32_t)strlen(name)};
}

void mr_run_json_kind(mr_frame *frame, const mr_program_step *step)
{
    const mr_view *a = frame->registers[step->a].column.as.views;
    mr_view *out = frame->registers[step->dst].cells;
    uint64_t live[MR_BATCH_WORDS_MAX];

    mr_frame_strict(frame, step, 1);
    mr_frame_live(frame, step, 1, live);
    for (uint32_t row = 0; mr_next_row(live, frame->word_count, &row); row++) {
        MR_ASSERT(a[row].size_bytes > 0);
        out[row] = kind_of(a[row].bytes[0]);
    }
}

void mr_run_json_length(mr_frame *frame, const mr_program_step *step)
{
    const mr_view *a = frame->registers[step->a].column.as.views;
    int64_t *out = frame->registers[step->dst].cells;
    uint64_t live[MR_BATCH_WORDS_MAX];

    mr_frame_strict(frame, step, 1);
    mr_frame_live(frame, step, 1, live);
    for (uint32_t row = 0; mr_next_row(live, frame->word_count, &row); row++) {
        mr_view unused = {0};
        if (a[row].size_bytes == 0 || a[row].bytes[0] != '[') {
            mr_frame_fail_row(frame, row, MR_ROW_22023);
        } else {
            out[row] = array_walk(a[row], INT64_MAX, &unused);
        }
    }
}

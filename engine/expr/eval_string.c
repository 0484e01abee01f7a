/*
 * eval_string.c - functions on text whose results are parts of an argument, or numbers: nothing is
 * copied. Positions and lengths count code points. Kernels walk the rows that act.
 */
#define _GNU_SOURCE /* memmem */
#include "engine/base/utf8.h"
#include "engine/expr/expr_private.h"
#include <string.h>

typedef mr_row_error (*part_of)(mr_view text, int64_t from, int64_t size, mr_view *out);

/* The byte `count` code points behind byte `from`, at most the end. */
static uint32_t skip(mr_view text, uint32_t from, int64_t count)
{
    uint32_t at = from;

    for (int64_t i = 0; i < count && at < text.size_bytes; i++) {
        at += mr_utf8_size(text.bytes[at]);
    }
    return at;
}

static mr_view part(mr_view text, uint32_t from, uint32_t to)
{
    return (mr_view){text.bytes + from, to - from};
}

/* substring, left, right: two or three arguments. */
static void run_part(mr_frame *frame, const mr_program_step *step, uint32_t argument_count,
                     part_of part_of_text)
{
    const mr_view *a = frame->registers[step->a].column.as.views;
    const int64_t *b = frame->registers[step->b].column.as.integers;
    const int64_t *c = argument_count > 2 ? frame->registers[step->c].column.as.integers : NULL;
    mr_view *out = frame->registers[step->dst].cells;
    uint64_t live[MR_BATCH_WORDS_MAX];

    mr_frame_strict(frame, step, argument_count);
    mr_frame_live(frame, step, argument_count, live);
    for (uint32_t row = 0; mr_next_row(live, frame->word_count, &row); row++) {
        const mr_row_error error =
            part_of_text(a[row], b[row], c != NULL ? c[row] : INT64_MAX, &out[row]);
        if (error != MR_ROW_OK) {
            mr_frame_fail_row(frame, row, error);
        }
    }
}

/* Positions in front of the text count, so that ('abc', 0, 2) is 'a'. */
static mr_row_error substring(mr_view text, int64_t from, int64_t size, mr_view *out)
{
    int64_t end = 0;

    if (size < 0) {
        return MR_ROW_22011;
    }
    if (__builtin_add_overflow(from, size, &end)) {
        end = INT64_MAX;
    }
    const int64_t first = from < 1 ? 1 : from;
    const uint32_t begin = end <= first ? 0 : skip(text, 0, first - 1);
    *out = part(text, begin, end <= first ? 0 : skip(text, begin, end - first));
    return MR_ROW_OK;
}

static mr_row_error left(mr_view text, int64_t count, int64_t unused, mr_view *out)
{
    (void)unused;
    if (count < 0) {
        count += mr_utf8_length(text.bytes, text.size_bytes);
    }
    *out = part(text, 0, skip(text, 0, count));
    return MR_ROW_OK;
}

static mr_row_error right(mr_view text, int64_t count, int64_t unused, mr_view *out)
{
    (void)unused;
    /* All but the first `-count`, or all but the first `length - count`. */
    const int64_t length = mr_utf8_length(text.bytes, text.size_bytes);
    const int64_t first = count == INT64_MIN ? length : count < 0 ? -count : length - count;
    *out = part(text, skip(text, 0, first), text.size_bytes);
    return MR_ROW_OK;
}

void mr_run_substring_from(mr_frame *frame, const mr_program_step *step)
{
    run_part(frame, step, 2, substring);
}

void mr_run_substring_for(mr_frame *frame, const mr_program_step *step)
{
    run_part(frame, step, 3, substring);
}

void mr_run_left(mr_frame *frame, const mr_program_step *step)
{
    run_part(frame, step, 2, left);
}

void mr_run_right(mr_frame *frame, const mr_program_step *step)
{
    run_part(frame, step, 2, right);
}

/* ---- Searching ---- */

/* The first byte of `wanted` (not empty) in `text` at or behind `from`; UINT32_MAX = none. Valid
 * UTF-8 is found at the borders of code points only. */
static uint32_t find(mr_view text, uint32_t from, mr_view wanted)
{
    const uint8_t *at = from >= text.size_bytes ? NULL
                                                : memmem(text.bytes + from, text.size_bytes - from,
                                                         wanted.bytes, wanted.size_bytes);

    return at == NULL ? UINT32_MAX : (uint32_t)(at - text.bytes);
}

void mr_run_position(mr_frame *frame, const mr_program_step *step)
{
    const mr_view *a = frame->registers[step->a].column.as.views;
    const mr_view *b = frame->registers[step->b].column.as.views;
    int64_t *out = frame->registers[step->dst].cells;
    uint64_t live[MR_BATCH_WORDS_MAX];

    mr_frame_strict(frame, step, 2);
    mr_frame_live(frame, step, 2, live);
    for (uint32_t row = 0; mr_next_row(live, frame->word_count, &row); row++) {
        const uint32_t at = b[row].size_bytes == 0 ? 0 : find(a[row], 0, b[row]);
        out[row] = at == UINT32_MAX ? 0 : (int64_t)mr_utf8_length(a[row].bytes, at) + 1;
    }
}

void mr_run_starts_with(mr_frame *frame, const mr_program_step *step)
{
    const mr_view *a = frame->registers[step->a].column.as.views;
    const mr_view *b = frame->registers[step->b].column.as.views;
    uint8_t *out = frame->registers[step->dst].cells;
    uint64_t live[MR_BATCH_WORDS_MAX];

    mr_frame_strict(frame, step, 2);
    mr_frame_live(frame, step, 2, live);
    for (uint32_t row = 0; mr_next_row(live, frame->word_count, &row); row++) {
        const uint32_t size = b[row].size_bytes;
        out[row] = size == 0 ||
                   (size <= a[row].size_bytes && memcmp(a[row].bytes, b[row].bytes, size) == 0);
    }
}

/* Field `wanted` from the front, from 1; empty when there are fewer. */
static mr_view field_of(mr_view text, mr_view delimiter, int64_t wanted)
{
    uint32_t from = 0;

    for (int64_t i = 1;; i++) { /* Ends: each round passes a delimiter, or is the last. */
        const uint32_t to = find(text, from, delimiter);
        if (i == wanted) {
            return part(text, from, to == UINT32_MAX ? text.size_bytes : to);
        }
        if (to == UINT32_MAX) {
            return part(text, 0, 0);
        }
        from = to + delimiter.size_bytes;
    }
}

static mr_view split(mr_view text, mr_view delimiter, int64_t wanted)
{
    int64_t fields = 1;

    if (text.size_bytes == 0) {
        return text;
    }
    if (delimiter.size_bytes == 0) {
        return wanted == 1 || wanted == -1 ? text : part(text, 0, 0);
    }
    if (wanted < 0) {
        for (uint32_t at = find(text, 0, delimiter); at != UINT32_MAX;
             at = find(text, at + delimiter.size_bytes, delimiter)) {
            fields++;
        }
        wanted = wanted < -fields ? 0 : wanted + fields + 1;
        if (wanted == 0) {
            return part(text, 0, 0);
        }
    }
    return field_of(text, delimiter, wanted);
}

void mr_run_split_part(mr_frame *frame, const mr_program_step *step)
{
    const mr_view *a = frame->registers[step->a].column.as.views;
    const mr_view *b = frame->registers[step->b].column.as.views;
    const int64_t *c = frame->registers[step->c].column.as.integers;
    mr_view *out = frame->registers[step->dst].cells;
    uint64_t live[MR_BATCH_WORDS_MAX];

    mr_frame_strict(frame, step, 3);
    mr_frame_live(frame, step, 3, live);
    for (uint32_t row = 0; mr_next_row(live, frame->word_count, &row); row++) {
        if (c[row] == 0) {
            mr_frame_fail_row(frame, row, MR_ROW_22023);
        } else {
            out[row] = split(a[row], b[row], c[row]);
        }
    }
}

/* ---- Trimming ---- */

/* A set may come from the record, as the text does: each character is looked up, not looked for. */
typedef struct char_set {
    uint64_t ascii[2];
    mr_view text;
    const uint8_t *wide; /* A bit for each code point; NULL: look into `text`. */
} char_set;

enum { SHORT_SET_BYTES = 64, WIDE_SET_BYTES = 0x110000 / 8 };

static void add_wide(mr_view text, uint8_t *wide)
{
    memset(wide, 0, WIDE_SET_BYTES);
    for (uint32_t at = 0; at < text.size_bytes;) {
        uint32_t code_point = 0;
        at += mr_utf8_decode(text.bytes + at, &code_point);
        wide[code_point / 8] |= (uint8_t)(1U << code_point % 8);
    }
}

/* A long set borrows from the scratch, until the next text is made. False: smaller batches must
 * follow, as there is no room; rows that are the least there is do without. */
static bool make_set(mr_frame *frame, mr_view text, char_set *set)
{
    bool is_ascii = true;

    *set = (char_set){.text = text};
    for (uint32_t at = 0; at < text.size_bytes; at++) {
        const uint8_t byte = text.bytes[at];
        is_ascii = is_ascii && byte < 0x80;
        set->ascii[byte / 64 % 2] |= byte < 0x80 ? UINT64_C(1) << byte % 64 : 0;
    }
    if (is_ascii || text.size_bytes <= SHORT_SET_BYTES) {
        return true;
    }
    if (frame->scratch_end - frame->scratch_at < WIDE_SET_BYTES) {
        frame->overflow = frame->overflow || !frame->is_least;
        return !frame->overflow;
    }
    add_wide(text, frame->scratch_at);
    set->wide = frame->scratch_at;
    return true;
}

static bool in_set(const char_set *set, const uint8_t *character, uint32_t size_bytes)
{
    uint32_t code_point = 0;

    if (size_bytes == 1) {
        return ((set->ascii[character[0] / 64] >> character[0] % 64) & 1) != 0;
    }
    if (set->wide != NULL) {
        (void)mr_utf8_decode(character, &code_point);
        return (set->wide[code_point / 8] >> code_point % 8 & 1) != 0;
    }
    return memmem(set->text.bytes, set->text.size_bytes, character, size_bytes) != NULL;
}

static mr_view trim(mr_view text, const char_set *set, bool at_left, bool at_right)
{
    uint32_t from = 0, to = text.size_bytes;

    while (at_left && from < to && in_set(set, text.bytes + from, mr_utf8_size(text.bytes[from]))) {
        from += mr_utf8_size(text.bytes[from]);
    }
    while (at_right && from < to) {
        uint32_t last = to - 1;
        while (last > from && (text.bytes[last] & 0xc0) == 0x80) {
            last--;
        }
        if (!in_set(set, text.bytes + last, to - last)) {
            break;
        }
        to = last;
    }
    return part(text, from, to);
}

static void run_trim(mr_frame *frame, const mr_program_step *step, uint32_t argument_count,
                     bool at_left, bool at_right)
{
    const mr_view space = {(const uint8_t *)" ", 1};
    const mr_view *a = frame->registers[step->a].column.as.views;
    const mr_view *b = frame->registers[step->b].column.as.views;
    mr_view *out = frame->registers[step->dst].cells;
    uint64_t live[MR_BATCH_WORDS_MAX];
    char_set set;

    mr_frame_strict(frame, step, argument_count);
    mr_frame_live(frame, step, argument_count, live);
    for (uint32_t row = 0; mr_next_row(live, frame->word_count, &row); row++) {
        if (make_set(frame, argument_count == 1 ? space : b[row], &set)) {
            out[row] = trim(a[row], &set, at_left, at_right);
        }
    }
}

void mr_run_trim_spaces(mr_frame *frame, const mr_program_step *step)
{
    run_trim(frame, step, 1, true, true);
}

void mr_run_trim_left_spaces(mr_frame *frame, const mr_program_step *step)
{
    run_trim(frame, step, 1, true, false);
}

void mr_run_trim_right_spaces(mr_frame *frame, const mr_program_step *step)
{
    run_trim(frame, step, 1, false, true);
}

void mr_run_trim(mr_frame *frame, const mr_program_step *step)
{
    run_trim(frame, step, 2, true, true);
}

void mr_run_trim_left(mr_frame *frame, const mr_program_step *step)
{
    run_trim(frame, step, 2, true, false);
}

void mr_run_trim_right(mr_frame *frame, const mr_program_step *step)
{
    run_trim(frame, step, 2, false, true);
}

void mr_run_ascii(mr_frame *frame, const mr_program_step *step)
{
    const mr_view *a = frame->registers[step->a].column.as.views;
    int64_t *out = frame->registers[step->dst].cells;
    uint64_t live[MR_BATCH_WORDS_MAX];

    mr_frame_strict(frame, step, 1);
    mr_frame_live(frame, step, 1, live);
    for (uint32_t row = 0; mr_next_row(live, frame->word_count, &row); row++) {
        uint32_t code_point = 0;
        if (a[row].size_bytes > 0) {
            (void)mr_utf8_decode(a[row].bytes, &code_point);
        }
        out[row] = code_point;
    }
}

/*
 * eval_build.c - functions on text that make a new text in the eval's scratch: replace, lpad, rpad,
 * reverse, chr, and the parts of concat and concat_ws. A text longer than MR_BUILT_BYTES_MAX is
 * 54000, as one that does not fit in the scratch of a whole batch of one row.
 */
#define _GNU_SOURCE /* memmem */
#include "engine/base/utf8.h"
#include "engine/expr/expr_private.h"
#include <string.h>

enum { MR_BUILT_BYTES_MAX = 1 << 30 };

static uint8_t *put(uint8_t *to, mr_view text)
{
    if (text.size_bytes > 0) {
        memcpy(to, text.bytes, text.size_bytes);
    }
    return to + text.size_bytes;
}

/* How often `wanted` (not empty) stands in `text`, without overlap. */
static uint64_t occurrences(mr_view text, mr_view wanted)
{
    const uint8_t *at = text.bytes, *end = text.bytes + text.size_bytes;
    uint64_t count = 0;

    while (at < end &&
           (at = memmem(at, (size_t)(end - at), wanted.bytes, wanted.size_bytes)) != NULL) {
        at += wanted.size_bytes;
        count++;
    }
    return count;
}

static uint8_t *put_replaced(uint8_t *to, mr_view text, mr_view wanted, mr_view instead)
{
    const uint8_t *from = text.bytes, *end = text.bytes + text.size_bytes;

    while (from < end) {
        const uint8_t *at = memmem(from, (size_t)(end - from), wanted.bytes, wanted.size_bytes);
        if (at == NULL) {
            break;
        }
        to = put(to, (mr_view){from, (uint32_t)(at - from)});
        to = put(to, instead);
        from = at + wanted.size_bytes;
    }
    return put(to, (mr_view){from, (uint32_t)(end - from)});
}

void mr_run_replace(mr_frame *frame, const mr_program_step *step)
{
    const mr_view *a = frame->registers[step->a].column.as.views;
    const mr_view *b = frame->registers[step->b].column.as.views;
    const mr_view *c = frame->registers[step->c].column.as.views;
    mr_view *out = frame->registers[step->dst].cells;
    uint64_t live[MR_BATCH_WORDS_MAX];

    mr_frame_strict(frame, step, 3);
    mr_frame_live(frame, step, 3, live);
    for (uint32_t row = 0; mr_next_row(live, frame->word_count, &row); row++) {
        const uint64_t count =
            a[row].size_bytes == 0 || b[row].size_bytes == 0 ? 0 : occurrences(a[row], b[row]);
        if (count == 0) {
            out[row] = a[row];
            continue;
        }
        const uint64_t size =
            a[row].size_bytes - count * b[row].size_bytes + count * (uint64_t)c[row].size_bytes;
        uint8_t *to = mr_frame_room(frame, row, size);
        if (to != NULL) {
            const uint8_t *end = put_replaced(to, a[row], b[row], c[row]);
            MR_ASSERT(end == to + size);
            out[row] = mr_frame_take(frame, size);
        }
    }
}

/* ---- Padding ---- */

/* Bytes of the first `count` code points of `fill` (not empty), over and over. */
static uint64_t fill_bytes(mr_view fill, uint64_t count)
{
    const uint64_t whole = mr_utf8_length(fill.bytes, fill.size_bytes);
    uint64_t size = count / whole * fill.size_bytes, rest = count % whole;

    for (uint32_t at = 0; rest > 0; rest--) {
        size += mr_utf8_size(fill.bytes[at]);
        at += mr_utf8_size(fill.bytes[at]);
    }
    return size;
}

static uint8_t *put_fill(uint8_t *to, mr_view fill, uint64_t size_bytes)
{
    while (size_bytes > 0) {
        const uint32_t part = size_bytes < fill.size_bytes ? (uint32_t)size_bytes : fill.size_bytes;
        to = put(to, (mr_view){fill.bytes, part});
        size_bytes -= part;
    }
    return to;
}

static void pad_row(mr_frame *frame, uint32_t row, mr_view text, int64_t wanted, mr_view fill,
                    bool at_left, mr_view *out)
{
    const int64_t length = mr_utf8_length(text.bytes, text.size_bytes);
    uint32_t cut = 0;

    if (wanted <= length) {
        for (int64_t i = 0; i < wanted; i++) {
            cut += mr_utf8_size(text.bytes[cut]);
        }
        *out = (mr_view){text.bytes, cut};
        return;
    }
    if (fill.size_bytes == 0) {
        *out = text;
        return;
    }
    if (wanted > MR_BUILT_BYTES_MAX) {
        mr_frame_fail_row(frame, row, MR_ROW_54000);
        return;
    }
    const uint64_t more = fill_bytes(fill, (uint64_t)(wanted - length));
    uint8_t *to = mr_frame_room(frame, row, text.size_bytes + more);
    if (to == NULL) {
        return;
    }
    uint8_t *at = at_left ? put_fill(to, fill, more) : put(to, text);
    at = at_left ? put(at, text) : put_fill(at, fill, more);
    *out = mr_frame_take(frame, (uint64_t)(at - to));
}

static void run_pad(mr_frame *frame, const mr_program_step *step, uint32_t argument_count,
                    bool at_left)
{
    const mr_view space = {(const uint8_t *)" ", 1};
    const mr_view *a = frame->registers[step->a].column.as.views;
    const int64_t *b = frame->registers[step->b].column.as.integers;
    const mr_view *c = argument_count > 2 ? frame->registers[step->c].column.as.views : NULL;
    mr_view *out = frame->registers[step->dst].cells;
    uint64_t live[MR_BATCH_WORDS_MAX];

    mr_frame_strict(frame, step, argument_count);
    mr_frame_live(frame, step, argument_count, live);
    for (uint32_t row = 0; mr_next_row(live, frame->word_count, &row); row++) {
        pad_row(frame, row, a[row], b[row], c != NULL ? c[row] : space, at_left, &out[row]);
    }
}

void mr_run_pad_left(mr_frame *frame, const mr_program_step *step)
{
    run_pad(frame, step, 3, true);
}

void mr_run_pad_right(mr_frame *frame, const mr_program_step *step)
{
    run_pad(frame, step, 3, false);
}

void mr_run_pad_left_spaces(mr_frame *frame, const mr_program_step *step)
{
    run_pad(frame, step, 2, true);
}

void mr_run_pad_right_spaces(mr_frame *frame, const mr_program_step *step)
{
    run_pad(frame, step, 2, false);
}

/* ---- Single texts ---- */

void mr_run_reverse(mr_frame *frame, const mr_program_step *step)
{
    const mr_view *a = frame->registers[step->a].column.as.views;
    mr_view *out = frame->registers[step->dst].cells;
    uint64_t live[MR_BATCH_WORDS_MAX];

    mr_frame_strict(frame, step, 1);
    mr_frame_live(frame, step, 1, live);
    for (uint32_t row = 0; mr_next_row(live, frame->word_count, &row); row++) {
        const mr_view text = a[row];
        uint8_t *to = mr_frame_room(frame, row, text.size_bytes);
        if (to == NULL) {
            continue;
        }
        for (uint32_t at = 0; at < text.size_bytes;) {
            const uint32_t size = mr_utf8_size(text.bytes[at]);
            memcpy(to + text.size_bytes - at - size, text.bytes + at, size);
            at += size;
        }
        out[row] = mr_frame_take(frame, text.size_bytes);
    }
}

void mr_run_chr(mr_frame *frame, const mr_program_step *step)
{
    const int64_t *a = frame->registers[step->a].column.as.integers;
    mr_view *out = frame->registers[step->dst].cells;
    uint64_t live[MR_BATCH_WORDS_MAX];

    mr_frame_strict(frame, step, 1);
    mr_frame_live(frame, step, 1, live);
    for (uint32_t row = 0; mr_next_row(live, frame->word_count, &row); row++) {
        const int64_t code = a[row];
        if (code < 0) {
            mr_frame_fail_row(frame, row, MR_ROW_22023);
            continue;
        }
        if (code == 0 || code > 0x10ffff || (code >= 0xd800 && code <= 0xdfff)) {
            mr_frame_fail_row(frame, row, MR_ROW_54000);
            continue;
        }
        uint8_t *to = mr_frame_room(frame, row, 4);
        if (to != NULL) {
            out[row] = mr_frame_take(frame, mr_utf8_encode((uint32_t)code, to));
        }
    }
}

/* ---- concat, concat_ws ---- */

void mr_run_boolean_letter(mr_frame *frame, const mr_program_step *step)
{
    const uint8_t *a = frame->registers[step->a].column.as.booleans;
    mr_view *out = frame->registers[step->dst].cells;
    uint64_t live[MR_BATCH_WORDS_MAX];

    mr_frame_strict(frame, step, 1);
    mr_frame_live(frame, step, 1, live);
    for (uint32_t row = 0; mr_next_row(live, frame->word_count, &row); row++) {
        out[row] = (mr_view){(const uint8_t *)((a[row] & 1) != 0 ? "t" : "f"), 1};
    }
}

/* Texts one after another into the scratch; a first one that was just written there grows. */
static void join(mr_frame *frame, uint32_t row, const mr_view *texts, uint32_t count, mr_view *out)
{
    uint64_t size = 0;

    for (uint32_t i = 0; i < count; i++) {
        size += texts[i].size_bytes;
    }
    uint8_t *to = mr_frame_room(frame, row, size);
    if (to == NULL) {
        return;
    }
    const bool grows =
        texts[0].size_bytes > 0 && texts[0].bytes + texts[0].size_bytes == frame->scratch_at;
    uint8_t *at = to;
    for (uint32_t i = grows ? 1 : 0; i < count; i++) {
        at = put(at, texts[i]);
    }
    *out = (mr_view){grows ? texts[0].bytes : to, (uint32_t)size};
    frame->scratch_at = at;
}

/* a || b, NULLs left out; never NULL. */
void mr_run_append(mr_frame *frame, const mr_program_step *step)
{
    const mr_column *a = &frame->registers[step->a].column, *b = &frame->registers[step->b].column;
    mr_view *out = frame->registers[step->dst].cells;
    const uint64_t *rows = frame->masks[step->mask];

    frame->registers[step->dst].column.valid = NULL;
    for (uint32_t row = 0; mr_next_row(rows, frame->word_count, &row); row++) {
        const bool failed = ((frame->failed[row / 64] >> (row % 64)) & 1) != 0;
        const mr_view none = {(const uint8_t *)"", 0};
        if (failed) {
            continue;
        }
        const mr_view texts[] = {mr_column_valid(a, row) ? a->as.views[row] : none,
                                 mr_column_valid(b, row) ? b->as.views[row] : none};
        if (texts[1].size_bytes == 0) {
            out[row] = texts[0];
        } else {
            join(frame, row, texts, 2, &out[row]);
        }
    }
}

/* The separator is c. NULLs of a (nothing yet) and b are left out; `operation` 1, the last pair:
 * nothing at all is ''. A NULL separator gives NULL. */
void mr_run_append_separated(mr_frame *frame, const mr_program_step *step)
{
    const mr_column *a = &frame->registers[step->a].column, *b = &frame->registers[step->b].column;
    const mr_column *c = &frame->registers[step->c].column;
    mr_register *dst = &frame->registers[step->dst];
    mr_view *out = dst->cells;
    const uint64_t *rows = frame->masks[step->mask];

    memset(dst->words, 0, frame->word_count * sizeof(uint64_t));
    dst->column.valid = dst->words;
    for (uint32_t row = 0; mr_next_row(rows, frame->word_count, &row); row++) {
        const bool failed = ((frame->failed[row / 64] >> (row % 64)) & 1) != 0;
        const bool has_a = mr_column_valid(a, row), has_b = mr_column_valid(b, row);
        const bool nothing = !has_a && !has_b && step->operation == 0;
        if (failed || nothing || !mr_column_valid(c, row)) {
            continue;
        }
        dst->words[row / 64] |= 1ull << (row % 64);
        if (has_a && has_b) {
            const mr_view texts[] = {a->as.views[row], c->as.views[row], b->as.views[row]};
            join(frame, row, texts, 3, &out[row]);
        } else {
            out[row] = has_a   ? a->as.views[row]
                       : has_b ? b->as.views[row]
                               : (mr_view){(const uint8_t *)"", 0};
        }
    }
}

/*
 * eval_text.c - functions on text. Results that are not a part of an argument are written to the
 * eval's scratch. Case mapping is by single code points.
 */
#include "engine/base/utf8.h"
#include "engine/expr/expr_private.h"
#include <string.h>

enum { CASE_GROWTH = 2 }; /* A mapped code point takes at most twice the bytes. */

/* Maps ASCII up to the first byte beyond it; returns how many bytes were mapped. */
static uint32_t map_ascii(const uint8_t *from, uint32_t size_bytes, uint8_t first, uint8_t *to)
{
    uint32_t i = 0;

    for (; i + 8 <= size_bytes; i += 8) {
        uint64_t eight;
        memcpy(&eight, from + i, sizeof(eight));
        if ((eight & 0x8080808080808080ull) != 0) {
            break;
        }
        for (uint32_t k = 0; k < 8; k++) {
            const uint8_t byte = from[i + k];
            to[i + k] = byte ^ (uint8_t)((uint8_t)(byte - first) < 26 ? 0x20 : 0);
        }
    }
    for (; i < size_bytes && from[i] < 0x80; i++) {
        to[i] = from[i] ^ (uint8_t)((uint8_t)(from[i] - first) < 26 ? 0x20 : 0);
    }
    return i;
}

static void map_case(mr_frame *frame, const mr_program_step *step, uint8_t first,
                     uint32_t (*map)(uint32_t code_point))
{
    const mr_view *a = frame->registers[step->a].column.as.views;
    mr_view *out = frame->registers[step->dst].cells;
    uint64_t live[MR_BATCH_WORDS_MAX];

    mr_frame_strict(frame, step, 1);
    mr_frame_live(frame, step, 1, live);
    for (uint32_t row = 0; mr_next_row(live, frame->word_count, &row); row++) {
        const mr_view text = a[row];
        uint8_t *to = mr_frame_room(frame, row, (uint64_t)CASE_GROWTH * text.size_bytes);
        if (to == NULL) {
            continue;
        }
        uint32_t read = map_ascii(text.bytes, text.size_bytes, first, to), written = read;
        while (read < text.size_bytes) {
            uint32_t code_point;
            read += mr_utf8_decode(text.bytes + read, &code_point);
            written += mr_utf8_encode(map(code_point), to + written);
        }
        MR_ASSERT(written <= CASE_GROWTH * text.size_bytes);
        out[row] = mr_frame_take(frame, written);
    }
}

void mr_run_lower(mr_frame *frame, const mr_program_step *step)
{
    map_case(frame, step, 'A', mr_utf8_lower);
}

void mr_run_upper(mr_frame *frame, const mr_program_step *step)
{
    map_case(frame, step, 'a', mr_utf8_upper);
}

void mr_run_length(mr_frame *frame, const mr_program_step *step)
{
    const mr_view *a = frame->registers[step->a].column.as.views;
    int64_t *out = frame->registers[step->dst].cells;
    uint64_t live[MR_BATCH_WORDS_MAX];

    mr_frame_strict(frame, step, 1);
    mr_frame_live(frame, step, 1, live);
    for (uint32_t row = 0; mr_next_row(live, frame->word_count, &row); row++) {
        out[row] = mr_utf8_length(a[row].bytes, a[row].size_bytes);
    }
}

void mr_run_octet_length(mr_frame *frame, const mr_program_step *step)
{
    const mr_view *a = frame->registers[step->a].column.as.views;
    int64_t *out = frame->registers[step->dst].cells;
    uint64_t live[MR_BATCH_WORDS_MAX];

    mr_frame_strict(frame, step, 1);
    mr_frame_live(frame, step, 1, live);
    for (uint32_t row = 0; mr_next_row(live, frame->word_count, &row); row++) {
        out[row] = a[row].size_bytes;
    }
}

void mr_run_concat(mr_frame *frame, const mr_program_step *step)
{
    const mr_view *a = frame->registers[step->a].column.as.views;
    const mr_view *b = frame->registers[step->b].column.as.views;
    mr_view *out = frame->registers[step->dst].cells;
    uint64_t live[MR_BATCH_WORDS_MAX];

    mr_frame_strict(frame, step, 2);
    mr_frame_live(frame, step, 2, live);
    for (uint32_t row = 0; mr_next_row(live, frame->word_count, &row); row++) {
        const mr_view x = a[row], y = b[row];
        const uint64_t size = (uint64_t)x.size_bytes + y.size_bytes;
        uint8_t *to = mr_frame_room(frame, row, size);
        if (to == NULL) {
            continue;
        }
        /* In `a || b || c` the left side was just written in front of here: it only grows. */
        if (x.size_bytes > 0 && y.size_bytes > 0 && x.bytes + x.size_bytes == to) {
            memcpy(to, y.bytes, y.size_bytes);
            out[row] = (mr_view){x.bytes, (uint32_t)size};
            frame->scratch_at += y.size_bytes;
            continue;
        }
        if (x.size_bytes > 0) {
            memcpy(to, x.bytes, x.size_bytes);
        }
        if (y.size_bytes > 0) {
            memcpy(to + x.size_bytes, y.bytes, y.size_bytes);
        }
        out[row] = mr_frame_take(frame, size);
    }
}

/*
 * cast_bytes.c - bytea from and to text: PostgreSQL's hex form (`\x0aff`, white space between
 * bytes) and its escape form (`a\\b\377`). Output is hex. Wrong hex is 22023, a wrong escape 22P02.
 */
#include "engine/expr/expr_private.h"
#include <string.h>

static int32_t hex_digit(uint8_t byte)
{
    return byte >= '0' && byte <= '9'                     ? byte - '0'
           : (byte | 0x20) >= 'a' && (byte | 0x20) <= 'f' ? (byte | 0x20) - 'a' + 10
                                                          : -1;
}

static bool is_octal(uint8_t byte, uint8_t most)
{
    return byte >= '0' && byte <= most;
}

void mr_run_cast_bytes_text(mr_frame *frame, const mr_program_step *step)
{
    static const char digits[] = "0123456789abcdef";
    const mr_view *a = frame->registers[step->a].column.as.views;
    mr_view *out = frame->registers[step->dst].cells;
    uint64_t live[MR_BATCH_WORDS_MAX];

    mr_frame_strict(frame, step, 1);
    mr_frame_live(frame, step, 1, live);
    for (uint32_t row = 0; mr_next_row(live, frame->word_count, &row); row++) {
        const uint64_t size = 2 + 2 * (uint64_t)a[row].size_bytes;
        uint8_t *to = mr_frame_room(frame, row, size);
        if (to == NULL) {
            continue;
        }
        to[0] = '\\';
        to[1] = 'x';
        for (uint32_t i = 0; i < a[row].size_bytes; i++) {
            to[2 + 2 * (size_t)i] = (uint8_t)digits[a[row].bytes[i] >> 4];
            to[3 + 2 * (size_t)i] = (uint8_t)digits[a[row].bytes[i] & 15];
        }
        out[row] = mr_frame_take(frame, size);
    }
}

/* Behind `\x`; `to` has room for the whole text. */
static mr_row_error read_hex(mr_view text, uint8_t *to, uint32_t *size_bytes)
{
    for (uint32_t i = 2; i < text.size_bytes; i++) {
        const uint8_t byte = text.bytes[i];
        if (byte == ' ' || byte == '\n' || byte == '\t' || byte == '\r') {
            continue;
        }
        const int32_t high = hex_digit(byte);
        const int32_t low = i + 1 < text.size_bytes ? hex_digit(text.bytes[i + 1]) : -1;
        if (high < 0 || low < 0) {
            return MR_ROW_22023;
        }
        to[(*size_bytes)++] = (uint8_t)(high * 16 + low);
        i++;
    }
    return MR_ROW_OK;
}

static mr_row_error read_escaped(mr_view text, uint8_t *to, uint32_t *size_bytes)
{
    const uint8_t *at = text.bytes;

    for (uint32_t i = 0; i < text.size_bytes; i++) {
        const uint32_t left = text.size_bytes - i;
        if (at[i] != '\\') {
            to[(*size_bytes)++] = at[i];
        } else if (left > 1 && at[i + 1] == '\\') {
            to[(*size_bytes)++] = '\\';
            i++;
        } else if (left > 3 && is_octal(at[i + 1], '3') && is_octal(at[i + 2], '7') &&
                   is_octal(at[i + 3], '7')) {
            to[(*size_bytes)++] =
                (uint8_t)((at[i + 1] - '0') * 64 + (at[i + 2] - '0') * 8 + (at[i + 3] - '0'));
            i += 3;
        } else {
            return MR_ROW_22P02;
        }
    }
    return MR_ROW_OK;
}

void mr_run_cast_text_bytes(mr_frame *frame, const mr_program_step *step)
{
    const mr_view *a = frame->registers[step->a].column.as.views;
    mr_view *out = frame->registers[step->dst].cells;
    uint64_t live[MR_BATCH_WORDS_MAX];

    mr_frame_strict(frame, step, 1);
    mr_frame_live(frame, step, 1, live);
    for (uint32_t row = 0; mr_next_row(live, frame->word_count, &row); row++) {
        uint8_t *to = mr_frame_room(frame, row, a[row].size_bytes);
        uint32_t size = 0;
        if (to == NULL) {
            continue;
        }
        const bool is_hex = a[row].size_bytes >= 2 && memcmp(a[row].bytes, "\\x", 2) == 0;
        const mr_row_error error =
            is_hex ? read_hex(a[row], to, &size) : read_escaped(a[row], to, &size);
        if (error != MR_ROW_OK) {
            mr_frame_fail_row(frame, row, error);
            continue;
        }
        out[row] = mr_frame_take(frame, size);
    }
}

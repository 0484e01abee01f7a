/*
 * eval_mask.c - steps that make sets of rows from columns, and that merge the branches of CASE,
 * COALESCE and try(). For mask steps `dst` is a mask, and rows in error are in none of them.
 */
#include "engine/expr/expr_private.h"
#include <string.h>

/* Bits of a boolean column: set where it is true, and where it is valid. */
static void true_and_valid(const mr_frame *frame, const mr_program_step *step, uint64_t *is_true,
                           uint64_t *is_valid)
{
    const mr_column *a = &frame->registers[step->a].column;

    mr_frame_bits(frame, a->as.booleans, is_true);
    for (uint32_t w = 0; w < frame->word_count; w++) {
        is_valid[w] = a->valid != NULL ? a->valid[w] : ~0ull;
        is_true[w] &= is_valid[w];
    }
}

void mr_run_mask_true(mr_frame *frame, const mr_program_step *step)
{
    uint64_t is_true[MR_BATCH_WORDS_MAX], is_valid[MR_BATCH_WORDS_MAX];

    true_and_valid(frame, step, is_true, is_valid);
    for (uint32_t w = 0; w < frame->word_count; w++) {
        frame->masks[step->dst][w] = frame->masks[step->mask][w] & ~frame->failed[w] & is_true[w];
    }
}

void mr_run_mask_not_true(mr_frame *frame, const mr_program_step *step)
{
    uint64_t is_true[MR_BATCH_WORDS_MAX], is_valid[MR_BATCH_WORDS_MAX];

    true_and_valid(frame, step, is_true, is_valid);
    for (uint32_t w = 0; w < frame->word_count; w++) {
        frame->masks[step->dst][w] = frame->masks[step->mask][w] & ~frame->failed[w] & ~is_true[w];
    }
}

void mr_run_mask_not_false(mr_frame *frame, const mr_program_step *step)
{
    uint64_t is_true[MR_BATCH_WORDS_MAX], is_valid[MR_BATCH_WORDS_MAX];

    true_and_valid(frame, step, is_true, is_valid);
    for (uint32_t w = 0; w < frame->word_count; w++) {
        frame->masks[step->dst][w] =
            frame->masks[step->mask][w] & ~frame->failed[w] & (is_true[w] | ~is_valid[w]);
    }
}

void mr_run_mask_valid(mr_frame *frame, const mr_program_step *step)
{
    mr_frame_live(frame, step, 1, frame->masks[step->dst]);
}

void mr_run_mask_null(mr_frame *frame, const mr_program_step *step)
{
    const uint64_t *valid = frame->registers[step->a].column.valid;

    for (uint32_t w = 0; w < frame->word_count; w++) {
        frame->masks[step->dst][w] =
            frame->masks[step->mask][w] & ~frame->failed[w] & (valid != NULL ? ~valid[w] : 0);
    }
}

void mr_run_mask_live(mr_frame *frame, const mr_program_step *step)
{
    for (uint32_t w = 0; w < frame->word_count; w++) {
        frame->masks[step->dst][w] = frame->masks[step->mask][w] & ~frame->failed[w];
    }
}

void mr_run_clear(mr_frame *frame, const mr_program_step *step)
{
    mr_register *dst = &frame->registers[step->dst];

    memset(dst->words, 0, MR_BATCH_WORDS_MAX * sizeof(uint64_t));
    dst->column.valid = dst->words;
}

/* Copies the cells of `rows`; `bytes` is the size of one. */
static void copy_rows(const mr_frame *frame, const uint64_t *rows, void *to, const void *from,
                      uint32_t bytes)
{
    for (uint32_t w = 0; w < frame->word_count; w++) {
        const size_t at = (size_t)w * 64;
        if (rows[w] == ~0ull) {
            memcpy((uint8_t *)to + at * bytes, (const uint8_t *)from + at * bytes,
                   (size_t)64 * bytes);
            continue;
        }
        for (uint64_t word = rows[w]; word != 0; word &= word - 1) {
            const size_t row = at + (size_t)__builtin_ctzll(word);
            if (bytes == 1) {
                ((uint8_t *)to)[row] = ((const uint8_t *)from)[row];
            } else if (bytes == 4) {
                ((uint32_t *)to)[row] = ((const uint32_t *)from)[row];
            } else if (bytes == 8) {
                ((uint64_t *)to)[row] = ((const uint64_t *)from)[row];
            } else {
                memcpy((uint8_t *)to + row * 16, (const uint8_t *)from + row * 16, 16);
            }
        }
    }
}

void mr_run_merge(mr_frame *frame, const mr_program_step *step)
{
    const mr_column *a = &frame->registers[step->a].column;
    mr_register *dst = &frame->registers[step->dst];
    const uint64_t *rows = frame->masks[step->mask];

    MR_ASSERT(dst->column.valid == dst->words);
    copy_rows(frame, rows, dst->cells, a->as.booleans, step->operation);
    for (uint32_t w = 0; w < frame->word_count; w++) {
        dst->words[w] =
            (dst->words[w] & ~rows[w]) | (rows[w] & (a->valid != NULL ? a->valid[w] : ~0ull));
    }
}

void mr_run_try_end(mr_frame *frame, const mr_program_step *step)
{
    const mr_column *a = &frame->registers[step->a].column;
    mr_register *dst = &frame->registers[step->dst];
    uint64_t *tried = frame->masks[step->mask];
    uint64_t words[MR_BATCH_WORDS_MAX];

    for (uint32_t w = 0; w < frame->word_count; w++) {
        const uint64_t failed = tried[w] & frame->failed[w];
        words[w] = tried[w] & ~failed & (a->valid != NULL ? a->valid[w] : ~0ull);
        for (uint64_t word = failed; word != 0; word &= word - 1) {
            frame->errors[w * 64 + (uint32_t)__builtin_ctzll(word)] = MR_ROW_OK;
        }
        frame->failed[w] &= ~failed;
    }
    copy_rows(frame, words, dst->cells, a->as.booleans, step->operation);
    memcpy(dst->words, words, frame->word_count * sizeof(uint64_t));
    dst->column.valid = dst->words;
}

/*
 * eval_boolean.c - three-valued logic on columns. A boolean cell is one byte, 0 or 1; the cell of a
 * NULL means nothing.
 */
#include "engine/expr/expr_private.h"
#include <string.h>

void mr_run_and(mr_frame *frame, const mr_program_step *step)
{
    const mr_column *a = &frame->registers[step->a].column, *b = &frame->registers[step->b].column;
    mr_register *dst = &frame->registers[step->dst];
    const uint8_t *x = a->as.booleans, *y = b->as.booleans;
    uint8_t *out = dst->cells;

    for (uint32_t i = 0; i < frame->row_count; i++) {
        out[i] = x[i] & y[i] & 1;
    }
    if (a->valid == NULL && b->valid == NULL) {
        dst->column.valid = NULL;
        return;
    }
    /* NULL unless both are known or one is known to be false. */
    uint64_t xs[MR_BATCH_WORDS_MAX], ys[MR_BATCH_WORDS_MAX];
    mr_frame_bits(frame, x, xs);
    mr_frame_bits(frame, y, ys);
    for (uint32_t w = 0; w < frame->word_count; w++) {
        const uint64_t va = a->valid != NULL ? a->valid[w] : ~0ull;
        const uint64_t vb = b->valid != NULL ? b->valid[w] : ~0ull;
        const uint64_t false_a = va & ~xs[w], false_b = vb & ~ys[w];
        dst->words[w] = (va & vb) | false_a | false_b;
        /* A known false beside a NULL whose cell may say anything. */
        for (uint64_t word = (false_a & ~vb) | (false_b & ~va); word != 0; word &= word - 1) {
            out[w * 64 + (uint32_t)__builtin_ctzll(word)] = 0;
        }
    }
    dst->column.valid = dst->words;
}

void mr_run_or(mr_frame *frame, const mr_program_step *step)
{
    const mr_column *a = &frame->registers[step->a].column, *b = &frame->registers[step->b].column;
    mr_register *dst = &frame->registers[step->dst];
    const uint8_t *x = a->as.booleans, *y = b->as.booleans;
    uint8_t *out = dst->cells;

    for (uint32_t i = 0; i < frame->row_count; i++) {
        out[i] = (x[i] | y[i]) & 1;
    }
    if (a->valid == NULL && b->valid == NULL) {
        dst->column.valid = NULL;
        return;
    }
    uint64_t xs[MR_BATCH_WORDS_MAX], ys[MR_BATCH_WORDS_MAX];
    mr_frame_bits(frame, x, xs);
    mr_frame_bits(frame, y, ys);
    for (uint32_t w = 0; w < frame->word_count; w++) {
        const uint64_t va = a->valid != NULL ? a->valid[w] : ~0ull;
        const uint64_t vb = b->valid != NULL ? b->valid[w] : ~0ull;
        const uint64_t true_a = va & xs[w], true_b = vb & ys[w];
        dst->words[w] = (va & vb) | true_a | true_b;
        for (uint64_t word = (true_a & ~vb) | (true_b & ~va); word != 0; word &= word - 1) {
            out[w * 64 + (uint32_t)__builtin_ctzll(word)] = 1;
        }
    }
    dst->column.valid = dst->words;
}

void mr_run_not(mr_frame *frame, const mr_program_step *step)
{
    const uint8_t *x = frame->registers[step->a].column.as.booleans;
    uint8_t *out = frame->registers[step->dst].cells;

    for (uint32_t i = 0; i < frame->row_count; i++) {
        out[i] = (x[i] & 1) ^ 1;
    }
    mr_frame_strict(frame, step, 1);
}

/* One byte a row from one bit a row. */
static void spread(const mr_frame *frame, const uint64_t *bits, uint8_t *out)
{
    MR_ASSERT(frame->row_count <= frame->word_count * 64);
    for (uint32_t i = 0; i < frame->row_count; i++) {
        out[i] = (uint8_t)((bits[i / 64] >> (i % 64)) & 1);
    }
}

void mr_run_test(mr_frame *frame, const mr_program_step *step)
{
    const mr_column *a = &frame->registers[step->a].column;
    mr_register *dst = &frame->registers[step->dst];
    uint64_t bits[MR_BATCH_WORDS_MAX];
    const mr_test test = (mr_test)step->operation;
    const bool null_test = test == MR_IS_NULL || test == MR_IS_NOT_NULL;

    dst->column.valid = NULL;
    if (!null_test) {
        mr_frame_bits(frame, a->as.booleans, bits);
    }
    for (uint32_t w = 0; w < frame->word_count; w++) {
        const uint64_t valid = a->valid != NULL ? a->valid[w] : ~0ull;
        switch (test) {
        case MR_IS_NULL:
            bits[w] = ~valid;
            break;
        case MR_IS_NOT_NULL:
            bits[w] = valid;
            break;
        case MR_IS_TRUE:
            bits[w] = valid & bits[w];
            break;
        case MR_IS_NOT_TRUE:
            bits[w] = ~(valid & bits[w]);
            break;
        case MR_IS_FALSE:
            bits[w] = valid & ~bits[w];
            break;
        case MR_IS_NOT_FALSE:
            bits[w] = ~(valid & ~bits[w]);
            break;
        }
    }
    spread(frame, bits, dst->cells);
}

/* a, but NULL where b is true. */
void mr_run_nullif(mr_frame *frame, const mr_program_step *step)
{
    const mr_column *a = &frame->registers[step->a].column, *b = &frame->registers[step->b].column;
    mr_register *dst = &frame->registers[step->dst];
    uint64_t equal[MR_BATCH_WORDS_MAX];

    /* scale is the size of a cell here, see compile.c. */
    memcpy(dst->cells, a->as.booleans, (size_t)frame->row_count * step->scale);
    mr_frame_bits(frame, b->as.booleans, equal);
    for (uint32_t w = 0; w < frame->word_count; w++) {
        if (b->valid != NULL) {
            equal[w] &= b->valid[w];
        }
        dst->words[w] = (a->valid != NULL ? a->valid[w] : ~0ull) & ~equal[w];
    }
    dst->column.valid = dst->words;
}

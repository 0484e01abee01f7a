/*
 * eval.c - runs programs over a batch: binds registers, runs the steps, collects errors.
 *
 * Kernels of fixed-size types compute all rows of the batch in one loop, also rows outside of their
 * mask, whose results nobody reads; what such a row would do wrong (overflow, a zero divisor) is
 * counted only where mask, validity and the absence of an earlier error say so. Kernels of text and
 * jsonb walk the rows that act. All memory is taken by mr_eval_create().
 *
 * A row has at most one error, its first; programs run in their order, and a row in error acts in
 * no later step. Scratch for text results is one span for all programs of the eval.
 */
#include "engine/expr/expr_private.h"
#include <string.h>

struct mr_eval {
    mr_frame frame;
    const mr_expr *const *exprs;
    mr_register **registers; /* Of each program. */
    uint32_t count, rows_max;
    uint8_t *scratch;
    uint64_t failed[MR_BATCH_WORDS_MAX];
    bool errors_dirty;
};

typedef struct temps { /* Temporary columns, shared by the programs one after another. */
    mr_register *of[MR_WIDTH_CLASSES];
} temps;

static void run(mr_eval *eval, const mr_batch *in, bool is_least);
static bool is_one_change(const mr_batch *in);
static bool writes_text(const mr_expr *expr);
static bool make_temps(mr_eval *eval, mr_arena *arena, temps *shared);
static bool make_registers(mr_eval *eval, mr_arena *arena, const mr_expr *expr, const temps *shared,
                           mr_register **registers);
static void fill_constant(mr_register *reg, mr_type type, const mr_value *value, uint32_t rows);
static void base_mask(mr_frame *frame);

mr_eval *mr_eval_create(mr_arena *arena, const mr_expr *const *exprs, uint32_t count,
                        uint32_t scratch_bytes_max)
{
    return mr_eval_create_sized(arena, exprs, count, scratch_bytes_max, MR_BATCH_ROWS_MAX);
}

mr_eval *mr_eval_create_sized(mr_arena *arena, const mr_expr *const *exprs, uint32_t count,
                              uint32_t scratch_bytes_max, uint32_t rows_max)
{
    mr_eval *eval = mr_arena_take(arena, sizeof(*eval));
    temps shared = {0};
    uint32_t masks = 1, scratch_bytes = 0;

    MR_ASSERT(rows_max % 64 == 0 && rows_max <= MR_BATCH_ROWS_MAX);
    if (eval == NULL) {
        return NULL;
    }
    for (uint32_t i = 0; i < count; i++) {
        masks = exprs[i]->mask_count > masks ? exprs[i]->mask_count : masks;
        scratch_bytes = writes_text(exprs[i]) ? scratch_bytes_max : scratch_bytes;
    }
    const mr_expr **list = mr_arena_take_array(arena, count + 1, sizeof(mr_expr *));
    eval->registers = mr_arena_take_array(arena, count + 1, sizeof(mr_register *));
    eval->scratch = mr_arena_take(arena, (size_t)scratch_bytes + 1);
    eval->frame.errors = mr_arena_take_array(arena, rows_max, sizeof(mr_row_error));
    eval->frame.masks = mr_arena_take_array(arena, masks, sizeof(*eval->frame.masks));
    if (list == NULL || eval->registers == NULL || eval->scratch == NULL ||
        eval->frame.errors == NULL || eval->frame.masks == NULL) {
        return NULL;
    }
    memcpy(list, exprs, count * sizeof(mr_expr *));
    eval->exprs = list;
    eval->count = count;
    eval->rows_max = rows_max;
    eval->frame.failed = eval->failed;
    eval->frame.scratch_end = eval->scratch + scratch_bytes;
    if (!make_temps(eval, arena, &shared)) {
        return NULL;
    }
    for (uint32_t i = 0; i < count; i++) {
        if (!make_registers(eval, arena, exprs[i], &shared, &eval->registers[i])) {
            return NULL;
        }
    }
    return eval;
}

mr_status mr_eval_run(mr_eval *eval, const mr_batch *in)
{
    run(eval, in, in->selected_count <= 1 || is_one_change(in));
    return eval->frame.overflow ? MR_ERR_OVERFLOW : MR_OK;
}

void mr_eval_run_least(mr_eval *eval, const mr_batch *in)
{
    run(eval, in, true);
    MR_ASSERT(!eval->frame.overflow);
}

static void run(mr_eval *eval, const mr_batch *in, bool is_least)
{
    mr_frame *frame = &eval->frame;

    MR_ASSERT(in->row_count <= eval->rows_max && in->selected_count <= in->row_count);
    frame->in = in;
    frame->row_count = in->row_count;
    frame->word_count = (in->row_count + 63) / 64;
    frame->is_least = is_least;
    frame->scratch_at = eval->scratch;
    frame->overflow = false;
    if (eval->errors_dirty) {
        memset(frame->errors, 0, eval->rows_max * sizeof(mr_row_error));
    }
    memset(eval->failed, 0, sizeof(eval->failed));
    frame->any_failed = false;
    base_mask(frame);
    for (uint32_t p = 0; p < eval->count; p++) {
        const mr_expr *expr = eval->exprs[p];
        frame->registers = eval->registers[p];
        for (uint32_t r = 0; r < expr->register_count; r++) {
            const mr_register_plan *plan = &expr->registers[r];
            if (plan->kind == MR_REGISTER_INPUT) {
                frame->registers[r].column = in->columns[plan->index];
            } else if (plan->kind == MR_REGISTER_EVENT_TIME) {
                frame->registers[r].column.valid = NULL;
                frame->registers[r].column.as.integers = in->event_time_us;
            }
        }
        for (uint32_t s = 0; s < expr->step_count; s++) {
            expr->steps[s].run(frame, &expr->steps[s]);
        }
    }
    eval->errors_dirty = frame->any_failed;
}

const mr_column *mr_eval_column(const mr_eval *eval, uint32_t index)
{
    MR_ASSERT(index < eval->count);
    return &eval->registers[index][eval->exprs[index]->result_register].column;
}

const mr_row_error *mr_eval_errors(const mr_eval *eval)
{
    return eval->frame.any_failed ? eval->frame.errors : NULL;
}

void mr_eval_fail(mr_eval *eval, uint32_t row, mr_row_error error)
{
    if ((eval->failed[row / 64] >> (row % 64) & 1) == 0) {
        mr_frame_fail_row(&eval->frame, row, error);
        eval->errors_dirty = true;
    }
}

uint32_t mr_eval_condition(const mr_eval *eval, const mr_batch *in, uint16_t *selection)
{
    const mr_frame *frame = &eval->frame;
    const mr_column *column = mr_eval_column(eval, 0);
    uint64_t bits[MR_BATCH_WORDS_MAX];
    uint32_t count = 0;

    MR_ASSERT(eval->count == 1 && eval->exprs[0]->result.type == MR_BOOLEAN && frame->in == in);
    mr_frame_bits(frame, column->as.booleans, bits);
    for (uint32_t w = 0; w < frame->word_count; w++) {
        uint64_t word = bits[w] & frame->masks[0][w] & ~frame->failed[w];
        if (column->valid != NULL) {
            word &= column->valid[w];
        }
        for (; word != 0; word &= word - 1) {
            selection[count++] = (uint16_t)(w * 64 + (uint32_t)__builtin_ctzll(word));
        }
    }
    MR_ASSERT(count <= in->selected_count);
    return count;
}

/* ---- Creation ---- */

/* Whether a step may need scratch. */
static bool writes_text(const mr_expr *expr)
{
    for (uint32_t s = 0; s < expr->step_count; s++) {
        if (expr->steps[s].writes) {
            return true;
        }
    }
    return false;
}

static bool make_cells(mr_eval *eval, mr_arena *arena, uint32_t width, mr_register *reg)
{
    static const uint32_t bytes[MR_WIDTH_CLASSES] = {1, 8, 16};

    reg->cells = mr_arena_take_aligned(arena, (size_t)eval->rows_max * bytes[width], 64);
    reg->words = mr_arena_take_array(arena, MR_BATCH_WORDS_MAX, sizeof(uint64_t));
    reg->column.as.booleans = reg->cells;
    return reg->cells != NULL && reg->words != NULL;
}

static bool make_temps(mr_eval *eval, mr_arena *arena, temps *shared)
{
    for (uint32_t width = 0; width < MR_WIDTH_CLASSES; width++) {
        uint32_t most = 0;
        for (uint32_t i = 0; i < eval->count; i++) {
            const uint32_t count = eval->exprs[i]->temp_counts[width];
            most = count > most ? count : most;
        }
        shared->of[width] = mr_arena_take_array(arena, most + 1, sizeof(mr_register));
        if (shared->of[width] == NULL) {
            return false;
        }
        for (uint32_t i = 0; i < most; i++) {
            if (!make_cells(eval, arena, width, &shared->of[width][i])) {
                return false;
            }
        }
    }
    return true;
}

static bool make_registers(mr_eval *eval, mr_arena *arena, const mr_expr *expr, const temps *shared,
                           mr_register **registers)
{
    mr_register *list = mr_arena_take_array(arena, expr->register_count + 1, sizeof(mr_register));

    if (list == NULL) {
        return false;
    }
    for (uint32_t r = 0; r < expr->register_count; r++) {
        const mr_register_plan *plan = &expr->registers[r];
        const uint32_t width = mr_width_class((mr_type)plan->type);
        if (plan->kind == MR_REGISTER_TEMP && r != expr->result_register) {
            list[r] = shared->of[width][plan->index];
            continue;
        }
        if (plan->kind == MR_REGISTER_INPUT || plan->kind == MR_REGISTER_EVENT_TIME) {
            continue;
        }
        /* A result outlives its program: own cells. */
        if (!make_cells(eval, arena, width, &list[r])) {
            return false;
        }
        if (plan->kind == MR_REGISTER_CONST) {
            fill_constant(&list[r], (mr_type)plan->type, &plan->value, eval->rows_max);
        }
    }
    *registers = list;
    return true;
}

static void fill_constant(mr_register *reg, mr_type type, const mr_value *value, uint32_t rows)
{
    if (value->is_null) {
        reg->column.valid = reg->words; /* All zero. */
        return;
    }
    for (uint32_t i = 0; i < rows; i++) {
        switch (type) {
        case MR_BOOLEAN:
            ((uint8_t *)reg->cells)[i] = value->as.boolean;
            break;
        case MR_BIGINT:
        case MR_TIMESTAMPTZ:
            ((int64_t *)reg->cells)[i] = value->as.integer;
            break;
        case MR_DATE:
            ((int32_t *)reg->cells)[i] = (int32_t)value->as.integer;
            break;
        case MR_DOUBLE:
            ((double *)reg->cells)[i] = value->as.real;
            break;
        case MR_NUMERIC:
            ((mr_int128 *)reg->cells)[i] = value->as.numeric;
            break;
        case MR_INTERVAL:
            ((mr_interval *)reg->cells)[i] = value->as.interval;
            break;
        default:
            ((mr_view *)reg->cells)[i] = value->as.view;
            break;
        }
    }
}

/* The two halves of one change always come together. */
static bool is_one_change(const mr_batch *in)
{
    return in->change != NULL && in->selected_count == 2 &&
           in->change[mr_batch_row(in, 0)] == MR_CHANGE_OLD &&
           in->change[mr_batch_row(in, 1)] == MR_CHANGE_NEW;
}

static void base_mask(mr_frame *frame)
{
    uint64_t *mask = frame->masks[0];
    const mr_batch *in = frame->in;

    memset(mask, 0, sizeof(frame->masks[0]));
    if (in->selection == NULL) {
        memset(mask, 0xff, frame->row_count / 64 * sizeof(uint64_t));
        if (frame->row_count % 64 != 0) {
            mask[frame->row_count / 64] = (1ull << (frame->row_count % 64)) - 1;
        }
        return;
    }
    for (uint32_t i = 0; i < in->selected_count; i++) {
        mask[in->selection[i] / 64] |= 1ull << (in->selection[i] % 64);
    }
}

/* ---- What kernels need ---- */

void mr_frame_fail(mr_frame *frame, const mr_program_step *step, const uint64_t *rows,
                   mr_row_error error)
{
    MR_ASSERT(error != MR_ROW_OK);
    for (uint32_t w = 0; w < frame->word_count; w++) {
        uint64_t word = rows[w] & frame->masks[step->mask][w] & ~frame->failed[w];
        frame->failed[w] |= word;
        for (; word != 0; word &= word - 1) {
            frame->errors[w * 64 + (uint32_t)__builtin_ctzll(word)] = error;
            frame->any_failed = true;
        }
    }
}

void mr_frame_fail_row(mr_frame *frame, uint32_t row, mr_row_error error)
{
    MR_ASSERT(row < frame->row_count && error != MR_ROW_OK);
    frame->failed[row / 64] |= 1ull << (row % 64);
    frame->errors[row] = error;
    frame->any_failed = true;
}

uint8_t *mr_frame_room(mr_frame *frame, uint32_t row, uint64_t size_bytes)
{
    if (size_bytes <= (uint64_t)(frame->scratch_end - frame->scratch_at)) {
        return frame->scratch_at;
    }
    if (!frame->is_least) {
        frame->overflow = true; /* Smaller batches follow. */
    }
    mr_frame_fail_row(frame, row, MR_ROW_54000);
    return NULL;
}

/* The validity of the arguments together, of one word. */
static uint64_t valid_word(const mr_frame *frame, const mr_program_step *step,
                           uint32_t argument_count, uint32_t w)
{
    const uint16_t registers[MR_ARGUMENTS_MAX] = {step->a, step->b, step->c};
    uint64_t word = ~0ull;

    MR_ASSERT(argument_count >= 1 && argument_count <= MR_ARGUMENTS_MAX);
    for (uint32_t i = 0; i < argument_count; i++) {
        const uint64_t *valid = frame->registers[registers[i]].column.valid;
        word &= valid != NULL ? valid[w] : ~0ull;
    }
    return word;
}

void mr_frame_live(const mr_frame *frame, const mr_program_step *step, uint32_t argument_count,
                   uint64_t *live)
{
    for (uint32_t w = 0; w < frame->word_count; w++) {
        live[w] = frame->masks[step->mask][w] & ~frame->failed[w] &
                  valid_word(frame, step, argument_count, w);
    }
}

uint64_t *mr_frame_words(mr_frame *frame, const mr_program_step *step, uint32_t argument_count)
{
    mr_register *dst = &frame->registers[step->dst];

    for (uint32_t w = 0; w < frame->word_count; w++) {
        dst->words[w] = valid_word(frame, step, argument_count, w);
    }
    dst->column.valid = dst->words;
    return dst->words;
}

void mr_frame_strict(mr_frame *frame, const mr_program_step *step, uint32_t argument_count)
{
    const uint16_t registers[MR_ARGUMENTS_MAX] = {step->a, step->b, step->c};
    bool nulls = false;

    MR_ASSERT(argument_count <= MR_ARGUMENTS_MAX);
    for (uint32_t i = 0; i < argument_count; i++) {
        nulls = nulls || frame->registers[registers[i]].column.valid != NULL;
    }
    if (nulls) {
        (void)mr_frame_words(frame, step, argument_count);
    } else {
        frame->registers[step->dst].column.valid = NULL;
    }
}

void mr_frame_bits(const mr_frame *frame, const uint8_t *booleans, uint64_t *bits)
{
    /* Eight bytes of 0 or 1 become eight bits by one multiplication. Cells of rows that do not
     * exist may hold anything, so the lowest bit is taken; columns have room for whole words. */
    for (uint32_t w = 0; w < frame->word_count; w++) {
        uint64_t word = 0;
        for (uint32_t i = 0; i < 8; i++) {
            uint64_t eight;
            memcpy(&eight, booleans + (size_t)w * 64 + (size_t)i * 8, sizeof(eight));
            eight &= 0x0101010101010101ull;
            word |= ((eight * 0x0102040810204080ull) >> 56) << (i * 8);
        }
        bits[w] = word;
    }
}

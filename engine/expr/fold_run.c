/*
 * fold_run.c - folds rows into records of groups, and turns records into output rows.
 *
 * A row is folded in two passes: the first computes what can overflow and fails before anything is
 * written, the second writes. Records lie in the store at any alignment: slots are read and written
 * by memcpy. A tail of texts never becomes shorter than the store's value; what is not used of it
 * is zero.
 */
#include "engine/base/decimal.h"
#include "engine/base/time_interval.h"
#include "engine/expr/fold_private.h"
#include <math.h>
#include <string.h>

enum { GROUP_SCRATCH_BYTES = 64 };

typedef struct head {
    uint32_t used_bytes, reserved;
    int64_t event_time_us;
} head;
_Static_assert(sizeof(head) == MR_FOLD_HEAD_BYTES, "the record's head");

typedef struct sum_slot {
    mr_int128 sum;
    int64_t count;
} sum_slot;

struct mr_fold_scratch {
    const mr_fold *fold;
    const mr_batch *in; /* Of the last mr_fold_arguments(). */
    mr_eval *arguments; /* NULL: only count(*). */
    mr_eval *results;
    mr_batch *group; /* Rows on their way to the result expressions. */
    sum_slot pending[MR_FOLD_AGGREGATES_MAX];
    double pending_double[MR_FOLD_AGGREGATES_MAX];
    uint8_t nothing[MR_FOLD_HEAD_BYTES + MR_FOLD_AGGREGATES_MAX * sizeof(sum_slot)]; /* New. */
};

static mr_row_error prepare(mr_fold_scratch *s, uint32_t row, const uint8_t *record);
static void apply(mr_fold_scratch *s, uint32_t index, uint32_t row, uint8_t *record);
static void apply_texts(const mr_fold_scratch *s, uint32_t row, uint8_t *record);
static bool emit_aggregate(mr_fold_scratch *s, uint32_t index, const uint8_t *record, mr_batch *out,
                           uint32_t row, uint32_t *tail);

mr_fold_scratch *mr_fold_scratch_create(const mr_fold *fold, mr_arena *arena)
{
    mr_fold_scratch *s = mr_arena_take(arena, sizeof(*s));
    mr_batch_pool *pool = mr_batch_pool_create(arena, fold->group, 1, GROUP_SCRATCH_BYTES, false);

    if (s == NULL || pool == NULL) {
        return NULL;
    }
    s->fold = fold;
    s->group = mr_batch_take(pool);
    s->results = mr_eval_create(arena, fold->results, fold->result_count, MR_EXPR_SCRATCH_BYTES);
    if (fold->argument_count > 0) {
        s->arguments =
            mr_eval_create(arena, fold->arguments, fold->argument_count, MR_EXPR_SCRATCH_BYTES);
        if (s->arguments == NULL) {
            return NULL;
        }
    }
    return s->group != NULL && s->results != NULL ? s : NULL;
}

mr_status mr_fold_arguments(mr_fold_scratch *scratch, const mr_batch *in)
{
    scratch->in = in;
    return scratch->arguments != NULL ? mr_eval_run(scratch->arguments, in) : MR_OK;
}

mr_row_error mr_fold_argument_error(const mr_fold_scratch *scratch, uint32_t row)
{
    const mr_row_error *errors =
        scratch->arguments != NULL ? mr_eval_errors(scratch->arguments) : NULL;
    return errors != NULL ? errors[row] : MR_ROW_OK;
}

/* ---- Folding ---- */

static const mr_column *argument(const mr_fold_scratch *s, const mr_fold_aggregate *a)
{
    return a->kind == MR_COUNT_ROWS ? NULL : mr_eval_column(s->arguments, a->argument_index);
}

static bool is_text_slot(const mr_fold_aggregate *a)
{
    return (a->kind == MR_MIN || a->kind == MR_MAX) && a->argument.type == MR_TEXT;
}

typedef struct text_slot {
    uint32_t present, size_bytes;
} text_slot;

/* Whether the row's text replaces the stored one. `tail` is the offset of that. */
static bool text_replaces(const mr_fold_aggregate *a, const mr_column *column, uint32_t row,
                          const uint8_t *record, text_slot slot, uint32_t tail)
{
    if (!mr_column_valid(column, row)) {
        return false;
    }
    if (slot.present == 0) {
        return true;
    }
    const mr_view old = {record + tail, slot.size_bytes};
    const int order = mr_compare_view(column->as.views[row], old);
    return a->kind == MR_MIN ? order < 0 : order > 0;
}

uint32_t mr_fold_size_after(const mr_fold_scratch *scratch, uint32_t row, const void *record)
{
    const mr_fold *fold = scratch->fold;
    head now = {0};
    uint64_t size = fold->record_size;
    uint32_t tail = fold->record_size;

    if (!fold->variable) {
        return fold->record_size;
    }
    if (record != NULL) {
        memcpy(&now, record, sizeof(now));
    }
    for (uint32_t i = 0; i < fold->aggregate_count; i++) {
        const mr_fold_aggregate *a = &fold->aggregates[i];
        text_slot slot = {0};
        if (!is_text_slot(a)) {
            continue;
        }
        if (now.used_bytes > 0) {
            memcpy(&slot, (const uint8_t *)record + a->offset, sizeof(slot));
        }
        const mr_column *column = argument(scratch, a);
        size += text_replaces(a, column, row, record, slot, tail) ? column->as.views[row].size_bytes
                                                                  : slot.size_bytes;
        tail += slot.size_bytes;
    }
    /* Never shorter: the store keeps old bytes up to the smaller size, and the tail moves within.
     */
    size = size > now.used_bytes ? size : now.used_bytes;
    return size > UINT32_MAX ? UINT32_MAX : (uint32_t)size;
}

mr_row_error mr_fold_test(mr_fold_scratch *scratch, uint32_t row, const void *record)
{
    return prepare(scratch, row, record != NULL ? record : scratch->nothing);
}

mr_row_error mr_fold_row(mr_fold_scratch *scratch, uint32_t row, void *record)
{
    const mr_row_error error = prepare(scratch, row, record);

    if (error == MR_ROW_OK) {
        mr_fold_apply(scratch, row, record);
    }
    return error;
}

void mr_fold_apply(mr_fold_scratch *scratch, uint32_t row, void *record)
{
    const mr_fold *fold = scratch->fold;
    const int64_t event_time = scratch->in->event_time_us[row];
    head now;

    /* Before the slots change: how far the record reaches afterwards. */
    const uint32_t size = mr_fold_size_after(scratch, row, record);
    memcpy(&now, record, sizeof(now));
    if (now.used_bytes == 0 || event_time > now.event_time_us) {
        now.event_time_us = event_time;
    }
    for (uint32_t i = 0; i < fold->aggregate_count; i++) {
        if (!is_text_slot(&fold->aggregates[i])) {
            apply(scratch, i, row, record);
        }
    }
    if (fold->variable) {
        apply_texts(scratch, row, record);
    }
    now.used_bytes = size;
    memcpy(record, &now, sizeof(now));
}

/* Whether sum / count at the average's scale stays within 38 digits. */
static bool average_fits(const mr_fold_aggregate *a, sum_slot slot)
{
    const uint32_t scale = a->argument.type == MR_BIGINT ? 0 : a->argument.scale;
    const uint32_t more = (uint32_t)a->result.scale - scale;
    mr_int128 unused;

    if (mr_decimal_fits(slot.sum, MR_DECIMAL_DIGITS_MAX - more)) {
        return true;
    }
    return mr_decimal_divide(slot.sum, scale, slot.count, 0, a->result.scale, &unused);
}

/* The first pass: new sums into `pending`. */
static mr_row_error prepare(mr_fold_scratch *s, uint32_t row, const uint8_t *record)
{
    for (uint32_t i = 0; i < s->fold->aggregate_count; i++) {
        const mr_fold_aggregate *a = &s->fold->aggregates[i];
        if (a->kind != MR_SUM && a->kind != MR_AVG) {
            continue;
        }
        const mr_column *column = argument(s, a);
        if (!mr_column_valid(column, row)) {
            continue;
        }
        if (a->argument.type == MR_DOUBLE) {
            double sum;
            memcpy(&sum, record + a->offset, sizeof(sum));
            const double value = column->as.doubles[row];
            s->pending_double[i] = sum + value;
            if (isinf(s->pending_double[i]) && !isinf(sum) && !isinf(value)) {
                return MR_ROW_22003;
            }
            continue;
        }
        sum_slot slot;
        memcpy(&slot.sum, record + a->offset, sizeof(slot.sum));
        memcpy(&slot.count, record + a->offset + sizeof(slot.sum), sizeof(slot.count));
        const mr_int128 value =
            a->argument.type == MR_BIGINT ? column->as.integers[row] : column->as.numerics[row];
        slot.count++;
        if (!mr_decimal_add(slot.sum, value, &slot.sum) ||
            (a->kind == MR_AVG && !average_fits(a, slot))) {
            return MR_ROW_22003;
        }
        s->pending[i] = slot;
    }
    return MR_ROW_OK;
}

static void apply_extreme(const mr_fold_aggregate *a, const mr_column *column, uint32_t row,
                          uint8_t *slot)
{
    const uint32_t bytes = mr_type_cell_bytes((mr_type)a->argument.type);
    const uint8_t *value = column->as.booleans + (size_t)row * bytes;
    uint64_t present;
    int order = 0;

    memcpy(&present, slot, sizeof(present));
    if (present != 0 && a->argument.type == MR_NUMERIC) {
        mr_int128 old;
        memcpy(&old, slot + 8, sizeof(old));
        const mr_int128 fresh = column->as.numerics[row];
        order = fresh < old ? -1 : fresh > old;
    } else if (present != 0 && a->argument.type == MR_INTERVAL) {
        mr_interval old;
        memcpy(&old, slot + 8, sizeof(old));
        order = mr_interval_compare(column->as.intervals[row], old);
        /* Of equal ones the last stays, as there: 30 days, and a month. */
        order = order != 0 ? order : a->kind == MR_MIN ? -1 : 1;
    } else if (present != 0 && a->argument.type == MR_DATE) {
        int32_t old;
        memcpy(&old, slot + 8, sizeof(old));
        const int32_t fresh = column->as.dates[row];
        order = fresh < old ? -1 : fresh > old;
    } else if (present != 0 && a->argument.type == MR_DOUBLE) {
        double old;
        memcpy(&old, slot + 8, sizeof(old));
        order = mr_compare_double(column->as.doubles[row], old);
    } else if (present != 0) {
        int64_t old;
        memcpy(&old, slot + 8, sizeof(old));
        const int64_t fresh = column->as.integers[row];
        order = fresh < old ? -1 : fresh > old;
    }
    if (present == 0 || (a->kind == MR_MIN ? order < 0 : order > 0)) {
        present = 1;
        memcpy(slot, &present, sizeof(present));
        memcpy(slot + 8, value, bytes);
    }
}

/* Puts the row's text in the place of the stored one, if it grows (or does not) by that; the texts
 * behind it move. */
static void apply_text(const mr_fold_scratch *s, uint32_t index, uint32_t row, uint8_t *record,
                       bool grows)
{
    const mr_fold *fold = s->fold;
    const mr_fold_aggregate *a = &fold->aggregates[index];
    const mr_column *column = argument(s, a);
    uint32_t at = 0, end = fold->record_size;
    text_slot slot = {0}, other;

    for (uint32_t i = 0; i < fold->aggregate_count; i++) {
        if (!is_text_slot(&fold->aggregates[i])) {
            continue;
        }
        memcpy(&other, record + fold->aggregates[i].offset, sizeof(other));
        if (i == index) {
            at = end;
            slot = other;
        }
        end += other.size_bytes;
    }
    if (!text_replaces(a, column, row, record, slot, at) ||
        (column->as.views[row].size_bytes > slot.size_bytes) != grows) {
        return;
    }
    const mr_view text = column->as.views[row];
    const uint32_t behind = at + slot.size_bytes;
    memmove(record + at + text.size_bytes, record + behind, end - behind);
    if (text.size_bytes > 0) {
        memcpy(record + at, text.bytes, text.size_bytes);
    }
    if (text.size_bytes < slot.size_bytes) {
        const uint32_t shorter = slot.size_bytes - text.size_bytes;
        memset(record + end - shorter, 0, shorter);
    }
    slot = (text_slot){.present = 1, .size_bytes = text.size_bytes};
    memcpy(record + a->offset, &slot, sizeof(slot));
}

/* Those that shrink come first: so the tail is never longer than before the row, or after it, and
 * what mr_fold_size_after() said is room enough. One that was replaced replaces nothing again. */
static void apply_texts(const mr_fold_scratch *s, uint32_t row, uint8_t *record)
{
    for (uint32_t turn = 0; turn < 2; turn++) {
        for (uint32_t i = 0; i < s->fold->aggregate_count; i++) {
            if (is_text_slot(&s->fold->aggregates[i])) {
                apply_text(s, i, row, record, turn == 1);
            }
        }
    }
}

/* The second pass: nothing fails. Texts have their own. */
static void apply(mr_fold_scratch *s, uint32_t index, uint32_t row, uint8_t *record)
{
    const mr_fold_aggregate *a = &s->fold->aggregates[index];
    const mr_column *column = argument(s, a);
    uint8_t *slot = record + a->offset;
    int64_t count;

    if (a->kind != MR_COUNT_ROWS && !mr_column_valid(column, row)) {
        return;
    }
    switch (a->kind) {
    case MR_COUNT_ROWS:
    case MR_COUNT:
        memcpy(&count, slot, sizeof(count));
        count++;
        memcpy(slot, &count, sizeof(count));
        return;
    case MR_SUM:
    case MR_AVG:
        if (a->argument.type == MR_DOUBLE) {
            memcpy(slot, &s->pending_double[index], sizeof(double));
            memcpy(&count, slot + 8, sizeof(count));
            count++;
            memcpy(slot + 8, &count, sizeof(count));
        } else {
            memcpy(slot, &s->pending[index].sum, sizeof(mr_int128));
            memcpy(slot + 16, &s->pending[index].count, sizeof(int64_t));
        }
        return;
    case MR_MIN:
    case MR_MAX:
        apply_extreme(a, column, row, slot);
        return;
    }
}

/* ---- Output ---- */

/* Text into the scratch of `out`; false = full. */
static bool keep_text(mr_batch *out, mr_view *view)
{
    if (view->size_bytes == 0) {
        view->bytes = (const uint8_t *)"";
        return true;
    }
    uint8_t *to = mr_batch_scratch(out, view->size_bytes);
    if (to == NULL) {
        return false;
    }
    memcpy(to, view->bytes, view->size_bytes);
    view->bytes = to;
    return true;
}

static bool is_view(mr_type type)
{
    return type == MR_TEXT || type == MR_BYTEA || type == MR_JSONB;
}

bool mr_fold_emit(mr_fold_scratch *scratch, mr_view key, const void *record, mr_batch *out,
                  uint32_t row)
{
    const mr_fold *fold = scratch->fold;
    static const uint16_t targets[MR_KEY_FIELDS_MAX] = {0, 1, 2,  3,  4,  5,  6,  7,
                                                        8, 9, 10, 11, 12, 13, 14, 15};
    uint32_t tail = fold->record_size;
    head now;

    memcpy(&now, record, sizeof(now));
    MR_ASSERT(now.used_bytes >= fold->record_size && row < MR_BATCH_ROWS_MAX);
    const bool decoded =
        mr_key_decode_row(key, fold->key, targets, fold->by_count, scratch->group, row);
    MR_ASSERT(decoded); /* We have encoded it. */
    for (uint32_t k = 0; k < fold->by_count; k++) {
        if (is_view(fold->key->fields[k].type) &&
            mr_column_valid(&scratch->group->columns[k], row)) {
            mr_view *cells = mr_batch_cells(scratch->group, k);
            if (!keep_text(out, &cells[row])) {
                return false;
            }
        }
    }
    for (uint32_t i = 0; i < fold->aggregate_count; i++) {
        if (!emit_aggregate(scratch, i, record, out, row, &tail)) {
            return false;
        }
    }
    mr_batch_event_times(out)[row] = now.event_time_us;
    return true;
}

static void emit_sum(mr_fold_scratch *s, const mr_fold_aggregate *a, const uint8_t *slot,
                     uint32_t column, uint32_t row)
{
    void *cells = mr_batch_cells(s->group, column);
    sum_slot stored;

    if (a->argument.type == MR_DOUBLE) {
        double sum;
        memcpy(&sum, slot, sizeof(sum));
        memcpy(&stored.count, slot + 8, sizeof(stored.count));
        ((double *)cells)[row] =
            a->kind == MR_AVG && stored.count > 0 ? sum / (double)stored.count : sum;
    } else {
        memcpy(&stored.sum, slot, sizeof(stored.sum));
        memcpy(&stored.count, slot + 16, sizeof(stored.count));
        mr_int128 value = stored.sum;
        if (a->kind == MR_AVG && stored.count > 0) {
            const uint32_t scale = a->argument.type == MR_BIGINT ? 0 : a->argument.scale;
            const bool fits =
                mr_decimal_divide(stored.sum, scale, stored.count, 0, a->result.scale, &value);
            MR_ASSERT(fits); /* Tested when the row was folded in. */
        }
        ((mr_int128 *)cells)[row] = value;
    }
    if (stored.count == 0) {
        mr_batch_set_null(s->group, column, row);
    }
}

static bool emit_aggregate(mr_fold_scratch *s, uint32_t index, const uint8_t *record, mr_batch *out,
                           uint32_t row, uint32_t *tail)
{
    const mr_fold_aggregate *a = &s->fold->aggregates[index];
    const uint32_t column = s->fold->by_count + index;
    uint8_t *cells = mr_batch_cells(s->group, column);
    const uint8_t *slot = record + a->offset;

    if (a->kind == MR_COUNT || a->kind == MR_COUNT_ROWS) {
        memcpy(cells + (size_t)row * 8, slot, 8);
        return true;
    }
    if (a->kind == MR_SUM || a->kind == MR_AVG) {
        emit_sum(s, a, slot, column, row);
        return true;
    }
    if (is_text_slot(a)) {
        text_slot text;
        memcpy(&text, slot, sizeof(text));
        mr_view view = {record + *tail, text.size_bytes};
        *tail += text.size_bytes;
        if (text.present == 0) {
            mr_batch_set_null(s->group, column, row);
            return true;
        }
        if (!keep_text(out, &view)) {
            return false;
        }
        ((mr_view *)(void *)cells)[row] = view;
        return true;
    }
    uint64_t present;
    const uint32_t bytes = mr_type_cell_bytes((mr_type)a->argument.type);
    memcpy(&present, slot, sizeof(present));
    memcpy(cells + (size_t)row * bytes, slot + 8, bytes);
    if (present == 0) {
        mr_batch_set_null(s->group, column, row);
    }
    return true;
}

/* One result column into `out`. Texts made by an expression lie in the eval's scratch: copied.
 * False: one does not fit; with `is_least` it fails its row. */
static bool finish_column(mr_fold_scratch *s, uint32_t index, mr_batch *out, uint32_t row_count,
                          bool is_least)
{
    const mr_expr *expr = s->fold->results[index];
    const mr_column *from = mr_eval_column(s->results, index);
    const uint32_t bytes = mr_type_cell_bytes(expr->result.type);
    const mr_row_error *errors = mr_eval_errors(s->results);
    void *cells = mr_batch_cells(out, index);

    memcpy(cells, from->as.booleans, (size_t)row_count * bytes);
    if (from->valid != NULL) {
        memcpy(mr_batch_validity(out, index), from->valid,
               (size_t)(row_count + 63) / 64 * sizeof(uint64_t));
    }
    if (expr->is_column || (errors == NULL && !is_view(expr->result.type))) {
        return true;
    }
    for (uint32_t row = 0; row < row_count; row++) {
        if (errors != NULL && errors[row] != MR_ROW_OK) {
            mr_batch_set_null(out, index, row);
        } else if (is_view(expr->result.type) && mr_column_valid(from, row) &&
                   !keep_text(out, &((mr_view *)cells)[row])) {
            if (!is_least) {
                return false;
            }
            mr_eval_fail(s->results, row, MR_ROW_54000);
            mr_batch_set_null(out, index, row);
        }
    }
    return true;
}

mr_status mr_fold_finish(mr_fold_scratch *scratch, mr_batch *out, uint32_t row_count, bool is_least,
                         const mr_row_error **errors)
{
    mr_status status = MR_OK;

    MR_ASSERT(row_count <= MR_BATCH_ROWS_MAX);
    (void)mr_batch_event_times(scratch->group);
    mr_batch_set_rows(scratch->group, row_count);
    if (is_least) {
        mr_eval_run_least(scratch->results, scratch->group);
    } else {
        status = mr_eval_run(scratch->results, scratch->group);
    }
    for (uint32_t i = 0; status == MR_OK && i < scratch->fold->result_count; i++) {
        if (!finish_column(scratch, i, out, row_count, is_least)) {
            status = MR_ERR_OVERFLOW;
        }
    }
    *errors = mr_eval_errors(scratch->results);
    mr_batch_clear(scratch->group);
    return status;
}

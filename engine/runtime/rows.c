/*
 * rows.c - how many rows a batch may have: fewer after an overflow, more again when that holds.
 *
 * What does not fit (output of a batch in the arena, keys in their scratch) is found out in the
 * middle of an epoch and costs a recovery. Smaller batches make smaller epochs (epoch.c); with one
 * row a batch, epochs alone become smaller, as what leaves at their end may be what does not fit.
 * Where the rows are simply that large, trying the larger batch again behind every commit would
 * cost one every other epoch; so each try that fails doubles the epochs until the next. Thread: the
 * shard's.
 */
#include "engine/runtime/runtime_private.h"

enum { WAIT_MAX = 1024, EPOCH_SHIFT_MAX = 40 };

static bool can_shrink_epoch(const mr_shard *shard)
{
    return shard->epoch.records_in > 1 && shard->rows.epoch_shift < EPOCH_SHIFT_MAX;
}

bool mr_rows_can_shrink(const mr_shard *shard)
{
    return shard->rows_max > 1 || can_shrink_epoch(shard);
}

void mr_rows_overflow(mr_shard *shard)
{
    mr_rows *rows = &shard->rows;

    MR_ASSERT(mr_rows_can_shrink(shard));
    if (shard->rows_max > 1) {
        shard->rows_max /= 2;
    } else {
        do { /* A limit above what did not fit would change nothing. */
            rows->epoch_shift++;
        } while (mr_epoch_records_max(shard) >= shard->epoch.records_in && can_shrink_epoch(shard));
    }
    if (rows->is_trial) {
        rows->wait_epochs = rows->wait_epochs == 0 ? 2 : rows->wait_epochs * 2;
        rows->wait_epochs = rows->wait_epochs < WAIT_MAX ? rows->wait_epochs : WAIT_MAX;
    }
    rows->is_trial = false;
    rows->calm_epochs = 0;
}

void mr_rows_committed(mr_shard *shard)
{
    mr_rows *rows = &shard->rows;

    if (++rows->calm_epochs < rows->wait_epochs) {
        return;
    }
    rows->calm_epochs = 0;
    rows->is_trial = shard->rows_max < MR_BATCH_ROWS_MAX;
    if (!rows->is_trial) {
        rows->wait_epochs = 0; /* The largest has held. */
        return;
    }
    if (rows->epoch_shift > 0) {
        rows->epoch_shift--;
        return;
    }
    shard->rows_max =
        shard->rows_max * 2 > MR_BATCH_ROWS_MAX ? MR_BATCH_ROWS_MAX : shard->rows_max * 2;
}

/*
 * poison.c - what a shard concludes from its last attempts: pure functions over the mark.
 *
 * A mark says where an attempt began and whether anybody wrote how it ended. One that is found open
 * has failed: the process died, or ended for a reason that may lie in the data. Failures at the
 * same offsets are counted; at `after` of them epochs are limited: each holds records of one input
 * only, and the mark says which. If such an epoch fails, the next start tries the first half of
 * just these records. At a limit of one a single record is on trial, and only its own failures
 * count against it: so a kill, a power loss or a fault of the machine leads to small epochs, and
 * never to a verdict over a record that was not the one under way, `after` times. Epochs grow again
 * as records pass; and as no failed attempt has seen a record that came after it, they are as usual
 * once every input is past the end its log had then. Thread: any.
 */
#include "engine/runtime/runtime_private.h"

enum { LIMIT_FIRST = MR_BATCH_ROWS_MAX / 2 };

static void note_failure(mr_mark *mark, const mr_mark_facts *facts);

void mr_mark_start(mr_mark *mark, const mr_mark_facts *facts)
{
    MR_ASSERT(facts->after > 0 && facts->epoch_records > 0);

    if (mark->has_suspect && facts->is_past) {
        mr_mark_clear(mark);
    }
    if (mark->is_open) {
        note_failure(mark, facts);
    } else if (!facts->is_same) {
        mark->failures = 0;
    }
    mark->is_open = mark->is_tried = false;
    MR_ASSERT(!mark->has_suspect || mark->limit > 0);
}

void mr_mark_acquit(mr_mark *mark)
{
    MR_ASSERT(mark->limit > 0);
    mark->limit = 0;
    mark->failures = 0;
    mr_mark_clear(mark);
}

bool mr_mark_passed(mr_mark *mark, uint64_t *passed, uint64_t records, uint64_t epoch_records)
{
    MR_ASSERT(mark->limit > 0);
    *passed += records;
    if (*passed < 2 * (uint64_t)mark->limit) {
        return false;
    }
    *passed = 0;
    const uint64_t limit = 2 * (uint64_t)mark->limit;
    mark->limit = limit >= 2 * epoch_records || limit > UINT32_MAX ? 0 : (uint32_t)limit;
    mark->failures = 0;
    if (mark->limit == 0) {
        mr_mark_forget(mark);
    }
    return true;
}

void mr_mark_try(mr_mark *mark, const mr_mark_place *place)
{
    MR_ASSERT(mark->limit > 0 && place->end > place->offset);
    const bool is_same = mr_mark_is_at(mark, place);

    if (!is_same) {
        mark->suspect_failures = 0;
        mark->is_convicted = false;
    }
    mark->topic = place->topic;
    mark->partition = place->partition;
    mark->offset = place->offset;
    mark->end = place->end;
    mark->has_suspect = mark->is_tried = true;
}

bool mr_mark_is_at(const mr_mark *mark, const mr_mark_place *place)
{
    return mark->has_suspect && mark->topic == place->topic &&
           mark->partition == place->partition && mark->offset == place->offset;
}

void mr_mark_clear(mr_mark *mark)
{
    if (!mark->is_convicted) {
        mark->in_a_row = 0;
    }
    mr_mark_forget(mark);
}

void mr_mark_forget(mr_mark *mark)
{
    mark->has_suspect = mark->is_tried = mark->is_convicted = false;
    mark->topic = 0;
    mark->partition = 0;
    mark->offset = mark->end = 0;
    mark->suspect_failures = 0;
}

/* ---- Helpers ---- */

static void note_failure(mr_mark *mark, const mr_mark_facts *facts)
{
    const uint32_t half = facts->epoch_records / 2 > 0 ? (uint32_t)(facts->epoch_records / 2) : 1;

    mark->failures = facts->is_same ? mark->failures + 1 : 1;
    if (mark->limit == 0) {
        if (mark->failures >= facts->after) {
            mark->limit = facts->epoch_records / 2 < LIMIT_FIRST ? half : LIMIT_FIRST;
        }
    } else if (mark->is_tried && mark->limit > 1) {
        mark->limit /= 2;
    } else if (mark->is_tried && !mark->is_convicted) {
        mark->suspect_failures++;
        if (mark->suspect_failures >= facts->after) {
            mark->is_convicted = true;
            mark->in_a_row++;
        }
    }
}

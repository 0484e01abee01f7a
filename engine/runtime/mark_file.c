/*
 * mark_file.c - `<state dir>/<app>/attempt-<shard>`: the mark of a shard's attempts (attempt.c).
 *
 * How it is written, and its format: block_file.c. Thread: control opens, the shard writes.
 */
#include "engine/runtime/runtime_private.h"
#include <stdio.h>
#include <string.h>

enum { FLAG_OPEN = 1, FLAG_SUSPECT = 2, FLAG_TRIED = 4, FLAG_CONVICTED = 8, FLAGS_KNOWN = 15 };

typedef struct mark_payload {
    uint64_t reserved;
    uint32_t failures, limit;
    uint64_t topic;
    int64_t offset;
    uint32_t partition, suspect_failures, in_a_row, reason;
    int64_t end;
} mark_payload;
_Static_assert(sizeof(mark_payload) == MR_BLOCK_PAYLOAD_BYTES, "disk");
_Static_assert(sizeof(((mr_mark *)0)->prints) == sizeof(((mr_block *)0)->more), "disk");

static bool is_possible(const mr_block *block);
static uint32_t known_reason(uint32_t reason);

static const mr_block_kind mark_kind = {
    .magic = "MRATTMPT",
    .major = 1,
    .is_possible = is_possible,
    .remedy = "remove the file: only the count of failed attempts is in it"};

mr_status mr_mark_file_open(mr_block_file *file, const char *directory, uint32_t shard,
                            mr_mark *mark, mr_diag *diag)
{
    mr_block block;
    mark_payload payload;
    char name[32];

    *mark = (mr_mark){.limit = 0};
    (void)snprintf(name, sizeof(name), "attempt-%u", shard);
    const mr_status status = mr_block_file_open(file, &mark_kind, directory, name, &block, diag);
    if (status != MR_OK || file->sequence == 0) {
        return status;
    }
    memcpy(&payload, block.payload, sizeof(payload));
    *mark = (mr_mark){.failures = payload.failures,
                      .limit = payload.limit,
                      .topic = payload.topic,
                      .offset = payload.offset,
                      .end = payload.end,
                      .partition = payload.partition,
                      .suspect_failures = payload.suspect_failures,
                      .in_a_row = payload.in_a_row,
                      .reason = known_reason(payload.reason),
                      .is_open = (block.flags & FLAG_OPEN) != 0,
                      .has_suspect = (block.flags & FLAG_SUSPECT) != 0,
                      .is_tried = (block.flags & FLAG_TRIED) != 0,
                      .is_convicted = (block.flags & FLAG_CONVICTED) != 0};
    memcpy(mark->prints, block.more, sizeof(mark->prints));
    return MR_OK;
}

mr_status mr_mark_file_write(mr_block_file *file, const mr_mark *mark, mr_diag *diag)
{
    const mark_payload payload = {.failures = mark->failures,
                                  .limit = mark->limit,
                                  .topic = mark->topic,
                                  .offset = mark->offset,
                                  .end = mark->end,
                                  .partition = mark->partition,
                                  .suspect_failures = mark->suspect_failures,
                                  .in_a_row = mark->in_a_row,
                                  .reason = mark->reason};
    mr_block block = {
        .flags = (mark->is_open ? FLAG_OPEN : 0U) | (mark->has_suspect ? FLAG_SUSPECT : 0U) |
                 (mark->is_tried ? FLAG_TRIED : 0U) | (mark->is_convicted ? FLAG_CONVICTED : 0U)};

    memcpy(block.payload, &payload, sizeof(payload));
    memcpy(block.more, mark->prints, sizeof(mark->prints));
    return mr_block_file_write(file, &mark_kind, &block, diag);
}

static bool is_possible(const mr_block *block)
{
    mark_payload payload;

    memcpy(&payload, block->payload, sizeof(payload));
    const bool has_suspect = (block->flags & FLAG_SUSPECT) != 0;
    return (block->flags & ~(uint32_t)FLAGS_KNOWN) == 0 && payload.offset >= 0 &&
           (has_suspect ? payload.limit > 0 && payload.end > payload.offset
                        : (block->flags & (FLAG_TRIED | FLAG_CONVICTED)) == 0) &&
           (payload.limit == 1 || (block->flags & FLAG_CONVICTED) == 0);
}

/* Another release may know statuses that this one has no name for; it is only told, never judged.
 */
static uint32_t known_reason(uint32_t reason)
{
    const bool is_known = (reason >= MR_ERR_USAGE && reason <= MR_ERR_TYPE) ||
                          (reason >= MR_ERR_FULL && reason <= MR_ERR_UNREACHABLE) ||
                          (reason >= MR_ERR_TXN_ABORTED && reason <= MR_ERR_OVERFLOW) ||
                          (reason >= MR_ERR_FENCED && reason <= MR_ERR_PARTITIONS);

    return is_known ? reason : (uint32_t)MR_OK;
}

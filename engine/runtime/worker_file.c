/*
 * worker_file.c - `<state dir>/<app>/worker`: what a state directory remembers of its worker.
 *
 * The number of shards, because state files and transactional ids belong to it; the worker set; and
 * whether the worker was fenced, so that a supervisor does not bring it back against its rival. How
 * it is written, and its format: block_file.c. Thread: control.
 */
#include "engine/runtime/runtime_private.h"
#include <string.h>

enum { FLAG_FENCED = 1 };

typedef struct worker_payload {
    uint32_t shard_count;
    uint32_t reserved;
    char worker_set[48]; /* With a final zero. */
} worker_payload;
_Static_assert(sizeof(worker_payload) == MR_BLOCK_PAYLOAD_BYTES, "disk");
_Static_assert(sizeof(((mr_worker_file *)0)->worker_set) <=
                   sizeof(((worker_payload *)0)->worker_set),
               "a set's name fits");

static bool is_possible(const mr_block *block);

static const mr_block_kind worker_kind = {.magic = "MRWORKER",
                                          .major = 1,
                                          .is_possible = is_possible,
                                          .remedy = "restore the directory from a copy"};

mr_status mr_worker_file_open(mr_worker_file *file, const char *directory, mr_diag *diag)
{
    mr_block block;
    worker_payload payload;

    *file = (mr_worker_file){.shard_count = 0};
    const mr_status status =
        mr_block_file_open(&file->file, &worker_kind, directory, "worker", &block, diag);
    if (status != MR_OK || file->file.sequence == 0) {
        return status;
    }
    memcpy(&payload, block.payload, sizeof(payload));
    file->shard_count = payload.shard_count;
    file->is_fenced = (block.flags & FLAG_FENCED) != 0;
    memcpy(file->worker_set, payload.worker_set, sizeof(file->worker_set));
    return MR_OK;
}

mr_status mr_worker_file_write(mr_worker_file *file, mr_diag *diag)
{
    mr_block block = {.flags = file->is_fenced ? FLAG_FENCED : 0};
    worker_payload payload = {.shard_count = file->shard_count};

    MR_ASSERT(file->shard_count > 0);
    memcpy(payload.worker_set, file->worker_set, sizeof(file->worker_set));
    memcpy(block.payload, &payload, sizeof(payload));
    return mr_block_file_write(&file->file, &worker_kind, &block, diag);
}

void mr_worker_file_close(mr_worker_file *file)
{
    mr_block_file_close(&file->file);
}

static bool is_possible(const mr_block *block)
{
    worker_payload payload;

    memcpy(&payload, block->payload, sizeof(payload));
    return payload.shard_count > 0 && payload.shard_count <= MR_SHARDS_MAX &&
           payload.worker_set[sizeof(((mr_worker_file *)0)->worker_set) - 1] == '\0';
}

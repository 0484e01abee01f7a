/*
 * output.c - the arenas in which the output of an epoch waits for its commit.
 *
 * Payload grows from the bottom of an arena, blocks of records from its top, so the one limit is
 * the sum of both and neither has to be guessed. Nothing is copied behind the arena: librdkafka
 * reads payloads from it, hence room comes back only with the whole epoch. Two arenas: one filling,
 * one being committed. Thread: the shard's.
 */
#include "engine/runtime/runtime_private.h"
#include <string.h>

enum {
    CHUNK_BLOCK_BYTES = sizeof(mr_chunk) + MR_CHUNK_RECORDS * sizeof(mr_record),
    PAYLOAD_ALIGNMENT = 8 /* Header views stand in the payload. */
};

static mr_chunk *chunk_add(mr_output_arena *arena, uint64_t epoch);

mr_status mr_output_open(mr_shard *shard)
{
    const uint64_t size_bytes = shard->options.arena_bytes;
    MR_ASSERT(size_bytes >= MR_ARENA_BYTES_MIN && size_bytes % 4096 == 0);
    for (uint32_t i = 0; i < MR_LENGTH(shard->outputs); i++) {
        mr_output_arena *arena = &shard->outputs[i];
        arena->memory =
            shard->env.memory.type->acquire(shard->env.memory.self, size_bytes, "output arena");
        if (arena->memory == NULL) {
            return mr_diag_set(&shard->diag, MR_ERR_MEMORY, 0,
                               "no memory for an output arena of %llu bytes: lower memory.kafka",
                               (unsigned long long)size_bytes);
        }
        arena->size_bytes = size_bytes;
        mr_output_reset(shard, i);
    }
    return MR_OK;
}

void mr_output_reset(mr_shard *shard, uint32_t index)
{
    MR_ASSERT(index < MR_LENGTH(shard->outputs));
    mr_output_arena *arena = &shard->outputs[index];
    arena->low = 0;
    arena->high = arena->size_bytes;
    arena->first = arena->last = arena->next = NULL;
    arena->record_count = 0;
}

uint64_t mr_output_used(const mr_shard *shard, uint32_t index)
{
    const mr_output_arena *arena = &shard->outputs[index];
    uint64_t low = arena->low;
    if (arena->last != NULL) {
        low = (uint64_t)(arena->last->room - arena->memory);
    }
    MR_ASSERT(low <= arena->high);
    return low + (arena->size_bytes - arena->high);
}

mr_chunk *mr_task_output(mr_task *task, uint32_t size_bytes)
{
    mr_shard *shard = task->shard;
    mr_output_arena *arena = &shard->outputs[shard->epoch.arena];
    mr_chunk *chunk = arena->last;

    if (chunk != NULL) {
        arena->low = (uint64_t)(chunk->room - arena->memory);
        MR_ASSERT(arena->low <= arena->high && chunk->record_count <= chunk->record_max);
    }
    arena->low = (arena->low + PAYLOAD_ALIGNMENT - 1) & ~(uint64_t)(PAYLOAD_ALIGNMENT - 1);
    if (chunk == NULL || chunk->record_count == chunk->record_max) {
        chunk = chunk_add(arena, mr_state_epoch(shard->state));
    }
    if (chunk == NULL || arena->low + size_bytes > arena->high) {
        return NULL;
    }
    chunk->room = arena->memory + arena->low;
    chunk->room_end = arena->memory + arena->high;
    mr_epoch_touch(shard, task->lane);
    return chunk;
}

bool mr_output_submit(mr_shard *shard, uint32_t index, uint64_t epoch, bool is_closed)
{
    mr_output_arena *arena = &shard->outputs[index];
    const mr_kafka *kafka = &shard->env.kafka;

    if (kafka->type == NULL) {
        return true;
    }
    while (arena->next != NULL) {
        mr_chunk *chunk = arena->next;
        const bool is_full = chunk->record_count == chunk->record_max;
        if (!is_full && !is_closed) {
            return false;
        }
        MR_ASSERT(chunk->epoch == epoch);
        if (chunk->record_count > 0) {
            const mr_kafka_command command = {
                .op = MR_KAFKA_PRODUCE, .epoch = epoch, .chunk = chunk};
            if (kafka->type->submit(kafka->self, &command) != MR_OK) {
                return false;
            }
            arena->record_count += chunk->record_count;
        }
        arena->next = chunk->next;
    }
    return is_closed;
}

/* One more block of records from the top; the payload goes on where it stands. */
static mr_chunk *chunk_add(mr_output_arena *arena, uint64_t epoch)
{
    const uint64_t block = (CHUNK_BLOCK_BYTES + 63) & ~(uint64_t)63;
    if (arena->low + block > arena->high) {
        return NULL;
    }
    arena->high -= block;
    mr_chunk *chunk = (mr_chunk *)(void *)(arena->memory + arena->high);
    memset(chunk, 0, sizeof(*chunk));
    chunk->records = (mr_record *)(void *)(chunk + 1);
    chunk->record_max = MR_CHUNK_RECORDS;
    chunk->epoch = epoch;
    chunk->room = arena->memory + arena->low;
    chunk->room_end = arena->memory + arena->high;
    if (arena->last != NULL) {
        arena->last->next = chunk;
    } else {
        arena->first = chunk;
    }
    arena->last = chunk;
    if (arena->next == NULL) {
        arena->next = chunk;
    }
    return chunk;
}

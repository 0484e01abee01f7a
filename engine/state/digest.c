/*
 * digest.c - what a task's tables hold, as one number that no order of records changes: the sum
 * modulo 2^128 of XXH3-128 over (task, table, bucket, key, value). It is never stored; it proves
 * that two ways to an epoch end in the same place. The key part is hashed first and seeds the hash
 * of the value, so that a large value need not be copied.
 */
#include "engine/state/state_private.h"

typedef struct digest_head {
    uint32_t task, table;
    int64_t bucket;
    uint32_t key_size, value_size;
    uint8_t key[MR_KEY_BYTES_MAX];
} digest_head;

enum { HEAD_BYTES = offsetof(digest_head, key) };

void mr_table_digest(const mr_table *table, mr_digest *sum)
{
    mr_cursor cursor = {0};
    digest_head head = {.task = table->spec.task, .table = table->spec.table};

    for (const mr_row *row = mr_index_next(&table->index, &cursor); row != NULL;
         row = mr_index_next(&table->index, &cursor)) {
        mr_digest one;
        uint8_t bytes[16];
        if ((row->flags & MR_FLAG_TOMBSTONE) != 0) {
            continue;
        }
        head.key_size = row->key_size;
        head.value_size = row->value_size;
        memcpy(head.key, mr_row_key(row), row->key_size);
        const uint64_t seed = mr_hash64(&head, HEAD_BYTES + (size_t)row->key_size, 0);
        mr_hash128(mr_row_value(table, row), row->value_size, seed, bytes);
        memcpy(&one, bytes, sizeof(one));
        sum->low += one.low;
        sum->high += one.high + (sum->low < one.low);
    }
}

void mr_state_digest(const mr_state *state, uint32_t task, uint8_t digest[16])
{
    mr_digest sum = {0};

    for (uint32_t i = 0; i < state->table_count; i++) {
        if (state->tables[i]->spec.task == task) {
            mr_table_digest(state->tables[i], &sum);
        }
    }
    memcpy(digest, &sum, sizeof(sum));
}

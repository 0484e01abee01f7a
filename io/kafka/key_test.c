/*
 * key_test.c - tells when the producers of an input partition by something else than its key.
 *
 * A sink and an aggregate rely on equal keys meeting on one partition. The key columns, encoded by
 * the source's key format, must hash (murmur2, as the Java client) to the record's partition. A
 * breach is counted; the first one since the source was opened is logged. Thread: the shard's.
 */
#include "engine/base/hash.h"
#include "io/format/format.h"
#include "io/kafka/kafka_private.h"

enum { KEY_ROOM_BYTES = 16 << 10 }; /* A longer key is not tested. */

struct mr_key_test {
    const mr_source_common *common;
    uint32_t partition_count;
    bool is_logged;
    uint8_t room[KEY_ROOM_BYTES];
};

mr_status mr_key_test_open(mr_key_test **test, const mr_source_common *common, mr_task *task)
{
    MR_ASSERT(common->schema->key_count > 0);
    mr_key_test *made = mr_arena_take(mr_task_arena(task), sizeof(*made));
    if (made == NULL) {
        return mr_diag_set(mr_task_diag(task), MR_ERR_MEMORY, 0,
                           "no memory for a source: raise memory.total");
    }
    made->common = common;
    made->partition_count = mr_task_topic_partitions(task, common->topic);
    MR_ASSERT(made->partition_count > 0);
    *test = made;
    return MR_OK;
}

void mr_key_test_run(mr_key_test *test, mr_task *task, const mr_fetch *fetch, uint32_t first,
                     const mr_batch *out)
{
    const mr_source_common *common = test->common;
    uint32_t misplaced = 0;
    int64_t offset = -1;

    for (uint32_t i = 0; i < out->selected_count; i++) {
        const uint32_t row = mr_batch_row(out, i);
        uint8_t *room = test->room;
        mr_view key = {0};
        mr_row_error error = MR_ROW_OK;
        if (!mr_record_key_encode(common->key_format, out, row, common->schema->key,
                                  common->schema->key_count, &room, test->room + KEY_ROOM_BYTES,
                                  &key, &error) ||
            error != MR_ROW_OK || key.bytes == NULL) {
            continue;
        }
        const uint32_t hash = mr_hash_murmur2(key.bytes, key.size_bytes) & 0x7fffffff;
        if (hash % test->partition_count != (uint32_t)fetch->partition) {
            offset = misplaced == 0 ? fetch->records[first + row].offset : offset;
            misplaced++;
        }
    }
    if (misplaced > 0) {
        mr_task_misplaced(task, misplaced, test->is_logged ? -1 : offset);
        test->is_logged = true;
    }
}

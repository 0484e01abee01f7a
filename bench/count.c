/*
 * count.c - an order-free fingerprint of a topic, to prove that two programs put out the same.
 *
 *   bench_count TOPIC          every committed record: a multiset of (partition, key, value)
 *   bench_count TOPIC --last   the last record of each key: the table a compacted topic stands for
 *
 * The fingerprint is the sum of a 64-bit hash of each record, so neither the order of partitions
 * nor the bounds of transactions show in it; equal sums of different topics are a chance of 2^-64.
 * It prints one line: records=N bytes=B keys=K hash=H, K and H over what was asked for.
 *
 * LINK: mr_base
 */
#include "bench/client.h"
#include "engine/base/hash.h"
#include "engine/base/memory.h"
#include <stdbool.h>

enum {
    BATCH_MAX = 1000,
    WAIT_MS = 20, /* A batch call returns when it is full or at this time. */
    IDLE_S_MAX = 60,
};

typedef struct last { /* One key: the hash of its name, and of its newest record. */
    uint64_t key, record;
} last;

typedef struct table { /* Open addressing; grows at half. A slot with record 0 is free. */
    last *slots;
    size_t slot_count, used_count;
} table;

typedef struct tally {
    uint64_t records, bytes, hash;
    bool only_last;
    table keys;
} tally;

static void tally_add(tally *t, const rd_kafka_message_t *message);
static void tally_topic(tally *t, const char *topic);

int main(int argc, char **argv)
{
    tally t = {.only_last = argc == 3 && strcmp(argv[2], "--last") == 0};
    if (argc != 2 && !t.only_last) {
        fputs("usage: bench_count TOPIC [--last]   (cluster: MR_KAFKA=host:port)\n", stderr);
        return 2;
    }
    tally_topic(&t, argv[1]);
    printf("records=%llu bytes=%llu keys=%llu hash=%016llx\n", (unsigned long long)t.records,
           (unsigned long long)t.bytes, (unsigned long long)t.keys.used_count,
           (unsigned long long)t.hash);
    fflush(stdout);
    _exit(0); /* Nothing is left to do; closing the client would cost a second. */
}

static last *table_find(const table *keys, uint64_t key)
{
    size_t at = key & (keys->slot_count - 1);
    while (keys->slots[at].record != 0 && keys->slots[at].key != key) {
        at = (at + 1) & (keys->slot_count - 1);
    }
    return &keys->slots[at];
}

static void table_grow(table *keys)
{
    const mr_memory memory = mr_memory_system();
    const table old = *keys;
    keys->slot_count = old.slot_count > 0 ? 2 * old.slot_count : 1u << 16;
    keys->slots = memory.type->acquire(memory.self, keys->slot_count * sizeof(last), "keys");
    if (keys->slots == NULL) {
        bench_fail("no memory for %zu keys", keys->slot_count);
    }
    for (size_t i = 0; i < old.slot_count; i++) {
        if (old.slots[i].record != 0) {
            *table_find(keys, old.slots[i].key) = old.slots[i];
        }
    }
    if (old.slots != NULL) {
        memory.type->release(memory.self, old.slots, old.slot_count * sizeof(last));
    }
}

static uint64_t hash_of(const void *bytes, size_t size_bytes)
{
    return mr_hash64(bytes == NULL ? "" : bytes, size_bytes, 0);
}

static void tally_add(tally *t, const rd_kafka_message_t *message)
{
    /* A null and an empty text are different keys, and different values. The place goes in by
     * mixing, not as the seed: seeds that differ little make short texts collide. */
    const uint64_t place = (uint64_t)message->partition * 2 + (message->key == NULL);
    const uint64_t key = bench_mix(hash_of(message->key, message->key_len) ^ bench_mix(place));
    const uint64_t value = hash_of(message->payload, message->len) + (message->payload == NULL);
    const uint64_t record = bench_mix(value ^ bench_mix(key)) | 1;
    t->records++;
    t->bytes += message->len;
    t->hash += record;
    if (!t->only_last) {
        return;
    }
    if (2 * t->keys.used_count >= t->keys.slot_count) {
        table_grow(&t->keys);
    }
    last *slot = table_find(&t->keys, key);
    t->keys.used_count += slot->record == 0;
    t->hash -= slot->record;
    *slot = (last){.key = key, .record = record};
}

static void tally_topic(tally *t, const char *topic)
{
    static const bench_setting settings[] = {{"group.id", "bench-count"},
                                             {"enable.auto.commit", "false"},
                                             {"enable.partition.eof", "true"},
                                             {"auto.offset.reset", "error"},
                                             {"isolation.level", "read_committed"},
                                             {"queued.min.messages", "1000000"},
                                             {"queued.max.messages.kbytes", "262144"},
                                             {"fetch.message.max.bytes", "4194304"},
                                             {NULL, NULL}};
    static rd_kafka_message_t *messages[BATCH_MAX];
    int32_t partition_count = 0;
    int32_t ended_count = 0;
    rd_kafka_t *consumer = bench_consumer(settings, topic, &partition_count);
    rd_kafka_queue_t *queue = rd_kafka_queue_get_consumer(consumer);
    double heard_s = bench_now_s();
    while (ended_count < partition_count) {
        const ssize_t count = rd_kafka_consume_batch_queue(queue, WAIT_MS, messages, BATCH_MAX);
        const double now_s = bench_now_s();
        heard_s = count > 0 ? now_s : heard_s;
        if (now_s - heard_s > IDLE_S_MAX) {
            bench_fail("%s: nothing to read within %d s", topic, IDLE_S_MAX);
        }
        for (ssize_t i = 0; i < count; i++) {
            if (messages[i]->err == RD_KAFKA_RESP_ERR__PARTITION_EOF) {
                ended_count++;
            } else {
                bench_check(messages[i]->err, topic);
                tally_add(t, messages[i]);
            }
            rd_kafka_message_destroy(messages[i]);
        }
    }
}

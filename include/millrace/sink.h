/*
 * sink.h - how to write a sink, and the chunks in which output waits for its commit.
 *
 * Payloads are not copied after the chunk, so room comes back only when the whole epoch is
 * committed. There is no abort call: recovery closes and opens. Thread: the owning shard's.
 */
#ifndef MILLRACE_SINK_H
#define MILLRACE_SINK_H

#include <millrace/batch.h>
#include <millrace/source.h>
#include <millrace/status.h>
#include <stdint.h>

enum { MR_SINK_IN_TXN = 1, MR_SINK_BEST_EFFORT = 4 }; /* mr_connector.flags: exactly one */

typedef enum mr_sink_partitioner {
    MR_PARTITION_MURMUR2,
    MR_PARTITION_SAME,
    MR_PARTITION_EXPR
} mr_sink_partitioner;

typedef struct mr_sink_header { /* name -> text expression */
    const char *name;
    const mr_expr *value;
} mr_sink_header;

typedef struct mr_sink_common { /* What the keys common to all sinks say; owned by the plan. */
    const struct mr_format_type *format;
    const void *format_spec;
    uint16_t key[MR_KEY_FIELDS_MAX]; /* Columns of the record key. */
    uint32_t key_count;
    mr_key_format key_format;
    mr_sink_partitioner partitioner;
    const mr_expr *partition; /* MR_PARTITION_EXPR: bigint, taken mod partitions */
    bool timestamp_create;    /* Wall clock of the broker client instead of an expression. */
    const mr_expr *timestamp; /* NULL: event_time */
    const mr_sink_header *headers;
    uint32_t header_count;
    mr_delivery delivery;
    uint32_t topic; /* Kafka: index in mr_plan.topics; else MR_NO_INDEX. */
} mr_sink_common;

typedef struct mr_sink_type {
    mr_connector head;
    mr_status (*open)(void *self, const mr_plan_node *node, mr_task *task,
                      uint64_t epoch_committed);
    /* NEXT or FAILED. */
    mr_step (*write)(void *self, mr_task *task, uint64_t epoch, const mr_batch *in);
    /* Both may be NULL. prepare: WAIT until the epoch is durable here. */
    mr_step (*prepare)(void *self, mr_task *task, uint64_t epoch);
    mr_step (*committed)(void *self, mr_task *task, uint64_t epoch);
} mr_sink_type;

typedef struct mr_record { /* One output record. Views into the chunk; NULL bytes = null. */
    uint32_t topic;        /* Index of the plan. */
    int32_t partition;
    int64_t timestamp_ms; /* 0: the client stamps the wall clock. */
    mr_view key, value;
    const mr_view *headers; /* Name, value in turn; 2 x header_count views. */
    uint32_t header_count;
} mr_record;

typedef struct mr_chunk { /* A piece of the output arena; home when its epoch is committed. */
    mr_record *records;   /* Room for record_max. */
    uint32_t record_count, record_max;
    uint8_t *room, *room_end; /* Keys, values and headers go here; a sink moves `room` on. */
    uint64_t epoch;
    struct mr_chunk *next;
} mr_chunk;

/*
 * Room for one more record of `size_bytes` in all (key, value, header bytes and header views).
 * The caller appends at most one record a call and moves `room`. NULL = the epoch's arena is full:
 * the sink fails the task with MR_ERR_OVERFLOW, and the epoch is redone with smaller batches.
 */
mr_chunk *mr_task_output(mr_task *task, uint32_t size_bytes);

/* Partitions of an output topic of the plan. */
uint32_t mr_task_topic_partitions(const mr_task *task, uint32_t topic);

/* Largest record (key + value + headers + 512) the topic takes, in bytes. */
uint32_t mr_task_topic_record_max(const mr_task *task, uint32_t topic);

/*
 * Test builds: the headers mr-src (where the row is of one record) and mr-inc for row `row` of
 * `in`, as views valid until the next call; returns the number of headers, 0 when off.
 */
uint32_t mr_task_test_headers(mr_task *task, const mr_batch *in, uint32_t row, mr_view *pairs);

#endif

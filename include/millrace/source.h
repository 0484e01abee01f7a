/*
 * source.h - how to write a source, and the fetch in which Kafka records arrive.
 *
 * Kafka's position is the committed offset. There is no pause: without credit a source is not
 * polled. Thread: `plan` control, all others the owning shard's.
 */
#ifndef MILLRACE_SOURCE_H
#define MILLRACE_SOURCE_H

#include <millrace/batch.h>
#include <millrace/operator.h>
#include <millrace/option.h>
#include <millrace/plan.h>
#include <millrace/row_error.h>
#include <millrace/status.h>
#include <stdbool.h>
#include <stdint.h>

struct mr_format_type;

typedef enum mr_from { MR_FROM_VALUE, MR_FROM_KEY, MR_FROM_HEADER, MR_FROM_META } mr_from;

typedef enum mr_time_format {
    MR_TIME_ISO,
    MR_TIME_EPOCH_S,
    MR_TIME_EPOCH_MS,
    MR_TIME_EPOCH_US
} mr_time_format;

typedef enum mr_meta {
    MR_META_TOPIC,
    MR_META_PARTITION,
    MR_META_OFFSET,
    MR_META_TIMESTAMP,
    MR_META_KEY,
    MR_META_KEY_BYTES,
    MR_META_HEADER
} mr_meta;

typedef struct mr_field_spec { /* One column of a source; index = column of its schema. */
    const mr_field *field;
    mr_from from;
    bool needed;        /* Some step or sink reads it; others are neither converted nor tested. */
    mr_meta meta;       /* MR_FROM_META */
    const char *header; /* MR_FROM_HEADER, or MR_META_HEADER: its name. */
    const char *const *path; /* MR_FROM_VALUE, MR_FROM_KEY: member names from the outside in. */
    uint32_t path_count;
    mr_time_format time_format;
    const char *fallback; /* `default:` as text, NULL = none. */
} mr_field_spec;

enum { MR_RECORDS_MAX = 64, MR_RECORD_DEPTH_MAX = 8 }; /* Of one schema; one in another. */

typedef struct mr_record_spec { /* A field of `type: record`; its fields are columns `name.x`. */
    const char *name;           /* With those of the records around it, as `a.b`. */
    mr_from from;               /* MR_FROM_VALUE or MR_FROM_KEY */
    bool nullable;
    const char *const *path; /* Member names from the outside in. */
    uint32_t path_count;
    uint32_t first_column, column_count; /* All columns in it, at any depth. */
} mr_record_spec;

typedef enum mr_key_format {
    MR_KEY_TEXT,
    MR_KEY_JSON,
    MR_KEY_INT32,
    MR_KEY_INT64,
    MR_KEY_RAW
} mr_key_format;

typedef enum mr_tombstones {
    MR_TOMBSTONE_ERROR,
    MR_TOMBSTONE_DROP,
    MR_TOMBSTONE_PASS
} mr_tombstones;

typedef struct mr_source_common { /* What the keys common to all sources say; owned by the plan. */
    const mr_schema *schema;
    const mr_field_spec *fields; /* schema->field_count */
    const mr_record_spec *records;
    uint32_t record_count;
    const struct mr_format_type *format;
    const void *format_spec;
    mr_key_format key_format;
    bool key_test;             /* `partitioner: murmur2`: count rows on the wrong partition. */
    const mr_expr *event_time; /* NULL: meta.timestamp */
    mr_tombstones tombstones;
    int64_t start_us; /* Kafka: MR_START_EARLIEST, _LATEST, or a time in us. */
    bool bounded;
    uint32_t topic; /* Kafka: index in mr_plan.topics; else MR_NO_INDEX. */
} mr_source_common;

enum { MR_START_EARLIEST = -2, MR_START_LATEST = -1 };

typedef struct mr_position { /* Where a source goes on. Kafka: int64 offset, little-endian. */
    uint8_t bytes[64];
    uint32_t size_bytes;
} mr_position;

typedef struct mr_connector { /* The head that both types share. */
    uint32_t abi_version, struct_size;
    const char *name, *summary;
    const mr_option *options;
    uint32_t option_count, spec_size, self_size, flags;
    mr_status (*plan)(void *spec, mr_plan_node *node, mr_diag *diag);
    void (*close)(void *self);
} mr_connector;

enum { MR_SOURCE_KAFKA = 1 }; /* flags: reads fetches; position is a committed offset. */

typedef struct mr_source_type {
    mr_connector head;
    /* `from` NULL: at the beginning. `node` gives `common` and `spec`. */
    mr_status (*open)(void *self, const mr_plan_node *node, mr_task *task, const mr_position *from);
    mr_step (*poll)(void *self, mr_task *task, mr_batch *out); /* NEXT, WAIT = nothing now, END */
    void (*position)(const void *self, mr_position *next);     /* Where to go on after `out`. */
    bool (*caught_up)(const void *self); /* A fact: at the end, nothing unread. */
} mr_source_type;

/* ---- Fetches ---- */

typedef struct mr_fetch_record { /* Views are valid until the fetch goes home. */
    mr_view key, value;          /* NULL bytes = null. */
    int64_t offset;
    int64_t timestamp_ms; /* -1: none */
    void *message;        /* The back-end's. */
} mr_fetch_record;

typedef struct mr_fetch { /* Records of one partition in offset order, at most a batch of them. */
    uint32_t input;       /* Index in the offsets of ASSIGN. */
    uint32_t topic;       /* Index of the plan. */
    int32_t partition;
    uint32_t record_count;
    mr_fetch_record *records;
    bool at_end;        /* The end of the log was seen behind these records (may be empty). */
    int64_t end_offset; /* at_end: the position after everything read. */
    /*
     * Header pairs (name, value in turn) of a record; `count` of them at most `pairs_max` views.
     * Returns how many views were filled.
     */
    uint32_t (*headers)(const struct mr_fetch *fetch, uint32_t record, mr_view *pairs,
                        uint32_t pairs_max);
    void *owner; /* The back-end's. */
} mr_fetch;

/*
 * Kafka sources: the next fetch of this task's input, NULL = no data now. The runtime keeps it
 * alive until every batch that borrows from it (mr_batch_set_fetch) has gone home, and gives it
 * back; calling this again means that all records of the former one have been used.
 */
mr_fetch *mr_task_next_fetch(mr_task *task);

/*
 * Counts records whose key does not belong on their partition. `offset`: the first such one, for
 * the log, or -1 when one was logged before.
 */
void mr_task_misplaced(mr_task *task, uint32_t count, int64_t offset);

/* How many payload bytes a source may put into one batch now; rows: mr_task_rows_max(). */
uint32_t mr_task_bytes_max(const mr_task *task);

/* Sources of wall-clock time (files): microseconds UTC, read once a step by the shard. */
int64_t mr_task_wall_us(const mr_task *task);

/* Sources that read a descriptor: wake the shard when it is readable. */
MR_MUST_USE mr_status mr_task_watch(mr_task *task, int descriptor);

#endif

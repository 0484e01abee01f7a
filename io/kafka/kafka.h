/*
 * kafka.h - the Kafka seam of a shard, and the Kafka source and sink.
 *
 * The runtime drives one mr_kafka per shard by commands and events; it never blocks. Behind it
 * stand a consumer, a transactional producer and a committer thread for every call of librdkafka
 * that blocks. Thread: the owning shard's for all slots; open and close control.
 */
#ifndef MR_KAFKA_KAFKA_H
#define MR_KAFKA_KAFKA_H

#include "engine/base/clock.h"
#include "engine/base/log.h"
#include "engine/base/memory.h"
#include "engine/base/secret.h"
#include <millrace/plan.h>
#include <millrace/sink.h>
#include <millrace/source.h>
#include <millrace/status.h>
#include <stdbool.h>
#include <stdint.h>

enum {
    MR_RECORD_BYTES_MAX = 200,     /* Commit metadata of one partition. */
    MR_SHARD_PARTITIONS_MAX = 2000 /* Input partitions of a shard. */
};

typedef enum mr_kafka_op {
    MR_KAFKA_RESET,   /* Destroy producer and consumer: the answer to every doubtful outcome.
                         All fetches are home. Answer: READY of the INIT that must follow. */
    MR_KAFKA_INIT,    /* New ones; fence; read committed offsets, log ends, start offsets.
                         `offsets` names the partitions. Answer: READY or FAILED. */
    MR_KAFKA_ASSIGN,  /* Explicit offsets, always; the queues are empty, as the consumer is new. */
    MR_KAFKA_PRODUCE, /* One chunk; MR_ERR_FULL until the slot is open for `epoch`, and while the
                         client's queue is full: submit the same chunk again, it goes on. */
    MR_KAFKA_OFFSETS, /* send_offsets with metadata. */
    MR_KAFKA_COMMIT   /* End. Only for a prepared and produced epoch whose OFFSETS were posted. */
} mr_kafka_op;

typedef enum mr_kafka_fact {
    MR_KAFKA_RECORDS,   /* A queue has filled. */
    MR_KAFKA_READY,     /* INIT is done: `offsets` hold what Kafka says. */
    MR_KAFKA_COMMITTED, /* `epoch` is committed: a fact. */
    MR_KAFKA_FAILED     /* Anything else: recover (or stop, by the class of `status`). */
} mr_kafka_fact;

typedef struct mr_offset {
    uint32_t topic, partition;              /* Topic: index of the plan. */
    int64_t offset;                         /* Next to read; -1: never committed. */
    int64_t log_start, log_end, start;      /* READY: the log's ends; what `start:` means here. */
    uint32_t metadata_size_bytes;           /* 0: none */
    char metadata[MR_RECORD_BYTES_MAX + 1]; /* ASCII, starts with mr1; */
} mr_offset;

typedef struct mr_kafka_command {
    mr_kafka_op op;
    uint32_t offset_count;
    uint64_t epoch;
    uint64_t incarnation;     /* INIT: drawn by recovery, for the fence check. */
    mr_chunk *chunk;          /* Borrowed until its epoch's COMMITTED, or READY after a RESET. */
    const mr_offset *offsets; /* Borrowed until the answer. */
} mr_kafka_command;

typedef struct mr_kafka_event {
    mr_kafka_fact fact;
    mr_status status; /* FAILED: its class decides. */
    uint32_t offset_count;
    uint64_t epoch;
    const mr_offset *offsets; /* READY: valid until the next INIT. */
    const mr_diag *diag;      /* FAILED: the story, with the E_... name where there is one; valid
                                 until the next poll. */
} mr_kafka_event;

typedef struct mr_kafka_type {
    mr_status (*submit)(void *self, const mr_kafka_command *command); /* MR_OK, MR_ERR_FULL */
    uint32_t (*poll)(void *self, mr_kafka_event *events, uint32_t count_max);
    mr_fetch *(*take)(void *self, uint32_t input); /* One partition's; NULL = empty now. */
    void (*give_back)(void *self, mr_fetch *fetch);
    /* Asked before a sleep. False: records came since the last poll; true: what comes from now on
     * writes the wake descriptor. */
    bool (*may_sleep)(void *self);
    /* Whether every record of `epoch` submitted so far has been acked by the broker. */
    bool (*produced)(void *self, uint64_t epoch);
    uint32_t (*topic_partitions)(void *self, uint32_t topic); /* After READY. */
    uint32_t (*topic_record_max)(void *self, uint32_t topic); /* After READY. */
} mr_kafka_type;

typedef struct mr_kafka {
    const mr_kafka_type *type;
    void *self;
} mr_kafka;

typedef struct mr_kafka_options {
    const mr_plan *plan;
    const mr_secrets *secrets; /* Those of the plan, by its numbers; NULL = it has none. */
    const char *worker_set;    /* "all", "p0_3", "o2of8": part of the transactional id */
    uint32_t shard;
    uint64_t memory_bytes;     /* This shard's part of memory.kafka. */
    uint32_t partition_count;  /* Input partitions this shard reads. */
    uint32_t topic_partitions; /* Of each input topic at the start of the worker; 0 = not tested. */
    int wake_descriptor;       /* Eventfd the client layer writes when poll has something. */
    mr_clock clock;
    mr_random random;
    mr_memory memory;
    mr_log *log;
} mr_kafka_options;

/* What the queues of the client of `inputs` partitions may take, in bytes, with a part of
 * memory.kafka: 60 % of it, or more where the least that a partition needs binds. */
uint64_t mr_kafka_queue_bytes(uint64_t part_bytes, uint32_t inputs);

/* Whether the librdkafka of this build takes a property: MR_OK, or MR_ERR_CONFIG with its words and
 * the code of a topology's mistake (102, 106). Plug-ins are not loaded for the question. */
MR_MUST_USE mr_status mr_kafka_property_test(const char *name, const char *value, mr_diag *diag);

/* librdkafka behind the seam. Starts the committer thread; connects to nothing yet. */
MR_MUST_USE mr_status mr_kafka_open(const mr_kafka_options *options, mr_kafka *kafka,
                                    mr_diag *diag);
/* Aborts nothing, commits nothing: destroys the clients and joins the committer. */
void mr_kafka_close(mr_kafka *kafka);

typedef struct mr_preflight_options {
    const mr_plan *plan;
    const mr_secrets *secrets; /* NULL = the plan names none. */
    bool allow_client_version;
    uint32_t timeout_ms; /* For the brokers to answer. */
    mr_log *log;
    bool (*stop_requested)(void *self); /* Asked between calls of 2 s; NULL = never. */
    void *stop_self;
} mr_preflight_options;

/*
 * Start-up tests of control, before any shard: client version (E_CLIENT_VERSION unless allowed),
 * broker reachable (E_UNREACHABLE, E_TLS) and content with user and password (E_AUTHENTICATION),
 * topics present (E_TOPIC_MISSING; `create:` makes them), partition counts of each input equal
 * (M-code text, MR_ERR_CONFIG), group empty (E_GROUP_ACTIVE). Fills partition_counts[topic] of the
 * plan. MR_ERR_UNREACHABLE as well when a stop cut the wait for a broker short.
 */
MR_MUST_USE mr_status mr_kafka_preflight(const mr_preflight_options *options,
                                         uint32_t *partition_counts, mr_diag *diag);

/* ---- The record mr1;... (the offset's metadata) ---- */

typedef struct mr_offset_record {
    uint64_t lineage, epoch, state_epoch, incarnation, digest;
    char owner[49];    /* <worker set>-<shard> */
    char topic_id[33]; /* hex, zeros where the client cannot tell */
} mr_offset_record;

typedef enum mr_record_result { MR_RECORD_OK, MR_RECORD_FOREIGN, MR_RECORD_NEWER } mr_record_result;

/* Writes the record; returns its size (at most MR_RECORD_BYTES_MAX), NUL-terminated. */
uint32_t mr_offset_record_print(const mr_offset_record *record, char out[MR_RECORD_BYTES_MAX + 1]);
/* Strict: order, lengths, lower-case hex, CRC-32C, nothing after it. */
mr_record_result mr_offset_record_parse(const char *text, uint32_t size_bytes,
                                        mr_offset_record *record);

/* ---- Connectors ---- */

extern const mr_source_type mr_source_kafka;
extern const mr_sink_type mr_sink_kafka;

/* ---- The log in process (kafka_memory.c): for tests, with aborts, unknown outcomes and fences
 *      on request. Never evidence for exactly-once against a broker. One thread for all of it. ----
 */

typedef struct mr_kafka_memory mr_kafka_memory; /* A cluster: logs, offsets, transactions. */

typedef enum mr_kafka_memory_fault {
    MR_MEMORY_ABORT,             /* A COMMIT fails; the transaction is aborted. */
    MR_MEMORY_UNKNOWN_COMMITTED, /* A COMMIT fails with an unknown outcome; it was committed. */
    MR_MEMORY_UNKNOWN_ABORTED,   /* The same; it was not. */
    MR_MEMORY_FAIL_OFFSETS,      /* OFFSETS fail. */
    MR_MEMORY_FAIL_DELIVERY,     /* A record of a PRODUCE is not delivered. */
    MR_MEMORY_FULL,              /* A PRODUCE gets MR_ERR_FULL after half of its chunk. */
    MR_MEMORY_FENCE,             /* Our own timeout fences us at a COMMIT. */
    MR_MEMORY_TAINT,             /* A COMMIT is followed by a renewal: one poll of MR_ERR_FULL. */
    MR_MEMORY_FAULT_COUNT
} mr_kafka_memory_fault;

/*
 * Every topic of the plan with `partition_count` partitions. Returns owned; NULL = no memory.
 * All it ever holds stays until destroy, at most `bytes_max`. `plan` is borrowed.
 */
mr_kafka_memory *mr_kafka_memory_create(mr_memory memory, const mr_plan *plan,
                                        uint32_t partition_count, uint64_t bytes_max);
void mr_kafka_memory_destroy(mr_kafka_memory *cluster); /* After its clients. NULL is allowed. */

/* As mr_kafka_open and mr_kafka_close; two clients with one worker set and shard are rivals. */
MR_MUST_USE mr_status mr_kafka_memory_open(mr_kafka_memory *cluster,
                                           const mr_kafka_options *options, mr_kafka *kafka,
                                           mr_diag *diag);
void mr_kafka_memory_close(mr_kafka *kafka);

/* The next `count` commands that can meet this fault do so, of whichever client. */
void mr_kafka_memory_inject(mr_kafka_memory *cluster, mr_kafka_memory_fault fault, uint32_t count);

/* Appends a committed record from outside (topic and partition are in it); returns its offset. */
int64_t mr_kafka_memory_append(mr_kafka_memory *cluster, const mr_record *record);
/* The same in a transaction that is rolled back: nobody sees it, its offset is passed over. */
void mr_kafka_memory_append_aborted(mr_kafka_memory *cluster, const mr_record *record);
/* The index-th record a read_committed reader sees; false = there is none. Views stay valid. */
bool mr_kafka_memory_read(const mr_kafka_memory *cluster, uint32_t topic, uint32_t partition,
                          uint32_t index, mr_record *record);
/* What is committed; offset -1 = nothing. */
mr_offset mr_kafka_memory_committed(const mr_kafka_memory *cluster, uint32_t topic,
                                    uint32_t partition);
/* Changes a committed offset by hand: offset and metadata of `offset`. */
void mr_kafka_memory_commit_by_hand(mr_kafka_memory *cluster, const mr_offset *offset);
/* Retention: records below `log_start` are gone. */
void mr_kafka_memory_trim(mr_kafka_memory *cluster, uint32_t topic, uint32_t partition,
                          int64_t log_start);

#endif

/*
 * kafka_private.h - the parts of a shard's Kafka client, for io/kafka alone.
 *
 * Two threads: the shard (kafka_client.c, consumer.c, producer.c) and its committer (txn_thread.c,
 * txn_init.c, txn_owners.c). They meet at two SPSC rings, at the clients the committer makes and
 * lends, and at a few atomics. Lending: the shard may use `mr_clients` from the reply that brings
 * them until it posts the order to give them up; the committer destroys only on that order.
 */
#ifndef MR_KAFKA_PRIVATE_H
#define MR_KAFKA_PRIVATE_H

#include "engine/base/arena.h"
#include "engine/base/assert.h"
#include "engine/base/crash.h"
#include "engine/base/spsc_ring.h"
#include "io/kafka/kafka.h"
#include <librdkafka/rdkafka.h>
#include <pthread.h>
#include <stdatomic.h>

enum {
    MR_JOBS_MAX = 16,
    MR_REPLIES_MAX = 16,
    MR_TRANSACTIONAL_ID_BYTES_MAX = 255,
    MR_CALL_MS = 2000,        /* One attempt of a blocking call, so that a stop gets in. */
    MR_TOPIC_GONE_MS = 30000, /* Shorter absences of a topic are waited out. */
    MR_UNACKED_BYTES_MIN = 1 << 20,
    MR_RECORD_BYTES_DEFAULT = 1000000, /* Where a topic's limit cannot be read. */
    MR_REJECTIONS_MAX = 3              /* Of one topic and code, without a commit between. */
};

/* For a status that is also kept in its diag. */
static inline void mr_kafka_told(mr_status status)
{
    (void)status;
}

/* ---- errors.c: what librdkafka says becomes what to do ---- */

typedef enum mr_kafka_call {
    MR_CALL_INIT, /* init_transactions */
    MR_CALL_BEGIN,
    MR_CALL_PRODUCE,
    MR_CALL_DELIVERY, /* An event of a failed record. */
    MR_CALL_OFFSETS,  /* send_offsets_to_transaction */
    MR_CALL_COMMIT,
    MR_CALL_CONSUME, /* An error on a partition's queue. */
    MR_CALL_READ,    /* committed, watermarks, metadata, configurations */
    MR_CALL_EVENT    /* An error event of a client's main queue. */
} mr_kafka_call;

typedef struct mr_fault { /* One error of librdkafka with its flags. */
    rd_kafka_resp_err_t code;
    bool is_fatal, is_retriable, requires_abort;
} mr_fault;

typedef struct mr_verdict {
    mr_status status;   /* MR_OK: ignore it. Class RETRY: the same call again. */
    bool is_fence;      /* Somebody, or our own timeout, fenced us: the next INIT looks who. */
    const char *name;   /* E_..., NULL = none */
    const char *remedy; /* What to do; NULL = nothing */
} mr_verdict;

mr_fault mr_fault_of(const rd_kafka_error_t *error);
mr_fault mr_fault_of_code(rd_kafka_resp_err_t code);
/* `was_ready`: this process has worked before; a refusal of rights is then retried. */
mr_verdict mr_kafka_judge(mr_kafka_call call, const mr_fault *fault, bool was_ready);
/* "<what>: <librdkafka's words> (<code>); <remedy>", the E_ name in front. Returns the status. */
MR_MUST_USE mr_status mr_verdict_tell(const mr_verdict *verdict, const mr_fault *fault,
                                      const char *what, const char *words, mr_diag *diag);
/* Whether a code means only that a broker cannot be reached now. */
bool mr_kafka_is_absence(rd_kafka_resp_err_t code);

/* ---- options.c: client configurations ---- */

typedef enum mr_client_kind {
    MR_CLIENT_CONSUMER,
    MR_CLIENT_PRODUCER,
    MR_CLIENT_FENCER, /* A throw-away producer that only fences its id. */
    MR_CLIENT_ADMIN   /* A producer without a transaction, for start-up tests. */
} mr_client_kind;

typedef struct mr_client_settings {
    const mr_plan *plan;
    const mr_secrets *secrets; /* Those of the plan; NULL = it has none. */
    mr_log *log;
    mr_client_kind kind;
    const char *transactional_id; /* PRODUCER, FENCER */
    uint64_t memory_bytes;        /* This shard's part of memory.kafka. */
    uint32_t input_count;         /* Partitions it reads. */
    uint32_t record_bytes_max;    /* PRODUCER: message.max.bytes */
    _Atomic bool *taint;          /* PRODUCER: set by the interceptor of taint.c */
} mr_client_settings;

/* Makes a client; owned. On an error: MR_ERR_CONFIG with the key and, from the file, its place. */
MR_MUST_USE mr_status mr_client_new(const mr_client_settings *settings, rd_kafka_t **client,
                                    mr_diag *diag);

/* ---- taint.c ---- */

/* `taint` is set when a request of the transaction failed, as it may still reach the broker. */
rd_kafka_resp_err_t mr_taint_install(rd_kafka_conf_t *conf, _Atomic bool *taint);

/* ---- The two threads' meeting ---- */

typedef enum mr_job_kind {
    MR_JOB_RESET,
    MR_JOB_INIT,
    MR_JOB_ASSIGN,
    MR_JOB_OFFSETS,
    MR_JOB_COMMIT,
    MR_JOB_RENEW,
    MR_JOB_CLOSE
} mr_job_kind;

typedef struct mr_job {
    mr_job_kind kind;
    uint32_t offset_count;
    uint64_t generation, epoch, incarnation;
    const mr_offset *offsets;
    bool has_records; /* OFFSETS: some output was handed over. */
} mr_job;

typedef enum mr_reply_kind {
    MR_REPLY_READY,
    MR_REPLY_ASSIGNED,
    MR_REPLY_OFFSETS,   /* The offsets are with the broker. */
    MR_REPLY_COMMITTED, /* The slot is open for the next epoch. */
    MR_REPLY_TAINTED,   /* Committed; the slot must be renewed first. */
    MR_REPLY_RENEWED,
    MR_REPLY_FAILED
} mr_reply_kind;

typedef struct mr_reply {
    mr_reply_kind kind;
    uint64_t generation, epoch;
    mr_diag diag; /* FAILED */
} mr_reply;

typedef struct mr_clients { /* Made by the committer, lent to the shard. */
    rd_kafka_t *consumer, *producer;
    rd_kafka_queue_t *consumer_events, *producer_events;
    rd_kafka_queue_t **inputs; /* One a partition, not forwarded; NULL until ASSIGN. */
    rd_kafka_topic_t **topics; /* Of the producer, by plan index; NULL = no output. */
} mr_clients;

typedef struct mr_owner_view { /* What one input's record says. */
    bool is_ours;              /* There is a record of millrace. */
    uint64_t incarnation;
    char owner[49];
} mr_owner_view;

/* ---- arrivals.c: which partition queues have filled ---- */

typedef struct mr_arrivals {
    struct mr_arrival *inputs; /* Of input_max. */
    uint32_t input_max;
    int wake_descriptor;    /* Eventfd; borrowed. */
    uint64_t seen;          /* Of `told`, when the shard's turn began. */
    int64_t looked_us;      /* When all queues counted as filled. */
    _Atomic uint64_t told;  /* Times a queue has filled. */
    _Atomic bool is_asleep; /* The shard sleeps, or is about to. */
} mr_arrivals;

/* MR_OK or MR_ERR_MEMORY. `arrivals` is zeroed. */
MR_MUST_USE mr_status mr_arrivals_open(mr_arrivals *arrivals, uint32_t input_max,
                                       int wake_descriptor, mr_arena *arena);
/* From now on `queue` tells when it fills; what it holds counts as come. Committer. */
void mr_arrivals_watch(mr_arrivals *arrivals, uint32_t input, rd_kafka_queue_t *queue);
void mr_arrivals_forget(rd_kafka_queue_t *queue); /* No call comes, or runs, after it. Committer. */
void mr_arrivals_tell(mr_arrivals *arrivals, uint32_t input); /* It has filled. Any thread. */
/* The rest is the shard's. A turn begins at `now_us` (monotonic); queues are looked at after it. */
void mr_arrivals_turn(mr_arrivals *arrivals, int64_t now_us);
/* Whether there may be something in an input's queue; the caller reads the queue empty now, or
 * says with `keep` that it has not. */
bool mr_arrivals_take(mr_arrivals *arrivals, uint32_t input);
void mr_arrivals_keep(mr_arrivals *arrivals, uint32_t input);
/* False: something came since the turn began. True: whatever comes writes the eventfd. */
bool mr_arrivals_may_sleep(mr_arrivals *arrivals);

typedef struct mr_txn { /* The committer's. */
    const mr_kafka_options *options;
    char transactional_id[MR_TRANSACTIONAL_ID_BYTES_MAX + 1];
    char owner[49]; /* <worker set>-<shard> */
    mr_spsc_ring *jobs, *replies;
    int job_descriptor; /* Eventfd the committer waits on. */
    pthread_t thread;
    _Atomic uint64_t generation; /* Raised by the shard with each RESET: what runs gives up. */
    _Atomic bool taint;
    _Atomic bool fenced;          /* The next INIT asks who did it. */
    _Atomic int64_t room_goal;    /* Unacked messages at which to wake the shard; -1 = no wish. */
    _Atomic uint64_t finished;    /* Jobs done: progress, for the watchdog. */
    _Atomic bool is_waiting_long; /* In what may last as long as brokers are away: see watch(). */
    mr_clients clients;           /* The committer writes, the shard reads while they are lent. */
    mr_arrivals arrivals;         /* Queues call, the shard asks. */
    rd_kafka_consumer_group_metadata_t *group;
    uint32_t input_max, input_count;
    mr_offset *offsets;         /* The answer of INIT, of input_count. */
    mr_owner_view *seen;        /* Last read records, by input. */
    mr_owner_view *peeked;      /* Scratch of the fence check. */
    uint32_t *topic_partitions; /* By plan index. */
    uint32_t record_bytes_max;
    uint64_t attempted; /* Incarnation of the last INIT that was READY. */
    /* Something was committed, and something with output: before, missing rights end the start. */
    _Atomic bool was_ready, has_produced;
    bool was_read, is_producing; /* The job under way is of an epoch with output. */
    bool saw_absence;            /* A topic was gone, said a broker a moment ago. */
    bool is_live;                /* From the end of an INIT to the next RESET, or a failure. */
    uint64_t live_generation;
    int64_t owners_read_ms;    /* When the records were last looked at. */
    bool flush_before_offsets; /* Test builds with K3 armed. */
    mr_diag refusal;           /* Of a job, for the next INIT; OK = none. */
    mr_reply reply;            /* Scratch. */
} mr_txn;

/* ---- txn_thread.c ---- */
MR_MUST_USE mr_status mr_txn_start(mr_txn *txn, const mr_kafka_options *options, uint32_t input_max,
                                   mr_arena *arena, mr_diag *diag);
void mr_txn_stop(mr_txn *txn);                    /* Posts CLOSE and joins. */
bool mr_txn_post(mr_txn *txn, const mr_job *job); /* False = the ring is full. */
void mr_txn_poke(mr_txn *txn);
bool mr_txn_abandoned(const mr_txn *txn, uint64_t generation);
/* Sleeps, at most until abandoned. */
void mr_txn_pause(const mr_txn *txn, uint64_t generation, uint32_t ms);
int64_t mr_txn_now_ms(const mr_txn *txn);

/* ---- txn_init.c: steps 3 to 7 of a recovery, and the renewal of a slot ---- */
MR_MUST_USE mr_status mr_txn_init(mr_txn *txn, const mr_job *job, mr_diag *diag);
MR_MUST_USE mr_status mr_txn_open_slot(mr_txn *txn, uint64_t generation, mr_diag *diag);
MR_MUST_USE mr_status mr_txn_assign(mr_txn *txn, const mr_job *job, mr_diag *diag);
void mr_txn_destroy_producer(mr_txn *txn);
void mr_txn_destroy_clients(mr_txn *txn);
MR_MUST_USE mr_status mr_txn_init_transactions(mr_txn *txn, rd_kafka_t *producer,
                                               uint64_t generation, const char *id, mr_diag *diag);

/* ---- configs.c ---- */
/* Once for each resource that was answered. */
typedef void (*mr_config_take)(void *self, const rd_kafka_ConfigResource_t *resource);
/* Asks for the configuration of `count` resources; blocks up to 2 x timeout_ms. Returns
 * librdkafka's error; what concerns one resource is in it. */
rd_kafka_resp_err_t mr_configs_read(rd_kafka_t *client, rd_kafka_ConfigResource_t **resources,
                                    size_t count, int32_t timeout_ms, mr_config_take take,
                                    void *self);
/* The value of an entry, owned by the resource; NULL = not told, or we have no right to read it. */
const char *mr_config_value(const rd_kafka_ConfigResource_t *resource, const char *name);

/* ---- txn_topics.c: what the cluster says about topics ---- */
/* Partition counts of all topics of the plan; waits while brokers are away. */
MR_MUST_USE mr_status mr_txn_read_topics(mr_txn *txn, uint64_t generation, mr_diag *diag);
MR_MUST_USE mr_status mr_txn_read_limits(mr_txn *txn, uint64_t generation, mr_diag *diag);
/* Between two jobs, while running: whether topics are gone, or inputs have more partitions. */
MR_MUST_USE mr_status mr_txn_check_topics(mr_txn *txn, mr_diag *diag);
/* Log ends and start offsets of all inputs. */
MR_MUST_USE mr_status mr_txn_read_ends(mr_txn *txn, uint64_t generation, mr_diag *diag);
/* Logs that a call is repeated: at first, then every 30 s. */
void mr_txn_log_wait(const mr_txn *txn, const char *what, const char *words, int64_t *logged_ms);

/* ---- txn_owners.c: who else writes these partitions ---- */
MR_MUST_USE mr_status mr_txn_check_fence(mr_txn *txn, uint64_t generation, mr_diag *diag);
/* Between two jobs, while running: whether somebody else commits on these partitions. */
MR_MUST_USE mr_status mr_txn_check_owners(mr_txn *txn, mr_diag *diag);
/* Fences foreign owners named in the records, then reads the committed offsets. */
MR_MUST_USE mr_status mr_txn_read_committed(mr_txn *txn, uint64_t generation, mr_diag *diag);

/* ---- consumer.c: fetches, on the shard ---- */

typedef struct mr_input_queue {
    mr_fetch fetch;
    mr_fetch_record *records;
    rd_kafka_message_t **messages;
    uint32_t message_count;
    bool is_out;    /* The fetch is with the runtime. */
    bool is_broken; /* After an error: nothing more comes before a RESET. */
} mr_input_queue;

typedef struct mr_consumer {
    const mr_kafka_options *options;
    mr_arrivals *arrivals;
    mr_input_queue *inputs;
    uint32_t input_max, rows_max;
    int64_t down_logged_us, down_backoff_us;
} mr_consumer;

/* `arrivals` of the same inputs; borrowed. */
MR_MUST_USE mr_status mr_consumer_open(mr_consumer *consumer, const mr_kafka_options *options,
                                       mr_arrivals *arrivals, uint32_t input_max, mr_arena *arena,
                                       mr_diag *diag);
/* Names the inputs of an INIT; all fetches are home (asserted). */
void mr_consumer_reset(mr_consumer *consumer, const mr_offset *offsets, uint32_t count);
/* NULL with diag->status set: the partition failed. */
mr_fetch *mr_consumer_take(mr_consumer *consumer, rd_kafka_queue_t *queue, uint32_t input,
                           bool was_ready, mr_verdict *verdict, mr_diag *diag);
void mr_consumer_give_back(mr_consumer *consumer, mr_fetch *fetch);

/* ---- producer.c: chunks out, deliveries in, on the shard ---- */

typedef struct mr_producer {
    const mr_kafka_options *options;
    mr_txn *txn;
    bool is_open;          /* The slot takes records. */
    uint64_t epoch;        /* 0 = open for the next epoch, whichever it is. */
    const mr_chunk *chunk; /* Handed over in part. */
    uint32_t chunk_next;
    uint64_t handed_records, handed_bytes;   /* In the life of the slot. */
    uint64_t epoch_records;                  /* Handed over in this epoch. */
    int64_t window_us, window_from_us;       /* T, and when the running window began. */
    uint64_t window_acked, acked_before;     /* Bytes acked when it began; within the one before. */
    uint32_t rejected_topic, rejected_count; /* The last delivery error, and how often. */
    rd_kafka_resp_err_t rejected_code;
    bool is_waiting; /* For room; looked at again from then on. */
    int64_t look_again_us;
    bool has_rejection; /* In the life of the slot. */
} mr_producer;

void mr_producer_open(mr_producer *producer, const mr_kafka_options *options, mr_txn *txn);
void mr_producer_reset(mr_producer *producer); /* The slot is gone. */
/* MR_OK, MR_ERR_FULL, or a failure with its story. */
MR_MUST_USE mr_status mr_producer_submit(mr_producer *producer, const mr_chunk *chunk,
                                         mr_diag *diag);
/* Reads delivery and error events empty. MR_OK or a failure. */
MR_MUST_USE mr_status mr_producer_drain(mr_producer *producer, mr_diag *diag);
/* Throws queued and unacked records away, so that a running commit ends. */
void mr_producer_purge(mr_producer *producer);
/* Whether the producer may be touched: not while it is made, or made anew. */
bool mr_producer_is_lent(const mr_producer *producer);
bool mr_producer_is_acked(const mr_producer *producer);

/* ---- key_test.c: whether producers partition by the key the topology names ---- */
typedef struct mr_key_test mr_key_test;
MR_MUST_USE mr_status mr_key_test_open(mr_key_test **test, const mr_source_common *common,
                                       mr_task *task);
/* Counts the good rows of `out`, made from the records from `first` on, on a wrong partition. */
void mr_key_test_run(mr_key_test *test, mr_task *task, const mr_fetch *fetch, uint32_t first,
                     const mr_batch *out);

/* ---- kafka_client.c ---- */

typedef struct mr_kafka_client { /* The shard's side: `self` of the seam. */
    mr_kafka_options options;
    mr_arena *arena;
    mr_txn txn;
    mr_consumer consumer;
    mr_producer producer;
    uint64_t generation;
    uint32_t input_count;
    bool is_live, is_assigned; /* The clients are lent; partition queues too. */
    bool has_failed;           /* FAILED was told: nothing more until RESET. */
    bool is_unreported;        /* `failure` waits for the next poll. */
    bool commit_posted;
    mr_verdict verdict;
    mr_diag failure;
    mr_reply reply; /* Scratch; its diag is what the last poll gave out. */
    uint64_t finished_seen, posted;
    int64_t progress_us, polled_us; /* For the watchdog. */
} mr_kafka_client;

#endif

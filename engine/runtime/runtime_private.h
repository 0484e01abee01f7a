/*
 * runtime_private.h - the parts of a shard, for engine/runtime alone.
 *
 * One file owns one part: task.c the handles operators see, dispatch.c the walk of a batch through
 * the plan, output.c the arenas and chunks, epoch.c what is open and how it closes, pace.c how much
 * output it may hold, commit.c the one undecided epoch, recovery.c the one way back, attempt.c what
 * outlives the process of attempts that failed. shard.c steps them in order.
 */
#ifndef MR_RUNTIME_RUNTIME_PRIVATE_H
#define MR_RUNTIME_RUNTIME_PRIVATE_H

#include "engine/base/arena.h"
#include "engine/base/assert.h"
#include "engine/batch/batch.h"
#include "engine/runtime/runtime.h"
#include "engine/state/state.h"
#include <millrace/operator.h>
#include <millrace/sink.h>
#include <millrace/source.h>

enum {
    MR_SHARD_TASKS_MAX = 2000,
    MR_CHUNK_RECORDS = 512, /* Records of a chunk. */
    MR_ARENA_BYTES_MIN = 4 << 20,
    MR_STEP_BATCHES_MAX = 8, /* Source batches of one step. */
    MR_STEP_US_MAX = 1000,
    MR_STEP_EVENTS_MAX = 32,
    MR_STEP_COMPLETIONS_MAX = 64,
    MR_IDLE_US_MAX = 100000, /* The fallback timer of a sleeping shard. */
    MR_HEARTBEAT_LOOK_US = 1000000,
    MR_REMIND_US = 60000000, /* How often a trouble that lasts is told, */
    MR_CALM_US = 3000000,    /* and how long it must be over. */
    MR_UNASSIGNED_NAMED = 16,
    MR_BACKOFF_US_MIN = 250000,
    MR_BACKOFF_US_MAX = 30000000,
    MR_RECOVERIES_CALM = 5, /* Recoveries without an acked input epoch before backing off. */
    MR_FRAMES_MAX = 2 * MR_PLAN_NODES_MAX,
    MR_BATCH_SCRATCH_BYTES = 4 << 20,
    MR_WATCHES_MAX = 16,
    MR_POISON_ROW_MAX = 8,     /* Records sent to a dlq as poison with none between that passed. */
    MR_TICK_BYTES = 256 << 10, /* Background work of the store a turn. */
    MR_STEP_NODE_BYTES = 6 << 20, /* Ceiling of an operator's own memory, a task. */
    MR_END_NODE_BYTES = 2 << 20,  /* The same of a source or sink. */
    MR_ROW_TEXT_BYTES = 1 << 20   /* A row as JSON, for dead letters. */
};

/* The story is in the diag; whoever looks at it next acts on it. */
static inline void mr_told(mr_status status)
{
    MR_ASSERT(status != MR_OK);
}

static inline void mr_failed(mr_step step)
{
    MR_ASSERT(step == MR_STEP_FAILED);
}

#define MR_WATCH_TAG (UINT64_C(1) << 63)

/* Committed offsets and transactional ids expire after 7 days without a commit. */
#define MR_HEARTBEAT_US (INT64_C(3600) * 1000000)

typedef struct mr_lane mr_lane;
typedef struct mr_error_output mr_error_output;
typedef struct mr_dlq_limit mr_dlq_limit;

/* One node of one task: what an operator, source or sink is handed. */
struct mr_task {
    mr_shard *shard;
    mr_lane *lane;
    const mr_plan_node *node;
    void *self;
    mr_table *tables[MR_PLAN_TABLES_MAX];
    uint32_t input; /* Kafka sources: index in the shard's offsets; else MR_NO_INDEX. */
    bool is_open;   /* open() was called; close() is owed. */
    bool at_end;    /* Sources: END was returned. */
};

/* What is applied of one input partition. */
typedef struct mr_input {
    mr_lane *lane;
    mr_task *source;
    int64_t committed; /* Next offset to read by the last acked or sealed epoch. */
    int64_t acked;     /* Next offset to read that this process knows Kafka has; -1 = none. */
    int64_t applied;   /* Next offset after the last applied row. */
    int64_t end;       /* Bounded: the log's end when the process first saw it. */
    int64_t seen_end;  /* With a limit: no failed attempt has seen a record from here on. */
    mr_fetch *fetch;   /* Being read; given back when all its batches are home. */
    uint32_t topic;    /* The number of its topic, by which stored state knows it. */
    /* Of `fetch`, with a limit: what the source has not seen yet. attempt.c */
    mr_fetch_record *held;
    uint32_t held_count;
    bool held_end, held_fetch_end; /* What at_end is behind the last of them. */
    uint32_t ordinal;              /* Among the inputs of its lane. */
    bool at_end;
} mr_input;

typedef enum mr_frame_kind { MR_FRAME_DELIVER, MR_FRAME_PROCESS, MR_FRAME_FLUSH } mr_frame_kind;

typedef struct mr_frame { /* One level of the walk; no recursion. */
    mr_frame_kind kind;
    mr_task *task; /* PROCESS, FLUSH */
    uint32_t port;
    const mr_batch *in; /* PROCESS, DELIVER */
    mr_batch *outs[MR_PLAN_OUTPUTS_MAX];
    const mr_plan_edge *edges; /* DELIVER */
    uint32_t edge_count, next; /* DELIVER: next edge. Others: next output to deliver. */
    mr_step step;              /* The last answer of the node. */
    bool is_prefetched, is_called;
} mr_frame;

struct mr_lane { /* A task: one partition number of the sub-topology. */
    mr_shard *shard;
    uint32_t index, partition;
    mr_task *nodes; /* One a plan node. */
    mr_frame *frames;
    uint32_t frame_count;
    mr_batch *source_batch;
    bool is_parked;    /* Waits for state reads. */
    bool in_epoch;     /* Something of it belongs to the open epoch. */
    bool has_rows;     /* More than a heartbeat does. */
    int64_t sealed_us; /* When it last took part in an epoch. */
    uint64_t lineage, state_epoch;
    uint32_t flush_node; /* Next node to flush in a closing epoch. */
    uint32_t first_node; /* The first source to ask while epochs may hold one record. */
};

typedef struct mr_output_arena { /* Payload grows from the bottom, records from the top. */
    uint8_t *memory;
    uint64_t size_bytes, low, high;
    mr_chunk *first, *last; /* Of its epoch, in order; `last` is being filled. */
    mr_chunk *next;         /* Next to hand to the client. */
    uint64_t record_count, used_bytes;
} mr_output_arena;

typedef enum mr_epoch_phase { MR_EPOCH_OPEN, MR_EPOCH_FLUSH, MR_EPOCH_SEAL } mr_epoch_phase;

typedef struct mr_epoch { /* The open one. */
    mr_epoch_phase phase;
    int64_t opened_us; /* When its first row came; 0 = nothing in it. */
    uint64_t records_in;
    uint32_t arena; /* Index of its output arena. */
    uint32_t flush_lane;
} mr_epoch;

typedef struct mr_undecided { /* The sealed, not yet acked epoch; at most one with one slot. */
    bool is_used, is_claim;
    bool offsets_posted, is_prepared, is_produced, commit_posted;
    uint64_t epoch, records_in;
    int64_t opened_us, sealed_us;
    uint32_t arena, offset_count;
    mr_offset *offsets; /* Room for every input. */
} mr_undecided;

enum { MR_PACE_EPOCHS = 8 };

typedef struct mr_pace {                       /* How fast output is committed. */
    uint64_t bytes_per_second[MR_PACE_EPOCHS]; /* Of the last epochs; 0 = none yet. */
    uint32_t next;
    int64_t committed_us; /* When the last one was. */
} mr_pace;

typedef struct mr_attempt { /* attempt.c */
    mr_mark mark;           /* As it was written last, but for what begins next. */
    uint64_t passed;        /* Records committed since the limit changed. */
    uint32_t suspect_input; /* Index of the suspect's input; MR_NO_INDEX = none here. */
    int64_t range_end;      /* No other input is tried before its records up to here passed. */
    bool is_begun;          /* The mark was written as open. */
} mr_attempt;
typedef struct mr_rows { /* When larger batches are tried, rows.c. */
    uint32_t wait_epochs, calm_epochs;
    uint32_t epoch_shift; /* Of batches of one row: the epoch's limits are halved so often. */
    bool is_trial;        /* The size was raised and has not held yet. */
} mr_rows;

typedef enum mr_shard_phase {
    MR_SHARD_RECOVER, /* Must begin a recovery (also the start). */
    MR_SHARD_BACKOFF,
    MR_SHARD_RESETTING,
    MR_SHARD_INIT, /* INIT is posted, READY outstanding. */
    MR_SHARD_CLAIM,
    MR_SHARD_RUN,
    MR_SHARD_STOPPED,
    MR_SHARD_FAILED
} mr_shard_phase;

struct mr_shard {
    mr_shard_options options;
    const mr_plan *plan;
    mr_env env;
    mr_arena *arena;      /* OPEN memory for the shard's life. */
    mr_arena *task_arena; /* Of the operators; emptied by each recovery. */
    mr_ring *ring;        /* NULL in a plan without Kafka. */
    mr_state *state;
    mr_shard_phase phase;
    mr_lane *lanes;
    uint32_t lane_count;
    mr_input *inputs;
    uint32_t input_count;
    /* Each with one writer at a time when the client cannot be reading it: INIT's is written when
     * the shard opens, ASSIGN's behind a READY. */
    mr_offset *init_offsets, *assign_offsets;
    mr_input_offset *seal_offsets;
    mr_task_point *points;
    mr_batch_pool **pools;           /* [node * MR_PLAN_OUTPUTS_MAX + output] */
    mr_error_output **error_outputs; /* By node; NULL = it has none. */
    mr_dlq_limit *dlq_limits;        /* By dlq of the plan. */
    mr_output_arena outputs[2];
    mr_chunk *spare_chunks; /* Chunk heads not in use. */
    mr_epoch epoch;
    mr_undecided undecided;
    mr_pace pace;
    mr_attempt attempt;
    bool is_busy;              /* Counted among the busy: turns.c */
    const mr_answers *answers; /* Until the first claim is committed; NULL = none. */
    uint64_t incarnation;
    int64_t now_us, wall_us, backoff_until_us, quiet_since_us;
    int64_t backoff_us;
    uint32_t recoveries_without_ack, io_failures;
    uint32_t rows_max; /* Of a batch. */
    mr_rows rows;
    uint32_t next_lane;    /* Rotation of sources. */
    uint32_t parked_count; /* Lanes that wait for state reads. */
    bool stop_requested, found_data;
    bool told_unassigned;
    bool sources_ended; /* Bounded: nothing will ever follow. */
    uint64_t recovered_epoch;
    int64_t recovery_from_us;
    uint64_t flush_from_bytes, flush_ratio; /* Sixteenths of output a dirty byte became, at most. */
    int64_t stats_read_us, heartbeat_looked_us;
    int64_t full_told_us, full_seen_us; /* A full disk; told 0 = it is not. */
    uint8_t *row_text;                  /* MR_ROW_TEXT_BYTES */
    char owner[49];                     /* <worker set>-<shard>, for the record. */
    int watches[MR_WATCHES_MAX];
    uint32_t watch_count;
    mr_diag diag; /* Of tasks and recovery. */
    mr_diag failure;
    mr_shard_counters counters;
    char test_source[160], test_incarnation[40];
    mr_view test_pairs[4];
};

/* ---- output.c ---- */
mr_status mr_output_open(mr_shard *shard);
void mr_output_reset(mr_shard *shard, uint32_t arena);
/* The share of the open epoch's arena in use, in bytes. */
uint64_t mr_output_used(const mr_shard *shard, uint32_t arena);
/* Hands chunks of `arena` to the client while it takes them; true = none is left. */
bool mr_output_submit(mr_shard *shard, uint32_t arena, uint64_t epoch, bool is_closed);

/* ---- task.c ---- */
mr_status mr_tasks_create(mr_shard *shard);
mr_status mr_tasks_open(mr_shard *shard);
void mr_tasks_close(mr_shard *shard);
void mr_input_release_fetch(mr_input *input);
/* As the store is told of it. */
mr_input_offset mr_input_offset_of(const mr_input *input, int64_t from, int64_t to);
/* The next fetch, trimmed; NULL = no data now. */
mr_fetch *mr_input_take_fetch(mr_input *input);

/* ---- dispatch.c ---- */
/* Starts the journey of `batch` (taken from the source's pool) and runs it to its end, or parks. */
mr_step mr_dispatch_source(mr_lane *lane, mr_task *source, mr_batch *batch);
mr_step mr_dispatch_resume(mr_lane *lane);
/* Flushes the lane's nodes in plan order. NEXT = done. */
mr_step mr_dispatch_flush(mr_lane *lane);
/* Throws the lane's frames away and sends their batches home. */
void mr_dispatch_drop(mr_lane *lane);

/* ---- error_output.c ---- */
/* Zeroed state of one step's error output, a shard. `input`: the step's. NULL = no memory. */
mr_error_output *mr_error_output_create(mr_arena *arena, const mr_schema *input);
/* Before each call of the step. */
void mr_error_output_begin(mr_error_output *output);
/* During the call. */
void mr_error_output_note(mr_error_output *output, const mr_batch *in, uint32_t row,
                          mr_row_error error);
/* Behind it: `out` (empty, borrowing) gets the noted rows. */
void mr_error_output_end(mr_error_output *output, mr_batch *out);

/* ---- dlq_limit.c ---- */
enum { MR_DLQ_SLOTS = 64, MR_DLQ_EPOCHS = 4 };

typedef struct mr_dlq_epoch { /* Dead letters of an epoch that is not known to be committed. */
    uint64_t epoch, count;
    int64_t first_us;
} mr_dlq_epoch;

struct mr_dlq_limit {
    uint64_t records; /* More than this many within per_us are too many. */
    int64_t per_us;
    int64_t slots[MR_DLQ_SLOTS]; /* The number of the slot of time whose count stands here. */
    uint64_t counts[MR_DLQ_SLOTS];
    mr_dlq_epoch epochs[MR_DLQ_EPOCHS];
    uint32_t epoch_count;
};

/* One more dead letter in the open epoch; true = that is too many. */
bool mr_dlq_limit_note(mr_dlq_limit *limit, uint64_t epoch, int64_t now_us);
/* The store stands at this committed epoch; later ones are redone. */
void mr_dlq_limit_recovered(mr_dlq_limit *limit, uint64_t epoch);

/* ---- reject.c ---- */
enum { MR_PLACE_BYTES_MAX = 320 };
/* "orders-3@1207: ": the record whose batch is under way, its first one; or the only one of an
 * epoch that is flushed; "" if none is. */
const char *mr_reject_place(const mr_shard *shard, char text[MR_PLACE_BYTES_MAX]);
/* Behind a recovery: counts of dropped epochs go. */
void mr_reject_recovered(mr_shard *shard);
/* Sends the only record of the fetch to the dlq of errors.poison. */
void mr_reject_poison(mr_task *source, const mr_fetch *fetch, uint32_t attempts);

/* ---- dead_letter.c ---- */
enum { MR_REASON_BYTES_MAX = 256 };

typedef struct mr_reject_reason { /* Why a row is rejected, and which column is to blame. */
    mr_row_error error;
    const char *column; /* NULL = none alone. */
} mr_reject_reason;

/* `a field that is not null is missing or null: customer.id`, in `text` or as it stands. */
const char *mr_reject_reason_text(mr_reject_reason why, char text[MR_REASON_BYTES_MAX]);

/*
 * Writes a dead letter into the open epoch: the source record's key, value and headers byte for
 * byte. `attempts` are added to those that a replayed record counts itself. A task that cannot is
 * failed.
 */
void mr_letter_of_record(mr_task *task, uint32_t dlq, const mr_fetch *fetch, uint32_t record,
                         mr_reject_reason why, uint32_t attempts);

/* The same of a row that stems from no single record, as JSON. */
void mr_letter_of_row(mr_task *task, uint32_t dlq, const mr_batch *in, uint32_t row,
                      mr_reject_reason why);

/* ---- epoch.c ---- */
void mr_epoch_touch(mr_shard *shard, mr_lane *lane);
bool mr_epoch_has_credit(const mr_shard *shard);
/* One turn of the open epoch's state machine; returns work done. */
uint32_t mr_epoch_step(mr_shard *shard);
/* When the open epoch is due, or INT64_MAX. */
int64_t mr_epoch_due_us(const mr_shard *shard);
uint64_t mr_epoch_records_max(const mr_shard *shard); /* So many are read into one now. */
void mr_epoch_clear(mr_shard *shard);
/* Seals the open epoch with the given lanes' offsets; WAIT = call again. */
mr_step mr_epoch_seal(mr_shard *shard, bool is_claim);

/* ---- attempt.c ---- */
/* At the offsets where a recovery begins: what the former attempts say. E_POISON. */
mr_status mr_attempt_judge(mr_shard *shard, const mr_offset *offsets);
/* Behind the claim. */
void mr_attempt_begin(mr_shard *shard);
/* It ended, and this process saw why. `diag`: the story, NULL = not the data. */
void mr_attempt_end(mr_shard *shard, const mr_diag *diag);
/* An epoch with so many input records is committed. */
void mr_attempt_passed(mr_shard *shard, uint64_t records);
/* With a limit, instead of mr_input_take_fetch(). */
mr_fetch *mr_attempt_fetch(mr_task *task);

/* ---- poison.c ---- */
typedef struct mr_mark_facts { /* What a start knows. */
    uint64_t epoch_records;    /* commit.records */
    uint32_t after;            /* errors.poison.after */
    bool is_same; /* Some input has records and stands where the former attempt began. */
    bool is_past; /* Committed offsets are behind the suspect, or its input is not ours. */
} mr_mark_facts;
/* From what a former attempt left to what the next one begins with, not yet open. */
void mr_mark_start(mr_mark *mark, const mr_mark_facts *facts);
/* With a limit: all that a failed attempt can have seen is committed. */
void mr_mark_acquit(mr_mark *mark);
/* With a limit: `records` more were committed. True = the limit has changed. */
bool mr_mark_passed(mr_mark *mark, uint64_t *passed, uint64_t records, uint64_t epoch_records);
typedef struct mr_mark_place { /* As in the mark. */
    uint64_t topic;
    uint32_t partition;
    int64_t offset, end;
} mr_mark_place;
/* These records are tried next. */
void mr_mark_try(mr_mark *mark, const mr_mark_place *place);
/* Whether the suspect begins there. */
bool mr_mark_is_at(const mr_mark *mark, const mr_mark_place *place);
/* The suspect passed, or went to the dlq. */
void mr_mark_clear(mr_mark *mark);
/* Without a word about it. */
void mr_mark_forget(mr_mark *mark);

/* ---- turns.c ---- */
/* Whether the shard may read input now; then it is busy. */
bool mr_turn_may_read(mr_shard *shard);
/* Asks for a trial without others; true = nobody else is busy. */
bool mr_turn_take(mr_shard *shard);
void mr_turn_give(mr_shard *shard);
/* Nothing is open or undecided. */
void mr_turn_leave(mr_shard *shard);
/* Another shard waits for its turn. */
bool mr_turn_is_wanted(const mr_shard *shard);

/* ---- pace.c ---- */
/* An epoch of `bytes` of output, opened then, was committed now. */
void mr_pace_note(mr_pace *pace, uint64_t bytes, int64_t opened_us, int64_t now_us);
/* Output an epoch may hold, in bytes, so that its commit takes little longer than the interval. */
uint64_t mr_pace_limit(const mr_pace *pace, int64_t interval_us);

/* ---- rows.c ---- */
/* Whether there is a smaller batch, or epoch, than the one that did not fit. */
bool mr_rows_can_shrink(const mr_shard *shard);
/* A batch did not fit: smaller ones from now on. */
void mr_rows_overflow(mr_shard *shard);
/* An epoch with input was committed. */
void mr_rows_committed(mr_shard *shard);

/* ---- commit.c ---- */
uint32_t mr_commit_step(mr_shard *shard);
void mr_commit_acknowledge(mr_shard *shard, uint64_t epoch);

/* ---- recovery.c ---- */
/* `status` and the story in `diag` of what made it necessary (MR_OK: the start). */
void mr_recovery_begin(mr_shard *shard, mr_status status, const mr_diag *diag);
uint32_t mr_recovery_step(mr_shard *shard);
void mr_recovery_ready(mr_shard *shard, const mr_kafka_event *event);
void mr_recovery_claimed(mr_shard *shard);
/* FATAL and USER stories: the shard stops. */
void mr_shard_fail(mr_shard *shard, const mr_diag *diag);

/* ---- offsets.c ---- */
/* Fills one point a lane, and each input's position; refuses what would be a guess. */
mr_status mr_offsets_judge(mr_shard *shard, const mr_offset *offsets);
/* Behind the roll: moves inputs to where answers put them. */
mr_status mr_offsets_settle(mr_shard *shard, const mr_offset *offsets);
/* Puts topic, partition and offset into a refusal of the store, behind its name. Returns
 * `status`. */
mr_status mr_offsets_name_refusal(mr_shard *shard, mr_status status);

/* ---- answers.c ---- */
mr_status mr_answers_parse(const mr_plan *plan, const mr_answer_texts *texts, mr_answers *answers,
                           mr_diag *diag);
/* MR_ALLOW_ bits for a partition of an input. */
uint32_t mr_answers_allow(const mr_answers *answers, const char *topic, uint32_t partition);
/* Whether a scope ("topic:3,topic:4", NULL = all), well formed, names the partition. */
bool mr_answer_covers(const char *scope, const char *topic, uint32_t partition);

/* ---- worker's control parts ---- */
typedef struct mr_partition_set {
    uint32_t partitions[MR_PARTITIONS_MAX];
    uint32_t count;
    char name[41]; /* "all", "p0_3.12" */
} mr_partition_set;
mr_status mr_partition_set_parse(const char *text, uint32_t partition_count, mr_partition_set *set,
                                 mr_diag *diag);

enum { MR_PATH_BYTES_MAX = 4096, MR_BLOCK_BYTES = 4096, MR_BLOCK_PAYLOAD_BYTES = 56 };

typedef struct mr_block { /* Little-endian, zero to its end; engine/state/FORMAT.md. */
    uint8_t magic[8];
    uint16_t major, minor;
    uint32_t flags;
    uint64_t sequence; /* 1, 2, ...; block (sequence - 1) mod 2 */
    uint8_t payload[MR_BLOCK_PAYLOAD_BYTES];
    uint8_t checksum[16]; /* XXH3-128 of the block, this field zero */
    uint8_t more[MR_BLOCK_BYTES - 96];
} mr_block;
_Static_assert(sizeof(mr_block) == MR_BLOCK_BYTES, "disk");

typedef struct mr_block_kind { /* What stands in a file of two blocks. */
    char magic[9];
    uint16_t major;
    bool (*is_possible)(const mr_block *block); /* Beyond its checksum. */
    const char *remedy;                         /* Where neither copy verifies. */
} mr_block_kind;

typedef struct mr_block_file { /* A small file of two blocks, written in turn; block_file.c. */
    int descriptor;            /* -1: none. Locked for the life of the process. */
    uint64_t sequence;         /* 0: new, nothing is in it yet. */
    char path[MR_PATH_BYTES_MAX];
} mr_block_file;

/* Opens or makes `<directory>/<name>`, locks and reads it: `newest` is its newest block (zero when
 * there is none). Refuses with E_STATE_LOCKED, _UNSAFE, _FORMAT, _DAMAGED or _DIRECTORY; then
 * nothing is open. */
mr_status mr_block_file_open(mr_block_file *file, const mr_block_kind *kind, const char *directory,
                             const char *name, mr_block *newest, mr_diag *diag);
/* Writes flags, payload and more of `block` as the next one; durable when it returns. */
mr_status mr_block_file_write(mr_block_file *file, const mr_block_kind *kind, mr_block *block,
                              mr_diag *diag);
void mr_block_file_close(mr_block_file *file);
/* Makes a folder, unless it is there, and syncs the one around it: what is prepared in it must not
 * vanish with its name. False: errno tells why. */
bool mr_folder_make(const char *path);
/* ---- watchdog.c ---- */
typedef struct mr_watchdog { /* Of one shard; control's. */
    uint64_t turns;          /* When it was last seen to turn. */
    int64_t looked_us, still_us;
    bool is_told;
} mr_watchdog;
/* STANDS: for ten seconds, told once. TURNS: again, after that. */
typedef enum mr_watch_word { MR_WATCH_NOTHING, MR_WATCH_STANDS, MR_WATCH_TURNS } mr_watch_word;
/* `turns`: the shard's counter. Called often. */
mr_watch_word mr_watchdog_look(mr_watchdog *dog, uint64_t turns, int64_t now_us);

typedef struct mr_worker_file { /* What a state directory remembers; worker_file.c. */
    mr_block_file file;
    uint32_t shard_count;
    uint32_t partition_count; /* Of each input when the worker last ran; 0 = not known. */
    bool is_fenced;
    char worker_set[41];
} mr_worker_file;

/* Opens or makes `<directory>/worker`, locks and reads it. Refuses with E_STATE_LOCKED, _UNSAFE,
 * _FORMAT, _DAMAGED or _DIRECTORY; then nothing is open. */
mr_status mr_worker_file_open(mr_worker_file *file, const char *directory, mr_diag *diag);
/* Makes what stands in `file` durable. */
mr_status mr_worker_file_write(mr_worker_file *file, mr_diag *diag);
void mr_worker_file_close(mr_worker_file *file);

/* Opens or makes `<directory>/attempt-<shard>`: `mark` is what it holds. Refuses as above. */
mr_status mr_mark_file_open(mr_block_file *file, const char *directory, uint32_t shard,
                            mr_mark *mark, mr_diag *diag);
/* Makes `mark` durable. */
mr_status mr_mark_file_write(mr_block_file *file, const mr_mark *mark, mr_diag *diag);

typedef struct mr_budget { /* What memory.total becomes; bytes, per shard where named so. */
    uint64_t total, kafka, shard_kafka, shard_arena, shard_batches, shard_store, fixed;
} mr_budget;
/* Memory of the machine, or the least limit of this process's control groups, in bytes. `root`: in
 * front of /proc and /sys; "" but in tests. */
uint64_t mr_machine_memory_bytes(const char *root);
/* Sources of the plan: input partitions of a task. */
uint32_t mr_budget_inputs(const mr_plan *plan);
mr_status mr_budget_compute(const mr_plan *plan, uint64_t machine_bytes, uint32_t shard_count,
                            uint32_t lanes_per_shard, mr_budget *budget, mr_diag *diag);

#endif

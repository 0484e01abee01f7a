/*
 * state.h - the store as the runtime sees it: open, seal, acknowledge, roll. Operators see only
 * <millrace/store.h>. The formats are in FORMAT.md.
 *
 * Every call comes from the owning shard's thread; no lock or atomic exists in the store. Only the
 * three opening calls (open, declare, roll) block. Order of opening: open, declare every table,
 * roll. The store calls no clock, random source, system call or malloc: all comes by arguments,
 * the ring and the memory seam.
 */
#ifndef MR_STATE_STATE_H
#define MR_STATE_STATE_H

#include "engine/base/memory.h"
#include "io/ring/ring.h"
#include <millrace/status.h>
#include <millrace/store.h>
#include <stdbool.h>
#include <stdint.h>

typedef struct mr_state mr_state; /* All state of one shard: "the store". */

typedef struct mr_state_options {
    const char *directory; /* NULL: volatile. Nothing is written; epochs are prepared at once. */
    const uint32_t *tasks; /* Every task of the shard; partition numbers for now. */
    uint32_t task_count, shard;
    uint64_t memory_bytes, wal_bytes_max, epoch_bytes_max; /* epoch: 32 MiB, <= 224 MiB */
    uint32_t value_bytes_max, wal_part_bytes; /* Part size: only read at format; 0 = by wal max. */
    int64_t checkpoint_us;                    /* A base at least so often; 0: 5 minutes. */
    uint8_t random[24];                       /* uuid and hash seed, only read at format. */
    mr_memory memory;
} mr_state_options;

typedef struct mr_input_offset {
    uint32_t task, input, partition; /* input: its place among the plan's, for dumps. */
    uint32_t topic;                  /* Its number, from the topic's name; what identifies it. */
    int64_t from, to;                /* to: next offset to read; -1: none is committed. */
} mr_input_offset;

/* What roll found for a task. Names and order as in the recovery table of FORMAT.md. */
typedef enum mr_verdict {
    MR_VERDICT_NORMAL,
    MR_VERDICT_GENESIS,
    MR_VERDICT_BEHIND,          /* E_STATE_BEHIND */
    MR_VERDICT_DAMAGED,         /* E_STATE_DAMAGED */
    MR_VERDICT_FOREIGN,         /* E_STATE_FOREIGN */
    MR_VERDICT_REGRESSION,      /* E_OFFSET_REGRESSION */
    MR_VERDICT_OFFSETS_MISSING, /* E_OFFSETS_MISSING */
    MR_VERDICT_DISAGREE,        /* E_RECORD_DISAGREE */
    MR_VERDICT_KEPT,            /* Allowed: at its newest decided moment here. */
    MR_VERDICT_RESET,           /* Allowed: emptied; it begins anew under `new_lineage`. */
    MR_VERDICT_FOLLOWED,        /* Allowed: back at Kafka's older epoch. */
    MR_VERDICT_TOO_OLD          /* E_STATE_TOO_OLD: older than the base */
} mr_verdict;

bool mr_verdict_is_refusal(mr_verdict verdict);

/* What an operator of the system allows instead of a refusal; bits. */
enum {
    MR_ALLOW_KEEP = 1,  /* Nothing (of ours) committed: take the newest decided state. */
    MR_ALLOW_RESET = 2, /* Whatever does not fit: begin with nothing. */
    MR_ALLOW_BACK = 4   /* Kafka went back: follow it, if that epoch can be reached. */
};

typedef struct mr_task_point { /* What Kafka's record says of a task, or what we say. */
    uint32_t task, verdict;    /* verdict: mr_verdict, written by roll. */
    uint64_t lineage, epoch, incarnation, digest; /* epoch 0: no commit, lineage is new. */
    int64_t watermark_us;
    uint64_t new_lineage; /* Roll: of a task that is reset. Elsewhere unused. */
    uint32_t allowed, reserved;
} mr_task_point;

/* COMMIT: seal and commit an epoch even if nothing is open, with every input's offset unchanged:
 * the log is nearly full and a finished base waits for acknowledgements to be installed. */
enum {
    MR_DEMAND_CLOSE_EPOCH = 1,
    MR_DEMAND_PAUSE_INPUT = 2,
    MR_DEMAND_STUCK = 4,
    MR_DEMAND_COMMIT = 8
};

/* Opens or formats the files, takes the lock, replays nothing yet. MR_ERR_REFUSED with an E_STATE_
 * name for a locked, foreign or newer directory. */
MR_MUST_USE mr_status mr_state_open(mr_state **state, const mr_state_options *options,
                                    mr_ring *ring, mr_diag *diag);

/* Declares a table; `table` lives as long as the store. E_STATE_LAYOUT when the stored layout of
 * this (task, table) differs. `name` is for messages ("per_user.results"). */
MR_MUST_USE mr_status mr_state_declare(mr_state *state, const mr_table_spec *spec, const char *name,
                                       mr_table **table, mr_diag *diag);

/*
 * Puts the store at exactly the epoch that `points` name (one per task of the shard) and judges
 * each; `offsets` are the committed offsets by which a section's `to` is tested. By undo if memory
 * is intact, else from disk. Fails with MR_ERR_REFUSED if any verdict is a refusal (the diag tells
 * the first, with both sides); the points' verdicts are filled in all the same. A point's `allowed`
 * turns refusals into KEPT and RESET; such points come back with the identity the task now has.
 */
MR_MUST_USE mr_status mr_state_roll(mr_state *state, uint64_t incarnation, mr_task_point *points,
                                    uint32_t point_count, const mr_input_offset *offsets,
                                    uint32_t offset_count, mr_diag *diag);

/* Behind a roll: tasks whose state lies in the files but which are not among the store's, kept
 * untouched. Returns how many there are and fills in the first of them. */
uint32_t mr_state_unassigned(const mr_state *state, uint32_t *tasks, uint32_t count_max);

/* Behind a roll: where the newest moment of the input's task left it; false = it does not know it.
 */
bool mr_state_kept_offset(const mr_state *state, const mr_input_offset *input, int64_t *to);

void mr_state_watermark(mr_state *state, uint32_t task, int64_t watermark_us);

/* MR_DEMAND_ bits. */
uint32_t mr_state_demand(const mr_state *state);

/* Dirty bytes of the open epoch: after-images with their 16-byte headers. */
uint64_t mr_state_dirty_bytes(const mr_state *state);

/* Tells E_STATE_FULL with the three largest tables; for MR_DEMAND_STUCK, and where an update found
 * no memory. Returns MR_ERR_LIMIT. */
MR_MUST_USE mr_status mr_state_full(const mr_state *state, mr_diag *diag);

/* The number of the open epoch. */
uint64_t mr_state_epoch(const mr_state *state);

/*
 * Closes the open epoch: gathers the delta, submits its writes, opens the next. WAIT = call again
 * (an epoch is undecided or a chunk buffer in flight); once begun no other state call is legal
 * until NEXT. `offsets`: all inputs of every task that takes part. Fills one point a task in the
 * epoch (`points` has room for every task of the shard).
 */
MR_MUST_USE mr_step mr_state_seal(mr_state *state, const mr_input_offset *offsets,
                                  uint32_t offset_count, uint64_t *epoch, mr_task_point *points,
                                  uint32_t *point_count);

/* NEXT = durable; WAIT; FAILED with the diag filled (MR_ERR_IO: E_STATE_IO). */
MR_MUST_USE mr_step mr_state_prepared(mr_state *state, uint64_t epoch, mr_diag *diag);

/* Kafka committed the epoch: undo is freed, tombstones are swept. */
void mr_state_acknowledge(mr_state *state, uint64_t epoch);

/* Completions whose tag has MR_STATE_TAG set belong to the store: the shard reaps the ring and
 * hands them over. */
#define MR_STATE_TAG (UINT64_C(1) << 62)
void mr_state_complete(mr_state *state, const mr_io_completion *completion);

/* Background work worth at most `budget_bytes` of touched memory: writes a base, prepares WAL
 * parts. `now_us` is monotonic. */
void mr_state_tick(mr_state *state, int64_t now_us, uint64_t budget_bytes);

/* Order-free sum of XXH3-128 over (task, table, key, value). */
void mr_state_digest(const mr_state *state, uint32_t task, uint8_t digest[16]);

typedef struct mr_state_stats {
    uint64_t key_count, memory_bytes, memory_bytes_max;
    uint64_t wal_bytes, wal_bytes_max; /* Of the log behind the base. */
    uint64_t base_epoch, base_count;   /* Newest installed; how many since the store was opened. */
} mr_state_stats;
void mr_state_read_stats(const mr_state *state, mr_state_stats *stats);
/* Keys of one table of one task. */
uint64_t mr_table_key_count(const mr_table *table);

/* ---- Inspection of a directory that nobody runs; nothing is written ---- */

typedef struct mr_state_summary {
    uint8_t store[16]; /* uuid */
    uint32_t major, minor, shard, part_bytes, task_count, table_count, dead_count;
    uint64_t superblock;                  /* Its sequence. */
    uint64_t delta_count, epoch;          /* Valid deltas; the newest of them, 0 = none. */
    uint64_t acked;                       /* Newest epoch known committed, a hint. */
    uint64_t wal_bytes, wal_file_bytes;   /* Behind the base; of the file. */
    uint64_t base_epoch, base_bytes;      /* 0: none; records of it. */
    uint64_t beyond_epoch, beyond_offset; /* By mr_state_verify: a delta behind damage; 0 = none. */
} mr_state_summary;

typedef struct mr_state_table { /* A stored table; key_count after mr_state_read_epoch. */
    uint32_t task, table;
    uint64_t layout, key_count;
} mr_state_table;

typedef struct mr_state_delta { /* A delta of the log, as `inspect` shows it. */
    uint64_t epoch, follows, acked, incarnation, offset, total_bytes, record_count;
    uint32_t task_count;
    bool is_dead;
} mr_state_delta;

/*
 * Opens a shard's store read-only: shared lock, superblock, the whole log verified. Of the options
 * only directory, shard and memory count. The other calls above but digest, read_stats and close
 * are not for such a store. Errors as mr_state_open.
 */
MR_MUST_USE mr_status mr_state_open_reader(mr_state **state, const mr_state_options *options,
                                           mr_ring *ring, mr_diag *diag);
void mr_state_summarize(const mr_state *state, mr_state_summary *summary);
/* The newest point of the stored task at `index` (below task_count), dead ones left out. */
void mr_state_stored_task(const mr_state *state, uint32_t index, mr_task_point *point);
/* Input `input` (from 0) of that point; false when there are no more. */
bool mr_state_stored_offset(const mr_state *state, uint32_t index, uint32_t input,
                            mr_input_offset *offset);
void mr_state_stored_table(const mr_state *state, uint32_t index, mr_state_table *table);
/* Replays up to `epoch`; MR_ERR_REFUSED if it is dead or above the newest. */
MR_MUST_USE mr_status mr_state_read_epoch(mr_state *state, uint64_t epoch, mr_diag *diag);
/* The next record of a table in no special order; false at the end. Zeroed position to start. */
bool mr_state_next_row(const mr_state *state, uint32_t table_index, uint64_t position[2],
                       mr_table_row *row);
/* Calls `visit` with every delta of the log in order. */
MR_MUST_USE mr_status mr_state_walk_log(mr_state *state,
                                        void (*visit)(void *context, const mr_state_delta *delta),
                                        void *context, mr_diag *diag);
/* Every block of the log: part blocks, and what lies behind the end; MR_ERR_CORRUPT names the
 * first damage. A torn tail is none. */
MR_MUST_USE mr_status mr_state_verify(mr_state *state, mr_state_summary *summary, mr_diag *diag);

/* Waits for in-flight I/O, closes the files, frees all. NULL is allowed. */
void mr_state_close(mr_state *state);

#endif

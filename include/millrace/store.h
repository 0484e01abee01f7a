/*
 * store.h - keyed tables as an operator sees them. Seal, acknowledge and roll are not here: an
 * operator cannot commit. Implemented in engine/state. Thread: the owning shard's.
 *
 * One batch: mr_table_prefetch() in the operator's prefetch, the other calls in process, advance
 * and flush. Touching a key that was not prefetched, a key above 4 KiB or a value above
 * `state.value_max` is an assertion failure: the operator has rejected such rows before.
 */
#ifndef MILLRACE_STORE_H
#define MILLRACE_STORE_H

#include <millrace/batch.h>
#include <millrace/status.h>
#include <stdbool.h>
#include <stdint.h>

typedef struct mr_table mr_table; /* Lives as long as its store. */

enum { MR_KEY_BYTES_MAX = 4096 };

typedef enum mr_table_kind { /* Only HASH is built in this state format's first stage. */
                             MR_TABLE_HASH,
                             MR_TABLE_PANE,
                             MR_TABLE_LOG,
                             MR_TABLE_MULTIMAP,
                             MR_TABLE_TIMERS
} mr_table_kind;

typedef struct mr_table_spec {
    uint32_t task, table; /* Table number: the plan's, stable for (step name, table name). */
    mr_table_kind kind;
    uint32_t key_size_bytes, value_size_bytes; /* 0: variable. */
    uint32_t lanes, flags;
    int64_t bucket_width_us; /* 0: not bucketed. */
    uint64_t layout;         /* Fingerprint of the key and value types. */
    void (*merge)(void *into, const void *from);
} mr_table_spec;

typedef struct mr_keys {        /* The keys of one batch; buffers sized in open, reused. */
    const uint16_t *key_of_row; /* i-th selected row -> index of its distinct key. */
    const uint64_t *hashes;     /* Of each distinct key, under mr_table_seed(). */
    const mr_view *views;       /* Of each distinct key; valid until the next encode. */
    const int64_t *buckets;     /* Time bucket of each key; NULL for unbucketed tables. */
    uint32_t count;             /* Distinct keys. */
} mr_keys;

typedef struct mr_table_row {
    mr_view key, value; /* Valid until the next call on the table. A deleted record: no bytes. */
    mr_view before;     /* mr_table_changed only: the value when the epoch opened, NULL = absent. */
    int64_t bucket;
} mr_table_row;

typedef struct mr_scan { /* The caller's; zeroed but for bucket and rows. */
    int64_t bucket, bucket_last;
    mr_table_row *rows;
    uint32_t row_count, row_count_max;
    uint64_t position[6];
} mr_scan;

/* The seed under which mr_keys.hashes must be made (XXH3-64), and records are found. */
uint64_t mr_table_seed(const mr_table *table);

/* The largest value of a record, in bytes (`state.value_max`). */
uint32_t mr_table_value_max(const mr_table *table);

/* Probes and pins the keys of a batch until process returns NEXT. NEXT or WAIT. */
MR_MUST_USE mr_step mr_table_prefetch(mr_table *table, const mr_keys *keys);

/* The record of keys->views[key], or NULL if absent. Valid until the next call on `table`. */
const void *mr_table_get(mr_table *table, const mr_keys *keys, uint32_t key);

/*
 * Read-modify-write: `size_bytes` writable bytes, the old content up to the smaller size, the rest
 * zero. Creates a zeroed record if absent, marks it dirty, saves the before-image once an epoch.
 * Valid until the next call on `table`. NULL = memory limit (the caller fails the task).
 */
void *mr_table_update(mr_table *table, const mr_keys *keys, uint32_t key, uint32_t size_bytes);

/* Deletes the record; an absent one is no error. */
void mr_table_delete(mr_table *table, const mr_keys *keys, uint32_t key);

/*
 * Records touched in the open epoch, once each, in order of first touch. Fills scan->rows up to
 * row_count_max and returns AGAIN; NEXT when finished (with the last rows; zeroes the scan's
 * position). The epoch stays open: the same records are given again by a new scan.
 */
MR_MUST_USE mr_step mr_table_changed(mr_table *table, mr_scan *scan);

#endif

/*
 * state_private.h - the parts of a store and what their files share.
 *
 *   pages.c   the arena in 4-KiB pages (buddy)     slab.c    slots for records
 *   index.c   hash -> record                       table.c   store.h: what operators call
 *   undo.c    first touch, dirty lists, rollback   state.c   open, declare, demands, close
 *   delta.c   an epoch's images gathered           wal.c     written, synced, parts made ready
 *   scan.c    the log read and verified            history.c what it says of each task
 *   judge.c   verdicts                             roll.c    to exactly one epoch
 *   parts.c   where each part of the log stands    base.c    a base written and installed
 *   base_read.c  a base read                       inspect.c read-only views
 *   volume.c  lock, files, superblock              shares.c  how memory_bytes is divided
 *
 * Thread: the owning shard's.
 */
#ifndef MR_STATE_PRIVATE_H
#define MR_STATE_PRIVATE_H

#include "engine/base/arena.h"
#include "engine/base/assert.h"
#include "engine/base/hash.h"
#include "engine/state/format_private.h"
#include "engine/state/state.h"
#include <stddef.h>
#include <string.h>

enum {
    MR_UNIT_BYTES = 16, /* Of record addresses. */
    MR_PAGE_BYTES = 4096,
    MR_PAGE_ORDERS = 25, /* Runs of up to 2^24 pages. */
    MR_CLASSES_MAX = 32,
    MR_INLINE_BYTES_MAX = 4096, /* Larger values live in a run of pages. */
    MR_SLOT_BYTES_MAX = 16 + MR_KEY_BYTES_MAX + MR_INLINE_BYTES_MAX,
    MR_BUCKET_ENTRIES = 8,
    MR_TABLES_MAX = 65536,
    MR_TABLE_NAME_BYTES = 144,
    MR_OFFSETS_MAX = 4096,                    /* Input offsets of one epoch. */
    MR_MANIFEST_OFFSETS = 2 * MR_OFFSETS_MAX, /* Of a base, beside those of unassigned tasks. */
    MR_HISTORY_MAX = 64,                      /* Newest epochs kept of each task. */
    MR_PARTS_AHEAD = 2,                       /* WAL parts zero-filled before they are needed. */
    MR_PARTS_RESERVED = 8,                    /* WAL parts whose blocks are reserved at format. */
    MR_PARTS_MAX = 1 << 20,
    MR_HORIZON = 8,      /* Acked epochs that stay reachable. */
    MR_BASE_BUFFERS = 4, /* Chunks of a base in flight. */
    MR_BASE_CHUNK_BYTES_MAX = 256 << 10,
    MR_LOST_TEXT_BYTES = 256,                             /* Of mr_volume_lost_text(). */
    MR_DATA_FROM = MR_SUPERBLOCK_COPIES * MR_BLOCK_BYTES, /* Where bases begin. */
    MR_DURABLE_BYTES_MAX = 1 << 20                        /* Above: plain writes, then one sync. */
};

/* ---- pages.c: the arena ---- */

typedef struct mr_pages {
    uint8_t *base;
    uint8_t *info; /* One byte a page: free head of an order, slab mark, or 0. */
    uint32_t page_count, free_count;
    uint32_t heads[MR_PAGE_ORDERS]; /* Free blocks of each order; MR_NO_PAGE = none. */
} mr_pages;

enum { MR_NO_PAGE = 0xffffffffu, MR_PAGE_SLAB_SMALL = 1, MR_PAGE_SLAB_LARGE = 2 };

void mr_pages_init(mr_pages *pages, uint8_t *base, uint8_t *info, uint32_t page_count);
/* First page of a block of 2^order pages, not zeroed; MR_NO_PAGE = no room. */
uint32_t mr_pages_take(mr_pages *pages, uint32_t order);
void mr_pages_give(mr_pages *pages, uint32_t page, uint32_t order);
/* The order of the smallest block of at least `size_bytes`. */
uint32_t mr_pages_order(uint64_t size_bytes);

static inline void *mr_page_at(const mr_pages *pages, uint32_t page)
{
    return pages->base + (uint64_t)page * MR_PAGE_BYTES;
}

static inline uint32_t mr_page_of(const mr_pages *pages, const void *memory)
{
    return (uint32_t)((uint64_t)((const uint8_t *)memory - pages->base) / MR_PAGE_BYTES);
}

/* ---- Records ---- */

enum {
    MR_FLAG_TOMBSTONE = 1,
    MR_FLAG_FORWARD = 2,   /* An outgrown slot: the body is an mr_forward. */
    MR_FLAG_RUN = 4,       /* The value lies in pages: the body ends in an mr_run. */
    MR_FLAG_INSERTED = 128 /* Undo entries only: there was no record. */
};

typedef struct mr_row {   /* The header of a record; key and value follow, each 16-aligned. */
    uint32_t hash;        /* Bits 63..32: splitting never reads the key. */
    uint32_t dirty_epoch; /* Low 32 bits of the epoch that touched it last; 0 after load. */
    uint16_t key_size;
    uint8_t flags, class;
    uint32_t value_size;
} mr_row;
_Static_assert(sizeof(mr_row) == 16, "memory per key");

typedef struct mr_run {
    uint32_t page, order;
} mr_run;

typedef struct mr_forward { /* Addresses in units of 16 bytes. */
    uint64_t to, next;
} mr_forward;

static inline uint32_t mr_align16(uint32_t size_bytes)
{
    return (size_bytes + 15) & ~UINT32_C(15);
}

static inline uint8_t *mr_row_key(const mr_row *row)
{
    return (uint8_t *)(uintptr_t)(row + 1);
}

/* Where an inline value, or the mr_run, stands. */
static inline uint8_t *mr_row_body(const mr_row *row)
{
    return mr_row_key(row) + mr_align16(row->key_size);
}

/* ---- slab.c: slots ---- */

typedef struct mr_classes {
    uint32_t count;
    uint32_t bytes[MR_CLASSES_MAX];
    uint8_t of_units[MR_SLOT_BYTES_MAX / MR_UNIT_BYTES + 1];
} mr_classes;

typedef struct mr_slabs {             /* Of one table. */
    uint32_t partial[MR_CLASSES_MAX]; /* Pages with room. */
    uint16_t small_pages[MR_CLASSES_MAX];
    uint64_t page_count;
} mr_slabs;

void mr_classes_init(mr_classes *classes);
void mr_slabs_init(mr_slabs *slabs);
/* A slot of at least `size_bytes` (at most MR_SLOT_BYTES_MAX), content undefined; sets `class`. */
mr_row *mr_slab_take(mr_pages *pages, const mr_classes *classes, mr_slabs *slabs,
                     uint32_t size_bytes);
void mr_slab_give(mr_pages *pages, mr_row *row);

/* ---- index.c ---- */

typedef struct mr_subtable {
    uint64_t *buckets;
    uint32_t count; /* Entries. */
    uint8_t bits;   /* 2^bits buckets, 4 to 10. */
    uint8_t depth;  /* Directory bits it stands for. */
    uint16_t reserved;
} mr_subtable;

typedef struct mr_index {
    mr_pages *pages;
    uint32_t *directory; /* 2^depth numbers of sub-tables. */
    mr_subtable *subtables;
    uint32_t subtable_count, subtable_room, depth;
    uint64_t page_count;
} mr_index;

/* False = no memory. */
bool mr_index_init(mr_index *index, mr_pages *pages);
void mr_index_prefetch(const mr_index *index, uint64_t hash);
/* Prefetches the records that the home bucket names for the tag. */
void mr_index_prefetch_rows(const mr_index *index, uint64_t hash);
/* NULL = absent. */
mr_row *mr_index_find(const mr_index *index, uint64_t hash, const void *key, uint32_t key_size);
/* The key must be absent. False = no memory, or a cluster that no split resolves. */
bool mr_index_insert(mr_index *index, uint64_t hash, const mr_row *row);
void mr_index_remove(mr_index *index, uint64_t hash, const mr_row *row);
void mr_index_move(mr_index *index, uint64_t hash, const mr_row *from, const mr_row *to);

typedef struct mr_cursor { /* Walks an index that does not change meanwhile; zeroed to start. */
    uint32_t subtable, entry;
} mr_cursor;
mr_row *mr_index_next(const mr_index *index, mr_cursor *cursor);

static inline uint64_t mr_address(const mr_pages *pages, const mr_row *row)
{
    return (uint64_t)((const uint8_t *)row - pages->base) / MR_UNIT_BYTES;
}

static inline mr_row *mr_row_at(const mr_pages *pages, uint64_t address)
{
    return (mr_row *)(void *)(pages->base + address * MR_UNIT_BYTES);
}

/* ---- undo.c ---- */

typedef struct mr_undo {  /* One first touch; the value before follows. */
    struct mr_undo *next; /* Of the table, in order of first touch. */
    uint64_t address;     /* Where the record was when touched; follow forwards. */
    mr_row before;        /* MR_FLAG_INSERTED: there was none. */
} mr_undo;

typedef struct mr_undo_block {
    struct mr_undo_block *next;
    uint32_t order, reserved;
    uint64_t used_bytes, size_bytes;
} mr_undo_block;

typedef struct mr_dirty { /* What one epoch touched in one table. */
    mr_undo *first, *last;
    uint64_t count;
    uint32_t loosened; /* Touches that leave room to give back; 0 = nothing to sweep. */
    uint32_t reserved;
} mr_dirty;

typedef struct mr_epoch { /* The open one, or the undecided one. */
    uint64_t number;
    uint64_t dirty_bytes, undo_bytes;
    mr_undo_block *blocks;
    uint64_t forwards; /* First outgrown slot; 0 = none (unit 0 is never a record). */
} mr_epoch;

/* ---- The store ---- */

struct mr_table {
    mr_state *state;
    mr_table_spec spec;
    uint32_t task_index, reserved;
    char name[MR_TABLE_NAME_BYTES];
    mr_index index;
    mr_slabs slabs;
    uint64_t key_count, run_pages;
    mr_dirty dirty[2]; /* By parity slot of the epoch. */
    /* The last prefetch: record of each key, NULL = absent; void when `generation` moved on. */
    mr_row **pins;
    const mr_keys *pinned;
    uint32_t pin_count;
    uint64_t pin_generation;
};

typedef struct mr_moment { /* An epoch of a task, as its delta told it. */
    mr_task_point point;
    uint32_t offset_count, reserved;
} mr_moment;

typedef struct mr_history { /* The newest moments of one task, oldest first. */
    uint32_t task, moment_count;
    mr_moment moments[MR_HISTORY_MAX];
    mr_delta_offset *offsets; /* MR_HISTORY_MAX x offset_room, by moment slot. */
    uint32_t offset_room, first;
} mr_history;

typedef struct mr_stored_table { /* A table that some delta names. */
    uint32_t task, table;
    uint64_t layout;
} mr_stored_table;

typedef struct mr_dead { /* Epochs above `from` and below `to` are dead. */
    uint64_t from, to;
} mr_dead;

typedef struct mr_log_end { /* Where the chain ends. */
    uint64_t position;      /* WAL position of the next delta. */
    uint8_t previous[16];
    uint64_t epoch;     /* Newest valid delta; 0 = none. */
    uint64_t epoch_max; /* Largest number seen, valid or not. */
    uint64_t acked;     /* Largest hint. */
    uint64_t delta_count;
    uint64_t last_position, last_bytes; /* The newest valid delta. */
} mr_log_end;

typedef struct mr_log { /* What the scan of the WAL found. */
    mr_arena *arena;    /* Owns the arrays. */
    mr_history *histories;
    uint32_t history_count, history_room;
    mr_stored_table *tables;
    uint32_t table_count, table_room, table_hint;
    mr_dead *dead;
    uint32_t dead_count, dead_room;
    mr_log_end end;
} mr_log;

typedef enum mr_flight_phase {
    MR_FLIGHT_NONE, /* Nothing undecided. */
    MR_FLIGHT_WRITING,
    MR_FLIGHT_SYNCING,
    MR_FLIGHT_DONE,
    MR_FLIGHT_FAILED
} mr_flight_phase;

typedef struct mr_piece { /* One write of a delta. */
    uint64_t offset;      /* In the file. */
    uint8_t *bytes;
    uint32_t size_bytes, reserved;
} mr_piece;

typedef struct mr_flight { /* The writes of the undecided epoch. */
    mr_flight_phase phase;
    mr_status status; /* FAILED: MR_ERR_IO, MR_ERR_LIMIT */
    int32_t error;    /* errno of the first failure. */
    mr_piece *pieces;
    uint32_t piece_room, piece_count, sent, completed;
    bool durable; /* One write of its own range; no sync follows. */
    bool sync_sent;
    uint64_t end_position;
    uint8_t seal_checksum[16];
} mr_flight;

typedef struct mr_part {
    uint64_t sequence; /* 0 = none. */
    uint32_t slot;     /* Its place in the file, counted in parts. */
    bool is_new;       /* Its block may not be on the disk: taken, and nothing written yet. */
} mr_part;

typedef struct mr_volume { /* The files. */
    char directory[4000];
    int lock_descriptor, wal_descriptor, data_descriptor; /* -1 = not open. */
    int32_t wal_file;                                     /* In the ring; -1 = not attached. */
    uint64_t wal_bytes;                                   /* Size of the file when opened. */
    mr_superblock super;
    bool is_formatted;
    bool is_doubtful;    /* A superblock may or may not have landed: only re-reading counts. */
    bool is_pair_lost;   /* The other pair was written once, and no copy of it verifies: what it
                            named may be newer than `super`. */
    int32_t data_file;   /* In the ring; -1 = not attached. */
    uint64_t data_bytes; /* Of the data file, written at least once. */
    uint64_t base_from, base_bytes; /* The installed base's range; 0 bytes = none. */
    uint64_t base_stream_bytes;
    mr_part *parts;       /* By sequence % part_room. */
    uint32_t *free_slots; /* Ready and not in use, in no order. */
    uint32_t part_room, free_count;
    uint32_t lost_parts;                  /* Blocks that are neither zero nor valid. */
    uint32_t part_count_max, parts_ready; /* Slots 0..parts_ready-1 were zero-filled. */
    bool part_pending;                    /* A file job is under way. */
    int32_t part_error;    /* errno of the last one that failed, 0 = none; ENOSPC until enough parts
                              are ahead again. */
    int64_t part_retry_us; /* Not before then: the next try of a full filesystem. */
} mr_volume;

typedef enum mr_base_phase {
    MR_BASE_NONE,
    MR_BASE_GROWING,  /* The data file is made larger by the helper. */
    MR_BASE_WAITING,  /* For an epoch boundary with nothing open: input pauses. */
    MR_BASE_COPYING,  /* Records go to buffers and the disk: input pauses. */
    MR_BASE_FLUSHING, /* The last chunks are in flight. */
    MR_BASE_MANIFEST,
    MR_BASE_SYNCING,
    MR_BASE_READY,      /* Durable; waits for the horizon. */
    MR_BASE_INSTALLING, /* The superblock pair is being written, */
    MR_BASE_SEALING,    /* and synced. */
    MR_BASE_FAILED      /* I/O error: the next epoch fails. */
} mr_base_phase;

typedef struct mr_base { /* The candidate, and what writes it. */
    mr_base_phase phase;
    int32_t error;           /* FAILED: errno. */
    int32_t no_room;         /* The file could not grow: errno of the last attempt. GROWING asks a
                                full filesystem again and again; after any other: */
    int64_t grow_retry_us;   /* A full filesystem is asked not before then. */
    uint32_t refusals;       /* Attempts in a row that failed in the reserve. */
    uint64_t retry_position; /* Where the log must be for another one; a roll tries at once. */
    uint32_t offsets_over;   /* The last attempt had so many offsets, */
    uint32_t offsets_room;   /* and the manifest room for only these; 0: they fitted. */
    uint64_t epoch;          /* b = c */
    uint64_t wal_position;
    uint8_t wal_previous[16];
    uint64_t range_from, range_bytes; /* In the data file. */
    uint64_t stream_bytes, record_count, sent_bytes;
    uint8_t *memory; /* Buffers, then the manifest. */
    uint64_t memory_bytes;
    uint8_t *buffers;
    uint32_t chunk_bytes, chunk_count, buffer, filled;
    bool busy[MR_BASE_BUFFERS];
    uint8_t *manifest;
    uint64_t manifest_room, manifest_bytes;
    uint8_t *sums; /* In the manifest. */
    mr_base_table *tables;
    uint32_t table;
    mr_cursor cursor;
    const mr_row *row; /* Being copied. */
    uint64_t row_done; /* Bytes of it that were. */
    uint32_t in_flight;
    bool sync_sent;
    bool is_complete; /* FAILED: durable all the same, only its superblock may not be. */
    int64_t due_us;   /* By time; 0 = the first tick sets it. */
    uint64_t installed_count;
    uint64_t acks[MR_HORIZON]; /* Newest acknowledged epochs, oldest first. */
    uint32_t ack_count;
} mr_base;

struct mr_state {
    mr_state_options options;
    uint32_t *tasks; /* Sorted. */
    int64_t *watermarks;
    uint64_t *lineages;
    bool *resets;    /* Tasks a roll empties: nothing the log has of them counts. */
    bool *in_epoch;  /* Seal's scratch, by task. */
    mr_ring *ring;   /* NULL = volatile. */
    mr_arena *arena; /* Control structures. */
    uint8_t *memory; /* The pages. */
    uint64_t memory_bytes;
    mr_pages pages;
    mr_classes classes;
    uint64_t hash_seed;
    mr_table **tables;
    uint32_t table_count, table_room;
    mr_epoch epochs[2];
    uint32_t open; /* Which of the two is open; the other is undecided if `flight` says so. */
    uint64_t acked, follows, incarnation;
    uint64_t generation; /* Moves on when records are freed: pins are void. */
    bool is_exhausted;   /* A delete found no memory: the open epoch must fail. */
    bool is_rolled;      /* Between roll and a failure: seal and updates are legal. */
    bool memory_intact;  /* Memory is what the histories say. */
    bool log_doubtful;   /* A write failed: only re-reading the disk counts. */
    mr_volume volume;
    mr_log log;
    mr_flight flight;
    mr_base base;
    uint32_t offset_count_max; /* Of the epochs sealed so far. */
    uint32_t transfer_count;   /* Blocking requests in flight, and the first errno among them. */
    int32_t transfer_error;
    mr_io_completion others[MR_RING_WATCHES_MAX]; /* Seen while blocking. */
    uint32_t other_count;
    uint64_t parts_wanted; /* The last WAL part that the waiting seal needs; one that has got it
                              asks for nothing more, as ready parts never get fewer. */
    uint8_t *buffer;       /* One delta, with a block in front for a part header. */
    uint64_t buffer_bytes;
    uint8_t *part_blocks;
    uint32_t part_block_count, part_block_room;
    bool flight_is_full; /* The undecided epoch failed for memory. */
    bool is_scanned;     /* `log` is what the disk says. */
    bool is_tail_safe;   /* The newest delta is known to be durable. */
    bool is_read_only;
    uint64_t number_max; /* Newest number given out. */
    uint8_t *buffer_memory;
    uint64_t buffer_memory_bytes;
};

/* The rest of this header: functions by file. */

/* undo.c */
/* Saves the record's image once an epoch and puts it on the dirty list. False = no memory. */
bool mr_undo_touch(mr_table *table, mr_row *row);
bool mr_undo_insert(mr_table *table, const mr_row *row);
void mr_undo_forward(mr_table *table, mr_row *from, const mr_row *to);
mr_row *mr_undo_resolve(const mr_state *state, const mr_undo *undo);
/* Takes back everything of an epoch; then mr_undo_release() must follow. */
void mr_undo_rollback(mr_state *state, uint32_t slot);
/* Removes records deleted by the epoch and not touched since. */
void mr_undo_sweep(mr_state *state, uint32_t slot);
/* Frees undo, forwards and dirty lists of the epoch. */
void mr_undo_release(mr_state *state, uint32_t slot);

/* table.c */
bool mr_table_init(mr_table *table);
/* Frees slot, run and index entry. */
void mr_table_drop_row(mr_table *table, mr_row *row);
const uint8_t *mr_row_value(const mr_table *table, const mr_row *row);
typedef struct mr_image { /* A record as a delta tells it. */
    mr_view key, value;
    uint64_t hash;
    bool is_tombstone;
} mr_image;
/* More than half of the record's room is not needed. */
bool mr_table_is_loose(const mr_table *table, const mr_row *row);
/* Moves a loose record into less room, if there is any; no undo may refer to it. */
void mr_table_shrink(mr_table *table, mr_row *row);
/* For replay: puts a record as it was, clean. False = no memory. */
bool mr_table_load(mr_table *table, const mr_image *image);
uint64_t mr_table_pages(const mr_table *table);

/* state.c */
uint32_t mr_state_task_index(const mr_state *state, uint32_t task); /* UINT32_MAX = not ours. */
mr_table *mr_state_find_table(const mr_state *state, uint32_t task, uint32_t table);
void mr_state_open_epoch(mr_state *state, uint64_t number);
/* Empties all tables; memory is as after declare. False = no memory. */
bool mr_state_empty(mr_state *state);
MR_MUST_USE mr_status mr_state_open_as(mr_state **state, const mr_state_options *options,
                                       mr_ring *ring, bool is_read_only, mr_diag *diag);
/* Opens or formats the files, reads the log, takes the arena. */
MR_MUST_USE mr_status mr_state_first_table(mr_state *state, mr_diag *diag);
/* No tables: nothing is written, epochs are prepared at once. */
bool mr_state_is_durable(const mr_state *state);

/* shares.c */
/* The pages, of what everything else leaves; once, when the log was read. */
MR_MUST_USE mr_status mr_state_take_pages(mr_state *state, mr_diag *diag);
/* The buffer of a delta; at each roll. While nothing is sealed the log is read through it. */
MR_MUST_USE mr_status mr_state_prepare_memory(mr_state *state, mr_diag *diag);
/* E_MEMORY_BUDGET; `what` could not be had. Returns MR_ERR_MEMORY. */
MR_MUST_USE mr_status mr_state_no_memory(uint32_t shard, const char *what, mr_diag *diag);
/* How much of a log or base is read at once: what the delta's buffer holds, if there is one. */
uint64_t mr_state_window_bytes(const mr_state *state);
/* Room for the manifest of a base: MR_MANIFEST_OFFSETS for the assigned tasks, which list their
 * inputs anew in the first epoch, and what is kept of others. */
uint64_t mr_base_manifest_bytes(uint64_t task_count, uint64_t kept_offsets, uint64_t table_count,
                                uint64_t chunk_count);
uint32_t mr_base_chunk_bytes(uint64_t part_bytes);

/* delta.c */
/* Largest delta the open epoch can become, seal included. */
uint64_t mr_delta_bytes_bound(const mr_state *state, uint32_t offset_count);
/* Gathers the open epoch into the buffer and fills the points; returns total bytes. */
uint64_t mr_delta_gather(mr_state *state, const mr_input_offset *offsets, uint32_t offset_count,
                         mr_task_point *points, uint32_t *point_count);
/* The digest of a task's entry (its digest field left out), offsets and sections. */
uint64_t mr_delta_task_digest(const mr_delta_task *task, const mr_delta_offset *offsets,
                              uint32_t offset_count, const uint8_t *sections);

/* wal.c */
uint64_t mr_wal_seed(const mr_volume *volume, uint64_t position);
/* The WAL position `bytes` delta bytes after `position`, part blocks left out. */
uint64_t mr_wal_advance(const mr_volume *volume, uint64_t position, uint64_t bytes);
/* Where a WAL position lies in the file; the file's end if its part is nowhere. */
uint64_t mr_wal_file_offset(const mr_volume *volume, uint64_t position);
/* NEXT: room for `bytes` at the end; WAIT: parts are being made; FAILED: never. */
mr_step mr_wal_room(mr_state *state, uint64_t bytes);
void mr_wal_send(mr_state *state, uint64_t total_bytes);
/* The epoch cannot be written: MR_ERR_LIMIT. Nothing of it was sent. */
void mr_wal_refuse(mr_state *state, mr_status status);
void mr_wal_pump(mr_state *state);
void mr_wal_prepare_parts(mr_state *state);
/* The filesystem is full, and fewer parts are ready than are set aside for the open epoch. */
bool mr_wal_is_short(const mr_state *state);
/*
 * Writes the newest delta once more, as it was read: its own sync may have failed in a former life,
 * and what reads back may only be cached. All earlier ones were durable before the next was sent.
 */
MR_MUST_USE mr_status mr_wal_rewrite_last(mr_state *state, mr_diag *diag);
/* Blocks until nothing of the store is in flight. */
void mr_wal_settle(mr_state *state);
MR_MUST_USE mr_status mr_wal_failure(const mr_state *state, mr_diag *diag);

/* Tags of a base's requests. */
uint64_t mr_wal_base_tag(uint32_t index);
uint64_t mr_wal_grow_tag(void);

/* Blocking I/O while opening and rolling. */
typedef struct mr_transfer {
    mr_io_op op;
    int32_t file;
    uint64_t offset;
    uint8_t *bytes;
    uint64_t size_bytes;
} mr_transfer;
/* 0, or the errno. Splits into requests of at most 1 MiB. */
int32_t mr_wal_transfer(mr_state *state, const mr_transfer *transfer);

/* parts.c */
/* Reads the block of every part in the file: which is where, which are free. */
MR_MUST_USE mr_status mr_parts_read(mr_state *state, mr_diag *diag);
/* The slot of a part; UINT32_MAX = nowhere. */
uint32_t mr_parts_find(const mr_volume *volume, uint64_t sequence);
/* Gives the part a free slot; false = none is free. */
bool mr_parts_take(mr_volume *volume, uint64_t sequence);
bool mr_parts_is_new(const mr_volume *volume, uint64_t sequence);
/* The blocks of these parts are durable. */
void mr_parts_written(mr_volume *volume, uint64_t first, uint64_t last);
void mr_parts_free_below(mr_volume *volume, uint64_t sequence);
/* How many parts from this one on follow each other. */
uint64_t mr_parts_run(const mr_volume *volume, uint64_t sequence);
/* Bytes of all parts there can be. */
uint64_t mr_parts_all(const mr_volume *volume);
/* Bytes of delta that still fit the log. */
uint64_t mr_parts_left(const mr_state *state);

/* base.c */
MR_MUST_USE mr_status mr_base_prepare(mr_state *state, mr_diag *diag);
uint32_t mr_base_demand(const mr_state *state);
void mr_base_tick(mr_state *state, int64_t now_us, uint64_t budget_bytes);
/* An epoch was acknowledged: the horizon moves. */
void mr_base_acked(mr_state *state, uint64_t epoch);
/* An epoch is sealed: what was copied no longer counts if it touched anything. */
void mr_base_touched(mr_state *state);
void mr_base_complete(mr_state *state, uint32_t index, int32_t error);
void mr_base_grown(mr_state *state, int32_t error);
/* Requests are in flight that a roll must wait for. */
bool mr_base_is_busy(const mr_state *state);
bool mr_base_is_installing(const mr_state *state);
/* Only the reserve is left of the log, and no base can shorten it: no epoch may take more. */
bool mr_base_is_hopeless(const mr_state *state);
/* Tells that no base can be written for the number of offsets, if that is so; else MR_OK. */
MR_MUST_USE mr_status mr_base_crowded(const mr_state *state, uint64_t epoch, mr_diag *diag);
/* Before a roll: throws away what is unfinished. */
void mr_base_cancel(mr_state *state);
/* After it: a candidate above the epoch goes too. */
void mr_base_rolled(mr_state *state, uint64_t epoch);
void mr_base_pump(mr_state *state);
uint64_t mr_base_delta_since(const mr_state *state);

/* base_read.c */
/* What the manifest says of tasks and tables, into the log's histories. */
MR_MUST_USE mr_status mr_base_read(mr_state *state, mr_diag *diag);
/* Every record of the base, verified chunk by chunk; NULL `visit`: only verified. `lineage`: that
 * of the table's task in the base, 0 = it had none. */
typedef bool (*mr_base_visit)(void *context, const mr_base_table *table, uint64_t lineage,
                              mr_view key, mr_view value);
MR_MUST_USE mr_status mr_base_walk(mr_state *state, mr_base_visit visit, void *context,
                                   mr_diag *diag);

/* volume.c */
/* Says where the lost pair stands and what was read in its place; empty if none is lost. */
const char *mr_volume_lost_text(const mr_volume *volume, char text[MR_LOST_TEXT_BYTES]);
/* The superblock once more from the disk, after a write of it failed. */
MR_MUST_USE mr_status mr_volume_reload(mr_state *state, mr_diag *diag);
/* The size of a part that a format would choose. */
uint32_t mr_volume_part_bytes(const mr_state_options *options);
/* Fills the pair of blocks of a superblock; returns the byte offset of the pair. */
uint64_t mr_volume_fill_pair(const mr_superblock *super, uint8_t *blocks);
MR_MUST_USE mr_status mr_volume_open(mr_state *state, mr_diag *diag);
/* Formats if that was not done; attaches; syncs what a former run may have left in a cache. */
MR_MUST_USE mr_status mr_volume_prepare(mr_state *state, mr_diag *diag);
void mr_volume_close(mr_state *state);

/* scan.c */
typedef struct mr_delta_view { /* A verified delta in memory. */
    const mr_delta_header *header;
    const mr_delta_task *tasks;
    const mr_delta_offset *offsets;
    const uint8_t *sections;
    uint64_t position; /* Of its header. */
    const mr_seal *seal;
} mr_delta_view;
typedef mr_status (*mr_delta_visit)(mr_state *state, void *context, const mr_delta_view *delta,
                                    mr_diag *diag);
/*
 * Reads the chain from its start to the first delta that fails; visits each valid one. `end` tells
 * where it ended. Fails for what a visit returns, for a newer format and for read errors.
 */
MR_MUST_USE mr_status mr_scan_chain(mr_state *state, mr_delta_visit visit, void *context,
                                    mr_log_end *end, mr_diag *diag);
/* Delta bytes from a position on; 0 or the errno. */
int32_t mr_scan_read(mr_state *state, uint64_t position, uint8_t *bytes, uint64_t size_bytes);
/* Whether a whole delta in memory verifies as the one of so many bytes at this position. */
bool mr_scan_holds(const mr_volume *volume, const mr_delta_header *header, uint64_t position,
                   uint64_t total_bytes);
/* Whether a valid header of a later epoch lies behind the end of the chain. */
MR_MUST_USE mr_status mr_scan_beyond(mr_state *state, uint64_t *epoch, uint64_t *position,
                                     mr_diag *diag);
/* Walks the records of a delta; false = a section makes no sense. */
typedef bool (*mr_record_visit)(void *context, const mr_section *section, mr_view key,
                                mr_view value, bool is_tombstone);
bool mr_delta_walk(const mr_delta_view *delta, mr_record_visit visit, void *context);
/* The same, once a section, with empty views. */
bool mr_delta_sections(const mr_delta_view *delta, mr_record_visit visit, void *context);

/* history.c */
MR_MUST_USE mr_status mr_log_read(mr_state *state, mr_diag *diag);
bool mr_log_open(mr_log *log, mr_memory memory);
bool mr_log_add_table(mr_log *log, uint32_t task, uint32_t table, uint64_t layout);
void mr_log_release(mr_log *log);
mr_history *mr_log_history(const mr_log *log, uint32_t task);
const mr_moment *mr_history_at(const mr_history *history, uint32_t index); /* 0 = oldest. */
/* The newest at or below the epoch; NULL = none. */
const mr_moment *mr_history_newest(const mr_history *history, uint64_t epoch);
const mr_delta_offset *mr_history_offsets(const mr_history *history, uint32_t index);
/* Takes now what adding epochs of these tasks would take, so that a seal allocates nothing. False =
 * no memory. */
bool mr_log_reserve(mr_log *log, const uint32_t *tasks, uint32_t task_count, uint32_t offset_count);
/* Offsets that tasks which are stored and not assigned may put into a manifest. */
uint64_t mr_log_kept_offsets(const mr_state *state);
/* Forgets moments above the epoch. */
void mr_log_cut(mr_log *log, uint64_t epoch);
bool mr_log_is_dead(const mr_log *log, uint64_t epoch);
/* Adds what a delta says; false = no memory. Also for an epoch that is being sealed. */
bool mr_log_add(mr_log *log, const mr_delta_header *header, const mr_delta_task *tasks,
                const mr_delta_offset *offsets);

/* judge.c */
typedef struct mr_judgement {
    mr_task_point *points;
    uint32_t point_count, offset_count;
    const mr_input_offset *offsets;
    uint64_t epoch;   /* E: the newest epoch that a point matches, or that is kept. */
    uint64_t matched; /* The newest that a point matches; 0: none does. */
} mr_judgement;
/* Fills verdicts and the epoch; MR_ERR_REFUSED with the first refusal told. */
MR_MUST_USE mr_status mr_judge(mr_state *state, mr_judgement *judgement, bool beyond,
                               mr_diag *diag);

/* Whether a stored offset is this input's: by number, in files before 1.2 by place. */
bool mr_offset_is_of(const mr_delta_offset *stored, const mr_input_offset *input);

/* Some task is judged BEHIND by an epoch above all valid ones. */
bool mr_judge_is_beyond(const mr_state *state, const mr_judgement *judgement);

/* roll.c */
/* Declares what is stored and no longer asked for, so that a base keeps it. */
MR_MUST_USE mr_status mr_state_keep_tables(mr_state *state, mr_diag *diag);
/* Empties memory and replays base and log up to the epoch. Of each task only the life that goes on
 * there counts: what it had under an earlier lineage was reset. */
MR_MUST_USE mr_status mr_state_replay(mr_state *state, uint64_t epoch, mr_diag *diag);

/* digest.c */
typedef struct mr_digest {
    uint64_t low, high;
} mr_digest;
void mr_table_digest(const mr_table *table, mr_digest *sum);

#endif

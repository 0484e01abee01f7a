/*
 * sim_private.h - the simulated disk between its two files: sim_disk.c keeps sectors, files and
 * crashes, ring_sim.c answers requests. Tests only. Thread: one.
 */
#ifndef MR_RING_SIM_PRIVATE_H
#define MR_RING_SIM_PRIVATE_H

#include "io/ring/ring.h"

enum {
    MR_SIM_SECTOR_BYTES = 512,
    MR_SIM_FILES_MAX = 16,
    MR_SIM_PATH_BYTES = 256,
    MR_SIM_DESCRIPTOR_FIRST = 1000,
    MR_SIM_DESCRIPTOR_STEP = 100 /* One a lock: first + step * (1 + its bit) + file. */
};

typedef struct mr_sim_sector { /* A pending version of a sector. */
    uint64_t sector, write;    /* `write`: number of the request that brought it. */
    uint64_t completed_at;     /* Step at which its completion was reaped; 0 = not yet. */
    uint32_t file;
    bool is_seen; /* Reads give it; else its request did not take effect (yet). */
    uint8_t bytes[MR_SIM_SECTOR_BYTES];
} mr_sim_sector;

typedef struct mr_sim_file {
    char path[MR_SIM_PATH_BYTES]; /* "" = a free place. */
    uint8_t *seen, *durable;      /* What reads give; what a crash leaves at least. */
    uint64_t room_bytes, seen_bytes, durable_bytes;
    bool name_is_durable;
    uint64_t locks; /* Bit s: shard s; the top bit: a reader. */
    uint32_t open_count;
} mr_sim_file;

typedef struct mr_sim_request {
    mr_io_request request;
    uint64_t number, submitted_at, due_at;
    bool is_used;
} mr_sim_request;

struct mr_sim_disk {
    uint64_t seed;
    uint64_t step;  /* Counts queue and reap calls. */
    uint64_t reaps; /* Delays are counted in these. */
    uint64_t calls, dies_at, next_write;
    mr_sim_fault fault;
    mr_sim_file files[MR_SIM_FILES_MAX];
    mr_sim_sector *pending; /* Oldest first. */
    uint32_t pending_count, pending_room;
    mr_sim_request requests[MR_RING_DEPTH_MAX];
    int attached[MR_RING_FILES_MAX]; /* Descriptor, or -1. */
    mr_io_raw_completion stale;
    bool has_stale;
};

/* Counts a call; false = the disk is dead from here on. */
bool mr_sim_call(mr_sim_disk *disk);
/* Whether the fault with this countdown strikes now. */
bool mr_sim_strikes(const mr_sim_disk *disk, uint64_t *countdown);
uint64_t mr_sim_draw(mr_sim_disk *disk, uint64_t below);
mr_sim_file *mr_sim_file_of(mr_sim_disk *disk, int descriptor);
/* Adds pending sectors of a write under way. */
void mr_sim_write_pending(mr_sim_disk *disk, mr_sim_file *file, uint64_t offset,
                          const uint8_t *bytes, uint64_t size_bytes, uint64_t write);
/* The write is seen by reads. */
void mr_sim_write_seen(mr_sim_file *file, uint64_t offset, const uint8_t *bytes,
                       uint64_t size_bytes);
/* The process is gone: what its unfinished writes left is decided now, sector by sector. */
void mr_sim_settle(mr_sim_disk *disk);
/* Marks the sectors of a write as seen. */
void mr_sim_mark_seen(mr_sim_disk *disk, uint64_t write);
/* Marks the sectors of a write as completed at this step. */
void mr_sim_write_completed(mr_sim_disk *disk, uint64_t write);
/* Pending sectors of the file completed before `step`, or of one write, become durable, or vanish
 * without a trace if `drop`. */
void mr_sim_make_durable(mr_sim_disk *disk, const mr_sim_file *file, uint64_t before_step,
                         uint64_t write, bool drop);
const mr_file_type *mr_sim_file_type(void);

#endif

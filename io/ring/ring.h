/*
 * ring.h - the asynchronous block I/O of a shard: one ring, four back-ends behind one raw type.
 *
 * A completion means the full length or an error: ring.c resubmits a short or refused request
 * whole, at most MR_RING_RESUBMITS_MAX times. Order between requests exists only where the caller
 * waited. A failed write or sync is never retried, because the kernel may have marked the lost
 * pages clean. Thread: the shard that opened the ring, except the file type (see there).
 */
#ifndef MR_RING_RING_H
#define MR_RING_RING_H

#include <millrace/status.h>
#include <stdbool.h>
#include <stdint.h>

enum {
    MR_IO_BLOCK_BYTES = 4096,
    MR_RING_DEPTH_MAX = 256, /* Requests in flight. */
    MR_RING_FILES_MAX = 64,
    MR_RING_WATCHES_MAX = 64,
    MR_RING_RESUBMITS_MAX = 8
};

typedef enum mr_io_op { MR_IO_READ, MR_IO_WRITE, MR_IO_WRITE_DURABLE, MR_IO_SYNC } mr_io_op;

typedef struct mr_io_request {
    mr_io_op op;
    int32_t file;    /* From mr_ring_attach. */
    uint64_t offset; /* Offset, size and buffer are multiples of 4 KiB. SYNC: all 0. */
    void *buffer;    /* The backend's until the completion arrives, also after a failure. */
    uint32_t size_bytes;
    uint32_t priority; /* Commit 0, cold read, checkpoint, collection, scrub. */
    uint64_t tag;      /* The caller's; comes back. */
} mr_io_request;

typedef struct mr_io_completion {
    uint64_t tag;
    int32_t error; /* 0, or a positive errno. */
} mr_io_completion;

typedef struct mr_io_raw_completion {
    uint64_t tag;
    int64_t result; /* Bytes, or a negative errno: may be short, late, out of order. */
} mr_io_raw_completion;

typedef struct mr_io_raw_type {
    const char *name; /* uring, aio, threads, sim */
    /* A real O_DIRECT write, durable write, sync and read-back in `directory`. */
    mr_status (*probe)(void *self, const char *directory, mr_diag *diag);
    mr_status (*attach)(void *self, int descriptor, int32_t *file);
    void (*detach)(void *self, int32_t file); /* Nothing of it may be in flight. */
    uint32_t (*queue)(void *self, const mr_io_request *requests, uint32_t count); /* taken */
    mr_status (*flush)(void *self);
    mr_status (*watch)(void *self, int descriptor, uint64_t tag);
    uint32_t (*reap)(void *self, mr_io_raw_completion *completions, uint32_t count_max);
    void (*wait)(void *self, uint32_t completion_count_min, int64_t timeout_us);
    void (*close)(void *self);
} mr_io_raw_type;

enum mr_file_flag {
    MR_FILE_CREATE = 1,    /* Mode 0600; the folder is made (0700) if it is not there. */
    MR_FILE_READ_ONLY = 2, /* With LOCK: a shared lock over all shards. */
    MR_FILE_LOCK = 4       /* Takes the byte `shard` (flags >> 8) of the file, trying for 250 ms. */
};
enum { MR_FILE_SHARD_SHIFT = 8 };

/* Blocks: while opening, later on the ring's helper thread only. */
typedef struct mr_file_type {
    /* Creates, locks, syncs the folder; refuses symbolic links, another owner, a folder others can
     * write to. MR_ERR_REFUSED with E_STATE_LOCKED when the lock is held, E_STATE_UNSAFE for the
     * rest, E_STATE_IO for what the kernel says; E_STATE_MISSING without MR_FILE_CREATE. */
    mr_status (*open)(void *self, const char *path, uint32_t flags, int *descriptor,
                      uint64_t *size_bytes, mr_diag *diag);
    /* Blocks on disk for the range; the size stays, so that it tells what was zero-filled.
     * MR_ERR_FULL = no space, MR_ERR_IO. */
    mr_status (*reserve)(void *self, int descriptor, uint64_t offset, uint64_t size_bytes);
    /* Writes zeros and syncs: afterwards the range is prewritten, durably. Errors as above. */
    mr_status (*zero_fill)(void *self, int descriptor, uint64_t offset, uint64_t size_bytes);
    mr_status (*shrink)(void *self, int descriptor, uint64_t size_bytes);
    void (*close)(void *self, int descriptor);
} mr_file_type;

typedef struct mr_io { /* The seam: a raw back-end (uring, aio, threads, sim) and its files. */
    const mr_io_raw_type *raw;
    const mr_file_type *files;
    void *raw_self, *files_self;
    bool files_at_once; /* File jobs run in the caller (simulated files); else a helper thread. */
} mr_io;

typedef enum mr_io_choice {
    MR_IO_AUTO,
    MR_IO_URING,
    MR_IO_THREADS,
    MR_IO_READER /* Threads without a probe: nothing is written. For inspection. */
} mr_io_choice;

/*
 * Opens a real back-end for `directory` by the ladder uring, threads (AUTO), or the forced one.
 * The environment variable MR_IO=uring|threads goes over `choice`. `fallback` (at least 256
 * bytes) receives one sentence with cause and remedy when the ladder fell, else "".
 * Call in the shard's own thread. The io is closed by mr_ring_close().
 */
MR_MUST_USE mr_status mr_io_open(mr_io_choice choice, const char *directory, mr_io *io,
                                 char fallback[256], mr_diag *diag);

typedef struct mr_ring mr_ring;

/* Takes `io`'s back-end. Returns owned through `ring`. */
MR_MUST_USE mr_status mr_ring_open(mr_ring **ring, const mr_io *io, mr_diag *diag);
const mr_io *mr_ring_io(const mr_ring *ring);
/* At most MR_RING_FILES_MAX files; detach before the descriptor is closed. */
MR_MUST_USE mr_status mr_ring_attach(mr_ring *ring, int descriptor, int32_t *file);
void mr_ring_detach(mr_ring *ring, int32_t file);
/* Returns how many were taken, in order; the rest did not fit MR_RING_DEPTH_MAX. Starts them. */
uint32_t mr_ring_submit(mr_ring *ring, const mr_io_request *requests, uint32_t count);
uint32_t mr_ring_reap(mr_ring *ring, mr_io_completion *completions, uint32_t count_max);
/* Until so many completions (0: only a watch or the time ends it) or `timeout_us` from now. */
void mr_ring_wait(mr_ring *ring, uint32_t completion_count_min, int64_t timeout_us);
/*
 * Wakes mr_ring_wait when `descriptor` is readable; `tag` has its top bit set and comes back as a
 * completion with error 0. Level: the caller drains the descriptor. Works for the ring's life.
 */
MR_MUST_USE mr_status mr_ring_watch(mr_ring *ring, int descriptor, uint64_t tag);
/* Requests and file jobs not yet reaped. */
uint32_t mr_ring_in_flight(const mr_ring *ring);
/* Completions of a generation long gone: dropped and counted. */
uint64_t mr_ring_stale_count(const mr_ring *ring);
/* Gives back a completion that was reaped for somebody else; the next reap returns it. */
void mr_ring_put_back(mr_ring *ring, const mr_io_completion *completion);

/* Reserves and zero-fills a range of a file off the shard's thread; `tag` comes back through
 * mr_ring_reap with 0, ENOSPC or EIO, and wakes mr_ring_wait. */
typedef struct mr_file_job {
    int descriptor;
    uint32_t reserved;
    uint64_t offset, size_bytes, tag;
} mr_file_job;
enum { MR_FILE_JOBS_MAX = 16 };
/* False: MR_FILE_JOBS_MAX jobs are under way. */
bool mr_ring_prepare(mr_ring *ring, const mr_file_job *job);

/* The system's words for an errno; returns `text`. */
const char *mr_io_error_text(int32_t error, char text[128]);

/* Waits for all in flight; closes the back-end. NULL is allowed. */
void mr_ring_close(mr_ring *ring);

/* ---- Simulated disk: tests only (ring_sim.c, sim_disk.c) ---- */

/*
 * A disk of 512-byte sectors and the files on it. A write is pending from its submission on; a
 * sync makes durable what had completed (was reaped) before the sync was submitted, a durable
 * write its own range. One thread; deterministic from its seed. One mr_io at a time is open on it.
 */
typedef struct mr_sim_disk mr_sim_disk;

typedef struct mr_sim_fault { /* `_at`: the n-th such request from now, 1 = the next; 0 = never. */
    uint64_t read_error_at, write_error_at, sync_error_at; /* EIO; a sync drops what it covers. */
    uint64_t space_error_at;                               /* File calls: MR_ERR_FULL. */
    uint64_t misdirect_at;                                 /* A write lands one block further. */
    uint64_t flip_at;                                      /* A write has one bit turned. */
    uint64_t lose_at;                                      /* A write completes and is nowhere. */
    uint64_t stale_at;                    /* A completion comes a second time, a reap later. */
    bool for_ever;                        /* Errors: every later one fails too. */
    uint32_t short_percent, busy_percent; /* Chance that a transfer is short, or EAGAIN. */
    uint32_t delay_max; /* Reaps that a completion may be late; their order is drawn. */
    uint32_t queue_max; /* Requests taken by one queue call; 0 = all. */
} mr_sim_fault;

mr_sim_disk *mr_sim_disk_create(uint64_t seed);
void mr_sim_disk_destroy(mr_sim_disk *disk);
/* A back-end and files on the disk; mr_ring_close ends it. */
mr_io mr_sim_disk_io(mr_sim_disk *disk);
void mr_sim_disk_fault(mr_sim_disk *disk, const mr_sim_fault *fault);
/* Calls that reached the disk: requests and file calls. Crash points count by them. */
uint64_t mr_sim_disk_call_count(const mr_sim_disk *disk);
/* The disk answers EIO from that call on (0 = never); writes may still have landed in part. */
void mr_sim_disk_die_at(mr_sim_disk *disk, uint64_t call_count);
/* Sectors written and not yet durable. */
uint32_t mr_sim_disk_pending_count(const mr_sim_disk *disk);
/*
 * Power fails: requests in flight vanish; of the pending sectors those remain whose bit in `keep`
 * is set (bit 0: the oldest), or, `keep` NULL, a subset drawn from the seed. A file whose folder
 * was not synced may vanish. The disk can be opened again.
 */
void mr_sim_disk_crash(mr_sim_disk *disk, const uint8_t *keep);
/* A copy of everything but open descriptors, with a seed of its own. */
mr_sim_disk *mr_sim_disk_clone(const mr_sim_disk *disk, uint64_t seed);
/* What a reader sees of a file, to look at or to damage; NULL = there is none. */
uint8_t *mr_sim_disk_file(mr_sim_disk *disk, const char *path, uint64_t *size_bytes);
/* Takes a file away, as a replaced disk would. */
void mr_sim_disk_remove(mr_sim_disk *disk, const char *path);

#endif

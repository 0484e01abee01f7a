/*
 * worker_file.c - `<state dir>/<app>/worker`: what a state directory remembers of its worker.
 *
 * The number of shards, because state files and transactional ids belong to it; the worker set; how
 * many partitions the inputs had, because keys move when some are added; and whether the worker was
 * fenced, so that a supervisor does not bring it back against its rival. The
 * file is locked for the life of the process. Two blocks of 4 KiB are written in turn, each with a
 * sequence and a checksum, so that a torn write leaves the other. Format: engine/state/FORMAT.md,
 * last section. Control's own small file, before any ring exists: plain blocking calls. Thread:
 * control.
 */
#define _GNU_SOURCE /* O_NOFOLLOW, flock */
#include "engine/base/hash.h"
#include "engine/runtime/runtime_private.h"
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
    BLOCK_BYTES = 4096,
    COPIES = 2,
    MAJOR = 1,
    LOCK_TRIES = 25,
    LOCK_PAUSE_MS = 10,
    FLAG_FENCED = 1,
    CHECKSUM_SEED = 1
};

typedef struct worker_block { /* Little-endian, zero to the end of the block. */
    uint8_t magic[8];         /*  0  "MRWORKER" */
    uint16_t major, minor;    /*  8 */
    uint32_t flags;           /* 12  bit 0: fenced */
    uint64_t sequence;        /* 16  1, 2, ...; block (sequence - 1) mod 2 */
    uint32_t shard_count;     /* 24 */
    uint32_t partition_count; /* 28  of the inputs; 0 = not known */
    char worker_set[48];      /* 32  with a final zero */
    uint8_t checksum[16];     /* 80  XXH3-128 of the block, this field zero */
    uint8_t zero[BLOCK_BYTES - 96];
} worker_block;
_Static_assert(sizeof(worker_block) == BLOCK_BYTES, "disk");
_Static_assert(sizeof(((mr_worker_file *)0)->worker_set) <= sizeof(((worker_block *)0)->worker_set),
               "a set's name fits");

typedef enum copy_state { COPY_ABSENT, COPY_BAD, COPY_GOOD, COPY_NEWER } copy_state;

static mr_status check(const mr_worker_file *file, mr_diag *diag);
static mr_status lock(const mr_worker_file *file, mr_diag *diag);
static mr_status read_copies(mr_worker_file *file, mr_diag *diag);
static copy_state read_copy(const mr_worker_file *file, uint32_t index, worker_block *block);
static void sum(const worker_block *block, uint8_t checksum[16]);
static mr_status failed(const mr_worker_file *file, const char *what, mr_diag *diag);

mr_status mr_worker_file_open(mr_worker_file *file, const char *directory, mr_diag *diag)
{
    *file = (mr_worker_file){.descriptor = -1};
    const int size = snprintf(file->path, sizeof(file->path), "%s/worker", directory);
    if (size < 0 || (size_t)size >= sizeof(file->path)) {
        return mr_diag_set(diag, MR_ERR_USAGE, 0, "--state-dir %s: the path is too long",
                           directory);
    }
    file->descriptor = open(file->path, O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (file->descriptor < 0) {
        return failed(file, "cannot be opened", diag);
    }
    mr_status status = check(file, diag);
    if (status == MR_OK) {
        status = lock(file, diag);
    }
    if (status == MR_OK) {
        status = read_copies(file, diag);
    }
    if (status != MR_OK) {
        mr_worker_file_close(file);
    }
    return status;
}

mr_status mr_worker_file_write(mr_worker_file *file, mr_diag *diag)
{
    worker_block block = {.magic = {'M', 'R', 'W', 'O', 'R', 'K', 'E', 'R'},
                          .major = MAJOR,
                          .flags = file->is_fenced ? FLAG_FENCED : 0,
                          .shard_count = file->shard_count,
                          .partition_count = file->partition_count};

    MR_ASSERT(file->descriptor >= 0 && file->shard_count > 0);
    memcpy(block.worker_set, file->worker_set, sizeof(file->worker_set));
    /* The first time both, so that a lone torn block can only be of a file never used. */
    const uint32_t copies = file->sequence == 0 ? COPIES : 1;
    for (uint32_t i = 0; i < copies; i++) {
        block.sequence = ++file->sequence;
        memset(block.checksum, 0, sizeof(block.checksum));
        sum(&block, block.checksum);
        const off_t at = (off_t)((block.sequence - 1) % COPIES * BLOCK_BYTES);
        const ssize_t written = pwrite(file->descriptor, &block, sizeof(block), at);
        if (written != (ssize_t)sizeof(block)) {
            errno = written >= 0 ? ENOSPC : errno;
            return failed(file, "cannot be written", diag);
        }
        if (fsync(file->descriptor) != 0) {
            return failed(file, "cannot be synced", diag);
        }
    }
    return MR_OK;
}

void mr_worker_file_close(mr_worker_file *file)
{
    if (file->descriptor >= 0) {
        close(file->descriptor);
        file->descriptor = -1;
    }
}

/* ---- Helpers ---- */

static mr_status check(const mr_worker_file *file, mr_diag *diag)
{
    struct stat stat;
    if (fstat(file->descriptor, &stat) != 0) {
        return failed(file, "cannot be looked at", diag);
    }
    if (!S_ISREG(stat.st_mode) || stat.st_uid != geteuid()) {
        return mr_diag_set(diag, MR_ERR_REFUSED, 0,
                           "E_STATE_UNSAFE: %s: is no regular file of user %u; restore it or use "
                           "another directory",
                           file->path, (unsigned)geteuid());
    }
    return MR_OK;
}

/* A process that was just killed may hold its lock for a moment longer. */
static mr_status lock(const mr_worker_file *file, mr_diag *diag)
{
    for (uint32_t i = 0; i < LOCK_TRIES; i++) {
        if (flock(file->descriptor, LOCK_EX | LOCK_NB) == 0) {
            return MR_OK;
        }
        if (errno != EWOULDBLOCK) {
            return failed(file, "cannot be locked", diag);
        }
        (void)poll(NULL, 0, LOCK_PAUSE_MS);
    }
    return mr_diag_set(diag, MR_ERR_REFUSED, 0,
                       "E_STATE_LOCKED: %s: another process uses this state directory; stop it, or "
                       "give this one its own (--state-dir)",
                       file->path);
}

static mr_status read_copies(mr_worker_file *file, mr_diag *diag)
{
    worker_block blocks[COPIES];
    copy_state states[COPIES];
    const worker_block *newest = NULL;

    for (uint32_t i = 0; i < COPIES; i++) {
        states[i] = read_copy(file, i, &blocks[i]);
        if (states[i] == COPY_NEWER) {
            return mr_diag_set(
                diag, MR_ERR_REFUSED, 0,
                "E_STATE_FORMAT: %s: was written by a newer release (format %u); run "
                "that release",
                file->path, blocks[i].major);
        }
        if (states[i] == COPY_GOOD && (newest == NULL || blocks[i].sequence > newest->sequence)) {
            newest = &blocks[i];
        }
    }
    if (newest != NULL) {
        file->sequence = newest->sequence;
        file->shard_count = newest->shard_count;
        file->partition_count = newest->partition_count;
        file->is_fenced = (newest->flags & FLAG_FENCED) != 0;
        memcpy(file->worker_set, newest->worker_set, sizeof(file->worker_set));
        return MR_OK;
    }
    if (states[0] == COPY_BAD && states[1] == COPY_BAD) {
        return mr_diag_set(diag, MR_ERR_REFUSED, 0,
                           "E_STATE_DAMAGED: %s: neither of its two copies verifies; restore the "
                           "directory from a copy",
                           file->path);
    }
    return MR_OK; /* New, or its very first write was cut short. */
}

static copy_state read_copy(const mr_worker_file *file, uint32_t index, worker_block *block)
{
    worker_block test;
    uint8_t checksum[16];

    memset(block, 0, sizeof(*block));
    const ssize_t size = pread(file->descriptor, block, sizeof(*block), (off_t)index * BLOCK_BYTES);
    if (size == 0) {
        return COPY_ABSENT;
    }
    if (size != (ssize_t)sizeof(*block)) {
        return COPY_BAD;
    }
    memset(&test, 0, sizeof(test));
    if (memcmp(block, &test, sizeof(test)) == 0) {
        return COPY_ABSENT;
    }
    test = *block;
    memset(test.checksum, 0, sizeof(test.checksum));
    sum(&test, checksum);
    const bool is_whole = memcmp(block->magic, "MRWORKER", sizeof(block->magic)) == 0 &&
                          memcmp(checksum, block->checksum, sizeof(checksum)) == 0;
    if (is_whole && block->major > MAJOR) {
        return COPY_NEWER;
    }
    const bool is_possible = block->shard_count > 0 && block->shard_count <= MR_SHARDS_MAX &&
                             (block->sequence - 1) % COPIES == index &&
                             block->worker_set[sizeof(file->worker_set) - 1] == '\0';
    return is_whole && is_possible ? COPY_GOOD : COPY_BAD;
}

static void sum(const worker_block *block, uint8_t checksum[16])
{
    mr_hash128(block, sizeof(*block), CHECKSUM_SEED, checksum);
}

static mr_status failed(const mr_worker_file *file, const char *what, mr_diag *diag)
{
    return mr_diag_set(diag, MR_ERR_CONFIG, 0,
                       "E_STATE_DIRECTORY: %s %s: %s; give a writable folder with --state-dir",
                       file->path, what, strerror(errno));
}

/*
 * block_file.c - small files of a state directory: two blocks of 4 KiB, written in turn, each with
 * a sequence and a checksum, so that a torn write leaves the other. Locked for the life of the
 * process. Outside the store and its ring, as they are read before any ring exists: plain blocking
 * calls. Format: engine/state/FORMAT.md, last section. Thread: control, and a shard's in a start,
 * in a recovery, and while its epochs are limited (attempt.c).
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

enum { COPIES = 2, LOCK_TRIES = 25, LOCK_PAUSE_MS = 10, CHECKSUM_SEED = 1, MAGIC_BYTES = 8 };

typedef enum copy_state { COPY_ABSENT, COPY_BAD, COPY_GOOD, COPY_NEWER } copy_state;

static mr_status check(const mr_block_file *file, mr_diag *diag);
static mr_status lock(const mr_block_file *file, mr_diag *diag);
static mr_status read_copies(mr_block_file *file, const mr_block_kind *kind, mr_block *newest,
                             mr_diag *diag);
static copy_state read_copy(const mr_block_file *file, const mr_block_kind *kind, uint32_t index,
                            mr_block *block);
static void sum(const mr_block *block, uint8_t checksum[16]);
static mr_status failed(const mr_block_file *file, const char *what, mr_diag *diag);

bool mr_folder_make(const char *path)
{
    char parent[MR_PATH_BYTES_MAX];

    if (mkdir(path, 0700) != 0) {
        return errno == EEXIST;
    }
    const char *slash = strrchr(path, '/');
    const int size = slash == NULL ? 0 : (int)(slash - path);
    (void)snprintf(parent, sizeof(parent), "%.*s%s", size, path,
                   slash == NULL   ? "."
                   : slash == path ? "/"
                                   : "");
    const int descriptor = open(parent, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (descriptor < 0) {
        return false;
    }
    const bool is_synced = fsync(descriptor) == 0;
    const int error = errno;
    (void)close(descriptor);
    errno = error;
    return is_synced;
}

mr_status mr_block_file_open(mr_block_file *file, const mr_block_kind *kind, const char *directory,
                             const char *name, mr_block *newest, mr_diag *diag)
{
    *file = (mr_block_file){.descriptor = -1};
    memset(newest, 0, sizeof(*newest));
    const int size = snprintf(file->path, sizeof(file->path), "%s/%s", directory, name);
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
        status = read_copies(file, kind, newest, diag);
    }
    if (status != MR_OK) {
        mr_block_file_close(file);
    }
    return status;
}

mr_status mr_block_file_write(mr_block_file *file, const mr_block_kind *kind, mr_block *block,
                              mr_diag *diag)
{
    MR_ASSERT(file->descriptor >= 0);
    memcpy(block->magic, kind->magic, MAGIC_BYTES);
    block->major = kind->major;
    /* The first time both, so that a lone torn block can only be of a file never used. */
    const uint32_t copies = file->sequence == 0 ? COPIES : 1;
    for (uint32_t i = 0; i < copies; i++) {
        block->sequence = file->sequence + 1; /* Again, if that write failed: not the other one. */
        memset(block->checksum, 0, sizeof(block->checksum));
        sum(block, block->checksum);
        const off_t at = (off_t)((block->sequence - 1) % COPIES * MR_BLOCK_BYTES);
        const ssize_t written = pwrite(file->descriptor, block, sizeof(*block), at);
        if (written != (ssize_t)sizeof(*block)) {
            errno = written >= 0 ? ENOSPC : errno;
            return failed(file, "cannot be written", diag);
        }
        if (fsync(file->descriptor) != 0) {
            return failed(file, "cannot be synced", diag);
        }
        file->sequence = block->sequence;
    }
    return MR_OK;
}

void mr_block_file_close(mr_block_file *file)
{
    if (file->descriptor >= 0) {
        close(file->descriptor);
        file->descriptor = -1;
    }
}

/* ---- Helpers ---- */

static mr_status check(const mr_block_file *file, mr_diag *diag)
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
static mr_status lock(const mr_block_file *file, mr_diag *diag)
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

static mr_status read_copies(mr_block_file *file, const mr_block_kind *kind, mr_block *newest,
                             mr_diag *diag)
{
    mr_block blocks[COPIES];
    copy_state states[COPIES];
    const mr_block *found = NULL;

    for (uint32_t i = 0; i < COPIES; i++) {
        states[i] = read_copy(file, kind, i, &blocks[i]);
        if (states[i] == COPY_NEWER) {
            return mr_diag_set(
                diag, MR_ERR_REFUSED, 0,
                "E_STATE_FORMAT: %s: was written by a newer release (format %u); run "
                "that release",
                file->path, blocks[i].major);
        }
        if (states[i] == COPY_GOOD && (found == NULL || blocks[i].sequence > found->sequence)) {
            found = &blocks[i];
        }
    }
    if (found != NULL) {
        file->sequence = found->sequence;
        *newest = *found;
        return MR_OK;
    }
    if (states[0] == COPY_BAD && states[1] == COPY_BAD) {
        return mr_diag_set(diag, MR_ERR_REFUSED, 0,
                           "E_STATE_DAMAGED: %s: neither of its two copies verifies; %s",
                           file->path, kind->remedy);
    }
    return MR_OK; /* New, or its very first write was cut short. */
}

static copy_state read_copy(const mr_block_file *file, const mr_block_kind *kind, uint32_t index,
                            mr_block *block)
{
    mr_block test;
    uint8_t checksum[16];

    memset(block, 0, sizeof(*block));
    const ssize_t size =
        pread(file->descriptor, block, sizeof(*block), (off_t)index * MR_BLOCK_BYTES);
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
    const bool is_whole = memcmp(block->magic, kind->magic, MAGIC_BYTES) == 0 &&
                          memcmp(checksum, block->checksum, sizeof(checksum)) == 0;
    if (is_whole && block->major > kind->major) {
        return COPY_NEWER;
    }
    const bool is_possible = (block->sequence - 1) % COPIES == index && kind->is_possible(block);
    return is_whole && is_possible ? COPY_GOOD : COPY_BAD;
}

static void sum(const mr_block *block, uint8_t checksum[16])
{
    mr_hash128(block, sizeof(*block), CHECKSUM_SEED, checksum);
}

static mr_status failed(const mr_block_file *file, const char *what, mr_diag *diag)
{
    if (errno == ENOSPC || errno == EDQUOT || errno == EFBIG) {
        return mr_diag_set(diag, MR_ERR_LIMIT, 0,
                           "E_STATE_NO_SPACE: %s %s: %s; free space on that filesystem", file->path,
                           what, strerror(errno));
    }
    return mr_diag_set(diag, MR_ERR_CONFIG, 0,
                       "E_STATE_DIRECTORY: %s %s: %s; give a writable folder with --state-dir",
                       file->path, what, strerror(errno));
}

/*
 * file.c - the real files of a store: opened safely, locked, grown, zero-filled, shrunk.
 *
 * State is somebody's data and the ground of exactly-once, so a folder or file that others could
 * swap or write is refused: symbolic links, another owner, group or world write. The lock is an
 * open-file-description lock on the byte of the shard in LOCK: shards of one process and a second
 * process on the same folder are told apart alike, and a reader's shared lock covers all shards.
 * Unlike flock it lets several shards of a process share the file. Names become durable with a sync
 * of the folder at each creating open, also when the file was there: the run that made it may have
 * died before its sync.
 *
 * Thread: any, one caller a descriptor.
 */
#define _GNU_SOURCE
#include "engine/base/assert.h"
#include "engine/base/memory.h"
#include "io/ring/ring_private.h"
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
    LOCK_TRIES = 26, /* 250 ms in all: requests in flight of a dead process hold the lock. */
    LOCK_PAUSE_MS = 10,
    ZERO_BYTES = 1 << 20,
    PATH_BYTES = 4096
};

static mr_status file_open(void *self, const char *path, uint32_t flags, int *descriptor,
                           uint64_t *size_bytes, mr_diag *diag);
static mr_status file_reserve(void *self, int descriptor, uint64_t offset, uint64_t size_bytes);
static mr_status file_zero_fill(void *self, int descriptor, uint64_t offset, uint64_t size_bytes);
static mr_status file_shrink(void *self, int descriptor, uint64_t size_bytes);
static void file_close(void *self, int descriptor);
static mr_status folder_of(const char *path, char folder[PATH_BYTES], mr_diag *diag);
static mr_status check_file(int descriptor, const char *path, uint64_t *size_bytes, mr_diag *diag);
static mr_status lock(int descriptor, const char *path, uint32_t flags, mr_diag *diag);
static mr_status sync_folder(const char *folder, mr_diag *diag);
static mr_status failed(mr_diag *diag, const char *path, const char *what);

const mr_file_type *mr_file_system(void)
{
    static const mr_file_type type = {.open = file_open,
                                      .reserve = file_reserve,
                                      .zero_fill = file_zero_fill,
                                      .shrink = file_shrink,
                                      .close = file_close};

    return &type;
}

mr_status mr_file_folder_check(const char *path, bool create, mr_diag *diag)
{
    struct stat stat;

    MR_ASSERT(path != NULL);
    if (create && mkdir(path, 0700) != 0 && errno != EEXIST) {
        return failed(diag, path, "cannot be made");
    }
    if (lstat(path, &stat) != 0) {
        if (errno == ENOENT && !create) {
            return mr_diag_set(diag, MR_ERR_REFUSED, 0,
                               "E_STATE_MISSING: %s: there is no such directory", path);
        }
        return failed(diag, path, "cannot be looked at");
    }
    if (!S_ISDIR(stat.st_mode)) {
        return mr_diag_set(diag, MR_ERR_REFUSED, 0,
                           "E_STATE_UNSAFE: %s: is not a directory (a symbolic link is refused "
                           "too); name the directory itself",
                           path);
    }
    if (stat.st_uid != geteuid()) {
        return mr_diag_set(diag, MR_ERR_REFUSED, 0,
                           "E_STATE_UNSAFE: %s: belongs to user %u, we run as %u; chown it or run "
                           "as its owner",
                           path, (unsigned)stat.st_uid, (unsigned)geteuid());
    }
    if ((stat.st_mode & (S_IWGRP | S_IWOTH)) != 0) {
        return mr_diag_set(diag, MR_ERR_REFUSED, 0,
                           "E_STATE_UNSAFE: %s: others may write to it (mode %03o); chmod 700 it",
                           path, (unsigned)(stat.st_mode & 0777));
    }
    return MR_OK;
}

int mr_file_probe_open(const char *folder, bool direct)
{
    char path[PATH_BYTES];
    const int flags = O_RDWR | O_CLOEXEC | (direct ? O_DIRECT : 0);

    int descriptor = open(folder, flags | O_TMPFILE, 0600);
    if (descriptor >= 0 || (errno != EOPNOTSUPP && errno != EISDIR && errno != EINVAL)) {
        return descriptor;
    }
    const int size = snprintf(path, sizeof(path), "%s/.probe-%d", folder, (int)getpid());
    if (size < 0 || size >= PATH_BYTES) {
        errno = ENAMETOOLONG;
        return -1;
    }
    descriptor = open(path, flags | O_CREAT | O_EXCL | O_NOFOLLOW, 0600);
    const int error = errno;
    if (descriptor >= 0) {
        (void)unlink(path);
    }
    errno = error;
    return descriptor;
}

const char *mr_io_error_text(int32_t error, char text[128])
{
    const char *words = strerror_r(error, text, 128);

    if (words != text) {
        (void)snprintf(text, 128, "%s", words);
    }
    return text;
}

/* ---- The type's functions ---- */

static mr_status file_open(void *self, const char *path, uint32_t flags, int *descriptor,
                           uint64_t *size_bytes, mr_diag *diag)
{
    const bool create = (flags & MR_FILE_CREATE) != 0;
    const bool read_only = (flags & MR_FILE_READ_ONLY) != 0;
    char folder[PATH_BYTES];

    (void)self;
    MR_ASSERT(!(create && read_only));
    mr_status status = folder_of(path, folder, diag);
    if (status == MR_OK) {
        status = mr_file_folder_check(folder, create, diag);
    }
    if (status != MR_OK) {
        return status;
    }
    const int how =
        (read_only ? O_RDONLY : O_RDWR) | (create ? O_CREAT : 0) | O_CLOEXEC | O_NOFOLLOW;
    const bool is_lock = (flags & MR_FILE_LOCK) != 0;
    int opened = open(path, how | (is_lock ? 0 : O_DIRECT), 0600);
    if (opened < 0 && errno == EINVAL && !is_lock) {
        opened = open(path, how, 0600); /* A filesystem without O_DIRECT: the thread pool's case. */
    }
    if (opened < 0) {
        if (errno == ENOENT) {
            return mr_diag_set(diag, MR_ERR_REFUSED, 0,
                               "E_STATE_MISSING: %s: there is no such file; is this the state "
                               "directory of an application?",
                               path);
        }
        return failed(diag, path,
                      errno == ELOOP ? "is a symbolic link, which is refused" : "cannot be opened");
    }
    status = check_file(opened, path, size_bytes, diag);
    if (status == MR_OK && is_lock) {
        status = lock(opened, path, flags, diag);
    }
    if (status == MR_OK && create) {
        status = sync_folder(folder, diag);
    }
    if (status != MR_OK) {
        (void)close(opened);
        return status;
    }
    *descriptor = opened;
    return MR_OK;
}

static mr_status file_reserve(void *self, int descriptor, uint64_t offset, uint64_t size_bytes)
{
    struct stat stat;

    (void)self;
    MR_ASSERT(size_bytes > 0);
    if (fstat(descriptor, &stat) != 0) {
        return MR_ERR_IO;
    }
    int error = EINTR;
    while (error == EINTR) { /* tmpfs lets signals through, also a stop and its end. */
        if (fallocate(descriptor, FALLOC_FL_KEEP_SIZE, (off_t)offset, (off_t)size_bytes) == 0) {
            return MR_OK;
        }
        error = errno;
    }
    if (error == EOPNOTSUPP) {
        return MR_OK; /* Zero-filling reserves just as well. */
    }
    /* A failed fallocate may keep blocks. */
    if (ftruncate(descriptor, stat.st_size) != 0) {
        return mr_file_space(errno);
    }
    return mr_file_space(error);
}

static mr_status file_zero_fill(void *self, int descriptor, uint64_t offset, uint64_t size_bytes)
{
    const mr_memory memory = mr_memory_system();

    (void)self;
    MR_ASSERT(offset % MR_IO_BLOCK_BYTES == 0 && size_bytes % MR_IO_BLOCK_BYTES == 0);
    uint8_t *zeros = memory.type->acquire(memory.self, ZERO_BYTES + MR_IO_BLOCK_BYTES, "zeros");
    if (zeros == NULL) {
        return MR_ERR_IO;
    }
    const uint8_t *aligned =
        zeros + (MR_IO_BLOCK_BYTES - (uintptr_t)zeros % MR_IO_BLOCK_BYTES) % MR_IO_BLOCK_BYTES;
    mr_status status = MR_OK;
    for (uint64_t done = 0; status == MR_OK && done < size_bytes;) {
        const uint64_t rest = size_bytes - done;
        const ssize_t written = pwrite(descriptor, aligned, rest < ZERO_BYTES ? rest : ZERO_BYTES,
                                       (off_t)(offset + done));
        if (written > 0 && written % MR_IO_BLOCK_BYTES == 0) {
            done += (uint64_t)written;
        } else if (written >= 0 || errno != EINTR) {
            status = mr_file_space(written < 0 ? errno : ENOSPC);
        }
    }
    if (status == MR_OK && fdatasync(descriptor) != 0) {
        status = MR_ERR_IO;
    }
    memory.type->release(memory.self, zeros, ZERO_BYTES + MR_IO_BLOCK_BYTES);
    return status;
}

static mr_status file_shrink(void *self, int descriptor, uint64_t size_bytes)
{
    (void)self;
    return ftruncate(descriptor, (off_t)size_bytes) == 0 ? MR_OK : MR_ERR_IO;
}

static void file_close(void *self, int descriptor)
{
    (void)self;
    MR_ASSERT(descriptor >= 0);
    (void)close(descriptor);
}

/* ---- Helpers ---- */

static mr_status folder_of(const char *path, char folder[PATH_BYTES], mr_diag *diag)
{
    const char *slash = strrchr(path, '/');
    const size_t size = slash == NULL ? 0 : (size_t)(slash - path);

    if (slash == NULL || size == 0 || size >= PATH_BYTES) {
        return mr_diag_set(diag, MR_ERR_REFUSED, 0,
                           "E_STATE_UNSAFE: %s: no usable path of a state file", path);
    }
    memcpy(folder, path, size);
    folder[size] = '\0';
    return MR_OK;
}

static mr_status check_file(int descriptor, const char *path, uint64_t *size_bytes, mr_diag *diag)
{
    struct stat stat;

    if (fstat(descriptor, &stat) != 0) {
        return failed(diag, path, "cannot be looked at");
    }
    if (!S_ISREG(stat.st_mode) || stat.st_uid != geteuid()) {
        return mr_diag_set(diag, MR_ERR_REFUSED, 0,
                           "E_STATE_UNSAFE: %s: is no regular file of user %u; restore it or use "
                           "another directory",
                           path, (unsigned)geteuid());
    }
    *size_bytes = (uint64_t)stat.st_size;
    return MR_OK;
}

static mr_status lock(int descriptor, const char *path, uint32_t flags, mr_diag *diag)
{
    const bool shared = (flags & MR_FILE_READ_ONLY) != 0;

    for (uint32_t i = 0; i < LOCK_TRIES; i++) {
        struct flock range = {.l_type = shared ? F_RDLCK : F_WRLCK,
                              .l_whence = SEEK_SET,
                              .l_start = shared ? 0 : (off_t)(flags >> MR_FILE_SHARD_SHIFT),
                              .l_len = shared ? 0 : 1};
        if (fcntl(descriptor, F_OFD_SETLK, &range) == 0) {
            return MR_OK;
        }
        if (errno != EAGAIN && errno != EACCES && errno != EINTR) {
            return failed(diag, path, "cannot be locked");
        }
        (void)poll(NULL, 0, LOCK_PAUSE_MS);
    }
    return mr_diag_set(diag, MR_ERR_REFUSED, 0,
                       "E_STATE_LOCKED: %s: another process uses this state directory; stop it, "
                       "or give this one its own (--state-dir)",
                       path);
}

static mr_status sync_folder(const char *folder, mr_diag *diag)
{
    const int descriptor = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (descriptor < 0) {
        return failed(diag, folder, "cannot be opened");
    }
    const mr_status status =
        fsync(descriptor) == 0 ? MR_OK : failed(diag, folder, "cannot be synced");
    (void)close(descriptor);
    return status;
}

static mr_status failed(mr_diag *diag, const char *path, const char *what)
{
    const int error = errno;
    char text[128];

    if (mr_file_space(error) == MR_ERR_FULL) {
        return mr_diag_set(diag, MR_ERR_LIMIT, 0,
                           "E_STATE_NO_SPACE: %s: %s: %s; free space on that filesystem", path,
                           what, mr_io_error_text(error, text));
    }
    return mr_diag_set(diag, MR_ERR_REFUSED, 0,
                       "E_STATE_IO: %s: %s: %s; check permissions and the disk", path, what,
                       strerror_r(error, text, sizeof(text)));
}

mr_status mr_file_space(int error)
{
    return error == ENOSPC || error == EDQUOT || error == EFBIG ? MR_ERR_FULL : MR_ERR_IO;
}

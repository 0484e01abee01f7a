/*
 * probe.c - which back-end works here: a real write, durable write, sync and read-back in the state
 * directory, because a ring that can be set up proves nothing (polled ones then fail every read).
 * Falling down the ladder is loud: the caller gets one sentence with cause and remedy.
 * Thread: the one that will own the ring.
 */
#define _GNU_SOURCE
#include "engine/base/assert.h"
#include "engine/base/memory.h"
#include "io/ring/ring_private.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { PROBE_WAITS_MAX = 100, PROBE_WAIT_US = 100 * 1000, PROBE_BYTES = 3 * MR_IO_BLOCK_BYTES };

static mr_status choose(mr_io_choice *choice, mr_diag *diag);
static mr_status open_probed(mr_io_choice choice, const char *directory, mr_io *io, mr_diag *diag);
static mr_status no_space(const char *folder, mr_diag *diag);
static mr_status one_request(const mr_io_raw_type *raw, void *self, const mr_io_request *request);
static mr_status write_and_read(const mr_io_raw_type *raw, void *self, int32_t file,
                                uint8_t *blocks);

mr_status mr_io_open(mr_io_choice choice, const char *directory, mr_io *io, char fallback[256],
                     mr_diag *diag)
{
    MR_ASSERT(directory != NULL && io != NULL && fallback != NULL);
    fallback[0] = '\0';
    *io = (mr_io){.files = mr_file_system()};
    if (choice == MR_IO_READER) {
        return mr_ring_threads_open(io, diag);
    }
    mr_status status = choose(&choice, diag);
    if (status == MR_OK) {
        status = mr_file_folder_check(directory, true, diag);
    }
    if (status != MR_OK || choice != MR_IO_AUTO) {
        return status != MR_OK ? status : open_probed(choice, directory, io, diag);
    }
    mr_diag cause;
    cause.text[0] = '\0';
    status = open_probed(MR_IO_URING, directory, io, &cause);
    if (status == MR_ERR_LIMIT) { /* A full disk is no reason for another back-end. */
        *diag = cause;
    }
    if (status == MR_OK || status == MR_ERR_LIMIT) {
        return status;
    }
    (void)snprintf(fallback, 256,
                   "%.150s; threads are used, at a higher price in CPU time; allow "
                   "io_uring, or set state.io: threads",
                   cause.text);
    return open_probed(MR_IO_THREADS, directory, io, diag);
}

mr_status mr_ring_probe(const mr_io_raw_type *raw, void *self, const char *folder, bool direct,
                        mr_diag *diag)
{
    const mr_memory memory = mr_memory_system();
    const int descriptor = mr_file_probe_open(folder, direct);
    char text[128];
    int32_t file = -1;

    if (descriptor < 0 && mr_file_space(errno) == MR_ERR_FULL) {
        return no_space(folder, diag);
    }
    if (descriptor < 0) {
        return mr_diag_set(diag, MR_ERR_IO, 0, "E_STATE_IO: %s: %s cannot open a file there: %s",
                           folder, raw->name, strerror_r(errno, text, sizeof(text)));
    }
    uint8_t *memory_block =
        memory.type->acquire(memory.self, PROBE_BYTES + MR_IO_BLOCK_BYTES, "probe");
    mr_status status = memory_block == NULL ? MR_ERR_MEMORY : raw->attach(self, descriptor, &file);
    if (status == MR_OK) {
        uint8_t *blocks =
            memory_block +
            (MR_IO_BLOCK_BYTES - (uintptr_t)memory_block % MR_IO_BLOCK_BYTES) % MR_IO_BLOCK_BYTES;
        status = write_and_read(raw, self, file, blocks);
    }
    if (memory_block != NULL) {
        memory.type->release(memory.self, memory_block, PROBE_BYTES + MR_IO_BLOCK_BYTES);
    }
    if (file >= 0) {
        raw->detach(self, file);
    }
    (void)close(descriptor);
    if (status == MR_ERR_FULL) {
        return no_space(folder, diag);
    }
    if (status != MR_OK) {
        return mr_diag_set(diag, MR_ERR_IO, 0,
                           "E_STATE_IO: %s: %s did not write, sync and read back there", folder,
                           raw->name);
    }
    return MR_OK;
}

/* ---- Helpers ---- */

/* MR_IO goes over the topology's word. */
static mr_status choose(mr_io_choice *choice, mr_diag *diag)
{
    const char *word = getenv("MR_IO");

    if (word == NULL || word[0] == '\0') {
        return MR_OK;
    }
    if (strcmp(word, "uring") == 0) {
        *choice = MR_IO_URING;
    } else if (strcmp(word, "threads") == 0) {
        *choice = MR_IO_THREADS;
    } else {
        return mr_diag_set(diag, MR_ERR_CONFIG, 0,
                           "MR_IO is \"%.40s\"; it must be uring or threads, or not be set", word);
    }
    return MR_OK;
}

static mr_status open_probed(mr_io_choice choice, const char *directory, mr_io *io, mr_diag *diag)
{
    mr_status status =
        choice == MR_IO_URING ? mr_ring_uring_open(io, diag) : mr_ring_threads_open(io, diag);
    if (status != MR_OK) {
        return status;
    }
    status = io->raw->probe(io->raw_self, directory, diag);
    if (status != MR_OK) {
        io->raw->close(io->raw_self);
        io->raw = NULL;
        io->raw_self = NULL;
    }
    return status;
}

static mr_status no_space(const char *folder, mr_diag *diag)
{
    return mr_diag_set(diag, MR_ERR_LIMIT, 0,
                       "E_STATE_NO_SPACE: %s: the filesystem is full: free space there and start "
                       "again",
                       folder);
}

/* Submits one request and waits for its full length; resubmits a short or refused one. */
static mr_status one_request(const mr_io_raw_type *raw, void *self, const mr_io_request *request)
{
    for (uint32_t tries = 0; tries <= MR_RING_RESUBMITS_MAX; tries++) {
        mr_io_raw_completion completion = {.tag = 0};
        if (raw->queue(self, request, 1) != 1 || raw->flush(self) != MR_OK) {
            return MR_ERR_IO;
        }
        uint32_t count = 0;
        for (uint32_t i = 0; i < PROBE_WAITS_MAX && count == 0; i++) {
            raw->wait(self, 1, PROBE_WAIT_US);
            count = raw->reap(self, &completion, 1);
        }
        if (count == 0) {
            return MR_ERR_IO;
        }
        if (completion.result < 0 && completion.result != -EAGAIN) {
            return mr_file_space((int)-completion.result);
        }
        if (completion.result == request->size_bytes) {
            return MR_OK;
        }
    }
    return MR_ERR_IO;
}

static mr_status write_and_read(const mr_io_raw_type *raw, void *self, int32_t file,
                                uint8_t *blocks)
{
    memset(blocks, 0x5a, MR_IO_BLOCK_BYTES);
    memset(blocks + MR_IO_BLOCK_BYTES, 0xa5, MR_IO_BLOCK_BYTES);
    const mr_io_request requests[] = {
        {.op = MR_IO_WRITE, .file = file, .buffer = blocks, .size_bytes = MR_IO_BLOCK_BYTES},
        {.op = MR_IO_WRITE_DURABLE,
         .file = file,
         .offset = MR_IO_BLOCK_BYTES,
         .buffer = blocks + MR_IO_BLOCK_BYTES,
         .size_bytes = MR_IO_BLOCK_BYTES},
        {.op = MR_IO_SYNC, .file = file},
        {.op = MR_IO_READ,
         .file = file,
         .offset = MR_IO_BLOCK_BYTES,
         .buffer = blocks + (size_t)2 * MR_IO_BLOCK_BYTES,
         .size_bytes = MR_IO_BLOCK_BYTES},
    };
    for (size_t i = 0; i < MR_LENGTH(requests); i++) {
        const mr_status status = one_request(raw, self, &requests[i]);
        if (status != MR_OK) {
            return status;
        }
    }
    return memcmp(blocks + MR_IO_BLOCK_BYTES, blocks + (size_t)2 * MR_IO_BLOCK_BYTES,
                  MR_IO_BLOCK_BYTES) == 0
               ? MR_OK
               : MR_ERR_IO;
}

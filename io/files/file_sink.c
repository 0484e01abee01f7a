/*
 * file_sink.c - rows as lines of a file, or of standard output.
 *
 * A batch is encoded into one buffer and written with as few write(2) calls as it fits. The file is
 * opened for appending, never emptied: what a run before it wrote stays. Lines have no key, so of
 * an update the new row is written, and a delete writes nothing; a NULL of format raw is an empty
 * line. After a failure rows are written again: at_least_once.
 *
 * Limit: a row of 2 MiB; a larger one goes to the error route.
 */
#define _GNU_SOURCE
#include "engine/base/arena.h"
#include "engine/base/assert.h"
#include "engine/batch/batch.h"
#include "io/files/files_private.h"
#include "io/format/format.h"
#include <errno.h>
#include <fcntl.h>
#include <millrace/version.h>
#include <poll.h>
#include <string.h>
#include <unistd.h>

enum { BUFFER_BYTES = 2 << 20, FILE_MODE = 0644 };

typedef struct file_spec {
    const char *path;
} file_spec;

typedef struct file_sink {
    const mr_plan_node *node;
    const char *path;
    mr_encoder *encoder;
    int descriptor; /* -1 = not open. */
    bool is_stdout;
    uint8_t *buffer;
    uint8_t *at; /* What is filled, up to here. */
} file_sink;

static mr_step write_out(file_sink *self, mr_task *task);
static mr_step failed(const file_sink *self, mr_task *task);

static mr_status file_plan(void *spec, mr_plan_node *node, mr_diag *diag)
{
    const file_spec *file = spec;

    (void)diag;
    return mr_file_path_test(node, file->path);
}

static mr_status file_open(void *self, const mr_plan_node *node, mr_task *task,
                           uint64_t epoch_committed)
{
    file_sink *file = self;
    const file_spec *spec = node->spec;
    const mr_sink_common *common = node->common;

    (void)epoch_committed;
    MR_ASSERT(common->delivery == MR_AT_LEAST_ONCE);
    *file = (file_sink){.node = node, .path = spec->path, .descriptor = -1};
    file->buffer = mr_arena_take(mr_task_arena(task), BUFFER_BYTES);
    if (file->buffer == NULL) {
        return mr_diag_set(mr_task_diag(task), MR_ERR_MEMORY, 0,
                           "no memory for sink %s: raise memory.total", node->name);
    }
    file->at = file->buffer;
    const mr_status status = mr_encoder_open(&file->encoder, common->format, common->format_spec,
                                             node->input, mr_task_arena(task), mr_task_diag(task));
    if (status != MR_OK) {
        return status;
    }
    file->is_stdout = strcmp(file->path, "-") == 0;
    file->descriptor = file->is_stdout
                           ? STDOUT_FILENO
                           : open(file->path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, FILE_MODE);
    if (file->descriptor < 0) {
        return mr_diag_set(mr_task_diag(task), MR_ERR_CONFIG, 0,
                           "sink %s: cannot open %s for writing: %s; check the path and its "
                           "permissions",
                           node->name, file->path, strerrordesc_np(errno));
    }
    return MR_OK;
}

static mr_step file_write(void *self, mr_task *task, uint64_t epoch, const mr_batch *in)
{
    file_sink *file = self;
    uint8_t *end = file->buffer + BUFFER_BYTES;

    (void)epoch;
    MR_ASSERT(file->at == file->buffer);
    for (uint32_t i = 0; i < in->selected_count; i++) {
        const uint32_t row = mr_batch_row(in, i);
        mr_view value = {0};
        if (in->change != NULL && in->change[row] == MR_CHANGE_OLD) {
            continue;
        }
        const uint64_t bound = (uint64_t)mr_encoder_bound(file->encoder, in, i) + 1;
        if (bound > BUFFER_BYTES) {
            mr_task_reject(task, in, row, MR_ROW_OUTPUT_TOO_LARGE);
            continue;
        }
        if (bound > (uint64_t)(end - file->at) && write_out(file, task) != MR_STEP_NEXT) {
            return MR_STEP_FAILED;
        }
        const uint32_t done = mr_encoder_run(file->encoder, in, i, 1, &value, &file->at, end - 1);
        MR_ASSERT(done == 1);
        *file->at++ = '\n';
    }
    return write_out(file, task);
}

static void file_close(void *self)
{
    file_sink *file = self;

    if (file->descriptor >= 0 && !file->is_stdout) {
        (void)close(file->descriptor); /* Every write was seen to succeed. */
    }
    file->descriptor = -1;
}

/* Writes the whole buffer and empties it. */
static mr_step write_out(file_sink *self, mr_task *task)
{
    const uint8_t *from = self->buffer;

    while (from < self->at) {
        const ssize_t written = write(self->descriptor, from, (size_t)(self->at - from));
        if (written >= 0) {
            from += written;
            continue;
        }
        if (errno == EAGAIN) {
            /* A pipe whose other end made it non-blocking: its reader sets the pace. */
            struct pollfd ready = {.fd = self->descriptor, .events = POLLOUT};
            if (poll(&ready, 1, -1) < 0 && errno != EINTR) {
                return failed(self, task);
            }
        } else if (errno != EINTR) {
            return failed(self, task);
        }
    }
    self->at = self->buffer;
    return MR_STEP_NEXT;
}

static mr_step failed(const file_sink *self, mr_task *task)
{
    return mr_task_fail(task, MR_ERR_IO, "sink %s: cannot write %s: %s", self->node->name,
                        self->path, strerrordesc_np(errno));
}

static const mr_option file_options[] = {
    {.name = "path",
     .kind = MR_OPTION_TEXT,
     .flags = MR_OPTION_REQUIRED,
     .offset = offsetof(file_spec, path),
     .summary = "A file to append to, or - for standard output."},
    {.name = "partition_by",
     .kind = MR_OPTION_REFUSED,
     .choices = "files by column values are not part of this release",
     .summary = "Folders by column values."},
};

const mr_sink_type mr_sink_file = {
    .head = {.abi_version = MR_OPERATOR_ABI,
             .struct_size = sizeof(mr_sink_type),
             .name = "file",
             .summary = "Lines of a file, or of standard output.",
             .options = file_options,
             .option_count = MR_LENGTH(file_options),
             .spec_size = sizeof(file_spec),
             .self_size = sizeof(file_sink),
             .flags = MR_SINK_BEST_EFFORT,
             .plan = file_plan,
             .close = file_close},
    .open = file_open,
    .write = file_write,
};

/*
 * file_source.c - lines of a file, or of standard input, as records.
 *
 * A line ends at its newline, which is not part of it; the last one needs none. A poll does at most
 * one read(2), and only if poll(2) says that it will not block: the descriptor's own flags are left
 * alone, as standard input may be shared with other programs. Lines are copied once, as a block,
 * into the batch's scratch, so the batch may live longer than the buffer's content.
 *
 * Of a line above `max_record` the beginning becomes a record, which the decoder refuses for its
 * size; the rest of the line is passed over. meta.offset counts lines from 0, meta.timestamp is the
 * wall clock of the batch, meta.topic the source's name.
 */
#define _GNU_SOURCE
#include "engine/base/arena.h"
#include "engine/base/assert.h"
#include "engine/batch/batch.h"
#include "io/files/files_private.h"
#include "io/format/format.h"
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <millrace/version.h>
#include <poll.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { READ_BYTES = 256 << 10 };

typedef struct file_source {
    const mr_plan_node *node;
    mr_decoder *decoder;
    int descriptor; /* -1 = not open. */
    bool is_stdin, is_at_end;
    bool is_skipping; /* Within the rest of a line that is too long. */
    uint8_t *buffer;
    uint32_t start, end, size_bytes; /* Unread bytes: start..end of size_bytes. */
    uint32_t record_bytes_max;
    uint64_t line; /* Of the next record, from 0. */
    mr_fetch fetch;
    mr_fetch_record records[MR_BATCH_ROWS_MAX];
    mr_row_error errors[MR_BATCH_ROWS_MAX];
    char path[MR_FILE_PATH_BYTES];
} file_source;

static mr_status open_decoder(file_source *self, mr_task *task);
static mr_status open_file(file_source *self, mr_task *task);
static mr_step fill(file_source *self, mr_task *task);
static uint32_t cut_lines(file_source *self, mr_task *task, uint32_t bytes_max, uint32_t *taken);
static bool next_line(const file_source *self, uint32_t at, mr_view *line, uint32_t *next);
static mr_step reject(file_source *self, mr_task *task, const mr_batch *out, uint32_t used);
static bool file_caught_up(const void *self);

static mr_status file_plan(void *spec, mr_plan_node *node, mr_diag *diag)
{
    const mr_file_source_spec *file = spec;

    if (file->record_bytes_max == 0 || file->record_bytes_max > MR_FILE_RECORD_BYTES_MAX) {
        return mr_plan_error(node, "max_record", 106, "write a size from 1B to 1MiB",
                             "max_record of a file is at most 1MiB");
    }
    (void)diag;
    return mr_file_path_test(node, file->path);
}

static mr_status file_open(void *self, const mr_plan_node *node, mr_task *task,
                           const mr_position *from)
{
    file_source *file = self;
    const mr_file_source_spec *spec = node->spec;

    MR_ASSERT(from == NULL && node->common != NULL);
    *file = (file_source){.node = node, .descriptor = -1};
    file->record_bytes_max = (uint32_t)spec->record_bytes_max;
    file->size_bytes = file->record_bytes_max + READ_BYTES;
    file->buffer = mr_arena_take(mr_task_arena(task), file->size_bytes);
    if (file->buffer == NULL) {
        return mr_diag_set(mr_task_diag(task), MR_ERR_MEMORY, 0,
                           "no memory for source %s: raise memory.total", node->name);
    }
    const mr_status status = open_decoder(file, task);
    return status == MR_OK ? open_file(file, task) : status;
}

static mr_step file_poll(void *self, mr_task *task, mr_batch *out)
{
    file_source *file = self;
    uint8_t *room = NULL;
    uint8_t *room_end = NULL;
    uint32_t taken = 0;
    uint32_t used = 0;

    mr_batch_scratch_room(out, &room, &room_end);
    /* The other half is for what the decoder unescapes. */
    const size_t half = (size_t)(room_end - room) / 2;
    const uint32_t allowed = mr_task_bytes_max(task);
    const uint32_t bytes_max = half < allowed ? (uint32_t)half : allowed;
    MR_ASSERT(half >= file->size_bytes);
    uint32_t count = cut_lines(file, task, bytes_max, &taken);
    if (count == 0) {
        const mr_step step = fill(file, task);
        if (step == MR_STEP_FAILED || step == MR_STEP_WAIT) {
            return step;
        }
        count = cut_lines(file, task, bytes_max, &taken);
        if (count == 0) {
            /* An empty batch: the line goes on, so poll again. */
            return file_caught_up(file) ? MR_STEP_END : MR_STEP_NEXT;
        }
    }
    uint8_t *block = mr_batch_scratch(out, taken);
    MR_ASSERT(block != NULL);
    memcpy(block, file->buffer + file->start, taken);
    for (uint32_t i = 0; i < count; i++) {
        file->records[i].value.bytes =
            block + (file->records[i].value.bytes - (file->buffer + file->start));
    }
    file->fetch.record_count = count;
    const mr_status status =
        mr_decoder_run(file->decoder, &file->fetch, 0, count, out, file->errors, &used);
    if (status != MR_OK) {
        return mr_task_fail(task, status, "source %s: %s:%" PRIu64 ": the event time fails",
                            file->node->name, file->path, file->line + 1);
    }
    /* What did not fit stays in the buffer: the block ends where the next record begins. */
    const uint32_t consumed =
        used == count ? taken : (uint32_t)(file->records[used].value.bytes - block);
    file->start += consumed;
    const mr_step step = reject(file, task, out, used);
    file->line += used;
    return step;
}

static void file_position(const void *self, mr_position *next)
{
    const file_source *file = self;

    memcpy(next->bytes, &file->line, sizeof(file->line));
    next->size_bytes = sizeof(file->line);
}

static bool file_caught_up(const void *self)
{
    const file_source *file = self;

    return file->is_at_end && file->start == file->end;
}

static void file_close(void *self)
{
    file_source *file = self;

    mr_decoder_close(file->decoder);
    file->decoder = NULL;
    if (file->descriptor >= 0 && !file->is_stdin) {
        (void)close(file->descriptor); /* Read only: nothing can be lost. */
    }
    file->descriptor = -1;
}

static mr_status open_decoder(file_source *self, mr_task *task)
{
    const mr_decoder_options options = {.common = self->node->common,
                                        .topic = self->node->name,
                                        .record_bytes_max = self->record_bytes_max};

    self->fetch = (mr_fetch){.topic = MR_NO_INDEX,
                             .partition = (int32_t)mr_task_partition(task),
                             .records = self->records};
    return mr_decoder_open(&self->decoder, &options, mr_task_arena(task), mr_task_diag(task));
}

static mr_status open_file(file_source *self, mr_task *task)
{
    struct stat facts = {0};
    uint32_t count = 0;
    const mr_status status =
        mr_file_path(self->node, mr_task_partition(task), self->path, &count, mr_task_diag(task));

    if (status != MR_OK) {
        return status;
    }
    self->is_stdin = strcmp(self->path, "-") == 0;
    self->descriptor = self->is_stdin ? STDIN_FILENO : open(self->path, O_RDONLY | O_CLOEXEC);
    if (self->descriptor < 0 || fstat(self->descriptor, &facts) != 0) {
        return mr_diag_set(mr_task_diag(task), MR_ERR_CONFIG, 0,
                           "source %s: cannot open %s: %s; check the path", self->node->name,
                           self->path, strerrordesc_np(errno));
    }
    if (S_ISDIR(facts.st_mode)) {
        return mr_diag_set(mr_task_diag(task), MR_ERR_CONFIG, 0,
                           "source %s: %s is a folder; name files, such as %s/*.json",
                           self->node->name, self->path, self->path);
    }
    return S_ISREG(facts.st_mode) ? MR_OK : mr_task_watch(task, self->descriptor);
}

/* One read at most. NEXT: there is more, or the end was seen; WAIT: nothing now. */
static mr_step fill(file_source *self, mr_task *task)
{
    struct pollfd ready = {.fd = self->descriptor, .events = POLLIN};

    if (self->is_at_end) {
        return MR_STEP_NEXT;
    }
    if (self->start > 0) {
        memmove(self->buffer, self->buffer + self->start, self->end - self->start);
        self->end -= self->start;
        self->start = 0;
    }
    MR_ASSERT(self->end < self->size_bytes);
    const int polled = poll(&ready, 1, 0);
    if (polled == 0 || (polled < 0 && errno == EINTR)) {
        return MR_STEP_WAIT;
    }
    const ssize_t got =
        read(self->descriptor, self->buffer + self->end, self->size_bytes - self->end);
    if (got < 0 && (errno == EINTR || errno == EAGAIN)) {
        return MR_STEP_WAIT;
    }
    if (got < 0) {
        return mr_task_fail(task, MR_ERR_IO, "source %s: cannot read %s after line %" PRIu64 ": %s",
                            self->node->name, self->path, self->line, strerrordesc_np(errno));
    }
    self->is_at_end = got == 0;
    self->end += (uint32_t)got;
    return MR_STEP_NEXT;
}

/*
 * Whole lines at the front of the buffer as records, at least one if there is one, at most
 * `bytes_max` otherwise. `taken`: how many bytes they are with their newlines.
 */
static uint32_t cut_lines(file_source *self, mr_task *task, uint32_t bytes_max, uint32_t *taken)
{
    const int64_t now_ms = mr_task_wall_us(task) / 1000;
    const uint32_t rows_max = mr_task_rows_max(task);
    uint32_t count = 0;
    uint32_t at = 0;
    mr_view line = {0};
    uint32_t next = 0;

    MR_ASSERT(rows_max > 0 && rows_max <= MR_BATCH_ROWS_MAX);
    if (self->is_skipping) {
        const uint8_t *newline = memchr(self->buffer + self->start, '\n', self->end - self->start);
        self->is_skipping = newline == NULL && !self->is_at_end;
        self->start = newline == NULL ? self->end : (uint32_t)(newline + 1 - self->buffer);
    }
    at = self->start;
    while (count < rows_max && next_line(self, at, &line, &next)) {
        /* Of a line that is too long only the beginning is here. It travels alone: the decoder then
         * surely takes it, and its rest can be passed over. */
        const bool is_cut = next == self->end && !self->is_at_end && next - at == line.size_bytes;
        if (count > 0 && (is_cut || next - self->start > bytes_max)) {
            break;
        }
        self->records[count] = (mr_fetch_record){
            .value = line, .offset = (int64_t)(self->line + count), .timestamp_ms = now_ms};
        count++;
        at = next;
        if (is_cut) {
            self->is_skipping = true;
            break;
        }
    }
    *taken = at - self->start;
    return count;
}

/*
 * The line at `at`, and where the next one begins; of a line that is too long, as much as shows it.
 * False = there is no whole line yet.
 */
static bool next_line(const file_source *self, uint32_t at, mr_view *line, uint32_t *next)
{
    const uint8_t *from = self->buffer + at;
    const uint32_t left = self->end - at;
    const uint8_t *newline = left == 0 ? NULL : memchr(from, '\n', left);

    MR_ASSERT(at <= self->end);
    if (newline != NULL) {
        *line = (mr_view){.bytes = from, .size_bytes = (uint32_t)(newline - from)};
        *next = at + line->size_bytes + 1;
        return true;
    }
    *line = (mr_view){.bytes = from, .size_bytes = left};
    *next = self->end;
    return left > self->record_bytes_max || (left > 0 && self->is_at_end);
}

/* Bad rows go to the error route; a route that says stop ends here, where the line is known. */
static mr_step reject(file_source *self, mr_task *task, const mr_batch *out, uint32_t used)
{
    for (uint32_t row = 0; row < used; row++) {
        const mr_row_error error = self->errors[row];
        if (error == MR_ROW_OK) {
            continue;
        }
        const char *column = mr_decoder_blame(self->decoder, row, error);
        if (self->node->on_error.kind == MR_ROUTE_STOP) {
            return mr_task_fail(task, MR_ERR_ROW,
                                "E_ROW_REJECTED: %s:%" PRIu64 ": %s rejected the line: %s%s%s "
                                "(%s); give the source an on_error route, or mend the line",
                                self->path, self->line + row + 1, self->node->name,
                                mr_row_error_text(error), column != NULL ? ": " : "",
                                column != NULL ? column : "", mr_row_error_name(error));
        }
        mr_task_reject_column(task, out, row, error, column);
    }
    return MR_STEP_NEXT;
}

static const mr_option file_options[] = {
    {.name = "path",
     .kind = MR_OPTION_TEXT,
     .flags = MR_OPTION_REQUIRED,
     .offset = offsetof(mr_file_source_spec, path),
     .summary =
         "A file, a pattern whose sorted files are the partitions, or - for standard input."},
    {.name = "max_record",
     .kind = MR_OPTION_SIZE,
     .fallback = "1MiB",
     .offset = offsetof(mr_file_source_spec, record_bytes_max),
     .summary = "A longer line is a decode error."},
};

const mr_source_type mr_source_file = {
    .head = {.abi_version = MR_OPERATOR_ABI,
             .struct_size = sizeof(mr_source_type),
             .name = "file",
             .summary = "Lines of files, or of standard input.",
             .options = file_options,
             .option_count = MR_LENGTH(file_options),
             .spec_size = sizeof(mr_file_source_spec),
             .self_size = sizeof(file_source),
             .plan = file_plan,
             .close = file_close},
    .open = file_open,
    .poll = file_poll,
    .position = file_position,
    .caught_up = file_caught_up,
};

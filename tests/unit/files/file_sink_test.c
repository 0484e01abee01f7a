/* file_sink_test.c - rows as lines: appended, updates, partial writes, rows too large, failures. */
#define _GNU_SOURCE
#include "engine/batch/batch.h"
#include "io/files/files.h"
#include "io/format/format.h"
#include "tests/support/batch_text.h"
#include "tests/unit/files/task_fake.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

typedef struct sink {
    mr_arena *arena;
    mr_task task;
    mr_plan_node node;
    mr_sink_common common;
    const char *path; /* The spec: its first and only option. */
    void *self;
    char file[64];
} sink;

static void begin(sink *self, const mr_format_type *format, const mr_schema *schema,
                  mr_arena *arena)
{
    memset(self, 0, sizeof(*self));
    self->arena = arena;
    self->task = task_make(arena);
    self->common = (mr_sink_common){.format = format, .delivery = MR_AT_LEAST_ONCE};
    snprintf(self->file, sizeof(self->file), "/tmp/millrace_test_XXXXXX");
    const int descriptor = mkstemp(self->file);
    assert_true(descriptor >= 0);
    assert_int_equal(close(descriptor), 0);
    self->path = self->file;
    self->node = (mr_plan_node){.name = "out",
                                .kind = MR_NODE_SINK,
                                .spec = &self->path,
                                .common = &self->common,
                                .input = schema};
    self->self = mr_arena_take(arena, mr_sink_file.head.self_size);
    assert_non_null(self->self);
    assert_int_equal(mr_sink_file.head.spec_size, sizeof(self->path));
}

static char *content(const sink *self)
{
    static char text[4096];
    const int descriptor = open(self->file, O_RDONLY);
    const ssize_t size_bytes = read(descriptor, text, sizeof(text) - 1);

    assert_true(size_bytes >= 0);
    text[size_bytes] = '\0';
    assert_int_equal(close(descriptor), 0);
    return text;
}

static void test_lines_are_appended(void **state)
{
    mr_arena *arena = mr_arena_create(mr_memory_system(), 32 << 20, "test");
    const mr_schema *schema = mr_test_schema(arena, "a bigint, t text");
    sink self;

    (void)state;
    begin(&self, mr_formats[0], schema, arena);
    for (uint32_t run = 0; run < 2; run++) {
        assert_int_equal(mr_sink_file.open(self.self, &self.node, &self.task, 0), MR_OK);
        mr_batch *batch = mr_test_batch(arena, schema, "1|x\n2|left out\n3|\\N");
        mr_batch_selection(batch)[0] = 0;
        mr_batch_selection(batch)[1] = 2;
        mr_batch_select(batch, 2);
        assert_int_equal(mr_sink_file.write(self.self, &self.task, 1, batch), MR_STEP_NEXT);
        mr_sink_file.head.close(self.self);
    }
    assert_string_equal(content(&self), "{\"a\":1,\"t\":\"x\"}\n{\"a\":3,\"t\":null}\n"
                                        "{\"a\":1,\"t\":\"x\"}\n{\"a\":3,\"t\":null}\n");
    assert_int_equal(unlink(self.file), 0);
    mr_arena_destroy(arena);
}

static void test_updates_and_raw(void **state)
{
    mr_arena *arena = mr_arena_create(mr_memory_system(), 32 << 20, "test");
    const mr_schema *schema = mr_test_schema(arena, "t text");
    mr_batch *batch = mr_test_batch(arena, schema, "old\nnew\n\\N\ngone");
    static const uint8_t changes[] = {MR_CHANGE_OLD, MR_CHANGE_NEW, MR_CHANGE_INSERT,
                                      MR_CHANGE_OLD};
    sink self;

    (void)state;
    memcpy(mr_batch_changes(batch), changes, sizeof(changes));
    begin(&self, mr_formats[1], schema, arena);
    assert_int_equal(mr_sink_file.open(self.self, &self.node, &self.task, 0), MR_OK);
    assert_int_equal(mr_sink_file.write(self.self, &self.task, 1, batch), MR_STEP_NEXT);
    mr_sink_file.head.close(self.self);
    assert_string_equal(content(&self), "new\n\n");
    assert_int_equal(unlink(self.file), 0);
    mr_arena_destroy(arena);
}

typedef struct reader {
    int descriptor;
    uint64_t size_bytes, sum;
} reader;

static void *read_all(void *argument)
{
    reader *self = argument;
    uint8_t bytes[1000];
    ssize_t got = 0;

    while ((got = read(self->descriptor, bytes, sizeof(bytes))) > 0) {
        for (ssize_t i = 0; i < got; i++) {
            self->sum += (self->size_bytes + (uint64_t)i) * bytes[i];
        }
        self->size_bytes += (uint64_t)got;
    }
    return NULL;
}

/* A pipe holds 64 KiB, and its write end does not block: writes are partial, then refused. */
static void test_a_slow_reader(void **state)
{
    mr_arena *arena = mr_arena_create(mr_memory_system(), 64 << 20, "test");
    const mr_schema *schema = mr_test_schema(arena, "t text");
    mr_batch_pool *pool = mr_batch_pool_create(arena, schema, 1, 0, false);
    mr_batch *batch = mr_batch_take(pool);
    enum { ROWS = 700, TEXT_BYTES = 5000 };
    uint8_t *text = mr_arena_take(arena, TEXT_BYTES);
    uint64_t wanted = 0;
    int ends[2];
    sink self;
    pthread_t thread;

    (void)state;
    assert_int_equal(pipe2(ends, O_NONBLOCK), 0);
    assert_int_equal(fcntl(ends[0], F_SETFL, 0), 0);
    for (uint32_t i = 0; i < TEXT_BYTES; i++) {
        text[i] = (uint8_t)('a' + i % 26);
    }
    for (uint32_t row = 0; row < ROWS; row++) {
        ((mr_view *)mr_batch_cells(batch, 0))[row] = (mr_view){text, TEXT_BYTES - row};
        (void)mr_batch_event_times(batch);
    }
    mr_batch_set_rows(batch, ROWS);
    uint64_t at = 0;
    for (uint32_t row = 0; row < ROWS; row++) {
        for (uint32_t i = 0; i < TEXT_BYTES - row; i++) {
            wanted += at++ * text[i];
        }
        wanted += at++ * '\n';
    }
    begin(&self, mr_formats[1], schema, arena);
    const int kept = dup(STDOUT_FILENO);
    assert_int_equal(dup2(ends[1], STDOUT_FILENO), STDOUT_FILENO);
    self.path = "-";
    assert_int_equal(mr_sink_file.open(self.self, &self.node, &self.task, 0), MR_OK);
    reader slow = {.descriptor = ends[0]};
    assert_int_equal(pthread_create(&thread, NULL, read_all, &slow), 0);
    assert_int_equal(mr_sink_file.write(self.self, &self.task, 1, batch), MR_STEP_NEXT);
    mr_sink_file.head.close(self.self);
    assert_int_equal(dup2(kept, STDOUT_FILENO), STDOUT_FILENO);
    assert_int_equal(close(kept) | close(ends[1]), 0);
    assert_int_equal(pthread_join(thread, NULL), 0);
    assert_int_equal(slow.size_bytes, at);
    assert_true(slow.sum == wanted);
    assert_int_equal(close(ends[0]), 0);
    assert_int_equal(unlink(self.file), 0);
    mr_arena_destroy(arena);
}

static void test_a_row_too_large(void **state)
{
    mr_arena *arena = mr_arena_create(mr_memory_system(), 64 << 20, "test");
    const mr_schema *schema = mr_test_schema(arena, "t text");
    mr_batch *batch = mr_test_batch(arena, schema, "a\nb\nc");
    uint8_t *text = mr_arena_take(arena, 3 << 20);
    sink self;

    (void)state;
    ((mr_view *)mr_batch_cells(batch, 0))[1] = (mr_view){text, 3 << 20};
    begin(&self, mr_formats[1], schema, arena);
    assert_int_equal(mr_sink_file.open(self.self, &self.node, &self.task, 0), MR_OK);
    assert_int_equal(mr_sink_file.write(self.self, &self.task, 1, batch), MR_STEP_NEXT);
    mr_sink_file.head.close(self.self);
    assert_string_equal(content(&self), "a\nc\n");
    assert_int_equal(self.task.rejected_count, 1);
    assert_int_equal(self.task.rejected[0], MR_ROW_OUTPUT_TOO_LARGE);
    assert_int_equal(unlink(self.file), 0);
    mr_arena_destroy(arena);
}

static void test_failures(void **state)
{
    mr_arena *arena = mr_arena_create(mr_memory_system(), 32 << 20, "test");
    const mr_schema *schema = mr_test_schema(arena, "t text");
    mr_batch *batch = mr_test_batch(arena, schema, "a");
    sink self;

    (void)state;
    begin(&self, mr_formats[1], schema, arena);
    self.path = "/nowhere/at/all";
    assert_int_equal(mr_sink_file.open(self.self, &self.node, &self.task, 0), MR_ERR_CONFIG);
    assert_non_null(strstr(self.task.diag.text, "No such file or directory"));
    mr_sink_file.head.close(self.self);
    self.path = "/dev/full";
    assert_int_equal(mr_sink_file.open(self.self, &self.node, &self.task, 0), MR_OK);
    assert_int_equal(mr_sink_file.write(self.self, &self.task, 1, batch), MR_STEP_FAILED);
    assert_int_equal(self.task.diag.status, MR_ERR_IO);
    assert_non_null(strstr(self.task.diag.text, "/dev/full: No space left on device"));
    mr_sink_file.head.close(self.self);
    assert_int_equal(unlink(self.file), 0);
    mr_arena_destroy(arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_lines_are_appended), cmocka_unit_test(test_updates_and_raw),
        cmocka_unit_test(test_a_slow_reader),      cmocka_unit_test(test_a_row_too_large),
        cmocka_unit_test(test_failures),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

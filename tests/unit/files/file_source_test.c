/*
 * file_source_test.c - lines of files, patterns and pipes: split at every place, ends without a
 * newline, lines too long, bad rows, and what cannot be opened.
 */
#define _GNU_SOURCE
#include "io/files/files.h"
#include "io/files/files_private.h"
#include "tests/unit/files/task_fake.h"
#include "tests/unit/format/source_fixture.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { SOURCE_SCRATCH_BYTES = 4 << 20, OUTPUT_MAX = 1 << 16 };

typedef struct source {
    fixture fixture; /* Its columns and arena; the decoder is the source's own. */
    mr_task task;
    mr_plan_node node;
    mr_file_source_spec spec;
    void *self;
    mr_batch *out;
    char folder[64];
} source;

static void begin(source *self, const mr_format_type *format, const char *columns)
{
    memset(self, 0, sizeof(*self));
    fixture_begin(&self->fixture, format, columns);
    snprintf(self->folder, sizeof(self->folder), "/tmp/millrace_test_XXXXXX");
    assert_non_null(mkdtemp(self->folder));
    self->task = task_make(self->fixture.arena);
    self->spec.record_bytes_max = 1 << 20;
    self->node = (mr_plan_node){.name = "lines",
                                .kind = MR_NODE_SOURCE,
                                .source = &mr_source_file,
                                .spec = &self->spec,
                                .common = &self->fixture.common,
                                .on_error = {.kind = MR_ROUTE_DROP}};
    self->self = mr_arena_take(self->fixture.arena, mr_source_file.head.self_size);
    assert_non_null(self->self);
    self->out = mr_batch_take(mr_batch_pool_create(self->fixture.arena, self->fixture.schema, 1,
                                                   SOURCE_SCRATCH_BYTES, false));
}

static const char *path_of(source *self, const char *name)
{
    return mr_arena_print(self->fixture.arena, "%s/%s", self->folder, name);
}

static void write_file(source *self, const char *name, const char *bytes, size_t size_bytes)
{
    FILE *file = fopen(path_of(self, name), "w");

    assert_non_null(file);
    assert_int_equal(fwrite(bytes, 1, size_bytes, file), size_bytes);
    assert_int_equal(fclose(file), 0);
}

static mr_status open_source(source *self)
{
    return mr_source_file.open(self->self, &self->node, &self->task, NULL);
}

/* Polls until something else than NEXT comes; the rows of all batches are added to `text`. */
static mr_step drain(source *self, char text[OUTPUT_MAX])
{
    mr_step step = MR_STEP_NEXT;
    size_t size_bytes = strlen(text);

    for (uint32_t turn = 0; step == MR_STEP_NEXT && turn < 10000; turn++) {
        mr_batch_clear(self->out);
        step = mr_source_file.poll(self->self, &self->task, self->out);
        if (step == MR_STEP_NEXT && self->out->selected_count > 0) {
            size_bytes += (size_t)snprintf(text + size_bytes, OUTPUT_MAX - size_bytes, "%s\n",
                                           mr_test_rows(self->fixture.arena, self->out));
            assert_true(size_bytes < OUTPUT_MAX);
        }
    }
    assert_true(step != MR_STEP_NEXT);
    return step;
}

static void end(source *self)
{
    static const char *const names[] = {"a", "b", "c"};

    mr_source_file.head.close(self->self);
    for (size_t i = 0; i < MR_LENGTH(names); i++) {
        (void)unlink(path_of(self, names[i])); /* Not every test makes all of them. */
    }
    assert_int_equal(rmdir(self->folder), 0);
    mr_arena_destroy(self->fixture.arena);
}

static void test_lines_and_the_last_without_newline(void **state)
{
    static const char *const texts[] = {"one\ntwo\n\nfour\n", "one\ntwo\n\nfour"};
    source self;

    (void)state;
    for (size_t i = 0; i < MR_LENGTH(texts); i++) {
        char text[OUTPUT_MAX] = "";
        begin(&self, mr_formats[1], "v text");
        write_file(&self, "a", texts[i], strlen(texts[i]));
        self.spec.path = path_of(&self, "a");
        assert_int_equal(open_source(&self), MR_OK);
        assert_false(mr_source_file.caught_up(self.self));
        assert_int_equal(drain(&self, text), MR_STEP_END);
        assert_string_equal(text, "one\ntwo\n\nfour\n");
        assert_true(mr_source_file.caught_up(self.self));
        assert_int_equal(self.task.watched, -1);
        end(&self);
    }
}

static void test_an_empty_file(void **state)
{
    source self;
    char text[OUTPUT_MAX] = "";

    (void)state;
    begin(&self, mr_formats[1], "v text");
    write_file(&self, "a", "", 0);
    self.spec.path = path_of(&self, "a");
    assert_int_equal(open_source(&self), MR_OK);
    assert_int_equal(drain(&self, text), MR_STEP_END);
    assert_string_equal(text, "");
    end(&self);
}

static void test_meta_columns_and_positions(void **state)
{
    source self;
    char text[OUTPUT_MAX] = "";
    mr_position position = {0};
    uint64_t line = 0;

    (void)state;
    begin(&self, mr_formats[0], "a bigint, topic text, p bigint, o bigint, ts timestamptz");
    for (uint32_t i = 1; i < 5; i++) {
        static const mr_meta metas[] = {MR_META_TOPIC, MR_META_PARTITION, MR_META_OFFSET,
                                        MR_META_TIMESTAMP};
        self.fixture.fields[i].from = MR_FROM_META;
        self.fixture.fields[i].meta = metas[i - 1];
    }
    write_file(&self, "a", "{\"a\":1}\nbad\n{\"a\":3}", 19);
    self.spec.path = path_of(&self, "a");
    self.task.rows_max = 1;
    assert_int_equal(open_source(&self), MR_OK);
    assert_int_equal(drain(&self, text), MR_STEP_END);
    assert_string_equal(text, "1|lines|0|0|2026-01-01T00:00:05Z\n"
                              "3|lines|0|2|2026-01-01T00:00:05Z\n");
    assert_int_equal(self.task.rejected_count, 1);
    assert_int_equal(self.task.rejected[0], MR_ROW_DECODE_JSON);
    mr_source_file.position(self.self, &position);
    memcpy(&line, position.bytes, sizeof(line));
    assert_int_equal(line, 3);
    end(&self);
}

static void test_a_bad_line_stops_where_it_stands(void **state)
{
    source self;
    char text[OUTPUT_MAX] = "";

    (void)state;
    begin(&self, mr_formats[0], "a bigint");
    write_file(&self, "a", "{\"a\":1}\n{\"a\":2.5}\n", 18);
    self.spec.path = path_of(&self, "a");
    self.node.on_error.kind = MR_ROUTE_STOP;
    assert_int_equal(open_source(&self), MR_OK);
    assert_int_equal(drain(&self, text), MR_STEP_FAILED);
    assert_int_equal(self.task.diag.status, MR_ERR_ROW);
    assert_non_null(strstr(self.task.diag.text, "/a:2: lines rejected the line"));
    assert_non_null(strstr(self.task.diag.text, "(DECODE_TYPE)"));
    end(&self);
}

/* Around the limit, with the newline before, at and behind it; the neighbours are untouched. */
static void test_lines_that_are_too_long(void **state)
{
    static char bytes[1 << 20];

    (void)state;
    for (uint32_t size = 9; size <= 800000; size = size < 12 ? size + 1 : size * 9) {
        for (uint32_t with_newline = 0; with_newline < 2; with_newline++) {
            source self;
            char text[OUTPUT_MAX] = "";
            begin(&self, mr_formats[1], "v text");
            self.spec.record_bytes_max = 10;
            memset(bytes, 'x', sizeof(bytes));
            memcpy(bytes, "first\n", 6);
            memcpy(bytes + 6 + size, "\nlast\n", 6);
            write_file(&self, "a", bytes, with_newline ? 6 + size + 6 : 6 + size);
            self.spec.path = path_of(&self, "a");
            assert_int_equal(open_source(&self), MR_OK);
            assert_int_equal(drain(&self, text), MR_STEP_END);
            char wanted[64];
            snprintf(wanted, sizeof(wanted), "first\n%s%s",
                     size == 9    ? "xxxxxxxxx\n"
                     : size == 10 ? "xxxxxxxxxx\n"
                                  : "",
                     with_newline ? "last\n" : "");
            assert_string_equal(text, wanted);
            assert_int_equal(self.task.rejected_count, size > 10);
            assert_true(size <= 10 || self.task.rejected[0] == MR_ROW_TOO_LARGE);
            end(&self);
        }
    }
}

static void test_many_lines_over_many_reads(void **state)
{
    source self;
    enum { LINES = 60000 };
    uint64_t count = 0;
    mr_step step = MR_STEP_NEXT;

    (void)state;
    begin(&self, mr_formats[0], "a bigint, t text");
    FILE *file = fopen(path_of(&self, "a"), "w");
    assert_non_null(file);
    for (int i = 0; i < LINES; i++) {
        fprintf(file, "{\"a\":%d,\"t\":\"%*d\\n\"}\n", i, i % 50, i);
    }
    assert_int_equal(fclose(file), 0);
    self.spec.path = path_of(&self, "a");
    self.task.bytes_max = 5000;
    assert_int_equal(open_source(&self), MR_OK);
    while (step == MR_STEP_NEXT) {
        mr_batch_clear(self.out);
        step = mr_source_file.poll(self.self, &self.task, self.out);
        for (uint32_t row = 0; step == MR_STEP_NEXT && row < self.out->row_count; row++) {
            char wanted[64];
            snprintf(wanted, sizeof(wanted), "%*d\n", (int)count % 50, (int)count);
            assert_int_equal(self.out->columns[0].as.integers[row], count);
            assert_int_equal(self.out->columns[1].as.views[row].size_bytes, strlen(wanted));
            assert_memory_equal(self.out->columns[1].as.views[row].bytes, wanted, strlen(wanted));
            count++;
        }
    }
    assert_int_equal(step, MR_STEP_END);
    assert_int_equal(count, LINES);
    end(&self);
}

static void test_a_pipe_in_pieces(void **state)
{
    source self;
    char text[OUTPUT_MAX] = "";

    (void)state;
    begin(&self, mr_formats[1], "v text");
    assert_int_equal(mkfifo(path_of(&self, "a"), 0600), 0);
    const int writer = open(path_of(&self, "a"), O_RDWR);
    assert_true(writer >= 0);
    self.spec.path = path_of(&self, "a");
    assert_int_equal(open_source(&self), MR_OK);
    assert_true(self.task.watched >= 0);
    assert_int_equal(drain(&self, text), MR_STEP_WAIT);
    for (const char *at = "one\ntwo"; *at != '\0'; at++) {
        assert_int_equal(write(writer, at, 1), 1);
        assert_int_equal(drain(&self, text), MR_STEP_WAIT);
    }
    assert_string_equal(text, "one\n");
    assert_false(mr_source_file.caught_up(self.self));
    assert_int_equal(close(writer), 0);
    assert_int_equal(drain(&self, text), MR_STEP_END);
    assert_string_equal(text, "one\ntwo\n");
    end(&self);
}

static void test_patterns_are_partitions(void **state)
{
    source self;
    uint32_t count = 0;
    mr_diag diag = {0};
    mr_plan_node other = {.kind = MR_NODE_SOURCE};

    (void)state;
    begin(&self, mr_formats[1], "v text");
    write_file(&self, "c", "C", 1);
    write_file(&self, "a", "A", 1);
    write_file(&self, "b", "B", 1);
    self.spec.path = path_of(&self, "[a-c]");
    assert_int_equal(mr_file_partitions(&self.node, &count, &diag), MR_OK);
    assert_int_equal(count, 3);
    for (uint32_t i = 0; i < 3; i++) {
        char text[OUTPUT_MAX] = "";
        char wanted[3] = {(char)('A' + i), '\n', '\0'};
        self.task.partition = i;
        assert_int_equal(open_source(&self), MR_OK);
        assert_int_equal(drain(&self, text), MR_STEP_END);
        assert_string_equal(text, wanted);
        mr_source_file.head.close(self.self);
    }
    self.task.partition = 3;
    assert_int_equal(open_source(&self), MR_ERR_CONFIG);
    assert_non_null(strstr(self.task.diag.text, "have gone"));
    self.spec.path = path_of(&self, "x*");
    assert_int_equal(mr_file_partitions(&self.node, &count, &diag), MR_ERR_CONFIG);
    assert_non_null(strstr(diag.text, "no file matches"));
    self.spec.path = "-";
    assert_int_equal(mr_file_partitions(&self.node, &count, &diag), MR_OK);
    assert_int_equal(count, 1);
    assert_int_equal(mr_file_partitions(&other, &count, &diag), MR_OK);
    assert_int_equal(count, 0);
    end(&self);
}

static void test_what_cannot_be_opened(void **state)
{
    source self;

    (void)state;
    begin(&self, mr_formats[1], "v text");
    self.spec.path = path_of(&self, "missing");
    assert_int_equal(open_source(&self), MR_ERR_CONFIG);
    assert_non_null(strstr(self.task.diag.text, "/missing: No such file or directory"));
    mr_source_file.head.close(self.self);
    self.spec.path = self.folder;
    assert_int_equal(open_source(&self), MR_ERR_CONFIG);
    assert_non_null(strstr(self.task.diag.text, "is a folder"));
    end(&self);
}

static void test_plans(void **state)
{
    mr_file_source_spec spec = {.path = "-", .record_bytes_max = MR_FILE_RECORD_BYTES_MAX};
    mr_plan_node node = {.spec = &spec};
    mr_diag diag = {0};

    (void)state;
    assert_int_equal(mr_source_file.head.plan(&spec, &node, &diag), MR_OK);
    spec.record_bytes_max++;
    assert_int_equal(mr_source_file.head.plan(&spec, &node, &diag), MR_ERR_CONFIG);
    spec.record_bytes_max = 0;
    assert_int_equal(mr_source_file.head.plan(&spec, &node, &diag), MR_ERR_CONFIG);
    spec.record_bytes_max = 1;
    char path[MR_FILE_PATH_BYTES + 1] = "";
    spec.path = path;
    assert_int_equal(mr_source_file.head.plan(&spec, &node, &diag), MR_ERR_CONFIG);
    memset(path, 'a', MR_FILE_PATH_BYTES - 1);
    assert_int_equal(mr_source_file.head.plan(&spec, &node, &diag), MR_OK);
    path[MR_FILE_PATH_BYTES - 1] = 'a';
    assert_int_equal(mr_source_file.head.plan(&spec, &node, &diag), MR_ERR_CONFIG);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_lines_and_the_last_without_newline),
        cmocka_unit_test(test_an_empty_file),
        cmocka_unit_test(test_meta_columns_and_positions),
        cmocka_unit_test(test_a_bad_line_stops_where_it_stands),
        cmocka_unit_test(test_lines_that_are_too_long),
        cmocka_unit_test(test_many_lines_over_many_reads),
        cmocka_unit_test(test_a_pipe_in_pieces),
        cmocka_unit_test(test_patterns_are_partitions),
        cmocka_unit_test(test_what_cannot_be_opened),
        cmocka_unit_test(test_plans),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

/*
 * aggregate_test.c - aggregate over a table in memory: results, halves, what is rejected, batches
 * that need several calls.
 *
 * A test begins with the columns of its input and what it selects, changes the fake task if it has
 * to, and starts.
 */
#include "tests/unit/operators/fake_task.h"

typedef struct aggregate_spec_mirror { /* operators/aggregate.c */
    mr_columns by;
    const mr_fold *fold;
    uint32_t emit;
} aggregate_spec_mirror;

enum { ON_COMMIT = 0, EVERY = 1 };

static const char columns[] = "k text, v bigint, m numeric(10,2), d double precision, t text";
static const uint16_t by_k[] = {0};

/* Of the running test. */
static fake *f;
static mr_schema *schema;
static aggregate_spec_mirror spec;
static char text[FAKE_TEXT_MAX]; /* What left last. */
static uint32_t calls;

static void make_spec(const uint16_t *by, uint32_t by_count, uint32_t emit,
                      const char *const *pairs)
{
    mr_diag diag = {0};

    spec = (aggregate_spec_mirror){.by = {.indexes = by, .count = by_count}, .emit = emit};
    if (fake_fold(f, schema, &spec.by, pairs, &spec.fold, &diag) != MR_OK) {
        print_error("%s\n", diag.text);
        fail();
    }
}

static void begin_by(const char *input, const uint16_t *by, uint32_t by_count, uint32_t emit,
                     const char *const *pairs)
{
    f = fake_create();
    schema = fake_schema(f, input, 1);
    text[0] = '\0';
    make_spec(by, by_count, emit, pairs);
}

static void begin(const char *input, uint32_t emit, const char *const *pairs)
{
    begin_by(input, by_k, 1, emit, pairs);
}

static void start(void)
{
    const mr_status status = fake_plan(f, &mr_op_aggregate, schema, &spec);
    if (status != MR_OK) {
        print_error("%s\n", f->error);
    }
    assert_int_equal(status, MR_OK);
    fake_open(f);
}

static void end(void)
{
    fake_destroy(f);
}

/* The batch is taken; what leaves at once goes to `text`. */
static void feed(const char *rows)
{
    text[0] = '\0';
    assert_int_equal(fake_process(f, mr_test_batch(f->arena, schema, rows), text, &calls),
                     MR_STEP_NEXT);
}

/* The same, of a batch whose results are too many or too long for `text`. */
static void feed_batch(const mr_batch *in)
{
    assert_int_equal(fake_process(f, in, NULL, &calls), MR_STEP_NEXT);
}

static void flush_gives(const char *rows)
{
    assert_int_equal(fake_flush(f, text, &calls), MR_STEP_NEXT);
    assert_string_equal(text, rows);
}

static const char *const all_folds[] = {
    "k",      "k",      "n",      "count(*)", "nv",     "count(v)", "sv",     "sum(v)", "av",
    "avg(v)", "lo",     "min(m)", "hi",       "max(m)", "sd",       "sum(d)", "ad",     "avg(d)",
    "tlo",    "min(t)", "thi",    "max(t)",   "am",     "avg(m)",   NULL};

static void results_on_commit(void **state)
{
    (void)state;
    begin(columns, ON_COMMIT, all_folds);
    start();
    assert_int_equal(f->table_spec.value_size_bytes, 0); /* Texts. */
    feed("a|1|1.50|0.5|pear\nb|10|\\N|\\N|\\N\na|2|-2.25|1.5|apple\na|\\N|0.10|\\N|plum\n");
    assert_string_equal(text, "");
    flush_gives("a|3|2|3|1.500000|-2.25|1.50|2|1|apple|plum|-0.216667\n"
                "b|1|1|10|10.000000|\\N|\\N|\\N|\\N|\\N|\\N|\\N\n");
    fake_commit(f);

    /* Only what changed leaves; a longer and a shorter text take the place of the stored ones. */
    feed("a|3|7.00|1|a\nc|1|1.00|1|x\na|3|7.00|1|strawberry\n");
    flush_gives("a|5|4|9|2.250000|-2.25|7.00|4|1|a|strawberry|2.670000\n"
                "c|1|1|1|1.000000|1.00|1.00|1|1|x|x|1.000000\n");
    fake_commit(f);
    flush_gives("");
    end();
}

/* What a filter leaves out is not even evaluated: the division by zero is none. */
static void filters(void **state)
{
    static const char *const pairs[] = {"k",   "",
                                        "n",   "count(*) filter (where v > 1)",
                                        "q",   "sum(12 / v) filter (where v <> 0)",
                                        "c",   "count(m) filter (where t like 'p%')",
                                        "hi",  "max(t) filter (where v < 3)",
                                        "all", "count(*)",
                                        NULL};

    (void)state;
    begin(columns, ON_COMMIT, pairs);
    start();
    feed(
        "a|1|1.50|0.5|pear\na|0|\\N|\\N|plum\na|3|1.00|1|zebra\na|\\N|1.00|1|pink\nb|0|1.00|1|x\n");
    assert_string_equal(text, "");
    flush_gives("a|1|16|2|plum|4\nb|0|\\N|0|x|1\n");
    end();
}

static void dates(void **state)
{
    static const char *const pairs[] = {
        "k", "", "lo", "min(v)", "hi", "max(v)", "days", "max(v) - min(v)", NULL};

    (void)state;
    begin("k date, v date", ON_COMMIT, pairs);
    start();
    feed("2026-01-01|2024-02-29\n2026-01-01|1969-12-31\n2026-01-02|\\N\n2026-01-01|1970-01-02\n");
    flush_gives("2026-01-01|1969-12-31|2024-02-29|19783\n2026-01-02|\\N|\\N|\\N\n");
    end();
}

/* Equal intervals have different texts; the last of them stays. */
static void intervals(void **state)
{
    static const char *const pairs[] = {
        "k", "", "lo", "min(v)", "hi", "max(v)", "sum", "max(v) + min(v)", "n", "count(v)", NULL};

    (void)state;
    begin("k bigint, v interval", ON_COMMIT, pairs);
    start();
    assert_int_equal(f->table_spec.value_size_bytes, 16 + 24 + 24 + 24 + 24 + 8);
    feed("1|1 mon\n1|29 days 23:59:59\n1|30 days\n1|\\N\n1|-00:00:01\n1|-1 days +23:59:59\n2|\\N\n"
         "3|178956970 years 7 mons\n3|-178956970 years\n");
    flush_gives("1|-1 days +23:59:59|30 days|29 days 23:59:59|5\n2|\\N|\\N|\\N|0\n"
                "3|-178956970 years|178956970 years 7 mons|7 mons|2\n");
    fake_commit(f);
    feed("1|30 days 00:00:00.000001\n1|29 days\n");
    flush_gives("1|-1 days +23:59:59|30 days 00:00:00.000001|29 days 23:59:59.000001|7\n");
    end();
}

/* Sums go to 38 digits at the scale of their argument, averages too; extremes keep all of them. */
static void all_digits(void **state)
{
    static const char *const pairs[] = {"k",      "",       "s",      "sum(h)", "a",
                                        "avg(h)", "lo",     "min(h)", "hi",     "max(h)",
                                        "sv",     "sum(v)", NULL};

    (void)state;
    begin("k bigint, h numeric(38,38), v bigint", EVERY, pairs);
    start();
    feed("1|0.99999999999999999999999999999999999998|9223372036854775807\n"
         "1|0.00000000000000000000000000000000000001|9223372036854775807\n"
         "1|0.00000000000000000000000000000000000001|0\n"
         "1|-0.99999999999999999999999999999999999999|-1\n");
    assert_string_equal(
        text, "1|0.99999999999999999999999999999999999998|0.99999999999999999999999999999999999998|"
              "0.99999999999999999999999999999999999998|0.99999999999999999999999999999999999998|"
              "9223372036854775807\n"
              "1|0.99999999999999999999999999999999999999|0.50000000000000000000000000000000000000|"
              "0.00000000000000000000000000000000000001|0.99999999999999999999999999999999999998|"
              "18446744073709551614\n"
              "1|0.00000000000000000000000000000000000000|0.00000000000000000000000000000000000000|"
              "-0.99999999999999999999999999999999999999|0.99999999999999999999999999999999999998|"
              "18446744073709551613\n");
    assert_string_equal(f->task.rejects, "2 22003;");
    end();
}

static void event_time_is_the_greatest(void **state)
{
    static const char *const pairs[] = {"k", "", "n", "count(*)", NULL};

    (void)state;
    begin(columns, ON_COMMIT, pairs);
    mr_batch *in = mr_test_batch(f->arena, schema, "a|1|1.00|1|x\na|1|1.00|1|x\nb|1|1.00|1|x\n");
    mr_batch_event_times(in)[0] = -5;
    mr_batch_event_times(in)[1] = -9;
    mr_batch_event_times(in)[2] = 3;
    start();
    assert_int_equal(f->table_spec.value_size_bytes, 24);
    feed_batch(in);
    assert_int_equal(fake_flush(f, text, &calls), MR_STEP_NEXT);
    assert_int_equal(f->out->event_time_us[0], -5);
    assert_int_equal(f->out->event_time_us[1], 3);
    end();
}

static void halves_on_commit(void **state)
{
    static const char *const pairs[] = {"k", "k", "hi", "max(v)", NULL};

    (void)state;
    begin(columns, ON_COMMIT, pairs);
    f->task.wants_old = true;
    start();
    feed("a|1|1.00|1|x\nb|5|1.00|1|x\n");
    flush_gives("a|1\nb|5\n");
    fake_commit(f);
    mr_batch *in = mr_test_batch(f->arena, schema, "a|9|1.00|1|x\nb|2|1.00|1|x\nc|0|1.00|1|x\n");
    for (uint32_t i = 0; i < 3; i++) {
        mr_batch_event_times(in)[i] = 0; /* So that b's record does not change at all. */
    }
    feed_batch(in);
    flush_gives("-a|1\n+a|9\nc|0\n");
    end();
}

static void every_row(void **state)
{
    static const char *const pairs[] = {"s", "sum(v) * 2", "key", "k", "last", "max(t)", NULL};

    (void)state;
    begin(columns, EVERY, pairs);
    f->task.wants_old = true;
    start();
    const mr_schema *out = f->node.outputs[0].schema;
    assert_int_equal(out->mode, MR_UPSERT);
    assert_int_equal(out->identity_count, 1);
    assert_int_equal(out->identity[0], 1);
    assert_int_equal(out->key_count, 1);
    assert_int_equal(out->key[0], 1);
    feed("a|1|1.00|1|x\nb|5|1.00|1|y\na|2|1.00|1|xx\n");
    assert_string_equal(text, "2|a|x\n10|b|y\n-2|a|x\n+6|a|xx\n");
    feed("a|\\N|1.00|1|\\N\n");
    assert_string_equal(text, "-6|a|xx\n+6|a|xx\n");
    flush_gives("");
    end();
}

static void many_rows_take_several_calls(void **state)
{
    static const char *const pairs[] = {"k", "k", "n", "count(*)", NULL};

    (void)state;
    begin("k bigint, v bigint", EVERY, pairs);
    mr_batch *in = mr_batch_take(mr_batch_pool_create(f->arena, schema, 1, 64, false));
    for (uint32_t row = 0; row < MR_BATCH_ROWS_MAX; row++) {
        ((int64_t *)mr_batch_cells(in, 0))[row] = row % 10;
        mr_batch_event_times(in)[row] = row;
    }
    mr_batch_set_rows(in, MR_BATCH_ROWS_MAX);
    f->task.wants_old = true;
    start();
    /* 1,024 rows, 10 of them without an old half. */
    feed_batch(in);
    assert_int_equal(calls, 2);
    feed_batch(in);
    assert_int_equal(calls, 2);
    assert_int_equal(f->out->row_count, MR_BATCH_ROWS_MAX);
    const mr_batch *out = f->out;
    /* The last row is of key 3, which 103 rows of each batch have. */
    assert_int_equal(out->columns[1].as.integers[out->row_count - 1], 206);
    assert_int_equal(out->columns[1].as.integers[out->row_count - 2], 205);
    assert_int_equal(out->change[out->row_count - 1], MR_CHANGE_NEW);
    end();
}

static void flush_in_pieces(void **state)
{
    static const char *const pairs[] = {"k", "k", "s", "sum(v)", NULL};

    (void)state;
    begin("k bigint, v bigint", ON_COMMIT, pairs);
    mr_batch *in = mr_batch_take(mr_batch_pool_create(f->arena, schema, 1, 64, false));
    mr_batch *out[1];
    int64_t sum = 0, rows = 0;
    start();
    for (uint32_t batch = 0; batch < 3; batch++) {
        mr_batch_clear(in);
        for (uint32_t row = 0; row < MR_BATCH_ROWS_MAX; row++) {
            ((int64_t *)mr_batch_cells(in, 0))[row] = batch * 1000 + row;
            ((int64_t *)mr_batch_cells(in, 1))[row] = 1;
            mr_batch_event_times(in)[row] = row;
        }
        mr_batch_set_rows(in, MR_BATCH_ROWS_MAX);
        feed_batch(in);
    }
    out[0] = f->out;
    mr_step step = MR_STEP_AGAIN;
    while (step == MR_STEP_AGAIN) {
        mr_batch_clear(f->out);
        step = mr_op_aggregate.flush(f->self, &f->task, out);
        for (uint32_t row = 0; row < f->out->row_count; row++) {
            sum += (int64_t)f->out->columns[1].as.numerics[row];
            rows++;
        }
        calls++;
    }
    assert_int_equal(step, MR_STEP_NEXT);
    assert_int_equal(rows, 3024);
    assert_int_equal(sum, 3 * 1024);
    end();
}

static void overflow_changes_nothing(void **state)
{
    static const char *const pairs[] = {"k",      "k", "n",      "count(*)", "a",
                                        "avg(v)", "s", "sum(h)", NULL};

    (void)state;
    begin("k bigint, h numeric(38,0), v bigint", EVERY, pairs);
    start();
    assert_true((f->fallible & MR_FALLIBLE_RANGE) != 0);
    feed("1|99999999999999999999999999999999999999|1\n"
         "1|1|100\n"
         "1|-1|4\n"
         "1|1|1\n");
    assert_string_equal(text, "1|1|1.000000|99999999999999999999999999999999999999\n"
                              "1|2|2.500000|99999999999999999999999999999999999998\n"
                              "1|3|2.000000|99999999999999999999999999999999999999\n");
    assert_string_equal(f->task.rejects, "1 22003;");
    end();
}

static void a_lone_average_can_overflow(void **state)
{
    static const char *const pairs[] = {"k", "k", "a", "avg(h)", NULL};

    (void)state;
    begin("k bigint, h numeric(38,0)", ON_COMMIT, pairs);
    start();
    feed("1|99999999999999999999999999999999999999\n2|5\n");
    assert_string_equal(f->task.rejects, "0 22003;");
    assert_int_equal(f->task.table.count, 1); /* No empty record is left behind. */
    flush_gives("2|5.000000\n");
    end();
}

static void arguments_and_results_can_fail(void **state)
{
    static const char *const pairs[] = {
        "k", "k", "q", "sum(10 / v) / sum(w)", "u", "upper(k) || count(*)", NULL};

    (void)state;
    begin("k text, v bigint, w bigint", EVERY, pairs);
    f->task.wants_old = true;
    start();
    assert_true((f->fallible & MR_FALLIBLE_DATA) != 0);
    /* Row 0 cannot be folded in; row 1 leaves a group whose result fails, so nothing is sent; row 2
     * repairs it: an insert for those behind. */
    feed("a|0|5\na|5|0\na|5|2\na|1|-2\n");
    assert_string_equal(text, "+a|2.000000|A2\n-a|2.000000|A2\n");
    assert_string_equal(f->task.rejects, "0 22012;1 22012;3 22012;");
    end();
}

static void results_that_fail_in_flush(void **state)
{
    static const char *const pairs[] = {"k", "k", "q", "sum(v) / sum(w)", NULL};

    (void)state;
    begin("k text, v bigint, w bigint", ON_COMMIT, pairs);
    start();
    feed("a|5|0\nb|6|3\n");
    flush_gives("b|2.000000\n");
    assert_string_equal(f->task.rejects, "0 22012;");
    assert_false(mr_column_valid(&f->out->columns[1], 0));
    end();
}

static mr_batch *long_texts(uint32_t rows, uint32_t column, uint32_t bytes)
{
    mr_batch *in = mr_batch_take(mr_batch_pool_create(f->arena, schema, 1, 64 << 20, false));

    for (uint32_t row = 0; row < rows; row++) {
        uint8_t *cell = mr_batch_scratch(in, bytes);
        memset(cell, 'a' + (int)(row % 26), bytes);
        for (uint32_t c = 0; c < schema->field_count; c++) {
            ((mr_view *)mr_batch_cells(in, c))[row] =
                c == column ? (mr_view){cell, bytes} : (mr_view){(const uint8_t *)"k", 1};
        }
        mr_batch_event_times(in)[row] = row;
    }
    mr_batch_set_rows(in, rows);
    return in;
}

static void too_long(void **state)
{
    static const char *const pairs[] = {"k", "k", "hi", "max(t)", NULL};

    (void)state;
    begin("k text, t text", EVERY, pairs);
    f->task.table.value_max = 1000;
    start();
    feed_batch(long_texts(1, 0, 5000));
    assert_string_equal(f->task.rejects, "0 STATE_KEY;");
    feed_batch(long_texts(2, 1, 990));
    assert_string_equal(f->task.rejects, "0 STATE_KEY;0 STATE_VALUE;1 STATE_VALUE;");
    f->task.table.value_max = 1 << 20;
    end();
}

static void texts_fill_the_output(void **state)
{
    static const char *const pairs[] = {"k", "k", "hi", "max(t)", NULL};

    (void)state;
    begin("k text, t text", EVERY, pairs);
    f->out_scratch_bytes = 100000;
    f->task.wants_old = true;
    start();
    /* 20 rows with two halves of 10,000 bytes each, four rows at most in 100,000 bytes. */
    feed_batch(long_texts(20, 1, 10000));
    assert_int_equal(calls, 5);
    assert_string_equal(f->task.rejects, "");
    /* What no output batch can carry is no result. */
    feed_batch(long_texts(1, 1, 60000));
    assert_string_equal(f->task.rejects, "");
    end();

    begin("k text, t text", ON_COMMIT, pairs);
    f->out_scratch_bytes = 100000;
    start();
    feed_batch(long_texts(1, 1, 60000));
    assert_string_equal(f->task.rejects, "0 54000;");
    end();
}

/* Rows that leave at the end of the epoch, in `calls` batches; UINT32_MAX = it failed. */
static uint32_t flush_rows(void)
{
    mr_batch *out[1] = {f->out};
    mr_step step = MR_STEP_AGAIN;
    uint32_t rows = 0;

    for (calls = 0; step == MR_STEP_AGAIN; calls++) {
        mr_batch_clear(f->out);
        step = f->op->flush(f->self, &f->task, out);
        rows += step != MR_STEP_FAILED ? f->out->selected_count : 0;
    }
    return step == MR_STEP_NEXT ? rows : UINT32_MAX;
}

/* An expression makes more of a group than its record holds: smaller batches bring what fits, and
 * the one result that no batch can hold is a rejected row. */
static void results_fill_the_output(void **state)
{
    static const char *const pairs[] = {"k", "k", "n", "count(*)", "wide", "lpad(k, max(v))", NULL};

    (void)state;
    for (uint32_t least = 0; least < 2; least++) {
        begin(columns, ON_COMMIT, pairs);
        start();
        feed("a|300000|\\N|\\N|\\N\nb|300000|\\N|\\N|\\N\nc|2000000|\\N|\\N|\\N\n"
             "d|300000|\\N|\\N|\\N\ne|300000|\\N|\\N|\\N\n");
        f->task.rows_max = least == 1 ? 1 : MR_BATCH_ROWS_MAX;
        assert_int_equal(flush_rows(), least == 1 ? 4 : UINT32_MAX);
        assert_int_equal(calls, least == 1 ? 5 : 1);
        assert_int_equal(f->task.diag.status, least == 1 ? MR_OK : MR_ERR_OVERFLOW);
        assert_string_equal(f->task.rejects, least == 1 ? "0 54000;" : "");
        end();
    }
}

/* The same where each row sends its group, with both halves in one batch: the batch is full, or
 * what the expressions write in. */
static void halves_fill_the_output(void **state)
{
    static const struct {
        uint32_t out_bytes;
        const char *rows[3];
    } cases[] = {
        {1 << 20, {"a|100|\\N|\\N|\\N\n", "a|900000|\\N|\\N|\\N\n", "a|900001|\\N|\\N|\\N\n"}},
        {16 << 20, {"a|100|\\N|\\N|\\N\n", "a|3000000|\\N|\\N|\\N\n", "a|3000001|\\N|\\N|\\N\n"}}};
    static const char *const pairs[] = {"k", "k", "wide", "lpad(k, max(v))", NULL};

    (void)state;
    for (size_t c = 0; c < sizeof(cases) / sizeof(cases[0]); c++) {
        begin(columns, EVERY, pairs);
        f->task.wants_old = true;
        f->task.rows_max = 1;
        f->out_scratch_bytes = cases[c].out_bytes;
        start();
        for (uint32_t i = 0; i < 3; i++) {
            feed_batch(mr_test_batch(f->arena, schema, cases[c].rows[i]));
            assert_string_equal(f->task.rejects, i < 2 ? "" : "0 54000;");
            assert_int_equal(f->out->selected_count, i == 1 ? 2 : 1);
        }
        end();
    }
}

/* One text grows while another shrinks, by as much: the record keeps its size all the time. */
static void texts_change_places(void **state)
{
    static const char *const pairs[] = {"k",      "k",      "lo",     "min(a)", "hi",
                                        "max(b)", "lowest", "min(c)", NULL};

    (void)state;
    begin("k text, a text, b text, c text", ON_COMMIT, pairs);
    start();
    feed("x|m|bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb|m\n");
    feed("x|aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa|c|\n");
    flush_gives("x|aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa|c|\n");
    fake_commit(f);
    feed("x|Z|zzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzz|\n");
    flush_gives("x|Z|zzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzz|\n");
    end();
}

static void state_is_full(void **state)
{
    static const char *const pairs[] = {"k", "k", "n", "count(*)", NULL};

    (void)state;
    begin(columns, ON_COMMIT, pairs);
    f->task.table.count_max = 1;
    start();
    assert_int_equal(
        fake_process(f,
                     mr_test_batch(f->arena, schema, "a|1|1.00|1|x\na|1|1.00|1|x\nb|1|1.00|1|x\n"),
                     NULL, &calls),
        MR_STEP_FAILED);
    assert_int_equal(f->task.diag.status, MR_ERR_LIMIT);
    assert_non_null(strstr(f->task.diag.text, "E_STATE_FULL"));
    end();
}

static void null_and_composite_keys(void **state)
{
    static const uint16_t by[] = {0, 1, 2};
    static const char *const pairs[] = {"c", "", "b", "", "a", "", "n", "count(*)", NULL};

    (void)state;
    begin_by("a text, b bigint, c timestamptz, v bigint", by, 3, ON_COMMIT, pairs);
    start();
    feed("x|1|2026-01-01T00:00:00Z|1\nx|\\N|2026-01-01T00:00:00Z|1\nx|1|2026-01-01T00:00:00Z|1\n"
         "|1|\\N|1\n");
    flush_gives("2026-01-01T00:00:00Z|1|x|2\n2026-01-01T00:00:00Z|\\N|x|1\n\\N|1||1\n");
    assert_int_equal(f->node.outputs[0].schema->identity_count, 3);
    assert_int_equal(f->node.outputs[0].schema->identity[0], 2);
    assert_int_equal(f->node.outputs[0].schema->key[0], 2);
    end();
}

static void refused(void **state)
{
    static const struct {
        const char *name, *text;
        uint16_t code;
    } table[] = {
        {"x", "v", 309},
        {"x", "v + count(*)", 309},
        {"x", "event_time", 309},
        {"v", "", 309},
        {"w", "", 302},
        {"x", "sum(t)", 303},
        {"x", "max(k = 'x')", 303},
        {"x", "sum(event_time - event_time)", 303},
        {"x", "avg(event_time - event_time)", 303},
        {"x", "max(t::bytea)", 303},
        {"x", "max(t::jsonb)", 303},
        {"x", "sum(sum(v))", 303},
        {"x", "sum(v, v)", 303},
        {"x", "sum(*)", 303},
        {"x", "sum(distinct v)", 306},
        {"x", "sum(v) filter (where v)", 304},
        {"x", "sum(v) filter (where sum(v) > 1)", 303},
        {"x", "sum(distinct v) filter (where v > 1)", 306},
        {"x", "abs(v) filter (where v > 1)", 303},
        {"x", "sum(v order by v)", 306},
        {"x", "last(v)", 306},
        {"x", "sum(v) over ()", 305},
        {"n", "count(*)", 310},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
        f = fake_create();
        schema = fake_schema(f, columns, 1);
        const mr_columns by = {.indexes = by_k, .count = 1};
        const char *const pairs[] = {table[i].name, table[i].text, NULL};
        const mr_fold *fold = NULL;
        mr_diag diag = {0};
        assert_int_equal(fake_fold(f, schema, &by, pairs, &fold, &diag), MR_ERR_CONFIG);
        if (diag.code != table[i].code) {
            print_error("%s: M0%u %s\n", table[i].text, diag.code, diag.text);
            fail();
        }
        end();
    }
}

static void plan_refuses(void **state)
{
    static const char *const pairs[] = {"k", "k", "n", "count(*)", NULL};

    (void)state;
    begin(columns, ON_COMMIT, pairs);
    schema->mode = MR_UPSERT;
    assert_int_equal(fake_plan(f, &mr_op_aggregate, schema, &spec), MR_ERR_CONFIG);
    assert_int_equal(strncmp(f->error, "M0404", 5), 0);
    schema->mode = MR_APPEND;
    schema->key[schema->key_count++] = 1;
    make_spec(by_k, 1, ON_COMMIT, pairs);
    assert_int_equal(fake_plan(f, &mr_op_aggregate, schema, &spec), MR_ERR_CONFIG);
    assert_int_equal(strncmp(f->error, "M0401", 5), 0);
    schema = fake_schema(f, "k interval", 1);
    make_spec(by_k, 1, ON_COMMIT, pairs);
    assert_int_equal(fake_plan(f, &mr_op_aggregate, schema, &spec), MR_ERR_CONFIG);
    assert_int_equal(strncmp(f->error, "M0409", 5), 0);
    end();
}

static uint64_t layout_of(const char *input, const char *folded)
{
    const char *const pairs[] = {"k", "k", "x", folded, NULL};

    begin(input, ON_COMMIT, pairs);
    const uint64_t layout = mr_fold_layout(spec.fold);

    end();
    return layout;
}

static void layouts(void **state)
{
    const uint64_t one = layout_of(columns, "sum(v + 1)");

    (void)state;
    assert_true(one == layout_of(columns, "  sum( v+1 ) * 2"));
    assert_true(one == layout_of("k text, x bigint, v bigint, t text", "sum(v + 1)"));
    assert_true(one != layout_of(columns, "sum(v + 2)"));
    assert_true(one != layout_of(columns, "avg(v + 1)"));
    assert_true(one != layout_of(columns, "sum(d)"));
    assert_true(one != layout_of(columns, "sum(v + 1) + count(*)"));
    assert_true(one != layout_of("k bigint, v bigint", "sum(v + 1)"));
    assert_true(one != layout_of("k text, v numeric(10,2)", "sum(v + 1)"));
    /* By the bytes of a constant, not by where they lie. */
    static const char *const parts[] = {"count(nullif(t::bytea, '\\x0102'))",
                                        "count(nullif(v::text, '1'))",
                                        "min(event_time - event_time + '1 day')"};
    for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++) {
        assert_true(layout_of(columns, parts[i]) == layout_of(columns, parts[i]));
    }
    assert_true(layout_of(columns, parts[0]) !=
                layout_of(columns, "count(nullif(t::bytea, '\\x0103'))"));
    assert_true(layout_of(columns, parts[2]) !=
                layout_of(columns, "min(event_time - event_time + '1 hour')"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(results_on_commit),
        cmocka_unit_test(filters),
        cmocka_unit_test(dates),
        cmocka_unit_test(intervals),
        cmocka_unit_test(all_digits),
        cmocka_unit_test(event_time_is_the_greatest),
        cmocka_unit_test(halves_on_commit),
        cmocka_unit_test(every_row),
        cmocka_unit_test(many_rows_take_several_calls),
        cmocka_unit_test(flush_in_pieces),
        cmocka_unit_test(overflow_changes_nothing),
        cmocka_unit_test(a_lone_average_can_overflow),
        cmocka_unit_test(arguments_and_results_can_fail),
        cmocka_unit_test(results_that_fail_in_flush),
        cmocka_unit_test(too_long),
        cmocka_unit_test(texts_fill_the_output),
        cmocka_unit_test(results_fill_the_output),
        cmocka_unit_test(halves_fill_the_output),
        cmocka_unit_test(texts_change_places),
        cmocka_unit_test(state_is_full),
        cmocka_unit_test(null_and_composite_keys),
        cmocka_unit_test(refused),
        cmocka_unit_test(plan_refuses),
        cmocka_unit_test(layouts),
    };
    return cmocka_run_group_tests_name("aggregate", tests, NULL, NULL);
}

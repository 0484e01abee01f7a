/*
 * answers_test.c - the answers to a refused recovery: how they are written, whom they are for, and
 * where a shard goes on with them.
 *
 * LINK: mr_runtime mr_state mr_kafka mr_ring mr_format mr_batch mr_base
 */
#include "tests/unit/runtime/shard_fixture.h"

static mr_status parse(const mr_answer_texts *texts, mr_answers *answers, mr_diag *diag)
{
    static const mr_plan_topic topics[] = {{.name = "orders", .source = 0},
                                           {.name = "users", .source = 1},
                                           {.name = "totals", .source = MR_NO_INDEX}};
    const mr_plan plan = {.app = "shop", .topics = topics, .topic_count = 3};
    return mr_answers_parse(&plan, texts, answers, diag);
}

static void test_forms(void **state)
{
    (void)state;
    mr_answers answers;
    mr_diag diag;
    const mr_answer_texts none = {.adopt_offsets = NULL};
    assert_int_equal(parse(&none, &answers, &diag), MR_OK);
    assert_int_equal(mr_answers_allow(&answers, "orders", 0), 0);

    const mr_answer_texts all = {
        .adopt_offsets = "keep-state", .accept_regression = "all", .reset_offsets = "latest"};
    assert_int_equal(parse(&all, &answers, &diag), MR_OK);
    assert_int_equal(mr_answers_allow(&answers, "users", 7), MR_ALLOW_KEEP | MR_ALLOW_BACK);
    assert_int_equal(answers.reset_offsets, MR_START_LATEST);

    const mr_answer_texts some = {.adopt_offsets = "reset-state@orders:3,users:12",
                                  .accept_regression = "@users:0",
                                  .reset_offsets = "earliest@orders:1"};
    assert_int_equal(parse(&some, &answers, &diag), MR_OK);
    assert_int_equal(mr_answers_allow(&answers, "orders", 3), MR_ALLOW_RESET);
    assert_int_equal(mr_answers_allow(&answers, "orders", 12), 0);
    assert_int_equal(mr_answers_allow(&answers, "users", 12), MR_ALLOW_RESET);
    assert_int_equal(mr_answers_allow(&answers, "users", 0), MR_ALLOW_BACK);
    assert_int_equal(answers.reset_offsets, MR_START_EARLIEST);
    assert_true(mr_answer_covers(answers.reset_scope, "orders", 1));
    assert_false(mr_answer_covers(answers.reset_scope, "orders", 11));
    assert_false(mr_answer_covers(answers.reset_scope, "order", 1));
}

static void test_what_is_not_understood_is_refused(void **state)
{
    (void)state;
    static const char *const adopts[] = {"",
                                         "keep",
                                         "keep-state@",
                                         "keep-state@orders",
                                         "keep-state@orders:",
                                         "keep-state@orders:x",
                                         "keep-state@orders:1,",
                                         "keep-state@orders:1,users",
                                         "keep-state@orders:10000",
                                         "keep-state@totals:1",
                                         "reset-state@nowhere:1"};
    mr_answers answers;
    mr_diag diag;
    for (uint32_t i = 0; i < MR_LENGTH(adopts); i++) {
        const mr_answer_texts texts = {.adopt_offsets = adopts[i]};
        assert_int_equal(parse(&texts, &answers, &diag), MR_ERR_USAGE);
        assert_non_null(strstr(diag.text, "--adopt-offsets"));
    }
    const mr_answer_texts regression = {.accept_regression = "yes"};
    assert_int_equal(parse(&regression, &answers, &diag), MR_ERR_USAGE);
    const mr_answer_texts reset = {.reset_offsets = "now"};
    assert_int_equal(parse(&reset, &answers, &diag), MR_ERR_USAGE);
}

/* ---- A shard ---- */

static void commit_by_hand(fixture *f, uint32_t partition, int64_t offset)
{
    fake_log *log = &f->kafka.logs[TOPIC_IN][partition];
    log->committed = offset;
    log->metadata_bytes = 0;
}

static void test_offsets_set_by_hand_are_adopted(void **state)
{
    (void)state;
    static const mr_answers answers = {.adopt = MR_ADOPT_KEEP_STATE};
    fixture *f = fixture_with_rows(2, false, FEW_ROWS);
    f->answers = &answers;
    commit_by_hand(f, 0, 100);
    commit_by_hand(f, 1, 200);
    open_it(f);
    drive(f, all_committed);
    assert_int_equal(f->kafka.logs[TOPIC_OUT][0].count, FEW_ROWS - 100);
    assert_int_equal(f->kafka.logs[TOPIC_OUT][1].count, FEW_ROWS - 200);
    free_fixture(f);
}

/* It was given for one start, and for partition 0 alone. */
static void test_an_answer_is_for_whom_it_names(void **state)
{
    (void)state;
    static const mr_answers answers = {.adopt = MR_ADOPT_RESET_STATE, .adopt_scope = "in:0"};
    fixture *f = fixture_with_rows(2, false, FEW_ROWS);
    f->answers = &answers;
    commit_by_hand(f, 0, 100);
    commit_by_hand(f, 1, 200);
    open_it(f);
    expect_failure(f, "E_OFFSETS_FOREIGN: in-1@200");
    free_fixture(f);
}

static void test_an_answer_ends_with_the_claim(void **state)
{
    (void)state;
    static const mr_answers answers = {.adopt = MR_ADOPT_KEEP_STATE};
    fixture *f = fixture_with_rows(2, false, FEW_ROWS);
    f->answers = &answers;
    commit_by_hand(f, 0, 100);
    open_it(f);
    drive(f, all_committed);
    commit_by_hand(f, 0, 50); /* And again, while it runs. */
    f->kafka.outcome = FAKE_ABORTS;
    f->kafka.outcome_at = f->kafka.commit_count + 1;
    feed(f, TOPIC_IN, 0, KEYS);
    expect_failure(f, "E_OFFSETS_FOREIGN: in-0@50");
    free_fixture(f);
}

static void expect_reset(int64_t reset, int64_t start, int64_t committed, uint32_t rows)
{
    const mr_answers answers = {.reset_offsets = reset};
    fixture *f = fixture_with_rows(2, false, FEW_ROWS);
    fake_log *log = &f->kafka.logs[TOPIC_IN][0];
    mr_offset_record record = {
        .lineage = 5, .epoch = 3, .state_epoch = 3, .incarnation = 6, .owner = "all-0"};
    memset(record.topic_id, '0', sizeof(record.topic_id) - 1);
    f->answers = &answers;
    f->kafka.may_go_back = true;
    log->start = start;
    log->committed = committed;
    log->metadata_bytes = mr_offset_record_print(&record, log->metadata);
    open_it(f);
    drive(f, all_committed);
    assert_int_equal(f->kafka.logs[TOPIC_OUT][0].count, rows);
    assert_int_equal(f->kafka.logs[TOPIC_OUT][1].count, FEW_ROWS);
    free_fixture(f);
}

static void test_lost_offsets_go_on_where_told(void **state)
{
    (void)state;
    expect_reset(MR_START_EARLIEST, 50, 20, FEW_ROWS - 50);
    expect_reset(MR_START_LATEST, 50, 20, 0);
    expect_reset(MR_START_EARLIEST, 0, FEW_ROWS + 9, FEW_ROWS);
    expect_reset(MR_START_LATEST, 0, FEW_ROWS + 9, 0);
    expect_reset(MR_START_LATEST, 50, 60, FEW_ROWS - 60); /* In the log: nothing to answer. */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_forms),
        cmocka_unit_test(test_what_is_not_understood_is_refused),
        cmocka_unit_test(test_offsets_set_by_hand_are_adopted),
        cmocka_unit_test(test_an_answer_is_for_whom_it_names),
        cmocka_unit_test(test_an_answer_ends_with_the_claim),
        cmocka_unit_test(test_lost_offsets_go_on_where_told),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

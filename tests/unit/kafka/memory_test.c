/*
 * memory_test.c - the faults of the log in process: each leaves what it says. (That it keeps the
 * promises of the seam is the contract test's affair.)
 *
 * LINK: mr_kafka
 */
#include "tests/contract/kafka_world.h"

static const int64_t before = 3, after = 8;

/* An epoch with one output record; committed offsets stand at `before`. */
static actor *ready_epoch(world *w)
{
    actor *a = world_actor(w, "all");
    world_init(w, a, 1);
    world_expect_ready(w, a);
    world_offsets(w, a, 1, before);
    world_commit(w, a, 1);
    mr_chunk *chunk = world_chunk(w, 2);
    world_put(chunk, 0, view("k"), view("v"), 1000, NULL, 0);
    world_produce(w, a, chunk);
    return a;
}

static void expect_after_recovery(world *w, actor *a, int64_t offset, uint32_t records)
{
    world_reset(a);
    world_init(w, a, 2);
    world_expect_ready(w, a);
    assert_int_equal(a->ready[0].offset, offset);
    assert_int_equal(world_count_output(w, 0), records);
}

static void fail_commit(void **state, mr_kafka_memory_fault fault, mr_status status, int64_t offset,
                        uint32_t records)
{
    world *w = world_begin(state, 1);
    actor *a = ready_epoch(w);
    const mr_kafka_command end = {.op = MR_KAFKA_COMMIT, .epoch = 2};
    mr_kafka_memory_inject(w->cluster, fault, 1);
    world_offsets(w, a, 2, after);
    assert_int_equal(a->kafka.type->submit(a->kafka.self, &end), MR_OK);
    world_expect_failed(w, a);
    assert_int_equal(a->failure.status, status);
    expect_after_recovery(w, a, offset, records);
    world_offsets(w, a, 3, after + 1); /* The fault is used up. */
    world_commit(w, a, 3);
    world_end(w);
}

static void test_abort(void **state)
{
    fail_commit(state, MR_MEMORY_ABORT, MR_ERR_TXN_ABORTED, before, 0);
}

static void test_unknown_but_committed(void **state)
{
    fail_commit(state, MR_MEMORY_UNKNOWN_COMMITTED, MR_ERR_OUTCOME_UNKNOWN, after, 1);
}

static void test_unknown_and_aborted(void **state)
{
    fail_commit(state, MR_MEMORY_UNKNOWN_ABORTED, MR_ERR_OUTCOME_UNKNOWN, before, 0);
}

static void test_fence_by_timeout(void **state)
{
    fail_commit(state, MR_MEMORY_FENCE, MR_ERR_TXN_ABORTED, before, 0);
}

static void test_failed_offsets(void **state)
{
    world *w = world_begin(state, 1);
    actor *a = ready_epoch(w);
    mr_kafka_memory_inject(w->cluster, MR_MEMORY_FAIL_OFFSETS, 1);
    world_offsets(w, a, 2, after);
    world_expect_failed(w, a);
    expect_after_recovery(w, a, before, 0);
    world_end(w);
}

static void test_failed_delivery(void **state)
{
    world *w = world_begin(state, 1);
    actor *a = ready_epoch(w);
    mr_kafka_memory_inject(w->cluster, MR_MEMORY_FAIL_DELIVERY, 1);
    mr_chunk *chunk = world_chunk(w, 2);
    world_put(chunk, 0, view("k"), view("w"), 1000, NULL, 0);
    world_produce(w, a, chunk);
    world_expect_failed(w, a);
    expect_after_recovery(w, a, before, 0);
    world_end(w);
}

static void test_full_in_the_middle_of_a_chunk(void **state)
{
    world *w = world_begin(state, 1);
    actor *a = ready_epoch(w);
    mr_chunk *chunk = world_chunk(w, 2);
    for (int i = 0; i < 5; i++) {
        world_put(chunk, 0, view("k"), view("w"), 1000, NULL, 0);
    }
    const mr_kafka_command command = {.op = MR_KAFKA_PRODUCE, .epoch = 2, .chunk = chunk};
    mr_kafka_memory_inject(w->cluster, MR_MEMORY_FULL, 1);
    assert_int_equal(a->kafka.type->submit(a->kafka.self, &command), MR_ERR_FULL);
    assert_false(a->kafka.type->produced(a->kafka.self, 2));
    assert_int_equal(a->kafka.type->submit(a->kafka.self, &command), MR_OK);
    assert_true(a->kafka.type->produced(a->kafka.self, 2));
    world_offsets(w, a, 2, after);
    world_commit(w, a, 2);
    assert_int_equal(world_count_output(w, 0), 6);
    world_end(w);
}

static void test_taint_closes_the_slot_for_a_turn(void **state)
{
    world *w = world_begin(state, 1);
    actor *a = ready_epoch(w);
    mr_kafka_event event;
    const mr_kafka_command end = {.op = MR_KAFKA_COMMIT, .epoch = 2};
    mr_chunk *chunk = world_chunk(w, 3);
    world_put(chunk, 0, view("k"), view("w"), 1000, NULL, 0);
    const mr_kafka_command command = {.op = MR_KAFKA_PRODUCE, .epoch = 3, .chunk = chunk};
    mr_kafka_memory_inject(w->cluster, MR_MEMORY_TAINT, 1);
    world_offsets(w, a, 2, after);
    assert_int_equal(a->kafka.type->submit(a->kafka.self, &end), MR_OK);
    assert_int_equal(a->kafka.type->submit(a->kafka.self, &command), MR_ERR_FULL);
    assert_int_equal(a->kafka.type->poll(a->kafka.self, &event, 1), 1);
    assert_int_equal(event.fact, MR_KAFKA_COMMITTED);
    assert_int_equal(a->kafka.type->submit(a->kafka.self, &command), MR_OK);
    world_end(w);
}

static void test_offsets_by_hand_and_retention(void **state)
{
    world *w = world_begin(state, 1);
    mr_offset offset = {.topic = IN, .offset = 2, .metadata_size_bytes = 5, .metadata = "other"};
    for (int i = 0; i < 5; i++) {
        world_feed(w, 0, "k", "v", 1000);
    }
    mr_kafka_memory_commit_by_hand(w->cluster, &offset);
    mr_kafka_memory_trim(w->cluster, IN, 0, 3);
    actor *a = world_actor(w, "all");
    world_init(w, a, 1);
    world_expect_ready(w, a);
    assert_int_equal(a->ready[0].offset, 2);
    assert_string_equal(a->ready[0].metadata, "other");
    assert_int_equal(a->ready[0].log_start, 3);
    assert_int_equal(a->ready[0].log_end, 5);
    assert_int_equal(mr_kafka_memory_committed(w->cluster, IN, 0).offset, 2);
    world_end(w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_abort),
        cmocka_unit_test(test_unknown_but_committed),
        cmocka_unit_test(test_unknown_and_aborted),
        cmocka_unit_test(test_fence_by_timeout),
        cmocka_unit_test(test_failed_offsets),
        cmocka_unit_test(test_failed_delivery),
        cmocka_unit_test(test_full_in_the_middle_of_a_chunk),
        cmocka_unit_test(test_taint_closes_the_slot_for_a_turn),
        cmocka_unit_test(test_offsets_by_hand_and_retention),
    };
    world_use_broker(false);
    return cmocka_run_group_tests(tests, NULL, NULL);
}

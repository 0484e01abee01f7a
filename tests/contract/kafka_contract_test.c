/*
 * kafka_contract_test.c - one set of cases for both implementations of the seam of kafka.h: the log
 * in process and librdkafka on a real broker. What the runtime may rely on is what passes on both.
 *
 * LINK: mr_kafka
 *
 * The broker comes from MR_KAFKA=host:port, or from the env file named by MR_SERVICES_ENV; without
 * one the test fails. Each case has an app and topics of its own.
 */
#define _GNU_SOURCE
#include "tests/contract/kafka_world.h"
#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>

enum { BIG_RECORDS = 20000, BIG_VALUE_BYTES = 1000 };

static void begin(world *w, actor *a, uint64_t incarnation)
{
    world_init(w, a, incarnation);
    world_expect_ready(w, a);
}

/* Commits one epoch of `chunk` (may be NULL) with all offsets at `offset`. */
static void commit_epoch(world *w, actor *a, uint64_t epoch, mr_chunk *chunk, int64_t offset)
{
    if (chunk != NULL) {
        world_produce(w, a, chunk);
    }
    world_offsets(w, a, epoch, offset);
    world_commit(w, a, epoch);
}

/* ---- Beginning ---- */

static void test_empty_topic_is_ready(void **state)
{
    world *w = world_begin(state, 2);
    actor *a = world_actor(w, "all");
    begin(w, a, 1);
    for (uint32_t i = 0; i < 2; i++) {
        assert_int_equal(a->ready[i].offset, -1);
        assert_int_equal(a->ready[i].log_start, 0);
        assert_int_equal(a->ready[i].log_end, 0);
        assert_int_equal(a->ready[i].start, 0);
        assert_int_equal(a->ready[i].metadata_size_bytes, 0);
    }
    assert_int_equal(a->kafka.type->topic_partitions(a->kafka.self, OUT), 2);
    assert_true(a->kafka.type->topic_record_max(a->kafka.self, OUT) >= 1000000);
    world_end(w);
}

static void test_start_means_an_offset(void **state)
{
    const int64_t wanted[][2] = {{MR_START_EARLIEST, 0}, {MR_START_LATEST, 3}, {2000000, 1},
                                 {2000001, 2},           {9000000, 3},         {0, 0}};
    world *w = world_begin(state, 1);
    for (int64_t i = 1; i <= 3; i++) {
        world_feed(w, 0, "k", "v", i == 3 ? 5000 : i * 1000);
    }
    for (uint32_t i = 0; i < 6; i++) {
        actor *a = world_actor(w, "all");
        w->start = wanted[i][0];
        begin(w, a, 1);
        assert_int_equal(a->ready[0].start, wanted[i][1]);
        assert_int_equal(a->ready[0].log_end, 3);
        world_close(a);
    }
    world_end(w);
}

/* ---- Reading ---- */

static void test_records_come_as_they_are(void **state)
{
    world *w = world_begin(state, 1);
    const mr_view headers[] = {view("h"), view("1"), view("h"), view("2"), view("n"), {0}};
    world_feed_record(w, &(mr_record){.timestamp_ms = 1234567890123,
                                      .key = view("key"),
                                      .value = view("value"),
                                      .headers = headers,
                                      .header_count = 3});
    world_feed_record(w, &(mr_record){.timestamp_ms = 2, .key = {0}, .value = {0}});
    world_feed_record(w, &(mr_record){.timestamp_ms = 3, .key = view(""), .value = view("")});
    actor *a = world_actor(w, "all");
    begin(w, a, 1);
    world_assign(w, a, 0);
    mr_fetch *fetch = world_take(w, a, 0);
    assert_int_equal(fetch->input, 0);
    assert_int_equal(fetch->topic, IN);
    assert_int_equal(fetch->partition, 0);
    assert_int_equal(fetch->record_count, 3);
    for (uint32_t i = 0; i < 3; i++) {
        assert_int_equal(fetch->records[i].offset, i);
    }
    assert_view(fetch->records[0].key, "key");
    assert_view(fetch->records[0].value, "value");
    assert_int_equal(fetch->records[0].timestamp_ms, 1234567890123);
    assert_null(fetch->records[1].key.bytes);
    assert_null(fetch->records[1].value.bytes);
    assert_view(fetch->records[2].key, "");
    assert_view(fetch->records[2].value, "");
    mr_view pairs[8];
    assert_int_equal(fetch->headers(fetch, 0, pairs, 8), 6);
    assert_view(pairs[0], "h");
    assert_view(pairs[1], "1");
    assert_view(pairs[3], "2");
    assert_view(pairs[4], "n");
    assert_null(pairs[5].bytes);
    assert_int_equal(fetch->headers(fetch, 0, pairs, 3), 2);
    assert_int_equal(fetch->headers(fetch, 1, pairs, 8), 0);
    a->kafka.type->give_back(a->kafka.self, fetch);
    world_end(w);
}

static void test_reading_begins_at_the_assigned_offset(void **state)
{
    world *w = world_begin(state, 2);
    for (int i = 0; i < 5; i++) {
        world_feed(w, 0, "k", "zero", 1000);
        world_feed(w, 1, "k", "one", 1000);
    }
    actor *a = world_actor(w, "all");
    begin(w, a, 1);
    world_assign(w, a, 3);
    for (uint32_t input = 0; input < 2; input++) {
        mr_fetch *fetch = world_take(w, a, input);
        assert_int_equal(fetch->partition, input);
        assert_int_equal(fetch->records[0].offset, 3);
        assert_int_equal(fetch->record_count, 2);
        assert_view(fetch->records[0].value, input == 0 ? "zero" : "one");
        a->kafka.type->give_back(a->kafka.self, fetch);
    }
    world_end(w);
}

static void test_the_end_is_told(void **state)
{
    world *w = world_begin(state, 1);
    world_feed(w, 0, "k", "v", 1000);
    actor *a = world_actor(w, "all");
    begin(w, a, 1);
    world_assign(w, a, 0);
    assert_int_equal(world_read_to_end(w, a, 0), 1);
    assert_int_equal(a->end_offset, 1);
    world_feed(w, 0, "k", "v", 1000);
    assert_int_equal(world_read_to_end(w, a, 0), 1);
    assert_int_equal(a->end_offset, 2);
    world_end(w);
}

static void test_a_fetch_is_no_larger_than_a_batch(void **state)
{
    world *w = world_begin(state, 1);
    for (uint32_t i = 0; i < 3 * MR_BATCH_ROWS_MAX; i++) {
        world_feed(w, 0, "k", "v", 1000);
    }
    actor *a = world_actor(w, "all");
    begin(w, a, 1);
    world_assign(w, a, 0);
    assert_int_equal(world_read_to_end(w, a, 0), 3 * MR_BATCH_ROWS_MAX);
    assert_true(a->fetch_max <= MR_BATCH_ROWS_MAX);
    world_end(w);
}

/* What a fetch has left is there at once, not only when more records arrive. */
static void test_the_rest_of_a_queue_comes_at_once(void **state)
{
    world *w = world_begin(state, 1);
    for (uint32_t i = 0; i < 2 * MR_BATCH_ROWS_MAX; i++) {
        world_feed(w, 0, "k", "v", 1000);
    }
    actor *a = world_actor(w, "all");
    begin(w, a, 1);
    world_assign(w, a, 0);
    mr_fetch *first = world_take(w, a, 0);
    const int64_t last = first->records[first->record_count - 1].offset;
    assert_true(last < MR_BATCH_ROWS_MAX); /* Half of them at most. */
    a->kafka.type->give_back(a->kafka.self, first);
    mr_fetch *second = a->kafka.type->take(a->kafka.self, 0); /* In the same turn. */
    assert_non_null(second);
    assert_int_equal(second->records[0].offset, last + 1);
    a->kafka.type->give_back(a->kafka.self, second);
    world_end(w);
}

static void test_nothing_comes_before_assign(void **state)
{
    world *w = world_begin(state, 1);
    world_feed(w, 0, "k", "v", 1000);
    actor *a = world_actor(w, "all");
    begin(w, a, 1);
    assert_null(a->kafka.type->take(a->kafka.self, 0));
    world_end(w);
}

/* ---- Committing ---- */

static void test_offsets_and_metadata_come_back(void **state)
{
    world *w = world_begin(state, 2);
    actor *a = world_actor(w, "all");
    begin(w, a, 7);
    commit_epoch(w, a, 41, NULL, 12);
    world_close(a);
    actor *b = world_actor(w, "all");
    begin(w, b, 8);
    for (uint32_t i = 0; i < 2; i++) {
        char text[MR_RECORD_BYTES_MAX + 1];
        const uint32_t size = world_record(a, 41, text);
        assert_int_equal(b->ready[i].offset, 12);
        assert_int_equal(b->ready[i].metadata_size_bytes, size);
        assert_memory_equal(b->ready[i].metadata, text, size);
    }
    world_end(w);
}

static void test_output_is_visible_after_the_commit(void **state)
{
    world *w = world_begin(state, 2);
    actor *a = world_actor(w, "all");
    begin(w, a, 1);
    mr_chunk *chunk = world_chunk(w, 5);
    const mr_view headers[] = {view("a"), view("b"), view("n"), {0}};
    world_put(chunk, 0, view("k1"), view("v1"), 1000, headers, 2);
    world_put(chunk, 1, view("k2"), (mr_view){0}, 2000, NULL, 0);
    world_put(chunk, 0, (mr_view){0}, view(""), 3000, NULL, 0);
    world_produce(w, a, chunk);
    world_wait_produced(w, a, 5);
    assert_int_equal(world_count_output(w, 0) + world_count_output(w, 1), 0);
    world_offsets(w, a, 5, 1);
    world_commit(w, a, 5);
    mr_record out[2];
    assert_int_equal(world_read_output(w, 0, out, 2), 2);
    assert_view(out[0].key, "k1");
    assert_view(out[0].value, "v1");
    assert_int_equal(out[0].timestamp_ms, 1000);
    assert_int_equal(out[0].header_count, 2);
    assert_view(out[0].headers[1], "b");
    assert_null(out[0].headers[3].bytes);
    assert_null(out[1].key.bytes);
    assert_view(out[1].value, "");
    assert_int_equal(world_read_output(w, 1, out, 2), 1);
    assert_null(out[0].value.bytes);
    world_end(w);
}

static void test_epochs_follow_each_other(void **state)
{
    world *w = world_begin(state, 1);
    actor *a = world_actor(w, "all");
    begin(w, a, 1);
    for (uint64_t epoch = 1; epoch <= 20; epoch++) {
        mr_chunk *chunk = world_chunk(w, epoch);
        char text[8];
        snprintf(text, sizeof(text), "%" PRIu64, epoch);
        world_put(chunk, 0, view("k"), view(text), 1000, NULL, 0);
        commit_epoch(w, a, epoch, chunk, (int64_t)epoch);
    }
    assert_int_equal(world_count_output(w, 0), 20);
    world_end(w);
}

static void test_an_epoch_without_output_commits(void **state)
{
    world *w = world_begin(state, 1);
    actor *a = world_actor(w, "all");
    begin(w, a, 1);
    commit_epoch(w, a, 1, NULL, 4);
    commit_epoch(w, a, 2, NULL, 4); /* An unchanged offset with a new record is a commit. */
    world_close(a);
    actor *b = world_actor(w, "all");
    begin(w, b, 2);
    assert_int_equal(b->ready[0].offset, 4);
    assert_int_equal(world_epoch_of(&b->ready[0]), 2);
    world_end(w);
}

static void test_the_next_epoch_waits(void **state)
{
    world *w = world_begin(state, 1);
    actor *a = world_actor(w, "all");
    begin(w, a, 1);
    mr_chunk *first = world_chunk(w, 1);
    world_put(first, 0, view("k"), view("1"), 1000, NULL, 0);
    world_produce(w, a, first);
    mr_chunk *second = world_chunk(w, 2);
    world_put(second, 0, view("k"), view("2"), 1000, NULL, 0);
    const mr_kafka_command early = {.op = MR_KAFKA_PRODUCE, .epoch = 2, .chunk = second};
    assert_int_equal(a->kafka.type->submit(a->kafka.self, &early), MR_ERR_FULL);
    world_offsets(w, a, 1, 1);
    world_commit(w, a, 1);
    commit_epoch(w, a, 2, second, 2);
    assert_int_equal(world_count_output(w, 0), 2);
    world_end(w);
}

static void test_much_output_keeps_its_order(void **state)
{
    world *w = world_begin(state, 1);
    actor *a = world_actor(w, "all");
    begin(w, a, 1);
    world_produce_many(w, a, 1, BIG_RECORDS, BIG_VALUE_BYTES);
    world_offsets(w, a, 1, 1);
    world_commit(w, a, 1);
    assert_int_equal(world_count_in_order(w, 0), BIG_RECORDS);
    world_end(w);
}

/* ---- Resetting ---- */

static void test_a_reset_leaves_nothing(void **state)
{
    world *w = world_begin(state, 1);
    actor *a = world_actor(w, "all");
    begin(w, a, 1);
    commit_epoch(w, a, 1, NULL, 3);
    mr_chunk *chunk = world_chunk(w, 2);
    world_put(chunk, 0, view("k"), view("lost"), 1000, NULL, 0);
    world_produce(w, a, chunk);
    world_wait_produced(w, a, 2);
    world_offsets(w, a, 2, 9);
    world_reset(a);
    begin(w, a, 2);
    assert_int_equal(a->ready[0].offset, 3);
    assert_int_equal(world_epoch_of(&a->ready[0]), 1);
    assert_int_equal(world_count_output(w, 0), 0);
    chunk = world_chunk(w, 3);
    world_put(chunk, 0, view("k"), view("kept"), 1000, NULL, 0);
    commit_epoch(w, a, 3, chunk, 4);
    mr_record out[2];
    assert_int_equal(world_read_output(w, 0, out, 2), 1);
    assert_view(out[0].value, "kept");
    world_end(w);
}

static void test_a_reset_reads_again(void **state)
{
    world *w = world_begin(state, 1);
    for (int i = 0; i < 10; i++) {
        world_feed(w, 0, "k", "v", 1000);
    }
    actor *a = world_actor(w, "all");
    begin(w, a, 1);
    world_assign(w, a, 0);
    assert_int_equal(world_read_to_end(w, a, 0), 10);
    world_reset(a);
    begin(w, a, 2);
    world_assign(w, a, 4);
    assert_int_equal(world_read_to_end(w, a, 0), 6);
    world_end(w);
}

static void test_resets_in_a_row(void **state)
{
    world *w = world_begin(state, 1);
    actor *a = world_actor(w, "all");
    world_reset(a);
    world_init(w, a, 1);
    world_reset(a);
    world_init(w, a, 2);
    world_reset(a);
    begin(w, a, 3);
    commit_epoch(w, a, 1, NULL, 1);
    world_end(w);
}

static void test_a_commit_cut_short_is_one_of_two(void **state)
{
    world *w = world_begin(state, 1);
    actor *a = world_actor(w, "all");
    begin(w, a, 1);
    mr_chunk *chunk = world_chunk(w, 1);
    world_put(chunk, 0, view("k"), view("v"), 1000, NULL, 0);
    world_produce(w, a, chunk);
    world_offsets(w, a, 1, 5);
    const mr_kafka_command end = {.op = MR_KAFKA_COMMIT, .epoch = 1};
    assert_int_equal(a->kafka.type->submit(a->kafka.self, &end), MR_OK);
    world_reset(a);
    begin(w, a, 2);
    const bool is_committed = a->ready[0].offset == 5;
    assert_true(is_committed || a->ready[0].offset == -1);
    assert_int_equal(world_count_output(w, 0), is_committed ? 1 : 0);
    world_end(w);
}

/* COVERS: S27 */
static void test_aborted_input_is_not_seen(void **state)
{
    world *w = world_begin(state, 1);
    world_feed(w, 0, "k", "before", 1000);
    world_feed_aborted(w, "k", "aborted");
    world_feed(w, 0, "k", "after", 1000);
    actor *a = world_actor(w, "all");
    begin(w, a, 1);
    world_assign(w, a, 0);
    assert_int_equal(world_read_to_end(w, a, 0), 2);
    assert_string_equal(a->last_value, "after");
    world_end(w);
}

/* ---- Rivals ---- */

/* COVERS: S21 */
static void test_the_newer_of_two_wins(void **state)
{
    world *w = world_begin(state, 1);
    actor *a = world_actor(w, "all");
    begin(w, a, 1);
    commit_epoch(w, a, 1, NULL, 1);
    actor *b = world_actor(w, "all");
    begin(w, b, 2);
    commit_epoch(w, b, 2, NULL, 2);
    mr_chunk *chunk = world_chunk(w, 2);
    world_put(chunk, 0, view("k"), view("zombie"), 1000, NULL, 0);
    world_try_epoch(w, a, 2, chunk, 9);
    world_expect_failed(w, a);
    assert_int_not_equal(mr_status_class(a->failure.status), MR_CLASS_FATAL);
    world_reset(a);
    world_init(w, a, 3);
    world_expect_failed(w, a);
    assert_int_equal(a->failure.status, MR_ERR_FENCED);
    assert_non_null(strstr(a->failure.text, "E_FENCED"));
    commit_epoch(w, b, 3, NULL, 3);
    assert_int_equal(world_count_output(w, 0), 0);
    world_end(w);
}

/* COVERS: S10 */
static void test_a_fence_without_a_claim_is_no_rival(void **state)
{
    world *w = world_begin(state, 1);
    actor *a = world_actor(w, "all");
    begin(w, a, 1);
    commit_epoch(w, a, 1, NULL, 1);
    actor *b = world_actor(w, "all");
    begin(w, b, 2); /* And dies before its claim. */
    world_close(b);
    world_try_epoch(w, a, 2, NULL, 2);
    world_expect_failed(w, a);
    world_reset(a);
    begin(w, a, 3);
    assert_int_equal(a->ready[0].offset, 1);
    commit_epoch(w, a, 2, NULL, 2);
    world_end(w);
}

static void test_a_former_owner_is_fenced(void **state)
{
    world *w = world_begin(state, 1);
    actor *a = world_actor(w, "all");
    begin(w, a, 1);
    commit_epoch(w, a, 1, NULL, 1);
    mr_chunk *chunk = world_chunk(w, 2);
    world_put(chunk, 0, view("k"), view("zombie"), 1000, NULL, 0);
    world_produce(w, a, chunk);
    world_wait_produced(w, a, 2);
    actor *b = world_actor(w, "p0_1");
    begin(w, b, 2);
    assert_int_equal(b->ready[0].offset, 1);
    commit_epoch(w, b, 2, NULL, 2);
    world_try_epoch(w, a, 2, NULL, 9);
    world_expect_failed(w, a);
    assert_int_equal(world_count_output(w, 0), 0);
    world_end(w);
}

static void test_closing_in_the_middle(void **state)
{
    world *w = world_begin(state, 1);
    actor *a = world_actor(w, "all");
    begin(w, a, 1);
    mr_chunk *chunk = world_chunk(w, 1);
    world_put(chunk, 0, view("k"), view("v"), 1000, NULL, 0);
    world_produce(w, a, chunk);
    world_close(a);
    actor *b = world_actor(w, "all");
    world_init(w, b, 2);
    world_close(b); /* While INIT runs. */
    actor *c = world_actor(w, "all");
    begin(w, c, 3);
    assert_int_equal(c->ready[0].offset, -1);
    assert_int_equal(world_count_output(w, 0), 0);
    world_end(w);
}

#define CASE(name)                           \
    {                                        \
#name, test_##name, NULL, NULL, NULL \
    }

static const struct CMUnitTest cases[] = {
    CASE(empty_topic_is_ready),
    CASE(start_means_an_offset),
    CASE(records_come_as_they_are),
    CASE(reading_begins_at_the_assigned_offset),
    CASE(the_end_is_told),
    CASE(a_fetch_is_no_larger_than_a_batch),
    CASE(the_rest_of_a_queue_comes_at_once),
    CASE(nothing_comes_before_assign),
    CASE(offsets_and_metadata_come_back),
    CASE(output_is_visible_after_the_commit),
    CASE(epochs_follow_each_other),
    CASE(an_epoch_without_output_commits),
    CASE(the_next_epoch_waits),
    CASE(much_output_keeps_its_order),
    CASE(a_reset_leaves_nothing),
    CASE(a_reset_reads_again),
    CASE(resets_in_a_row),
    CASE(a_commit_cut_short_is_one_of_two),
    CASE(aborted_input_is_not_seen),
    CASE(the_newer_of_two_wins),
    CASE(a_fence_without_a_claim_is_no_rival),
    CASE(a_former_owner_is_fenced),
    CASE(closing_in_the_middle),
};

int main(void)
{
    int failed = 0;
    for (int kind = 0; kind < 2; kind++) {
        world_use_broker(kind == 1);
        failed += _cmocka_run_group_tests(kind == 1 ? "a broker" : "in process", cases,
                                          MR_LENGTH(cases), NULL, NULL);
    }
    return failed == 0 ? 0 : 1;
}

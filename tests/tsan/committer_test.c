/*
 * committer_test.c - the real client of a shard and its real committer thread (kafka_client.c,
 * txn_thread.c): commits, renewals, resets while a commit runs, and closes at any moment.
 *
 * What would reach a broker is this file's: the functions of txn_init.c, txn_owners.c and
 * txn_topics.c, and of librdkafka those that are called on a client. They touch what the real ones
 * touch (the clients, the answer of INIT, the taint), so that the thread sanitizer sees who may
 * when. No records: the path of payloads goes through librdkafka's own threads.
 *
 * LINK: mr_kafka mr_format mr_expr mr_batch mr_base
 */
#define _GNU_SOURCE
#include "engine/base/assert.h"
#include "io/kafka/kafka_private.h"
#include <errno.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

enum {
    PARTITIONS = 3,
    EPOCHS = 300,
    RESETS = 60,
    POLLS_MAX = 1000000,
    WAIT_MS = 1000,
    TIMEOUT_S = 60,             /* Of a transaction. */
    CALM_POLLS = 2 * TIMEOUT_S, /* Each finds a second gone at most: too early for the watchdog. */
    LATE_POLLS = 100 * TIMEOUT_S
};

typedef struct script { /* Knobs are set by the test before the command that meets them. */
    mr_txn *txn;        /* The committer's, from INIT on. */
    bool taints;        /* A commit taints the slot. */
    bool waits;         /* A commit rings `begun`, then waits for `go_on`. */
    bool init_waits, renewal_waits; /* The same of these. */
    _Atomic bool look_waits;        /* And of a look, which needs no command: at any time. */
    bool refuses;     /* Sending offsets waits as well, and then fails as without an answer. */
    int begun, go_on; /* eventfds */
    uint64_t commit_count, renew_count, destroy_count;
    int64_t offset_sum; /* Of what was sent. */
} script;

/* librdkafka's functions have no argument to carry it. */
static script the_script;
static int a_client; /* Its address stands for a client. */

static void ring_bell(int descriptor)
{
    const uint64_t one = 1;
    const ssize_t written = write(descriptor, &one, sizeof(one));
    MR_ASSERT(written == sizeof(one));
}

static void await_bell(int descriptor)
{
    uint64_t count = 0;
    const ssize_t got = read(descriptor, &count, sizeof(count));
    MR_ASSERT(got == sizeof(count));
}

static void wait_if(bool waits)
{
    if (waits) {
        ring_bell(the_script.begun);
        await_bell(the_script.go_on);
    }
}

/* ---- In the place of txn_init.c, txn_owners.c, txn_topics.c: the committer's thread ---- */

mr_status mr_txn_init(mr_txn *txn, const mr_job *job, mr_diag *diag)
{
    (void)diag;
    wait_if(the_script.init_waits);
    the_script.txn = txn;
    txn->input_count = job->offset_count;
    memcpy(txn->offsets, job->offsets, job->offset_count * sizeof(mr_offset));
    txn->topic_partitions[0] = PARTITIONS;
    txn->clients.consumer = txn->clients.producer = (rd_kafka_t *)(void *)&a_client;
    txn->clients.consumer_events = (rd_kafka_queue_t *)(void *)&a_client;
    txn->clients.producer_events = (rd_kafka_queue_t *)(void *)&a_client;
    return MR_OK;
}

mr_status mr_txn_assign(mr_txn *txn, const mr_job *job, mr_diag *diag)
{
    (void)diag;
    for (uint32_t i = 0; i < job->offset_count; i++) {
        MR_ASSERT(job->offsets[i].partition == i);
        txn->clients.inputs[i] = (rd_kafka_queue_t *)(void *)&a_client;
    }
    return MR_OK;
}

mr_status mr_txn_open_slot(mr_txn *txn, uint64_t generation, mr_diag *diag)
{
    (void)generation;
    (void)diag;
    wait_if(the_script.renewal_waits);
    atomic_store_explicit(&txn->taint, false, memory_order_release);
    txn->clients.producer = (rd_kafka_t *)(void *)&a_client;
    txn->clients.producer_events = (rd_kafka_queue_t *)(void *)&a_client;
    the_script.renew_count++;
    return MR_OK;
}

void mr_txn_destroy_producer(mr_txn *txn)
{
    txn->clients.producer = NULL;
    txn->clients.producer_events = NULL;
}

void mr_txn_destroy_clients(mr_txn *txn)
{
    mr_txn_destroy_producer(txn);
    txn->clients.consumer = NULL;
    txn->clients.consumer_events = NULL;
    memset(txn->clients.inputs, 0, txn->input_max * sizeof(rd_kafka_queue_t *));
    the_script.destroy_count++;
}

mr_status mr_txn_check_owners(mr_txn *txn, mr_diag *diag)
{
    (void)txn;
    (void)diag;
    wait_if(atomic_load_explicit(&the_script.look_waits, memory_order_acquire));
    return MR_OK;
}

mr_status mr_txn_check_topics(mr_txn *txn, mr_diag *diag)
{
    (void)txn;
    (void)diag;
    return MR_OK;
}

/* ---- In the place of librdkafka ---- */

rd_kafka_error_t *rd_kafka_send_offsets_to_transaction(
    rd_kafka_t *rk, const rd_kafka_topic_partition_list_t *offsets,
    const rd_kafka_consumer_group_metadata_t *cgmetadata, int timeout_ms)
{
    (void)cgmetadata;
    (void)timeout_ms;
    MR_ASSERT(rk != NULL);
    for (int i = 0; i < offsets->cnt; i++) {
        the_script.offset_sum += offsets->elems[i].offset;
    }
    if (the_script.refuses) {
        wait_if(true);
        return rd_kafka_error_new(RD_KAFKA_RESP_ERR__STATE, "refused");
    }
    return NULL;
}

rd_kafka_error_t *rd_kafka_commit_transaction(rd_kafka_t *rk, int timeout_ms)
{
    (void)timeout_ms;
    MR_ASSERT(rk != NULL);
    wait_if(the_script.waits);
    if (the_script.taints) {
        atomic_store_explicit(&the_script.txn->taint, true, memory_order_release);
    }
    the_script.commit_count++;
    return NULL;
}

rd_kafka_error_t *rd_kafka_begin_transaction(rd_kafka_t *rk)
{
    MR_ASSERT(rk != NULL);
    return NULL;
}

int rd_kafka_outq_len(rd_kafka_t *rk)
{
    MR_ASSERT(rk != NULL);
    return 0;
}

rd_kafka_resp_err_t rd_kafka_purge(rd_kafka_t *rk, int purge_flags)
{
    (void)purge_flags;
    MR_ASSERT(rk != NULL);
    return RD_KAFKA_RESP_ERR_NO_ERROR;
}

rd_kafka_event_t *rd_kafka_queue_poll(rd_kafka_queue_t *rkqu, int timeout_ms)
{
    (void)rkqu;
    (void)timeout_ms;
    return NULL;
}

/* ---- A shard: the test's thread ---- */

typedef struct shard {
    mr_plan plan;
    mr_plan_topic topic;
    mr_kafka kafka;
    int wake;
    mr_offset offsets[PARTITIONS];
    uint64_t epoch;
    mr_clock clock;
    mr_diag diag;
} shard;

static void open_shard(shard *s)
{
    const mr_kafka_options options = {.plan = &s->plan,
                                      .worker_set = "all",
                                      .memory_bytes = 64 << 20,
                                      .partition_count = PARTITIONS,
                                      .wake_descriptor = s->wake,
                                      .clock = s->clock,
                                      .random = mr_random_system(),
                                      .memory = mr_memory_system()};
    the_script.taints = the_script.waits = the_script.refuses = false;
    the_script.commit_count = the_script.renew_count = the_script.destroy_count = 0;
    the_script.offset_sum = 0;
    assert_int_equal(mr_kafka_open(&options, &s->kafka, &s->diag), MR_OK);
}

static int make_closed_shard(void **state)
{
    shard *s = calloc(1, sizeof(*s));
    assert_non_null(s);
    s->topic = (mr_plan_topic){.name = "in"};
    s->plan = (mr_plan){
        .file = "test.yaml",
        .app = "app",
        .topics = &s->topic,
        .topic_count = 1,
        .has_kafka = true,
        .commit = {.interval_us = 100000, .transaction_timeout_us = TIMEOUT_S * INT64_C(1000000)}};
    s->clock = mr_clock_system();
    for (uint32_t i = 0; i < PARTITIONS; i++) {
        s->offsets[i] = (mr_offset){.partition = i};
    }
    s->wake = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    the_script.begun = eventfd(0, EFD_CLOEXEC);
    the_script.go_on = eventfd(0, EFD_CLOEXEC);
    assert_true(s->wake >= 0 && the_script.begun >= 0 && the_script.go_on >= 0);
    *state = s;
    return 0;
}

static int make_shard(void **state)
{
    const int failed = make_closed_shard(state);
    open_shard(*state);
    return failed;
}

static int drop_shard(void **state)
{
    shard *s = *state;
    close(s->wake);
    close(the_script.begun);
    close(the_script.go_on);
    free(s);
    return 0;
}

/* Polls until an event comes; it must be this one. */
static void await(shard *s, mr_kafka_fact fact)
{
    mr_kafka_event events[4];
    for (uint32_t i = 0; i < POLLS_MAX; i++) {
        struct pollfd bell = {.fd = s->wake, .events = POLLIN};
        uint64_t bells = 0;
        const uint32_t count = s->kafka.type->poll(s->kafka.self, events, 4);
        if (count > 0) {
            assert_int_equal(count, 1);
            assert_int_equal(events[0].fact, fact);
            return;
        }
        assert_int_equal(poll(&bell, 1, WAIT_MS), 1);
        (void)!read(s->wake, &bells, sizeof(bells));
    }
    fail_msg("no event after %d polls", POLLS_MAX);
}

static mr_status submit(shard *s, mr_kafka_op op)
{
    const mr_kafka_command command = {.op = op,
                                      .epoch = s->epoch,
                                      .incarnation = 1,
                                      .offsets = s->offsets,
                                      .offset_count = PARTITIONS};
    return s->kafka.type->submit(s->kafka.self, &command);
}

static void start(shard *s)
{
    assert_int_equal(submit(s, MR_KAFKA_RESET), MR_OK);
    assert_int_equal(submit(s, MR_KAFKA_INIT), MR_OK);
    await(s, MR_KAFKA_READY);
    assert_int_equal(submit(s, MR_KAFKA_ASSIGN), MR_OK);
    await(s, MR_KAFKA_RECORDS);
}

/* The offsets change between epochs: nobody may read them then. After a renewal the slot is shut
 * for a while. */
static void post_epoch(shard *s)
{
    s->epoch++;
    for (uint32_t i = 0; i < PARTITIONS; i++) {
        s->offsets[i].offset++;
    }
    for (uint32_t i = 0; i < POLLS_MAX && submit(s, MR_KAFKA_OFFSETS) != MR_OK; i++) {
        mr_kafka_event event;
        struct pollfd bell = {.fd = s->wake, .events = POLLIN};
        uint64_t bells = 0;
        if (s->kafka.type->poll(s->kafka.self, &event, 1) == 0) {
            (void)poll(&bell, 1, 1);
            (void)!read(s->wake, &bells, sizeof(bells));
        }
    }
    assert_int_equal(submit(s, MR_KAFKA_COMMIT), MR_OK);
}

/* ---- Tests ---- */

static void run_epochs(shard *s, bool taints)
{
    int64_t sum = 0;
    start(s);
    the_script.taints = taints;
    for (uint32_t i = 0; i < EPOCHS; i++) {
        post_epoch(s);
        await(s, MR_KAFKA_COMMITTED);
        sum += PARTITIONS * s->offsets[0].offset;
    }
    mr_kafka_close(&s->kafka);
    assert_int_equal(the_script.commit_count, EPOCHS);
    assert_int_equal(the_script.offset_sum, sum);
}

static void test_epochs_are_committed(void **state)
{
    run_epochs(*state, false);
    assert_int_equal(the_script.renew_count, 0);
}

static void test_a_tainted_slot_is_renewed(void **state)
{
    run_epochs(*state, true);
    assert_true(the_script.renew_count >= EPOCHS - 1); /* The last one may meet the close. */
}

/* The commit is posted behind offsets that fail, and the shard has not read of that yet. */
static void test_no_commit_behind_offsets_that_failed(void **state)
{
    enum { JOBS = 5 }; /* RESET, INIT, ASSIGN, OFFSETS, COMMIT. */
    shard *s = *state;
    start(s);
    the_script.refuses = true;
    post_epoch(s);
    await_bell(the_script.begun);
    ring_bell(the_script.go_on);
    for (uint32_t i = 0; i < POLLS_MAX && atomic_load(&the_script.txn->finished) < JOBS; i++) {
        (void)poll(NULL, 0, 1);
    }
    assert_int_equal(atomic_load(&the_script.txn->finished), JOBS);
    await(s, MR_KAFKA_FAILED);
    mr_kafka_close(&s->kafka);
    assert_int_equal(the_script.commit_count, 0);
}

/* The answer of a commit that a RESET has overtaken is nobody's any more. */
static void test_a_reset_overtakes_a_commit(void **state)
{
    shard *s = *state;
    start(s);
    for (uint32_t i = 0; i < RESETS; i++) {
        the_script.waits = true;
        post_epoch(s);
        await_bell(the_script.begun);
        assert_int_equal(submit(s, MR_KAFKA_RESET), MR_OK);
        the_script.waits =
            false; /* The committer reads it before `begun` and in the next commit. */
        ring_bell(the_script.go_on);
        assert_int_equal(submit(s, MR_KAFKA_INIT), MR_OK);
        await(s, MR_KAFKA_READY);
        assert_int_equal(submit(s, MR_KAFKA_ASSIGN), MR_OK);
        await(s, MR_KAFKA_RECORDS);
    }
    mr_kafka_close(&s->kafka);
    assert_int_equal(the_script.commit_count, RESETS);
    assert_int_equal(the_script.destroy_count, RESETS + 2);
}

/* The committer is idle and destroys at once what was lent a moment ago. */
static void test_a_reset_between_epochs(void **state)
{
    shard *s = *state;
    for (uint32_t i = 0; i < RESETS; i++) {
        start(s);
        post_epoch(s);
        await(s, MR_KAFKA_COMMITTED);
    }
    mr_kafka_close(&s->kafka);
    assert_int_equal(the_script.commit_count, RESETS);
    assert_int_equal(the_script.destroy_count, RESETS + 1);
}

static void test_a_close_at_any_moment(void **state)
{
    shard *s = *state;
    for (uint32_t i = 0; i < RESETS; i++) {
        if (i > 0) {
            open_shard(s);
        }
        if (i % 4 > 0) {
            assert_int_equal(submit(s, MR_KAFKA_RESET), MR_OK);
            assert_int_equal(submit(s, MR_KAFKA_INIT), MR_OK);
        }
        if (i % 4 > 1) {
            await(s, MR_KAFKA_READY);
            assert_int_equal(submit(s, MR_KAFKA_ASSIGN), MR_OK);
        }
        if (i % 4 > 2) {
            await(s, MR_KAFKA_RECORDS);
            post_epoch(s);
        }
        mr_kafka_close(&s->kafka);
        assert_null(s->kafka.type);
    }
}

/* ---- A committer that does not come back, in a process of its own ---- */

static _Atomic int64_t leaps;

/* Every look finds 0.9 s gone: more would count as an absence of our own. */
static int64_t leaping_us(void *self)
{
    (void)self;
    return (atomic_fetch_add_explicit(&leaps, 1, memory_order_relaxed) + 1) * 900000;
}

static const mr_clock_type leaping_clock = {.monotonic_us = leaping_us, .wall_us = leaping_us};

typedef enum hung { HUNG_COMMIT, HUNG_INIT, HUNG_RENEWAL, HUNG_LOOK } hung;

static bool is_hung(void)
{
    struct pollfd bell = {.fd = the_script.begun, .events = POLLIN};
    return poll(&bell, 1, 1) == 1;
}

/* One turn of the shard; epochs go on as long as they are committed, and there is a slot. */
static void turn(shard *s, hung where)
{
    mr_kafka_event event;
    if (s->kafka.type->poll(s->kafka.self, &event, 1) == 1) {
        MR_ASSERT(event.fact == MR_KAFKA_COMMITTED);
        if (where != HUNG_RENEWAL) {
            post_epoch(s);
        }
    }
}

static void start_to_hang(shard *s, hung where)
{
    s->clock = (mr_clock){.type = &leaping_clock};
    open_shard(s);
    the_script.init_waits = where == HUNG_INIT;
    if (where == HUNG_INIT) {
        MR_ASSERT(submit(s, MR_KAFKA_RESET) == MR_OK && submit(s, MR_KAFKA_INIT) == MR_OK);
        await_bell(the_script.begun);
        return;
    }
    start(s);
    the_script.waits = where == HUNG_COMMIT;
    the_script.taints = the_script.renewal_waits = where == HUNG_RENEWAL;
    atomic_store_explicit(&the_script.look_waits, where == HUNG_LOOK, memory_order_release);
    post_epoch(s);
    while (!is_hung()) {
        turn(s, where);
    }
}

/* In the child. Tells the parent when it has been calm for long; 0 = to the end. */
static int hang(shard *s, hung where, int calm)
{
    (void)prctl(PR_SET_DUMPABLE, 0); /* No core file. */
    start_to_hang(s, where);
    for (uint32_t i = 0; i < LATE_POLLS; i++) {
        if (i == CALM_POLLS) {
            ring_bell(calm);
        }
        turn(s, where);
    }
    return 0;
}

static int status_of_hang(shard *s, hung where)
{
    const int calm = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    uint64_t bells = 0;
    int status = 0;

    assert_true(calm >= 0);
    const pid_t child = fork();
    if (child == 0) {
        _exit(hang(s, where, calm));
    }
    assert_true(child > 0);
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(read(calm, &bells, sizeof(bells)), sizeof(bells));
    close(calm);
    return status;
}

/* COVERS: S28 */
static void test_a_commit_that_hangs_ends_the_process(void **state)
{
    const int status = status_of_hang(*state, HUNG_COMMIT);
    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT);
}

/* An absent broker is no reason to end: at a start, behind a failed request, between epochs. */
static void expect_patience(void **state, hung where)
{
    const int status = status_of_hang(*state, where);
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

static void test_an_init_may_take_for_ever(void **state)
{
    expect_patience(state, HUNG_INIT);
}

static void test_a_renewal_may_take_for_ever(void **state)
{
    expect_patience(state, HUNG_RENEWAL);
}

static void test_a_look_at_the_owners_may_take_long(void **state)
{
    expect_patience(state, HUNG_LOOK);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_epochs_are_committed, make_shard, drop_shard),
        cmocka_unit_test_setup_teardown(test_a_tainted_slot_is_renewed, make_shard, drop_shard),
        cmocka_unit_test_setup_teardown(test_no_commit_behind_offsets_that_failed, make_shard,
                                        drop_shard),
        cmocka_unit_test_setup_teardown(test_a_reset_overtakes_a_commit, make_shard, drop_shard),
        cmocka_unit_test_setup_teardown(test_a_reset_between_epochs, make_shard, drop_shard),
        cmocka_unit_test_setup_teardown(test_a_close_at_any_moment, make_shard, drop_shard),
        cmocka_unit_test_setup_teardown(test_a_commit_that_hangs_ends_the_process,
                                        make_closed_shard, drop_shard),
        cmocka_unit_test_setup_teardown(test_a_renewal_may_take_for_ever, make_closed_shard,
                                        drop_shard),
        cmocka_unit_test_setup_teardown(test_a_look_at_the_owners_may_take_long, make_closed_shard,
                                        drop_shard),
        cmocka_unit_test_setup_teardown(test_an_init_may_take_for_ever, make_closed_shard,
                                        drop_shard),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

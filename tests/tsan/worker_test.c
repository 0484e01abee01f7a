/*
 * worker_test.c - a whole worker with its control thread, pinned shards, state on disk and a
 * committer a shard, started and stopped for real over a scripted Kafka.
 *
 * mr_kafka_open, mr_kafka_close and mr_kafka_preflight are this file's: they take the place of
 * librdkafka, which no sanitizer sees into. As in the real client, a second thread stands behind
 * each shard: commands go to it and answers come back through two SPSC rings, and it reads what is
 * lent (offsets, chunks, payloads) between a command and its answer. So the thread sanitizer sees
 * memory that a shard takes back or writes too early, and the comparison of what the committer read
 * with what was committed sees it without.
 *
 * LINK: mr_runtime mr_state mr_kafka mr_ring mr_format mr_batch mr_base
 */
#define _GNU_SOURCE
#include "engine/base/spsc_ring.h"
#include "tests/unit/runtime/shard_fixture.h"
#include <dirent.h>
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <unistd.h>

enum {
    SHARDS = 2,
    JOBS_MAX = 8192, /* More than an epoch has commands. */
    EPOCH_ROWS = 100,
    CLIENT_ARENA_BYTES = 1 << 20,
    FILES_MAX = 64,
    LOG_BYTES_MAX = 256 << 10
};

typedef enum job_kind { JOB_SEAM, JOB_CLOSE } job_kind;

typedef struct job { /* What a command lends; chunks of it are lent until the commit. */
    job_kind kind;
    mr_kafka_op op;
    const mr_chunk *chunk;
    const mr_offset *offsets;
    uint32_t offset_count;
} job;

typedef struct reply { /* The command `op` may be answered now. */
    mr_kafka_op op;
    uint64_t digest; /* COMMIT: of the records of the transaction. */
} reply;

typedef struct client { /* Of one shard. */
    fake_kafka fake;    /* The shard's. The logs stay from one worker to the next. */
    mr_arena *arena;
    mr_spsc_ring *jobs, *replies;
    int wake_descriptor, job_descriptor;
    pthread_t committer;
    const mr_chunk *lent[FAKE_CHUNKS]; /* The committer's. */
    uint32_t lent_count;
    uint64_t offsets_seen;        /* The committer's: a sum, so that they are read. */
    _Atomic uint32_t rows_inside; /* Input rows committed; written by the shard. */
} client;

typedef struct cluster {
    client clients[SHARDS];
    uint32_t stop_at_rows;     /* Control asks for a stop once so many are committed, */
    uint32_t stop_at_progress; /* and so many lines of progress are in the log. */
    int log_descriptor;
} cluster;

/* The three functions have no argument to carry it. Set before the worker starts. */
static cluster *the_cluster;

/* ---- The committer's thread ---- */

static uint64_t add_bytes(uint64_t digest, mr_view view)
{
    for (uint32_t i = 0; i < view.size_bytes; i++) {
        digest = digest * 31 + view.bytes[i];
    }
    return digest;
}

static uint64_t digest_chunk(uint64_t digest, const mr_chunk *chunk)
{
    for (uint32_t i = 0; i < chunk->record_count; i++) {
        digest = add_bytes(add_bytes(digest, chunk->records[i].key), chunk->records[i].value);
    }
    return digest;
}

static void ring_bell(int descriptor)
{
    const uint64_t one = 1;
    const ssize_t written = write(descriptor, &one, sizeof(one));
    MR_ASSERT(written == sizeof(one) || errno == EAGAIN);
}

static void perform(client *c, const job *todo)
{
    reply answer = {.op = todo->op};

    for (uint32_t i = 0; i < todo->offset_count; i++) {
        c->offsets_seen += (uint64_t)todo->offsets[i].offset + todo->offsets[i].partition;
    }
    switch (todo->op) {
    case MR_KAFKA_RESET:
        c->lent_count = 0;
        return;
    case MR_KAFKA_PRODUCE:
        MR_ASSERT(c->lent_count < FAKE_CHUNKS);
        c->lent[c->lent_count++] = todo->chunk;
        return;
    case MR_KAFKA_OFFSETS:
        return;
    case MR_KAFKA_COMMIT:
        for (uint32_t i = 0; i < c->lent_count; i++) {
            answer.digest = digest_chunk(answer.digest, c->lent[i]);
        }
        c->lent_count = 0;
        break;
    case MR_KAFKA_INIT:
    case MR_KAFKA_ASSIGN:
        break;
    }
    const bool pushed = mr_spsc_ring_push(c->replies, &answer);
    MR_ASSERT(pushed);
    ring_bell(c->wake_descriptor);
}

static void *committer_main(void *argument)
{
    client *c = argument;
    job todo = {.kind = JOB_SEAM};

    while (todo.kind != JOB_CLOSE) {
        uint64_t count = 0;
        if (!mr_spsc_ring_pop(c->jobs, &todo)) {
            const ssize_t got = read(c->job_descriptor, &count, sizeof(count));
            MR_ASSERT(got == sizeof(count) || errno == EINTR);
        } else if (todo.kind != JOB_CLOSE) {
            perform(c, &todo);
        }
    }
    return NULL;
}

/* ---- The seam, in the shard's thread ---- */

static void hold(fake_kafka *fake, mr_kafka_op op, bool is_held)
{
    fake->hold_init = op == MR_KAFKA_INIT ? is_held : fake->hold_init;
    fake->hold_assign = op == MR_KAFKA_ASSIGN ? is_held : fake->hold_assign;
    fake->hold_commits = op == MR_KAFKA_COMMIT ? is_held : fake->hold_commits;
}

static void post(client *c, const job *todo)
{
    const bool pushed = mr_spsc_ring_push(c->jobs, todo);
    MR_ASSERT(pushed);
    ring_bell(c->job_descriptor);
}

static mr_status client_submit(void *self, const mr_kafka_command *command)
{
    client *c = self;
    const job todo = {.op = command->op,
                      .chunk = command->chunk,
                      .offsets = command->offsets,
                      .offset_count = command->offsets == NULL ? 0 : command->offset_count};

    const mr_status status = fake_submit(&c->fake, command);
    if (status == MR_OK) {
        hold(&c->fake, command->op, true);
        post(c, &todo);
    }
    return status;
}

static uint32_t client_poll(void *self, mr_kafka_event *events, uint32_t count_max)
{
    client *c = self;
    fake_kafka *fake = &c->fake;
    uint32_t rows = 0;
    reply answer;

    while (mr_spsc_ring_pop(c->replies, &answer)) {
        uint64_t digest = 0;
        for (uint32_t i = 0; answer.op == MR_KAFKA_COMMIT && i < fake->chunk_count; i++) {
            digest = digest_chunk(digest, fake->chunks[i]);
        }
        MR_ASSERT(digest == answer.digest);
        hold(fake, answer.op, false);
    }
    const uint32_t count = fake_poll(fake, events, count_max);
    for (uint32_t p = 0; p < FAKE_PARTITIONS; p++) {
        const int64_t committed = fake->logs[TOPIC_IN][p].committed;
        rows += committed < 0 ? 0 : (uint32_t)committed;
    }
    atomic_store_explicit(&c->rows_inside, rows, memory_order_relaxed);
    return count;
}

static mr_fetch *client_take(void *self, uint32_t input)
{
    return fake_take(&((client *)self)->fake, input);
}

static void client_give_back(void *self, mr_fetch *fetch)
{
    fake_give_back(&((client *)self)->fake, fetch);
}

static bool client_may_sleep(void *self)
{
    (void)self;
    return true; /* Its committer always writes the descriptor. */
}

static uint32_t client_topic_partitions(void *self, uint32_t topic)
{
    return fake_topic_partitions(&((client *)self)->fake, topic);
}

static uint32_t client_topic_record_max(void *self, uint32_t topic)
{
    return fake_topic_record_max(&((client *)self)->fake, topic);
}

static const mr_kafka_type client_type = {.submit = client_submit,
                                          .poll = client_poll,
                                          .take = client_take,
                                          .give_back = client_give_back,
                                          .may_sleep = client_may_sleep,
                                          .produced = fake_produced,
                                          .topic_partitions = client_topic_partitions,
                                          .topic_record_max = client_topic_record_max};

/* ---- In the place of librdkafka ---- */

mr_status mr_kafka_open(const mr_kafka_options *options, mr_kafka *kafka, mr_diag *diag)
{
    client *c = &the_cluster->clients[options->shard];

    (void)diag;
    c->arena = mr_arena_create(mr_memory_system(), CLIENT_ARENA_BYTES, "scripted client");
    c->jobs = mr_spsc_ring_create(c->arena, JOBS_MAX, sizeof(job));
    c->replies = mr_spsc_ring_create(c->arena, FAKE_EVENTS, sizeof(reply));
    c->wake_descriptor = options->wake_descriptor;
    c->job_descriptor = eventfd(0, EFD_CLOEXEC);
    assert_true(c->jobs != NULL && c->replies != NULL && c->job_descriptor >= 0);
    assert_int_equal(pthread_create(&c->committer, NULL, committer_main, c), 0);
    *kafka = (mr_kafka){.type = &client_type, .self = c};
    return MR_OK;
}

void mr_kafka_close(mr_kafka *kafka)
{
    client *c = kafka->self;
    const job last = {.kind = JOB_CLOSE};

    post(c, &last);
    const int error = pthread_join(c->committer, NULL);
    MR_ASSERT(error == 0);
    close(c->job_descriptor);
    mr_arena_destroy(c->arena);
    *kafka = (mr_kafka){.type = NULL};
}

mr_status mr_kafka_preflight(const mr_preflight_options *options, uint32_t *partition_counts,
                             mr_diag *diag)
{
    const mr_plan *plan = options->plan;

    (void)diag;
    for (uint32_t i = 0; i < plan->topic_count; i++) {
        partition_counts[i] = FAKE_PARTITIONS;
    }
    return MR_OK;
}

/* ---- The world of a test ---- */

typedef struct world {
    fixture *plan; /* For its plan. */
    cluster *cluster;
    char directory[64];
    mr_log *log;
    int log_descriptor;
    mr_diag diag;
} world;

/* Each shard has logs of its own and reads the partitions that are its own. */
static bool is_of(uint32_t shard, uint32_t partition)
{
    return partition % SHARDS == shard;
}

static void fill_logs(client *c, uint32_t shard)
{
    for (uint32_t t = 0; t < FAKE_TOPICS; t++) {
        for (uint32_t p = 0; p < FAKE_PARTITIONS; p++) {
            c->fake.logs[t][p].records = calloc(FAKE_RECORDS, sizeof(fake_record));
            c->fake.logs[t][p].committed = -1;
            assert_non_null(c->fake.logs[t][p].records);
        }
    }
    for (uint32_t p = 0; p < FAKE_PARTITIONS; p++) {
        for (uint32_t i = 0; is_of(shard, p) && i < ROWS; i++) {
            char key[FAKE_TEXT], value[FAKE_TEXT];
            snprintf(key, sizeof(key), "k%u", i % KEYS);
            snprintf(value, sizeof(value), "%u", i);
            fake_write(&c->fake, TOPIC_IN, p, key, value);
        }
    }
}

static int make_world(void **state)
{
    world *w = calloc(1, sizeof(*w));
    assert_non_null(w);
    w->plan = make_fixture(FAKE_PARTITIONS, false, true);
    mr_plan *plan = &w->plan->plan;
    plan->commit.records = EPOCH_ROWS;
    plan->commit.dirty_state_bytes = 1 << 20;
    plan->state.io = MR_PLAN_IO_THREADS;
    plan->state.wal_max_bytes = 256 << 20;
    plan->memory.total.bytes = UINT64_C(1) << 30;
    w->cluster = calloc(1, sizeof(*w->cluster));
    assert_non_null(w->cluster);
    for (uint32_t i = 0; i < SHARDS; i++) {
        fill_logs(&w->cluster->clients[i], i);
    }
    snprintf(w->directory, sizeof(w->directory), "/tmp/worker-XXXXXX");
    assert_non_null(mkdtemp(w->directory));
    w->log_descriptor = w->cluster->log_descriptor = memfd_create("log", MFD_CLOEXEC);
    assert_true(w->log_descriptor >= 0);
    w->log = mr_log_create(w->log_descriptor, MR_LOG_DEBUG, MR_LOG_LOGFMT);
    the_cluster = w->cluster;
    *state = w;
    return 0;
}

static int drop_world(void **state)
{
    world *w = *state;
    char path[80];
    snprintf(path, sizeof(path), "%s/%s", w->directory, w->plan->plan.app);
    DIR *folder = opendir(path);
    const struct dirent *entry = NULL;
    assert_non_null(folder);
    for (uint32_t i = 0; i < FILES_MAX && (entry = readdir(folder)) != NULL; i++) {
        (void)unlinkat(dirfd(folder), entry->d_name, 0);
    }
    closedir(folder);
    assert_int_equal(rmdir(path), 0);
    assert_int_equal(rmdir(w->directory), 0);
    for (uint32_t i = 0; i < SHARDS; i++) {
        for (uint32_t t = 0; t < FAKE_TOPICS; t++) {
            for (uint32_t p = 0; p < FAKE_PARTITIONS; p++) {
                free(w->cluster->clients[i].fake.logs[t][p].records);
            }
        }
    }
    mr_log_destroy(w->log);
    close(w->log_descriptor);
    free(w->cluster);
    free_fixture(w->plan);
    free(w);
    return 0;
}

static uint32_t progress_lines(int descriptor)
{
    static char text[LOG_BYTES_MAX];
    uint32_t count = 0;
    const ssize_t size_bytes = pread(descriptor, text, sizeof(text) - 1, 0);
    assert_true(size_bytes >= 0);
    text[size_bytes] = '\0';
    for (const char *at = text; (at = strstr(at, "msg=progress")) != NULL; at++) {
        count++;
    }
    return count;
}

/* Thread: control. */
static bool stop_requested(void *self)
{
    cluster *shared = self;
    uint32_t rows = 0;
    for (uint32_t i = 0; i < SHARDS; i++) {
        rows += atomic_load_explicit(&shared->clients[i].rows_inside, memory_order_relaxed);
    }
    return rows >= shared->stop_at_rows &&
           progress_lines(shared->log_descriptor) >= shared->stop_at_progress;
}

/* A new Kafka client on the old logs. */
static void renew_client(client *c, const int64_t *now_us)
{
    fake_kafka *fake = &c->fake;
    const size_t logs_bytes = offsetof(fake_kafka, inputs);
    memset((uint8_t *)fake + logs_bytes, 0, sizeof(*fake) - logs_bytes);
    fake->now_us = now_us;
    fake->fetch_rows = 20;
    c->lent_count = 0;
}

static void renew_clients(world *w)
{
    for (uint32_t i = 0; i < SHARDS; i++) {
        renew_client(&w->cluster->clients[i], &w->plan->now_us);
    }
}

/* One worker, from its start until it has committed so many rows and has stopped. */
static mr_status run_worker(world *w, uint32_t stop_at_rows)
{
    const mr_worker_options options = {.plan = &w->plan->plan,
                                       .state_directory = w->directory,
                                       .shard_count = SHARDS,
                                       .progress = true,
                                       .row_json = fixture_row_json,
                                       .log = w->log,
                                       .stop_requested = stop_requested,
                                       .stop_self = w->cluster};
    w->cluster->stop_at_rows = stop_at_rows;
    return mr_worker_run(&options, &w->diag);
}

static void expect_stopped(world *w, mr_status status)
{
    if (status != MR_OK) {
        fail_msg("%s", w->diag.text);
    }
}

/* Every row once and in order: the running count of its key. */
static void expect_exact(const world *w)
{
    for (uint32_t p = 0; p < FAKE_PARTITIONS; p++) {
        const fake_kafka *fake = &w->cluster->clients[p % SHARDS].fake;
        const fake_log *out = &fake->logs[TOPIC_OUT][p];
        assert_int_equal(fake->logs[TOPIC_IN][p].committed, ROWS);
        assert_int_equal(out->count, ROWS);
        for (uint32_t i = 0; i < ROWS; i++) {
            char key[FAKE_TEXT], value[FAKE_TEXT];
            snprintf(key, sizeof(key), "k%u", i % KEYS);
            snprintf(value, sizeof(value), "%u", i / KEYS + 1);
            assert_string_equal(out->records[i].key, key);
            assert_string_equal(out->records[i].value, value);
        }
    }
}

/* ---- Tests ---- */

/* The second line of progress reads the counters of shards that are at work. */
static void test_a_worker_runs_and_stops(void **state)
{
    world *w = *state;
    renew_clients(w);
    w->cluster->stop_at_progress = 2;
    expect_stopped(w, run_worker(w, FAKE_PARTITIONS * ROWS));
    expect_exact(w);
}

static void test_a_stop_loses_nothing(void **state)
{
    world *w = *state;
    for (uint32_t part = 1; part <= 4; part++) {
        renew_clients(w);
        expect_stopped(w, run_worker(w, FAKE_PARTITIONS * ROWS * part / 4));
    }
    expect_exact(w);
}

static void test_an_abort_is_redone(void **state)
{
    world *w = *state;
    renew_clients(w);
    for (uint32_t i = 0; i < SHARDS; i++) {
        w->cluster->clients[i].fake.outcome = i == 0 ? FAKE_ABORTS : FAKE_UNKNOWN_COMMITTED;
        w->cluster->clients[i].fake.outcome_at = 3;
    }
    expect_stopped(w, run_worker(w, FAKE_PARTITIONS * ROWS));
    expect_exact(w);
    for (uint32_t i = 0; i < SHARDS; i++) {
        assert_true(w->cluster->clients[i].fake.init_count >= 2);
    }
}

static void test_one_fenced_shard_stops_the_others(void **state)
{
    world *w = *state;
    renew_clients(w);
    w->cluster->clients[1].fake.init_fails = MR_ERR_FENCED;
    assert_int_equal(run_worker(w, FAKE_PARTITIONS * ROWS + 1), MR_ERR_FENCED);
    assert_non_null(strstr(w->diag.text, "E_FENCED"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_a_worker_runs_and_stops, make_world, drop_world),
        cmocka_unit_test_setup_teardown(test_a_stop_loses_nothing, make_world, drop_world),
        cmocka_unit_test_setup_teardown(test_an_abort_is_redone, make_world, drop_world),
        cmocka_unit_test_setup_teardown(test_one_fenced_shard_stops_the_others, make_world,
                                        drop_world),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

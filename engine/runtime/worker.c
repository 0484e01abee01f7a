/*
 * worker.c - one process: shards on pinned threads, and the control thread that watches them.
 *
 * The control thread (the caller) tests the outside world, divides partitions and memory, starts
 * one thread a shard, and then only looks at counters and signals. It and block_file.c are the
 * files of the runtime that may start threads, sleep and touch files. One shard's failure stops the
 * worker after the others have drained. Threads: as named at each function.
 */
#define _GNU_SOURCE /* CPU sets, thread names, ppoll */
#include "engine/runtime/runtime_private.h"
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
    CONTROL_TURN_MS = 50,
    PROGRESS_US = 1000000,
    STOP_US_MAX = 8000000, /* A stop that has not committed by then is given up: safe. */
    END_US_MAX = 9500000,  /* A shard that has not ended by then never will: it hangs in a call. */
    PREFLIGHT_MS = 15000
};

typedef struct mr_shard_thread { /* Control's view of a shard. */
    pthread_t thread;
    bool is_started;
    const mr_worker_options *worker;
    mr_shard_options options;
    mr_env env;
    int wake_descriptor;
    uint32_t core;
    uint32_t *partitions;
    _Atomic int stop, abandon; /* Set by control, read by the shard's thread. */
    _Atomic int is_done;       /* Set by the shard's thread: `diag` is final. */
    _Atomic(const mr_shard_counters *) counters;
    mr_block_file marks;
    mr_shard_counters last; /* Copied when the shard closes. */
    mr_watchdog watchdog;   /* Control's. */
    mr_diag diag;           /* status MR_OK: ended in good order. */
} mr_shard_thread;

typedef struct mr_worker { /* Control's. */
    const mr_worker_options *options;
    mr_partition_set set;
    uint32_t partition_count;  /* Of each input, now. */
    uint32_t known_partitions; /* The same when this worker last ran; 0 = not known. */
    mr_budget budget;
    mr_memory memory;
    mr_shard_thread *threads;
    size_t threads_bytes;
    uint32_t shard_count;
    char directory[MR_PATH_BYTES_MAX];
    mr_worker_file file;
    mr_answers answers;
    mr_turns turns;
    mr_clock clock;
    uint64_t last_committed;
    int64_t last_progress_us;
} mr_worker;

static mr_status run_once(const mr_worker_options *options, mr_diag *diag);
static mr_status plan_worker(mr_worker *worker, mr_diag *diag);
static mr_status find_partitions(mr_worker *worker, mr_diag *diag);
static mr_status make_directory(mr_worker *worker, mr_diag *diag);
static mr_status open_directory(mr_worker *worker, mr_diag *diag);
static mr_status find_shard_count(mr_worker *worker, mr_diag *diag);
static mr_status check_partitions(const mr_worker *worker, mr_diag *diag);
static void remember_fence(mr_worker *worker);
static void remember_partitions(mr_worker *worker);
static mr_status start_shard(mr_worker *worker, uint32_t index, mr_diag *diag);
static void *shard_main(void *argument);
static mr_status shard_run(mr_shard_thread *thread);
static mr_status open_files(mr_shard_thread *thread);
static mr_status write_mark(void *self, const mr_mark *mark, mr_diag *diag);
static mr_status watch_shards(mr_worker *worker, mr_diag *diag);
static void watch_turns(mr_shard_thread *thread, const mr_shard_counters *counters, int64_t now_us);
static void end_process(const mr_worker *worker);
static void request_stop(mr_worker *worker, bool abandon);
static void log_started(const mr_worker *worker);
static void log_progress(mr_worker *worker, bool is_final);
static uint32_t usable_cores(uint32_t *cores, uint32_t count_max);
static void sleep_drain(void *self, int descriptor);
static void sleep_wait(void *self, const int *descriptors, uint32_t count, int64_t timeout_us);

/* Partitions that are added to a plan without state are taken up by beginning anew. */
mr_status mr_worker_run(const mr_worker_options *options, mr_diag *diag)
{
    MR_ASSERT(options->plan != NULL && options->stop_requested != NULL);
    mr_worker_options again = *options;
    mr_status status = run_once(options, diag);

    while (status == MR_ERR_PARTITIONS && !options->plan->is_stateful) {
        if (options->stop_requested(options->stop_self)) {
            return MR_OK;
        }
        const mr_log_field field = {.name = "app", .text = options->plan->app};
        mr_log_event(options->log, MR_LOG_WARN, "worker",
                     "partitions were added to the inputs: starting again with them", &field, 1);
        again.answers = (mr_answer_texts){0}; /* Both were for that one start. */
        again.take_over = false;
        status = run_once(&again, diag);
    }
    return status;
}

static mr_status run_once(const mr_worker_options *options, mr_diag *diag)
{
    const mr_memory memory = mr_memory_system();
    mr_worker *worker = memory.type->acquire(memory.self, sizeof(*worker), "worker");
    if (worker == NULL) {
        return mr_diag_set(diag, MR_ERR_MEMORY, 0, "no memory for the worker");
    }
    worker->options = options;
    worker->clock = mr_clock_system();
    worker->file.file.descriptor = -1;
    worker->memory = memory;
    mr_status status = plan_worker(worker, diag);
    for (uint32_t i = 0; status == MR_OK && i < worker->shard_count; i++) {
        status = start_shard(worker, i, diag);
    }
    const bool is_ready = status == MR_OK;
    if (is_ready) {
        log_started(worker);
        status = watch_shards(worker, diag);
        if (status == MR_ERR_FENCED) {
            remember_fence(worker);
        }
    } else if (worker->threads != NULL) {
        request_stop(worker, true);
    }
    for (uint32_t i = 0; worker->threads != NULL && i < worker->shard_count; i++) {
        mr_shard_thread *thread = &worker->threads[i];
        if (thread->is_started) {
            pthread_join(thread->thread, NULL);
            close(thread->wake_descriptor);
        }
    }
    if (options->progress && worker->threads != NULL) {
        log_progress(worker, true);
    }
    if (worker->threads != NULL) {
        memory.type->release(memory.self, worker->threads, worker->threads_bytes);
    }
    mr_worker_file_close(&worker->file);
    memory.type->release(memory.self, worker, sizeof(*worker));
    /* A broker that is away must not keep a worker from being stopped. */
    if (!is_ready && status == MR_ERR_UNREACHABLE && options->stop_requested(options->stop_self)) {
        return MR_OK;
    }
    return status;
}

/* ---- Start ---- */

static mr_status plan_worker(mr_worker *worker, mr_diag *diag)
{
    const mr_worker_options *options = worker->options;
    uint32_t cores[MR_SHARDS_MAX];
    const uint32_t core_count = usable_cores(cores, MR_SHARDS_MAX);

    mr_status status = mr_answers_parse(options->plan, &options->answers, &worker->answers, diag);
    if (status == MR_OK) {
        status = find_partitions(worker, diag);
    }
    if (status != MR_OK) {
        return status;
    }
    if (options->plan->has_kafka) {
        status = open_directory(worker, diag);
    }
    worker->known_partitions = worker->file.partition_count;
    if (status == MR_OK) {
        status = check_partitions(worker, diag);
    }
    if (status == MR_OK) {
        status = find_shard_count(worker, diag);
    }
    if (status != MR_OK) {
        return status;
    }
    const uint32_t lanes = (worker->set.count + worker->shard_count - 1) / worker->shard_count;
    status = mr_budget_compute(options->plan, mr_machine_memory_bytes(""), worker->shard_count,
                               lanes, &worker->budget, diag);
    if (status != MR_OK) {
        return status;
    }
    const size_t bytes = sizeof(mr_shard_thread) + lanes * sizeof(uint32_t);
    worker->threads_bytes = worker->shard_count * bytes;
    worker->threads =
        worker->memory.type->acquire(worker->memory.self, worker->threads_bytes, "shard threads");
    if (worker->threads == NULL) {
        return mr_diag_set(diag, MR_ERR_MEMORY, 0, "no memory for %u shards", worker->shard_count);
    }
    uint32_t *partitions = (uint32_t *)(void *)(worker->threads + worker->shard_count);
    for (uint32_t i = 0; i < worker->shard_count; i++) {
        mr_shard_thread *thread = &worker->threads[i];
        thread->partitions = partitions + (size_t)i * lanes;
        thread->core = cores[i % core_count];
        for (uint32_t p = i; p < worker->set.count; p += worker->shard_count) {
            thread->partitions[thread->options.partition_count++] = worker->set.partitions[p];
        }
    }
    return MR_OK;
}

static mr_status find_partitions(mr_worker *worker, mr_diag *diag)
{
    const mr_worker_options *options = worker->options;
    const mr_plan *plan = options->plan;
    uint32_t counts[MR_PLAN_TOPICS_MAX] = {0};
    uint32_t partition_count = options->file_partitions;

    if (plan->has_kafka) {
        const mr_preflight_options preflight = {.plan = plan,
                                                .secrets = options->secrets,
                                                .allow_client_version =
                                                    options->allow_client_version,
                                                .timeout_ms = PREFLIGHT_MS,
                                                .log = options->log,
                                                .stop_requested = options->stop_requested,
                                                .stop_self = options->stop_self};
        const mr_status status = mr_kafka_preflight(&preflight, counts, diag);
        if (status != MR_OK) {
            return status;
        }
        for (uint32_t i = 0; i < plan->topic_count; i++) {
            if (plan->topics[i].source != MR_NO_INDEX) {
                partition_count = counts[i];
            }
        }
    }
    if (partition_count == 0 || partition_count > MR_PARTITIONS_MAX) {
        return mr_diag_set(diag, MR_ERR_CONFIG, 0,
                           "the inputs have %u partitions; 1 to %d are possible", partition_count,
                           MR_PARTITIONS_MAX);
    }
    worker->partition_count = partition_count;
    return mr_partition_set_parse(options->partitions, partition_count, &worker->set, diag);
}

/* `<state dir>/<app>`, ours alone; the store tests owner and mode once more. */
static mr_status make_directory(mr_worker *worker, mr_diag *diag)
{
    const char *root = worker->options->state_directory;
    const int length = snprintf(worker->directory, sizeof(worker->directory), "%s/%s", root,
                                worker->options->plan->app);
    if (length < 0 || (size_t)length >= sizeof(worker->directory)) {
        return mr_diag_set(diag, MR_ERR_USAGE, 0, "--state-dir %s: the path is too long", root);
    }
    if (!mr_folder_make(root) || !mr_folder_make(worker->directory)) {
        if (errno == ENOSPC || errno == EDQUOT) {
            return mr_diag_set(diag, MR_ERR_LIMIT, 0,
                               "E_STATE_NO_SPACE: %s cannot be made: %s; free space on that "
                               "filesystem",
                               worker->directory, strerror(errno));
        }
        return mr_diag_set(diag, MR_ERR_CONFIG, 0,
                           "E_STATE_DIRECTORY: %s cannot be made: %s; give a writable folder with "
                           "--state-dir",
                           worker->directory, strerror(errno));
    }
    return MR_OK;
}

/* A fenced worker must not be brought back by its supervisor: two would fence each other for ever.
 */
static mr_status open_directory(mr_worker *worker, mr_diag *diag)
{
    mr_status status = make_directory(worker, diag);
    if (status == MR_OK) {
        status = mr_worker_file_open(&worker->file, worker->directory, diag);
    }
    if (status == MR_OK && worker->file.is_fenced && !worker->options->take_over) {
        status = mr_diag_set(diag, MR_ERR_FENCED, 0,
                             "E_FENCED: the worker of %s was fenced by another one with the same "
                             "or some of its partitions; stop that one and start with --take-over",
                             worker->directory);
    }
    return status;
}

/* Keys move when partitions are added, their state does not. */
static mr_status check_partitions(const mr_worker *worker, mr_diag *diag)
{
    const mr_plan *plan = worker->options->plan;
    const uint32_t known = worker->known_partitions;
    const char *topic = "";

    if (!plan->is_stateful || known == 0 || known == worker->partition_count) {
        return MR_OK;
    }
    for (uint32_t i = 0; i < plan->topic_count; i++) {
        topic = plan->topics[i].source != MR_NO_INDEX ? plan->topics[i].name : topic;
    }
    return mr_diag_set(
        diag, MR_ERR_PARTITIONS, 0,
        "E_PARTITIONS_CHANGED: topic %s has %u partitions, the state in %s belongs "
        "to %u: keys have moved, and the state cannot follow; process the topic anew "
        "under another app name",
        topic, worker->partition_count, worker->directory, known);
}

/*
 * As many as asked for, as the state directory was made with, or as there are cores. State lies in
 * files of shards, so a stateful plan cannot change their number; a stateless one can, as the ids
 * of its former shards are fenced by the record they left.
 */
static mr_status find_shard_count(mr_worker *worker, mr_diag *diag)
{
    const uint32_t asked = worker->options->shard_count;
    const uint32_t stored = worker->file.shard_count;
    const bool is_new = worker->file.file.sequence == 0;
    uint32_t cores[MR_SHARDS_MAX];

    worker->shard_count = asked > 0 ? asked : stored;
    if (worker->shard_count == 0) {
        worker->shard_count = usable_cores(cores, MR_SHARDS_MAX);
    }
    if (worker->shard_count > worker->set.count) {
        worker->shard_count = worker->set.count;
    }
    MR_ASSERT(worker->shard_count > 0 && worker->shard_count <= MR_SHARDS_MAX);
    if (worker->file.file.descriptor < 0) {
        return MR_OK;
    }
    /* With several shards, a task's file follows from its place in the set. */
    const bool is_same_set = strcmp(worker->file.worker_set, worker->set.name) == 0;
    const bool is_moved = worker->shard_count > 1 && !is_same_set;
    if (!is_new && (stored != worker->shard_count || is_moved) &&
        worker->options->plan->is_stateful) {
        return mr_diag_set(diag, MR_ERR_CONFIG, 0,
                           "E_SHARD_COUNT: the state in %s belongs to %u shards of the partitions "
                           "%s, not to %u of %s: start with --shards %u and the partitions it had",
                           worker->directory, stored, worker->file.worker_set, worker->shard_count,
                           worker->set.name, stored);
    }
    const bool is_same = stored == worker->shard_count && !worker->file.is_fenced &&
                         worker->file.partition_count != 0 && is_same_set;
    worker->file.shard_count = worker->shard_count;
    if (worker->file.partition_count == 0) { /* Else when the added ones have their beginning. */
        worker->file.partition_count = worker->partition_count;
    }
    worker->file.is_fenced = false;
    memcpy(worker->file.worker_set, worker->set.name, sizeof(worker->file.worker_set));
    return is_same ? MR_OK : mr_worker_file_write(&worker->file, diag);
}

/* Once every shard has committed where the added partitions begin; from then on they are known. */
static void remember_partitions(mr_worker *worker)
{
    mr_diag diag;
    if (worker->file.file.descriptor < 0 ||
        worker->file.partition_count == worker->partition_count) {
        return;
    }
    for (uint32_t i = 0; i < worker->shard_count; i++) {
        const mr_shard_counters *counters =
            atomic_load_explicit(&worker->threads[i].counters, memory_order_acquire);
        if (counters == NULL || mr_counter_read(&counters->epochs) == 0) {
            return;
        }
    }
    worker->file.partition_count = worker->partition_count;
    if (mr_worker_file_write(&worker->file, &diag) != MR_OK) {
        const mr_log_field field = {.name = "cause", .text = diag.text};
        mr_log_event(worker->options->log, MR_LOG_ERROR, "worker",
                     "the new number of partitions is not remembered", &field, 1);
    }
}

static void remember_fence(mr_worker *worker)
{
    mr_diag diag;
    worker->file.is_fenced = true;
    if (mr_worker_file_write(&worker->file, &diag) != MR_OK) {
        const mr_log_field field = {.name = "cause", .text = diag.text};
        mr_log_event(worker->options->log, MR_LOG_ERROR, "worker",
                     "that this worker was fenced is not remembered", &field, 1);
    }
}

static mr_status start_shard(mr_worker *worker, uint32_t index, mr_diag *diag)
{
    const mr_worker_options *options = worker->options;
    mr_shard_thread *thread = &worker->threads[index];

    thread->worker = options;
    thread->wake_descriptor = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    if (thread->wake_descriptor < 0) {
        return mr_diag_set(diag, MR_ERR_MEMORY, 0, "no eventfd: %s", strerror(errno));
    }
    thread->env = (mr_env){.clock = worker->clock,
                           .random = mr_random_system(),
                           .memory = mr_memory_system(),
                           .log = options->log,
                           .wake_descriptor = thread->wake_descriptor,
                           .sleep = {.drain = sleep_drain, .wait = sleep_wait}};
    thread->options.plan = options->plan;
    thread->options.env = &thread->env;
    thread->options.index = index;
    thread->options.shard_count = worker->shard_count;
    thread->options.worker_set = worker->set.name;
    thread->options.directory = options->plan->has_kafka ? worker->directory : NULL;
    thread->options.partitions = thread->partitions;
    thread->options.store_bytes = worker->budget.shard_store;
    thread->options.memory_bytes = worker->budget.shard_batches;
    thread->options.arena_bytes = worker->budget.shard_arena;
    thread->options.row_json = options->row_json;
    thread->options.answers = &worker->answers;
    thread->options.turns = worker->shard_count > 1 ? &worker->turns : NULL;
    thread->options.retry_poison = options->retry_poison;
    thread->options.known_partitions = worker->known_partitions;
#if defined(MR_CRASH_POINTS) && MR_CRASH_POINTS
    thread->options.test_headers = getenv("MR_TEST_HEADERS") != NULL;
#endif
    if (options->plan->has_kafka) {
        const mr_kafka_options kafka = {.plan = options->plan,
                                        .secrets = options->secrets,
                                        .worker_set = worker->set.name,
                                        .shard = index,
                                        .memory_bytes = worker->budget.shard_kafka,
                                        .partition_count = thread->options.partition_count,
                                        .topic_partitions = worker->partition_count,
                                        .wake_descriptor = thread->wake_descriptor,
                                        .clock = worker->clock,
                                        .random = thread->env.random,
                                        .memory = thread->env.memory,
                                        .log = options->log};
        const mr_status status = mr_kafka_open(&kafka, &thread->env.kafka, diag);
        if (status != MR_OK) {
            close(thread->wake_descriptor);
            return status;
        }
    }
    if (pthread_create(&thread->thread, NULL, shard_main, thread) != 0) {
        return mr_diag_set(diag, MR_ERR_MEMORY, 0, "no thread for shard %u: %s", index,
                           strerror(errno));
    }
    thread->is_started = true;
    return MR_OK;
}

/* ---- A shard's thread ---- */

static void *shard_main(void *argument)
{
    mr_shard_thread *thread = argument;
    cpu_set_t cores;
    char name[16];

    CPU_ZERO(&cores);
    CPU_SET(thread->core, &cores);
    (void)pthread_setaffinity_np(pthread_self(), sizeof(cores), &cores);
    snprintf(name, sizeof(name), "shard-%u", thread->options.index);
    (void)pthread_setname_np(pthread_self(), name);

    thread->diag.status = shard_run(thread);
    if (thread->env.kafka.type != NULL) {
        mr_kafka_close(&thread->env.kafka);
    }
    atomic_store_explicit(&thread->is_done, 1, memory_order_release);
    return NULL;
}

static mr_status shard_run(mr_shard_thread *thread)
{
    mr_shard *shard = NULL;
    mr_status status = MR_OK;

    if (thread->options.directory != NULL) {
        status = open_files(thread);
    }
    if (status == MR_OK) {
        status = mr_shard_open(&shard, &thread->options, &thread->diag);
    }
    if (status != MR_OK) {
        return status;
    }
    atomic_store_explicit(&thread->counters, mr_shard_read_counters(shard), memory_order_release);
    while (mr_shard_failure(shard) == NULL && !mr_shard_is_stopped(shard) &&
           atomic_load_explicit(&thread->abandon, memory_order_relaxed) == 0) {
        if (atomic_load_explicit(&thread->stop, memory_order_relaxed) != 0) {
            mr_shard_stop(shard);
        }
        if (mr_shard_step(shard) == 0) {
            mr_shard_sleep(shard);
        }
    }
    if (mr_shard_failure(shard) != NULL) {
        thread->diag = *mr_shard_failure(shard);
        status = thread->diag.status;
    }
    memcpy(&thread->last, mr_shard_read_counters(shard), sizeof(thread->last));
    atomic_store_explicit(&thread->counters, &thread->last, memory_order_release);
    /* The client reads payloads and offsets from the shard's memory until it is closed. */
    mr_tasks_close(shard);
    if (thread->env.kafka.type != NULL) {
        mr_kafka_close(&thread->env.kafka);
    }
    mr_shard_close(shard);
    if (thread->env.marks.write != NULL) {
        mr_block_file_close(&thread->marks);
    }
    return status;
}

/* The state's directory, and the mark beside it. */
static mr_status open_files(mr_shard_thread *thread)
{
    char fallback[256];
    mr_status status =
        mr_io_open((mr_io_choice)thread->options.plan->state.io, thread->options.directory,
                   &thread->env.io, fallback, &thread->diag);

    if (status != MR_OK) {
        return status;
    }
    if (fallback[0] != '\0') {
        const mr_log_field field = {.name = "cause", .text = fallback};
        mr_log_event(thread->env.log, MR_LOG_WARN, "ring", "io_uring is not available", &field, 1);
    }
    status = mr_mark_file_open(&thread->marks, thread->options.directory, thread->options.index,
                               &thread->options.mark, &thread->diag);
    if (status == MR_OK) {
        thread->env.marks.write = write_mark;
        thread->env.marks.self = thread;
    }
    return status;
}

/* A shard's own small file, in a start, in a recovery, and before an epoch of one record. */
static mr_status write_mark(void *self, const mr_mark *mark, mr_diag *diag)
{
    mr_shard_thread *thread = self;

    return mr_mark_file_write(&thread->marks, mark, diag);
}

/* ---- Control ---- */

static mr_status watch_shards(mr_worker *worker, mr_diag *diag)
{
    int64_t stopping_since_us = 0;
    mr_status status = MR_OK;
    for (;;) {
        uint32_t done = 0;
        remember_partitions(worker);
        uint32_t drained = 0;
        const int64_t now_us = worker->clock.type->monotonic_us(worker->clock.self);
        for (uint32_t i = 0; i < worker->shard_count; i++) {
            mr_shard_thread *thread = &worker->threads[i];
            const mr_shard_counters *counters =
                atomic_load_explicit(&thread->counters, memory_order_acquire);
            drained += counters != NULL && mr_counter_read(&counters->is_drained) != 0;
            if (atomic_load_explicit(&thread->is_done, memory_order_acquire) == 0) {
                watch_turns(thread, counters, now_us);
                continue;
            }
            done++;
            if (thread->diag.status != MR_OK && status == MR_OK) {
                *diag = thread->diag;
                status = thread->diag.status;
            }
        }
        if (done == worker->shard_count) {
            return status;
        }
        if (stopping_since_us == 0 &&
            (worker->options->stop_requested(worker->options->stop_self) || done > 0 ||
             drained == worker->shard_count)) {
            stopping_since_us = now_us;
            request_stop(worker, false);
        }
        if (stopping_since_us != 0 && now_us - stopping_since_us > STOP_US_MAX) {
            request_stop(worker, true);
        }
        if (stopping_since_us != 0 && now_us - stopping_since_us > END_US_MAX) {
            end_process(worker);
        }
        if (worker->options->progress && now_us - worker->last_progress_us >= PROGRESS_US) {
            log_progress(worker, false);
        }
        poll(NULL, 0, CONTROL_TURN_MS); /* A signal ends it early. */
    }
}

static void watch_turns(mr_shard_thread *thread, const mr_shard_counters *counters, int64_t now_us)
{
    if (counters == NULL) {
        return; /* Being opened. */
    }
    const mr_watch_word word =
        mr_watchdog_look(&thread->watchdog, mr_counter_read(&counters->turns), now_us);
    const mr_log_field fields[] = {
        {.name = "shard", .number = thread->options.index},
        {.name = "cause",
         .text = mr_counter_read(&counters->is_running) != 0
                     ? "it waits in a call that does not come back: a sink's reader, or the disk"
                     : "it recovers: much state is loaded, or the disk does not answer"}};
    if (word == MR_WATCH_STANDS) {
        mr_log_event(thread->env.log, MR_LOG_WARN, "worker", "a shard stands for 10 s", fields,
                     MR_LENGTH(fields));
    } else if (word == MR_WATCH_TURNS) {
        mr_log_event(thread->env.log, MR_LOG_INFO, "worker", "the shard goes on", fields, 1);
    }
}

/* What it holds cannot be taken from a thread that hangs, so nothing is closed: as after a kill. */
static void end_process(const mr_worker *worker)
{
    for (uint32_t i = 0; i < worker->shard_count; i++) {
        const mr_shard_thread *thread = &worker->threads[i];
        const mr_log_field field = {.name = "shard", .number = i};
        if (atomic_load_explicit(&thread->is_done, memory_order_acquire) == 0) {
            mr_log_event(worker->options->log, MR_LOG_ERROR, "worker",
                         "the shard does not end; ending the process, a restart recovers", &field,
                         1);
        }
    }
    _exit(EXIT_FAILURE);
}

static void request_stop(mr_worker *worker, bool abandon)
{
    const uint64_t one = 1;
    for (uint32_t i = 0; i < worker->shard_count; i++) {
        mr_shard_thread *thread = &worker->threads[i];
        if (!thread->is_started) {
            continue;
        }
        atomic_store_explicit(&thread->stop, 1, memory_order_relaxed);
        atomic_store_explicit(&thread->abandon, abandon ? 1 : 0, memory_order_relaxed);
        if (write(thread->wake_descriptor, &one, sizeof(one)) < 0) {
            MR_ASSERT(errno == EAGAIN); /* Full: it is awake anyway. */
        }
    }
}

static void log_started(const mr_worker *worker)
{
    const mr_plan *plan = worker->options->plan;
    const mr_log_field fields[] = {
        {.name = "app", .text = plan->app},
        {.name = "shards", .number = worker->shard_count},
        {.name = "tasks", .number = worker->set.count},
        {.name = "worker_set", .text = worker->set.name},
        {.name = "memory_mib", .number = (int64_t)(worker->budget.total >> 20)},
        {.name = "store_mib", .number = (int64_t)(worker->budget.shard_store >> 20)},
        {.name = "delivery",
         .text = plan->has_kafka && plan->delivery == MR_EXACTLY_ONCE ? "exactly_once"
                                                                      : "at_least_once"}};
    mr_log_event(worker->options->log, MR_LOG_INFO, "worker", "running", fields, MR_LENGTH(fields));
}

/* What is told of all shards together: sums, and the longest turn. */
static void log_progress(mr_worker *worker, bool is_final)
{
    enum { COMMITTED = 1, SUMS = 12 };
    static const struct {
        const char *name;
        size_t at;
    } sums[SUMS] = {{"in", offsetof(mr_shard_counters, records_in)},
                    {"committed", offsetof(mr_shard_counters, committed_in)},
                    {"out", offsetof(mr_shard_counters, records_out)},
                    {"rejected", offsetof(mr_shard_counters, rejected)},
                    {"dead_letters", offsetof(mr_shard_counters, dead_letters)},
                    {"dropped", offsetof(mr_shard_counters, dropped)},
                    {"repeated", offsetof(mr_shard_counters, repeated)},
                    {"misplaced", offsetof(mr_shard_counters, misplaced)},
                    {"keys", offsetof(mr_shard_counters, state_keys)},
                    {"epochs", offsetof(mr_shard_counters, epochs)},
                    {"recoveries", offsetof(mr_shard_counters, recoveries)},
                    {"credit_waits", offsetof(mr_shard_counters, credit_waits)}};
    const int64_t now_us = worker->clock.type->monotonic_us(worker->clock.self);
    mr_log_field fields[SUMS + 2];
    uint64_t cycle_us_max = 0;

    for (uint32_t k = 0; k < SUMS; k++) {
        fields[k] = (mr_log_field){.name = sums[k].name};
    }
    for (uint32_t i = 0; i < worker->shard_count; i++) {
        const mr_shard_counters *counters =
            atomic_load_explicit(&worker->threads[i].counters, memory_order_acquire);
        for (uint32_t k = 0; counters != NULL && k < SUMS; k++) {
            const void *counter = (const uint8_t *)counters + sums[k].at;
            fields[k].number += (int64_t)mr_counter_read(counter);
        }
        const uint64_t cycle_us =
            counters != NULL ? mr_counter_read(&counters->step_cycle_us_max) : 0;
        cycle_us_max = cycle_us > cycle_us_max ? cycle_us : cycle_us_max;
    }
    const uint64_t committed = (uint64_t)fields[COMMITTED].number;
    const int64_t span_us = now_us - worker->last_progress_us;
    const uint64_t rate = worker->last_progress_us == 0 || span_us <= 0
                              ? 0
                              : (committed - worker->last_committed) * 1000000 / (uint64_t)span_us;
    fields[SUMS] = (mr_log_field){.name = "turn_ms_max", .number = (int64_t)(cycle_us_max / 1000)};
    fields[SUMS + 1] = (mr_log_field){.name = "per_second", .number = (int64_t)rate};
    mr_log_event(worker->options->log, MR_LOG_INFO, "worker", is_final ? "stopped" : "progress",
                 fields, MR_LENGTH(fields));
    worker->last_committed = committed;
    worker->last_progress_us = now_us;
}

/* ---- The machine ---- */

static uint32_t usable_cores(uint32_t *cores, uint32_t count_max)
{
    cpu_set_t set;
    uint32_t count = 0;
    CPU_ZERO(&set);
    if (sched_getaffinity(0, sizeof(set), &set) == 0) {
        for (uint32_t i = 0; i < CPU_SETSIZE && count < count_max; i++) {
            if (CPU_ISSET(i, &set)) {
                cores[count++] = i;
            }
        }
    }
    if (count == 0) {
        cores[count++] = 0;
    }
    return count;
}

/* ---- The sleep seam ---- */

static void sleep_drain(void *self, int descriptor)
{
    uint64_t value = 0;
    (void)self;
    while (read(descriptor, &value, sizeof(value)) > 0) {
    }
}

static void sleep_wait(void *self, const int *descriptors, uint32_t count, int64_t timeout_us)
{
    struct pollfd polls[MR_WATCHES_MAX + 1];
    const struct timespec timeout = {.tv_sec = timeout_us / 1000000,
                                     .tv_nsec = timeout_us % 1000000 * 1000};
    (void)self;
    MR_ASSERT(count <= MR_LENGTH(polls));
    for (uint32_t i = 0; i < count; i++) {
        polls[i] = (struct pollfd){.fd = descriptors[i], .events = POLLIN};
    }
    (void)ppoll(polls, count, &timeout, NULL);
}

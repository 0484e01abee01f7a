/*
 * txn_thread.c - the committer: the one thread of a shard that may block in librdkafka.
 *
 * It takes jobs from a ring, in order, and answers each by a reply. A RESET raises the generation,
 * which every loop here looks at between two calls of at most two seconds; replies of an older
 * generation are void. The committer destroys a client only when told to, because the shard uses
 * it too. When idle it also watches, once a millisecond and only on request, for the producer to
 * have room again, as successful deliveries report nothing. Thread: the committer's, but for
 * start, stop, post and poke.
 */
#define _GNU_SOURCE
#include "io/kafka/kafka_private.h"
#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

enum {
    ROOM_LOOK_MS = 1,
    PAUSE_SLICE_MS = 20,
    OWNERS_LOOK_MS = 5000 /* A rival or a changed topic is noticed within this time. */
};

static void *committer_main(void *argument);
static void run_job(mr_txn *txn, const mr_job *job);
static void watch_room(mr_txn *txn);
static mr_status send_offsets(mr_txn *txn, const mr_job *job, mr_diag *diag);
static mr_status commit(mr_txn *txn, const mr_job *job, mr_diag *diag);
static mr_status renew(mr_txn *txn, const mr_job *job, mr_diag *diag);
static rd_kafka_topic_partition_list_t *list_of(const mr_txn *txn, const mr_job *job);
static mr_status judge(mr_txn *txn, mr_kafka_call call, rd_kafka_error_t *error, const char *what,
                       mr_diag *diag);
static void note_refusal(mr_txn *txn, const mr_diag *diag);
static void answer(mr_txn *txn, const mr_job *job, mr_reply_kind kind);
static void watch_owners(mr_txn *txn);
static void await_room(mr_txn *txn);

mr_status mr_txn_start(mr_txn *txn, const mr_kafka_options *options, uint32_t input_max,
                       mr_arena *arena, mr_diag *diag)
{
    const mr_plan *plan = options->plan;
    int length =
        snprintf(txn->owner, sizeof(txn->owner), "%s-%u", options->worker_set, options->shard);
    MR_ASSERT(length > 0 && (size_t)length < sizeof(txn->owner));
    length = snprintf(txn->transactional_id, sizeof(txn->transactional_id), "%s-%s", plan->app,
                      txn->owner);
    MR_ASSERT(length > 0 && (size_t)length < sizeof(txn->transactional_id));
    txn->options = options;
    txn->input_max = input_max;
    txn->record_bytes_max = MR_RECORD_BYTES_DEFAULT;
    atomic_init(&txn->room_goal, -1);
    txn->jobs = mr_spsc_ring_create(arena, MR_JOBS_MAX, sizeof(mr_job));
    txn->replies = mr_spsc_ring_create(arena, MR_REPLIES_MAX, sizeof(mr_reply));
    txn->offsets = mr_arena_take_array(arena, input_max, sizeof(mr_offset));
    txn->seen = mr_arena_take_array(arena, input_max, sizeof(mr_owner_view));
    txn->peeked = mr_arena_take_array(arena, input_max, sizeof(mr_owner_view));
    txn->clients.inputs = mr_arena_take_array(arena, input_max, sizeof(rd_kafka_queue_t *));
    txn->clients.topics =
        mr_arena_take_array(arena, plan->topic_count + 1, sizeof(rd_kafka_topic_t *));
    txn->topic_partitions = mr_arena_take_array(arena, plan->topic_count + 1, sizeof(uint32_t));
    if (txn->jobs == NULL || txn->replies == NULL || txn->offsets == NULL || txn->seen == NULL ||
        txn->peeked == NULL || txn->clients.inputs == NULL || txn->clients.topics == NULL ||
        txn->topic_partitions == NULL ||
        mr_arrivals_open(&txn->arrivals, input_max, options->wake_descriptor, arena) != MR_OK) {
        return mr_diag_set(diag, MR_ERR_MEMORY, 0, "no memory for the Kafka client of a shard");
    }
#if MR_CRASH_POINTS
    const char *armed =
        getenv("MR_CRASH_AT") != NULL ? getenv("MR_CRASH_AT") : getenv("MR_STOP_AT");
    txn->flush_before_offsets = armed != NULL && strncmp(armed, "K3:", 3) == 0;
#endif
    txn->job_descriptor = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    if (txn->job_descriptor < 0) {
        return mr_diag_set(diag, MR_ERR_MEMORY, 0, "no eventfd: %s", strerrordesc_np(errno));
    }
    txn->group = rd_kafka_consumer_group_metadata_new(plan->app);
    const int failed = pthread_create(&txn->thread, NULL, committer_main, txn);
    if (txn->group == NULL || failed != 0) {
        close(txn->job_descriptor);
        return mr_diag_set(diag, MR_ERR_MEMORY, 0, "no thread for a committer: %s",
                           strerrordesc_np(failed));
    }
    return MR_OK;
}

void mr_txn_stop(mr_txn *txn)
{
    const mr_job job = {.kind = MR_JOB_CLOSE};
    atomic_fetch_add_explicit(&txn->generation, 1, memory_order_acq_rel);
    while (!mr_txn_post(txn, &job)) {
        await_room(txn);
    }
    pthread_join(txn->thread, NULL);
    rd_kafka_consumer_group_metadata_destroy(txn->group);
    close(txn->job_descriptor);
}

bool mr_txn_post(mr_txn *txn, const mr_job *job)
{
    if (!mr_spsc_ring_push(txn->jobs, job)) {
        return false;
    }
    mr_txn_poke(txn);
    return true;
}

void mr_txn_poke(mr_txn *txn)
{
    const uint64_t one = 1;
    const ssize_t written = write(txn->job_descriptor, &one, sizeof(one));
    MR_ASSERT(written == sizeof(one) || errno == EAGAIN);
}

bool mr_txn_abandoned(const mr_txn *txn, uint64_t generation)
{
    return atomic_load_explicit(&txn->generation, memory_order_acquire) != generation;
}

/*
 * Reading the descriptor empty here loses nothing: a job is in the ring before its poke, and the
 * ring is looked at after each job.
 */
void mr_txn_pause(const mr_txn *txn, uint64_t generation, uint32_t ms)
{
    const int64_t until_ms = mr_txn_now_ms(txn) + ms;
    int64_t left_ms = ms;

    while (left_ms > 0 && !mr_txn_abandoned(txn, generation)) {
        struct pollfd wait = {.fd = txn->job_descriptor, .events = POLLIN};
        uint64_t count = 0;
        (void)poll(&wait, 1, (int)left_ms);
        (void)!read(txn->job_descriptor, &count, sizeof(count));
        left_ms = until_ms - mr_txn_now_ms(txn);
    }
}

int64_t mr_txn_now_ms(const mr_txn *txn)
{
    const mr_clock *clock = &txn->options->clock;
    return clock->type->monotonic_us(clock->self) / 1000;
}

/* ---- The thread ---- */

static void *committer_main(void *argument)
{
    mr_txn *txn = argument;
    char name[16];
    mr_job job = {.kind = MR_JOB_RESET};

    snprintf(name, sizeof(name), "commit-%u", txn->options->shard);
    (void)pthread_setname_np(pthread_self(), name);
    while (job.kind != MR_JOB_CLOSE) {
        const bool watches = atomic_load_explicit(&txn->room_goal, memory_order_acquire) >= 0;
        struct pollfd wait = {.fd = txn->job_descriptor, .events = POLLIN};
        uint64_t count = 0;
        (void)poll(&wait, 1, watches ? ROOM_LOOK_MS : txn->is_live ? OWNERS_LOOK_MS : -1);
        (void)!read(txn->job_descriptor, &count, sizeof(count));
        while (job.kind != MR_JOB_CLOSE && mr_spsc_ring_pop(txn->jobs, &job)) {
            run_job(txn, &job);
            atomic_fetch_add_explicit(&txn->finished, 1, memory_order_release);
        }
        watch_room(txn);
        watch_owners(txn);
    }
    return NULL;
}

static void run_job(mr_txn *txn, const mr_job *job)
{
    mr_diag *diag = &txn->reply.diag;
    mr_reply_kind kind = MR_REPLY_READY;
    mr_status status = MR_OK;

    if (job->kind == MR_JOB_RESET || job->kind == MR_JOB_CLOSE) {
        txn->is_live = false;
        mr_txn_destroy_clients(txn);
        return;
    }
    if (job->kind == MR_JOB_INIT && txn->refusal.status != MR_OK) {
        *diag = txn->refusal;
        txn->refusal.status = MR_OK;
        answer(txn, job, MR_REPLY_FAILED);
        return;
    }
    if (mr_txn_abandoned(txn, job->generation)) {
        return; /* The outcome of a commit that never began is settled by the next INIT. */
    }
    if (!txn->is_live && job->kind != MR_JOB_INIT) {
        /* A job before it has failed, and the shard has not read that yet. A commit behind offsets
         * that were not sent would end the transaction well, with the outputs alone. */
        return;
    }
    txn->is_producing = job->has_records;
    switch (job->kind) {
    case MR_JOB_INIT:
        atomic_store_explicit(&txn->is_waiting_long, true, memory_order_release);
        status = mr_txn_init(txn, job, diag);
        atomic_store_explicit(&txn->is_waiting_long, false, memory_order_release);
        break;
    case MR_JOB_ASSIGN:
        status = mr_txn_assign(txn, job, diag);
        kind = MR_REPLY_ASSIGNED;
        break;
    case MR_JOB_OFFSETS:
        status = send_offsets(txn, job, diag);
        kind = MR_REPLY_OFFSETS;
        break;
    case MR_JOB_COMMIT:
        status = commit(txn, job, diag);
        kind = atomic_load_explicit(&txn->taint, memory_order_acquire) ? MR_REPLY_TAINTED
                                                                       : MR_REPLY_COMMITTED;
        break;
    case MR_JOB_RENEW:
        status = renew(txn, job, diag);
        kind = MR_REPLY_RENEWED;
        break;
    case MR_JOB_RESET:
    case MR_JOB_CLOSE:
        break;
    }
    if (job->kind == MR_JOB_INIT) {
        txn->live_generation = job->generation;
        txn->owners_read_ms = mr_txn_now_ms(txn);
    }
    if (status != MR_OK) {
        note_refusal(txn, diag);
    }
    txn->is_live = status == MR_OK && (txn->is_live || job->kind == MR_JOB_INIT);
    answer(txn, job, status == MR_OK ? kind : MR_REPLY_FAILED);
}

/* A failure with a name. The shard may have heard of a failed delivery before, which does not say
 * why, and give up this answer. */
static void note_refusal(mr_txn *txn, const mr_diag *diag)
{
    const mr_log_field fields[] = {{.name = "shard", .number = txn->options->shard},
                                   {.name = "cause", .text = diag->text}};

    if (strncmp(diag->text, "E_", 2) != 0) {
        return;
    }
    mr_log_event(txn->options->log, MR_LOG_WARN, "kafka", "a call was refused", fields,
                 MR_LENGTH(fields));
    if (diag->status == MR_ERR_REFUSED) {
        txn->refusal = *diag;
    }
}

static void answer(mr_txn *txn, const mr_job *job, mr_reply_kind kind)
{
    const uint64_t one = 1;
    txn->reply.kind = kind;
    txn->reply.generation = job->generation;
    txn->reply.epoch = job->epoch;
    while (!mr_spsc_ring_push(txn->replies, &txn->reply)) {
        if (mr_txn_abandoned(txn, job->generation)) {
            return;
        }
        mr_txn_pause(txn, job->generation, PAUSE_SLICE_MS);
    }
    (void)!write(txn->options->wake_descriptor, &one, sizeof(one));
}

/* Wakes the shard once the producer holds no more than the shard wishes. */
static void watch_room(mr_txn *txn)
{
    const uint64_t one = 1;
    const int64_t goal = atomic_load_explicit(&txn->room_goal, memory_order_acquire);
    if (goal < 0 || txn->clients.producer == NULL) {
        return;
    }
    if (rd_kafka_outq_len(txn->clients.producer) <= goal) {
        atomic_store_explicit(&txn->room_goal, -1, memory_order_release);
        (void)!write(txn->options->wake_descriptor, &one, sizeof(one));
    }
}

/* A worker without input would never meet the fence of its rival, nor miss its topics; and nobody
 * else would see that partitions were added. */
static void watch_owners(mr_txn *txn)
{
    if (!txn->is_live || mr_txn_now_ms(txn) - txn->owners_read_ms < OWNERS_LOOK_MS ||
        mr_txn_abandoned(txn, txn->live_generation)) {
        return;
    }
    atomic_store_explicit(&txn->is_waiting_long, true, memory_order_release);
    const bool is_well = mr_txn_check_owners(txn, &txn->reply.diag) == MR_OK &&
                         mr_txn_check_topics(txn, &txn->reply.diag) == MR_OK;
    atomic_store_explicit(&txn->is_waiting_long, false, memory_order_release);
    if (!is_well) {
        const mr_job none = {.generation = txn->live_generation};
        txn->is_live = false;
        answer(txn, &none, MR_REPLY_FAILED);
    }
    txn->owners_read_ms = mr_txn_now_ms(txn);
}

static void await_room(mr_txn *txn)
{
    mr_txn_poke(txn);
    (void)poll(NULL, 0, ROOM_LOOK_MS);
}

/* ---- The jobs of an epoch ---- */

static mr_status send_offsets(mr_txn *txn, const mr_job *job, mr_diag *diag)
{
    const int64_t limit_ms = txn->options->plan->commit.transaction_timeout_us / 2000;
    const int64_t until_ms = mr_txn_now_ms(txn) + limit_ms;
    rd_kafka_topic_partition_list_t *list = list_of(txn, job);
    mr_status status = MR_OK;

    MR_ASSERT(txn->clients.producer != NULL && job->offset_count > 0);
    if (txn->flush_before_offsets && job->has_records &&
        rd_kafka_flush(txn->clients.producer, MR_CALL_MS) == RD_KAFKA_RESP_ERR_NO_ERROR) {
        mr_crash_pass(MR_K3);
    }
    do {
        status = judge(txn, MR_CALL_OFFSETS,
                       rd_kafka_send_offsets_to_transaction(txn->clients.producer, list, txn->group,
                                                            MR_CALL_MS),
                       "sending the offsets", diag);
    } while (mr_status_class(status) == MR_CLASS_RETRY && mr_txn_now_ms(txn) < until_ms &&
             !mr_txn_abandoned(txn, job->generation));
    rd_kafka_topic_partition_list_destroy(list);
    if (mr_status_class(status) == MR_CLASS_RETRY) {
        status =
            mr_diag_frame(diag, MR_ERR_TXN_ABORTED, "no success within %" PRId64 " ms", limit_ms);
        diag->status = status;
    }
    if (status == MR_OK) {
        mr_crash_pass(MR_K7);
    }
    return status;
}

/*
 * The time is ours to bound: with -1 librdkafka repeats an EndTxn without an answer for ever. What
 * is left of it is one call, as there is nothing to resume after the deadline.
 */
static mr_status commit(mr_txn *txn, const mr_job *job, mr_diag *diag)
{
    const int64_t limit_ms = txn->options->plan->commit.transaction_timeout_us / 1000;
    const int64_t until_ms = mr_txn_now_ms(txn) + limit_ms;
    mr_status status = MR_OK;

    do {
        const int64_t left_ms = until_ms - mr_txn_now_ms(txn);
        status = judge(
            txn, MR_CALL_COMMIT,
            rd_kafka_commit_transaction(txn->clients.producer, left_ms > 0 ? (int)left_ms : 0),
            "ending the transaction", diag);
    } while (mr_status_class(status) == MR_CLASS_RETRY && mr_txn_now_ms(txn) < until_ms &&
             !mr_txn_abandoned(txn, job->generation));
    if (mr_status_class(status) == MR_CLASS_RETRY) {
        status = mr_diag_frame(diag, MR_ERR_OUTCOME_UNKNOWN, "no answer within %" PRId64 " ms",
                               limit_ms);
        diag->status = status;
    }
    if (status != MR_OK) {
        return status;
    }
    mr_crash_pass(MR_K9);
    atomic_store_explicit(&txn->was_ready, true, memory_order_release);
    if (job->has_records) {
        atomic_store_explicit(&txn->has_produced, true, memory_order_release);
    }
    if (atomic_load_explicit(&txn->taint, memory_order_acquire)) {
        return MR_OK; /* Not opened: the shard orders the renewal. */
    }
    return judge(txn, MR_CALL_BEGIN, rd_kafka_begin_transaction(txn->clients.producer),
                 "beginning a transaction", diag);
}

static mr_status renew(mr_txn *txn, const mr_job *job, mr_diag *diag)
{
    const mr_log_field field = {.name = "shard", .number = txn->options->shard};
    mr_log_event(txn->options->log, MR_LOG_INFO, "kafka", "renewing a tainted producer", &field, 1);
    mr_txn_destroy_producer(txn);
    atomic_store_explicit(&txn->is_waiting_long, true, memory_order_release);
    const mr_status status = mr_txn_open_slot(txn, job->generation, diag);
    atomic_store_explicit(&txn->is_waiting_long, false, memory_order_release);
    return status;
}

/* ---- Helpers ---- */

static rd_kafka_topic_partition_list_t *list_of(const mr_txn *txn, const mr_job *job)
{
    const mr_plan *plan = txn->options->plan;
    rd_kafka_topic_partition_list_t *list =
        rd_kafka_topic_partition_list_new((int)job->offset_count);
    for (uint32_t i = 0; i < job->offset_count; i++) {
        const mr_offset *offset = &job->offsets[i];
        rd_kafka_topic_partition_t *entry = rd_kafka_topic_partition_list_add(
            list, plan->topics[offset->topic].name, (int32_t)offset->partition);
        MR_ASSERT(offset->offset >= 0 && offset->metadata_size_bytes <= MR_RECORD_BYTES_MAX);
        entry->offset = offset->offset;
        entry->metadata = rd_kafka_mem_malloc(NULL, offset->metadata_size_bytes + 1);
        MR_ASSERT(entry->metadata != NULL);
        memcpy(entry->metadata, offset->metadata, offset->metadata_size_bytes);
        entry->metadata_size = offset->metadata_size_bytes;
    }
    return list;
}

/* Takes the error over. */
static mr_status judge(mr_txn *txn, mr_kafka_call call, rd_kafka_error_t *error, const char *what,
                       mr_diag *diag)
{
    if (error == NULL) {
        return MR_OK;
    }
    const mr_fault fault = mr_fault_of(error);
    const bool was_ready = txn->is_producing ? txn->has_produced : txn->was_ready;
    const mr_verdict verdict = mr_kafka_judge(call, &fault, was_ready);
    if (verdict.is_fence) {
        atomic_store_explicit(&txn->fenced, true, memory_order_release);
    }
    MR_ASSERT(verdict.status != MR_OK);
    const mr_status status =
        mr_verdict_tell(&verdict, &fault, what, rd_kafka_error_string(error), diag);
    rd_kafka_error_destroy(error);
    return status;
}

/*
 * txn_owners.c - who else writes these partitions: the fence check, the fencing of former owners,
 * and the committed offsets (steps 3, 5 and 6 of section 4 in docs/exactly-once.md).
 *
 * The record of each committed offset names the worker and shard that wrote it. An owner that is
 * not us may be a zombie under an id which nobody would initialise again, so it is fenced before
 * the offsets are trusted. Two live rivals under one id would fence each other for ever, so after a
 * fence a foreign incarnation ends this worker, by name. Thread: the committer's.
 */
#include "io/kafka/kafka_private.h"
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum {
    RIVAL_WAIT_MS_MIN = 1000, /* Time for a rival to claim what it has fenced. */
    RIVAL_WAIT_MS_SPREAD = 2000,
    RETRY_MS = 100,
    WORDS_BYTES = 400
};

static mr_status find_rival(mr_txn *txn, mr_diag *diag);
static mr_status peek_owners(mr_txn *txn, uint64_t generation, mr_diag *diag);
static rd_kafka_resp_err_t list_offsets(mr_txn *txn, char *words, size_t words_size);
static const rd_kafka_topic_partition_t *first_error(const rd_kafka_topic_partition_list_t *list);
static rd_kafka_event_t *ask_offsets(mr_txn *txn, bool is_stable);
static const rd_kafka_group_result_t *group_of(rd_kafka_event_t *event);
static void name_unstable(mr_txn *txn, const char *code_words, char words[WORDS_BYTES]);
static const mr_owner_view *owner_of(const mr_txn *txn, const rd_kafka_topic_partition_t *entry);
static void take_views(mr_txn *txn, const rd_kafka_topic_partition_list_t *list,
                       mr_owner_view *views);
static mr_status fence_foreign(mr_txn *txn, const mr_owner_view *views, uint64_t generation,
                               mr_diag *diag);
static mr_status fence(mr_txn *txn, const char *owner, uint64_t generation, mr_diag *diag);
static rd_kafka_topic_partition_list_t *list_inputs(const mr_txn *txn);
static void view_of(const char *metadata, size_t size, mr_owner_view *view);
static mr_status read_stable(mr_txn *txn, rd_kafka_topic_partition_list_t *list,
                             uint64_t generation, mr_diag *diag);
static bool names_new_owner(const mr_txn *txn);
static void keep_offsets(mr_txn *txn, const rd_kafka_topic_partition_list_t *list);

mr_status mr_txn_check_fence(mr_txn *txn, uint64_t generation, mr_diag *diag)
{
    const mr_random *random = &txn->options->random;

    if (!atomic_exchange_explicit(&txn->fenced, false, memory_order_acq_rel) || !txn->was_read) {
        return MR_OK;
    }
    const uint64_t spread = random->type->next(random->self) % RIVAL_WAIT_MS_SPREAD;
    mr_txn_pause(txn, generation, RIVAL_WAIT_MS_MIN + (uint32_t)spread);
    const mr_status status = peek_owners(txn, generation, diag);
    if (status != MR_OK) {
        /* Still unknown: without the question the next INIT would take the id back from a rival. */
        atomic_store_explicit(&txn->fenced, true, memory_order_release);
        return status;
    }
    return find_rival(txn, diag); /* None: our own timeout fenced us. */
}

mr_status mr_txn_check_owners(mr_txn *txn, mr_diag *diag)
{
    char words[256];

    memset(txn->peeked, 0, txn->input_count * sizeof(mr_owner_view));
    (void)list_offsets(txn, words, sizeof(words)); /* What has failed is asked again soon. */
    return find_rival(txn, diag);
}

mr_status mr_txn_read_committed(mr_txn *txn, uint64_t generation, mr_diag *diag)
{
    mr_status status = peek_owners(txn, generation, diag);
    if (status == MR_OK) {
        status = fence_foreign(txn, txn->peeked, generation, diag);
    }
    while (status == MR_OK) {
        rd_kafka_topic_partition_list_t *list = list_inputs(txn);
        status = read_stable(txn, list, generation, diag);
        if (status == MR_OK) {
            take_views(txn, list, txn->seen);
            keep_offsets(txn, list);
        }
        rd_kafka_topic_partition_list_destroy(list);
        if (status != MR_OK || !names_new_owner(txn)) {
            break;
        }
        memcpy(txn->peeked, txn->seen, txn->input_count * sizeof(mr_owner_view));
        status = fence_foreign(txn, txn->peeked, generation, diag);
    }
    txn->was_read = txn->was_read || status == MR_OK;
    return status;
}

/* Whether a record that was peeked at is by an incarnation that is neither ours nor was read. */
static mr_status find_rival(mr_txn *txn, mr_diag *diag)
{
    const mr_plan *plan = txn->options->plan;
    for (uint32_t i = 0; i < txn->input_count; i++) {
        const mr_owner_view *now = &txn->peeked[i];
        const mr_owner_view *seen = &txn->seen[i];
        if (!now->is_ours || now->incarnation == txn->attempted ||
            (seen->is_ours && now->incarnation == seen->incarnation)) {
            continue;
        }
        const bool is_same_id = strcmp(now->owner, txn->owner) == 0;
        return mr_diag_set(diag, MR_ERR_FENCED, 0,
                           "%s: %s-%u: another worker (%s, incarnation %016" PRIx64
                           ") has committed on this partition; stop one of the two: they have the "
                           "same app and %s",
                           is_same_id ? "E_FENCED" : "E_TWO_OWNERS",
                           plan->topics[txn->offsets[i].topic].name, txn->offsets[i].partition,
                           now->owner, now->incarnation,
                           is_same_id ? "the same partitions" : "layouts that overlap");
    }
    return MR_OK;
}

/* ---- Reading ---- */

/* The records as they are, also while a transaction that would change them is undecided. */
static mr_status peek_owners(mr_txn *txn, uint64_t generation, mr_diag *diag)
{
    char words[256] = "";
    int64_t logged_ms = -1;

    while (!mr_txn_abandoned(txn, generation)) {
        memset(txn->peeked, 0, txn->input_count * sizeof(mr_owner_view));
        const rd_kafka_resp_err_t code = list_offsets(txn, words, sizeof(words));
        const mr_fault fault = mr_fault_of_code(code);
        const mr_verdict verdict = mr_kafka_judge(MR_CALL_READ, &fault, txn->was_ready);
        if (verdict.status == MR_OK) {
            return MR_OK;
        }
        const mr_status status =
            mr_verdict_tell(&verdict, &fault, "reading the group's records", words, diag);
        if (mr_status_class(status) != MR_CLASS_RETRY) {
            return status;
        }
        mr_txn_log_wait(txn, "reading the group's records", words, &logged_ms);
        mr_txn_pause(txn, generation, RETRY_MS);
    }
    return mr_diag_set(diag, MR_ERR_TXN_ABORTED, 0, "abandoned");
}

/* One ListConsumerGroupOffsets, unstable offsets allowed, into `peeked`; also where a partition has
 * failed, and its error is returned. */
static rd_kafka_resp_err_t list_offsets(mr_txn *txn, char *words, size_t words_size)
{
    rd_kafka_event_t *event = ask_offsets(txn, false);
    const rd_kafka_group_result_t *group = NULL;
    rd_kafka_resp_err_t code = RD_KAFKA_RESP_ERR__TIMED_OUT;

    snprintf(words, words_size, "no answer");
    if (event != NULL) {
        code = rd_kafka_event_error(event);
        snprintf(words, words_size, "%s", rd_kafka_event_error_string(event));
        group = group_of(event);
    }
    const rd_kafka_error_t *error = group != NULL ? rd_kafka_group_result_error(group) : NULL;
    if (error != NULL) {
        code = rd_kafka_error_code(error);
        snprintf(words, words_size, "%s", rd_kafka_error_string(error));
    } else if (group != NULL) {
        const rd_kafka_topic_partition_list_t *list = rd_kafka_group_result_partitions(group);
        const rd_kafka_topic_partition_t *place = first_error(list);
        take_views(txn, list, txn->peeked);
        if (place != NULL) {
            code = place->err;
            snprintf(words, words_size, "%s-%" PRId32 ": %s", place->topic, place->partition,
                     rd_kafka_err2str(code));
        }
    }
    if (event != NULL) {
        rd_kafka_event_destroy(event);
    }
    return code;
}

/* The first partition with an error, whose offset and record say nothing; NULL = none. */
static const rd_kafka_topic_partition_t *first_error(const rd_kafka_topic_partition_list_t *list)
{
    for (int i = 0; i < list->cnt; i++) {
        if (list->elems[i].err != RD_KAFKA_RESP_ERR_NO_ERROR) {
            return &list->elems[i];
        }
    }
    return NULL;
}

/* NULL = no answer in time. The caller destroys it. */
static rd_kafka_event_t *ask_offsets(mr_txn *txn, bool is_stable)
{
    rd_kafka_t *client = txn->clients.consumer;
    rd_kafka_topic_partition_list_t *list = list_inputs(txn);
    rd_kafka_ListConsumerGroupOffsets_t *request =
        rd_kafka_ListConsumerGroupOffsets_new(txn->options->plan->app, list);
    rd_kafka_AdminOptions_t *options =
        rd_kafka_AdminOptions_new(client, RD_KAFKA_ADMIN_OP_LISTCONSUMERGROUPOFFSETS);
    rd_kafka_queue_t *queue = rd_kafka_queue_new(client);
    char text[256];

    (void)rd_kafka_AdminOptions_set_request_timeout(options, MR_CALL_MS, text, sizeof(text));
    if (is_stable) {
        rd_kafka_error_destroy(rd_kafka_AdminOptions_set_require_stable_offsets(options, 1));
    }
    rd_kafka_ListConsumerGroupOffsets(client, &request, 1, options, queue);
    rd_kafka_event_t *event = rd_kafka_queue_poll(queue, 2 * MR_CALL_MS);
    rd_kafka_queue_destroy(queue);
    rd_kafka_AdminOptions_destroy(options);
    rd_kafka_ListConsumerGroupOffsets_destroy(request);
    rd_kafka_topic_partition_list_destroy(list);
    return event;
}

/* NULL = the call failed. */
static const rd_kafka_group_result_t *group_of(rd_kafka_event_t *event)
{
    size_t count = 0;

    if (rd_kafka_event_error(event) != RD_KAFKA_RESP_ERR_NO_ERROR) {
        return NULL;
    }
    const rd_kafka_group_result_t *const *groups = rd_kafka_ListConsumerGroupOffsets_result_groups(
        rd_kafka_event_ListConsumerGroupOffsets_result(event), &count);
    return count == 1 ? groups[0] : NULL;
}

/* Stable offsets: waits for every undecided transaction on them. */
static mr_status read_stable(mr_txn *txn, rd_kafka_topic_partition_list_t *list,
                             uint64_t generation, mr_diag *diag)
{
    int64_t logged_ms = mr_txn_now_ms(txn) - MR_TOPIC_GONE_MS / 2;

    while (!mr_txn_abandoned(txn, generation)) {
        rd_kafka_resp_err_t code = rd_kafka_committed(txn->clients.consumer, list, MR_CALL_MS);
        const rd_kafka_topic_partition_t *place =
            code == RD_KAFKA_RESP_ERR_NO_ERROR ? first_error(list) : NULL;
        char words[WORDS_BYTES] = "reading committed offsets";
        if (place != NULL) {
            code = place->err;
            (void)snprintf(words, sizeof(words), "reading the committed offset of %s-%" PRId32,
                           place->topic, place->partition);
        }
        const mr_fault fault = mr_fault_of_code(code);
        const mr_verdict verdict = mr_kafka_judge(MR_CALL_READ, &fault, txn->was_ready);
        if (verdict.status == MR_OK) {
            return MR_OK;
        }
        const mr_status status =
            mr_verdict_tell(&verdict, &fault, words, rd_kafka_err2str(code), diag);
        if (mr_status_class(status) != MR_CLASS_RETRY) {
            return status;
        }
        name_unstable(txn, rd_kafka_err2str(code), words);
        mr_txn_log_wait(txn,
                        "committed offsets are not stable yet: another transaction on them "
                        "is undecided",
                        words, &logged_ms);
        mr_txn_pause(txn, generation, RETRY_MS);
    }
    return mr_diag_set(diag, MR_ERR_TXN_ABORTED, 0, "abandoned");
}

/* The first partition whose offset is pending, and who wrote the one before; else `code_words`. */
static void name_unstable(mr_txn *txn, const char *code_words, char words[WORDS_BYTES])
{
    rd_kafka_event_t *event = ask_offsets(txn, true);
    const rd_kafka_group_result_t *group = event != NULL ? group_of(event) : NULL;
    const rd_kafka_topic_partition_list_t *list =
        group != NULL ? rd_kafka_group_result_partitions(group) : NULL;

    (void)snprintf(words, WORDS_BYTES, "%s", code_words);
    for (int i = 0; list != NULL && i < list->cnt; i++) {
        const rd_kafka_topic_partition_t *entry = &list->elems[i];
        if (entry->err == RD_KAFKA_RESP_ERR_UNSTABLE_OFFSET_COMMIT) {
            const mr_owner_view *owner = owner_of(txn, entry);
            (void)snprintf(words, WORDS_BYTES, "%s-%" PRId32 ": committed by %s before",
                           entry->topic, entry->partition,
                           owner != NULL && owner->is_ours ? owner->owner : "nobody known");
            break;
        }
    }
    if (event != NULL) {
        rd_kafka_event_destroy(event);
    }
}

/* As it was peeked; NULL = not an input of ours. */
static const mr_owner_view *owner_of(const mr_txn *txn, const rd_kafka_topic_partition_t *entry)
{
    for (uint32_t i = 0; i < txn->input_count; i++) {
        const char *topic = txn->options->plan->topics[txn->offsets[i].topic].name;
        if (txn->offsets[i].partition == (uint32_t)entry->partition &&
            strcmp(topic, entry->topic) == 0) {
            return &txn->peeked[i];
        }
    }
    return NULL;
}

static void take_views(mr_txn *txn, const rd_kafka_topic_partition_list_t *list,
                       mr_owner_view *views)
{
    const mr_plan *plan = txn->options->plan;
    for (uint32_t i = 0; i < txn->input_count; i++) {
        const char *topic = plan->topics[txn->offsets[i].topic].name;
        const int32_t partition = (int32_t)txn->offsets[i].partition;
        memset(&views[i], 0, sizeof(views[i]));
        for (int k = 0; k < list->cnt; k++) {
            const rd_kafka_topic_partition_t *entry =
                &list->elems[(i + (uint32_t)k) % (uint32_t)list->cnt];
            if (entry->partition == partition && strcmp(entry->topic, topic) == 0) {
                view_of(entry->metadata, entry->metadata_size, &views[i]);
                break;
            }
        }
    }
}

static void view_of(const char *metadata, size_t size, mr_owner_view *view)
{
    mr_offset_record record;
    if (metadata == NULL || size > MR_RECORD_BYTES_MAX ||
        mr_offset_record_parse(metadata, (uint32_t)size, &record) != MR_RECORD_OK) {
        return;
    }
    view->is_ours = true;
    view->incarnation = record.incarnation;
    memcpy(view->owner, record.owner, sizeof(view->owner));
}

/* The list stands in the order of the inputs, as it was made. */
static void keep_offsets(mr_txn *txn, const rd_kafka_topic_partition_list_t *list)
{
    MR_ASSERT((uint32_t)list->cnt == txn->input_count);
    for (uint32_t i = 0; i < txn->input_count; i++) {
        const rd_kafka_topic_partition_t *entry = &list->elems[i];
        mr_offset *offset = &txn->offsets[i];
        MR_ASSERT(entry->partition == (int32_t)offset->partition);
        offset->offset = entry->offset >= 0 ? entry->offset : -1;
        offset->metadata_size_bytes = 0;
        if (entry->metadata != NULL) {
            /* One byte too many shows that it is not ours. */
            const size_t size = entry->metadata_size < MR_RECORD_BYTES_MAX ? entry->metadata_size
                                                                           : MR_RECORD_BYTES_MAX;
            memcpy(offset->metadata, entry->metadata, size);
            offset->metadata_size_bytes =
                entry->metadata_size > MR_RECORD_BYTES_MAX ? 1 : (uint32_t)size;
        }
        offset->metadata[offset->metadata_size_bytes] = '\0';
    }
}

static rd_kafka_topic_partition_list_t *list_inputs(const mr_txn *txn)
{
    const mr_plan *plan = txn->options->plan;
    rd_kafka_topic_partition_list_t *list =
        rd_kafka_topic_partition_list_new((int)txn->input_count);
    for (uint32_t i = 0; i < txn->input_count; i++) {
        (void)rd_kafka_topic_partition_list_add(list, plan->topics[txn->offsets[i].topic].name,
                                                (int32_t)txn->offsets[i].partition);
    }
    return list;
}

/* ---- Fencing ---- */

/* Each owner but us once, by a throw-away producer with its transactional id. */
static mr_status fence_foreign(mr_txn *txn, const mr_owner_view *views, uint64_t generation,
                               mr_diag *diag)
{
    for (uint32_t i = 0; i < txn->input_count; i++) {
        bool is_done = !views[i].is_ours || strcmp(views[i].owner, txn->owner) == 0;
        for (uint32_t k = 0; k < i && !is_done; k++) {
            is_done = views[k].is_ours && strcmp(views[k].owner, views[i].owner) == 0;
        }
        if (is_done) {
            continue;
        }
        const mr_status status = fence(txn, views[i].owner, generation, diag);
        if (status != MR_OK) {
            return status;
        }
    }
    return MR_OK;
}

static mr_status fence(mr_txn *txn, const char *owner, uint64_t generation, mr_diag *diag)
{
    char id[MR_TRANSACTIONAL_ID_BYTES_MAX + 1];
    rd_kafka_t *producer = NULL;
    const mr_log_field field = {.name = "id", .text = id};

    snprintf(id, sizeof(id), "%s-%s", txn->options->plan->app, owner);
    const mr_client_settings settings = {.plan = txn->options->plan,
                                         .secrets = txn->options->secrets,
                                         .log = txn->options->log,
                                         .kind = MR_CLIENT_FENCER,
                                         .transactional_id = id};
    mr_log_event(txn->options->log, MR_LOG_INFO, "kafka", "fencing a former owner", &field, 1);
    mr_status status = mr_client_new(&settings, &producer, diag);
    if (status == MR_OK) {
        status = mr_txn_init_transactions(txn, producer, generation, id, diag);
        rd_kafka_destroy(producer);
    }
    return status;
}

/* Whether the stable records name an owner that has not been fenced in this INIT. */
static bool names_new_owner(const mr_txn *txn)
{
    for (uint32_t i = 0; i < txn->input_count; i++) {
        const mr_owner_view *view = &txn->seen[i];
        bool is_known = !view->is_ours || strcmp(view->owner, txn->owner) == 0;
        for (uint32_t k = 0; k < txn->input_count && !is_known; k++) {
            is_known = txn->peeked[k].is_ours && strcmp(txn->peeked[k].owner, view->owner) == 0;
        }
        if (!is_known) {
            return true;
        }
    }
    return false;
}

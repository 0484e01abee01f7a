/*
 * kafka_memory.c - a cluster within the process: logs with transactions, committed offsets with
 * metadata, fencing by transactional id, faults on request. For tests of the runtime.
 *
 * It behaves as kafka.h promises, not as a broker does: answers come with the next poll, nothing
 * is ever slow, and every record is acked at once. A transaction's records stand in the log from
 * the start and are hidden while it is undecided; its end appends a control record to each
 * partition it touched, so offsets have the same gaps as on a broker. Everything lies in one arena
 * until the cluster is destroyed. Limits: MR_PLAN_TOPICS_MAX topics, OWNERS_MAX transactional ids.
 */
#include "io/kafka/kafka_private.h"
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum { OWNERS_MAX = 64, EVENTS_MAX = 8, RECORD_BYTES_MAX = 1000000, HEADERS_MAX = 64 };

typedef enum mem_outcome { MEM_OPEN, MEM_COMMITTED, MEM_ABORTED } mem_outcome;

typedef struct mem_entry { /* A record, or the control record of a transaction's end. */
    struct mem_entry *next;
    struct mem_txn *txn; /* NULL: from outside, committed. */
    int64_t offset;
    bool is_control;
    mr_record record;
} mem_entry;

typedef struct mem_partition {
    mem_entry *first, *last;
    int64_t log_start, log_end;
    mr_offset committed; /* offset -1 = nothing. */
} mem_partition;

typedef struct mem_txn {
    mem_outcome outcome;
    mr_offset *offsets; /* Pending; take effect with the commit. */
    uint32_t offset_count;
} mem_txn;

typedef struct mem_owner { /* A transactional id. */
    char name[49];
    uint64_t epoch; /* Of the newest producer under it. */
    mem_txn *open;
} mem_owner;

struct mr_kafka_memory {
    const mr_plan *plan;
    mr_arena *arena;
    mem_partition *partitions; /* topic * partition_count + partition */
    uint32_t partition_count;
    mem_owner owners[OWNERS_MAX];
    uint32_t owner_count;
    uint32_t faults[MR_MEMORY_FAULT_COUNT];
};

typedef struct mem_input {
    mem_partition *partition;
    mem_entry *last; /* The last entry passed; NULL = none since `position`. */
    int64_t position;
    bool is_out, end_told;
    mr_fetch fetch;
    mr_fetch_record records[MR_BATCH_ROWS_MAX];
    const mem_entry *entries[MR_BATCH_ROWS_MAX];
} mem_input;

typedef struct mem_client {
    mr_kafka_memory *cluster;
    mr_kafka_options options;
    char name[49];
    mem_owner *owner;
    uint64_t producer_epoch; /* 0 = no producer. */
    uint64_t epoch;          /* Of the runtime; 0 = open for the next. */
    mem_txn *txn;
    mem_input *inputs;
    mr_offset *offsets;
    uint64_t *seen; /* Incarnations read by the last INIT. */
    uint32_t input_max, input_count, chunk_next;
    const mr_chunk *chunk;
    uint64_t attempted;
    bool is_ready, is_assigned, was_read, fenced, is_renewing, has_failed;
    mr_kafka_event events[EVENTS_MAX];
    uint32_t event_count;
    mr_diag diag;
} mem_client;

static mr_status mem_submit(void *self, const mr_kafka_command *command);
static void mem_init(mem_client *client, const mr_kafka_command *command);
static bool rival_has_claimed(const mem_client *client);
static mem_owner *owner_of(mr_kafka_memory *cluster, const char *name);
static void take_over(mr_kafka_memory *cluster, mem_owner *owner);
static mr_status mem_produce(mem_client *client, const mr_chunk *chunk);
static void mem_offsets(mem_client *client, const mr_kafka_command *command);
static void mem_commit(mem_client *client, const mr_kafka_command *command);
static void mem_reset(mem_client *client);
static void finish(mr_kafka_memory *cluster, mem_txn *txn, mem_outcome outcome);
static bool is_fenced(mem_client *client);
static void tell(mem_client *client, mr_kafka_fact fact, uint64_t epoch);
static void fail(mem_client *client, mr_status status, const char *words);
static bool strike(mr_kafka_memory *cluster, mr_kafka_memory_fault fault);
static mem_entry *append(mr_kafka_memory *cluster, mem_txn *txn, const mr_record *record);
static mem_partition *partition_at(const mr_kafka_memory *cluster, uint32_t topic,
                                   uint32_t partition);
static mem_entry *entry_from(const mem_partition *partition, int64_t offset);
static int64_t stable_end(const mem_partition *partition);
static mr_view copy_view(mr_kafka_memory *cluster, mr_view view);
static uint32_t mem_headers(const mr_fetch *fetch, uint32_t record, mr_view *pairs,
                            uint32_t pairs_max);

mr_kafka_memory *mr_kafka_memory_create(mr_memory memory, const mr_plan *plan,
                                        uint32_t partition_count, uint64_t bytes_max)
{
    mr_arena *arena = mr_arena_create(memory, bytes_max, "kafka in process");
    mr_kafka_memory *cluster = arena == NULL ? NULL : mr_arena_take(arena, sizeof(*cluster));
    const uint32_t count = plan->topic_count * partition_count;

    MR_ASSERT(partition_count > 0);
    mem_partition *partitions =
        cluster == NULL ? NULL : mr_arena_take_array(arena, count + 1, sizeof(mem_partition));
    if (partitions == NULL) {
        mr_arena_destroy(arena);
        return NULL;
    }
    for (uint32_t i = 0; i < count; i++) {
        partitions[i].committed.offset = -1;
    }
    *cluster = (mr_kafka_memory){
        .plan = plan, .arena = arena, .partitions = partitions, .partition_count = partition_count};
    return cluster;
}

void mr_kafka_memory_destroy(mr_kafka_memory *cluster)
{
    if (cluster != NULL) {
        mr_arena_destroy(cluster->arena);
    }
}

/* ---- The seam ---- */

static uint32_t mem_poll(void *self, mr_kafka_event *events, uint32_t count_max)
{
    mem_client *client = self;
    const uint32_t count = client->event_count < count_max ? client->event_count : count_max;

    memcpy(events, client->events, count * sizeof(*events));
    client->event_count -= count;
    memmove(client->events, client->events + count, client->event_count * sizeof(*events));
    client->is_renewing = false;
    return count;
}

static mr_fetch *mem_take(void *self, uint32_t index)
{
    mem_client *client = self;
    MR_ASSERT(index < client->input_count);
    mem_input *input = &client->inputs[index];
    MR_ASSERT(!input->is_out);
    if (!client->is_assigned || client->has_failed) {
        return NULL;
    }
    const int64_t end = stable_end(input->partition);
    mr_fetch *fetch = &input->fetch;
    fetch->records = input->records;
    fetch->record_count = 0;
    mem_entry *entry =
        input->last != NULL ? input->last->next : entry_from(input->partition, input->position);
    while (entry != NULL && entry->offset < end && fetch->record_count < MR_BATCH_ROWS_MAX) {
        const bool is_visible =
            !entry->is_control && (entry->txn == NULL || entry->txn->outcome == MEM_COMMITTED);
        if (is_visible) {
            input->entries[fetch->record_count] = entry;
            input->records[fetch->record_count++] =
                (mr_fetch_record){.key = entry->record.key,
                                  .value = entry->record.value,
                                  .offset = entry->offset,
                                  .timestamp_ms = entry->record.timestamp_ms};
        }
        input->last = entry;
        input->position = entry->offset + 1;
        input->end_told = false;
        entry = entry->next;
    }
    fetch->at_end = input->position >= end && !input->end_told;
    fetch->end_offset = input->position;
    input->end_told = input->end_told || fetch->at_end;
    input->is_out = fetch->record_count > 0 || fetch->at_end;
    return input->is_out ? fetch : NULL;
}

static void mem_give_back(void *self, mr_fetch *fetch)
{
    mem_client *client = self;
    mem_input *input = fetch->owner;
    MR_ASSERT(fetch->input < client->input_count && input->is_out);
    input->is_out = false;
}

static bool mem_may_sleep(void *self)
{
    (void)self;
    return true;
}

static bool mem_produced(void *self, uint64_t epoch)
{
    const mem_client *client = self;
    (void)epoch;
    return client->is_ready && !client->has_failed && client->chunk == NULL;
}

static uint32_t mem_topic_partitions(void *self, uint32_t topic)
{
    const mem_client *client = self;
    MR_ASSERT(topic < client->cluster->plan->topic_count);
    return client->cluster->partition_count;
}

static uint32_t mem_topic_record_max(void *self, uint32_t topic)
{
    const mem_client *client = self;
    MR_ASSERT(topic < client->cluster->plan->topic_count);
    return RECORD_BYTES_MAX;
}

static const mr_kafka_type memory_type = {.submit = mem_submit,
                                          .poll = mem_poll,
                                          .take = mem_take,
                                          .give_back = mem_give_back,
                                          .may_sleep = mem_may_sleep,
                                          .produced = mem_produced,
                                          .topic_partitions = mem_topic_partitions,
                                          .topic_record_max = mem_topic_record_max};

mr_status mr_kafka_memory_open(mr_kafka_memory *cluster, const mr_kafka_options *options,
                               mr_kafka *kafka, mr_diag *diag)
{
    mem_client *client = mr_arena_take(cluster->arena, sizeof(*client));
    uint32_t sources = 0;

    *kafka = (mr_kafka){.type = NULL};
    for (uint32_t i = 0; i < cluster->plan->topic_count; i++) {
        sources += cluster->plan->topics[i].source != MR_NO_INDEX;
    }
    const uint32_t inputs = sources * options->partition_count;
    if (client != NULL) {
        client->input_max = inputs;
        client->inputs = mr_arena_take_array(cluster->arena, inputs + 1, sizeof(mem_input));
        client->offsets = mr_arena_take_array(cluster->arena, inputs + 1, sizeof(mr_offset));
        client->seen = mr_arena_take_array(cluster->arena, inputs + 1, sizeof(uint64_t));
    }
    if (client == NULL || client->inputs == NULL || client->offsets == NULL ||
        client->seen == NULL) {
        return mr_diag_set(diag, MR_ERR_MEMORY, 0, "no memory for a client");
    }
    client->cluster = cluster;
    client->options = *options;
    snprintf(client->name, sizeof(client->name), "%s-%u", options->worker_set, options->shard);
    *kafka = (mr_kafka){.type = &memory_type, .self = client};
    return MR_OK;
}

void mr_kafka_memory_close(mr_kafka *kafka)
{
    if (kafka->self != NULL) {
        mem_reset(kafka->self);
    }
    *kafka = (mr_kafka){.type = NULL};
}

/* ---- Commands ---- */

static mr_status mem_submit(void *self, const mr_kafka_command *command)
{
    mem_client *client = self;
    const bool is_running = client->is_ready && !client->has_failed;

    switch (command->op) {
    case MR_KAFKA_RESET:
        mem_reset(client);
        return MR_OK;
    case MR_KAFKA_INIT:
        MR_ASSERT(!client->is_ready && command->offset_count <= client->input_max);
        mem_init(client, command);
        return MR_OK;
    case MR_KAFKA_ASSIGN:
        if (!is_running) {
            return MR_ERR_FULL;
        }
        MR_ASSERT(!client->is_assigned && command->offset_count == client->input_count);
        for (uint32_t i = 0; i < command->offset_count; i++) {
            client->inputs[i].position = command->offsets[i].offset;
        }
        client->is_assigned = true;
        tell(client, MR_KAFKA_RECORDS, 0);
        return MR_OK;
    case MR_KAFKA_PRODUCE:
        return is_running ? mem_produce(client, command->chunk) : MR_ERR_FULL;
    case MR_KAFKA_OFFSETS:
        if (!is_running || client->is_renewing) {
            return MR_ERR_FULL;
        }
        mem_offsets(client, command);
        return MR_OK;
    case MR_KAFKA_COMMIT:
        if (!is_running) {
            return MR_ERR_FULL;
        }
        mem_commit(client, command);
        return MR_OK;
    }
    return MR_ERR_FULL;
}

static void mem_init(mem_client *client, const mr_kafka_command *command)
{
    mr_kafka_memory *cluster = client->cluster;

    client->input_count = command->offset_count;
    memcpy(client->offsets, command->offsets, command->offset_count * sizeof(mr_offset));
    if (client->fenced && client->was_read && rival_has_claimed(client)) {
        fail(client, MR_ERR_FENCED, "E_FENCED: another client has taken over the id");
        return;
    }
    client->fenced = false;
    client->owner = owner_of(cluster, client->name);
    take_over(cluster, client->owner);
    client->producer_epoch = client->owner->epoch;
    for (uint32_t i = 0; i < command->offset_count; i++) {
        mr_offset *offset = &client->offsets[i];
        mem_partition *partition = partition_at(cluster, offset->topic, offset->partition);
        const int64_t start = offset->start;
        mr_offset_record record;
        client->seen[i] = 0;
        if (mr_offset_record_parse(partition->committed.metadata,
                                   partition->committed.metadata_size_bytes,
                                   &record) == MR_RECORD_OK) {
            take_over(cluster, strcmp(record.owner, client->name) == 0
                                   ? NULL
                                   : owner_of(cluster, record.owner));
            client->seen[i] = record.incarnation;
        }
        *offset = partition->committed;
        offset->topic = command->offsets[i].topic;
        offset->partition = command->offsets[i].partition;
        offset->log_start = partition->log_start;
        offset->log_end = stable_end(partition);
        offset->start = start == MR_START_LATEST ? offset->log_end : offset->log_start;
        for (const mem_entry *entry = partition->first; start >= 0 && entry != NULL;
             entry = entry->next) {
            if (!entry->is_control && entry->record.timestamp_ms * 1000 >= start) {
                offset->start = entry->offset;
                break;
            }
            offset->start = offset->log_end;
        }
        mem_input *input = &client->inputs[i];
        MR_ASSERT(!input->is_out);
        input->partition = partition;
        input->last = NULL;
        input->end_told = false;
        input->fetch = (mr_fetch){.input = i,
                                  .topic = offset->topic,
                                  .partition = (int32_t)offset->partition,
                                  .headers = mem_headers,
                                  .owner = input};
    }
    client->was_read = client->is_ready = true;
    client->attempted = command->incarnation;
    tell(client, MR_KAFKA_READY, 0);
    client->events[client->event_count - 1].offsets = client->offsets;
    client->events[client->event_count - 1].offset_count = client->input_count;
}

static bool rival_has_claimed(const mem_client *client)
{
    for (uint32_t i = 0; i < client->input_count; i++) {
        const mr_offset *asked = &client->offsets[i];
        const mr_offset *committed =
            &partition_at(client->cluster, asked->topic, asked->partition)->committed;
        mr_offset_record record;
        if (mr_offset_record_parse(committed->metadata, committed->metadata_size_bytes, &record) ==
                MR_RECORD_OK &&
            record.incarnation != client->attempted && record.incarnation != client->seen[i]) {
            return true;
        }
    }
    return false;
}

static mr_status mem_produce(mem_client *client, const mr_chunk *chunk)
{
    uint32_t limit = chunk->record_count;

    MR_ASSERT(chunk->record_count > 0 && (client->chunk == NULL || client->chunk == chunk));
    if (client->is_renewing || (client->epoch != 0 && client->epoch != chunk->epoch)) {
        return MR_ERR_FULL;
    }
    client->epoch = chunk->epoch;
    if (is_fenced(client)) {
        return MR_ERR_FULL;
    }
    if (client->chunk == NULL) {
        client->chunk = chunk;
        client->chunk_next = 0;
        if (strike(client->cluster, MR_MEMORY_FULL)) {
            limit = chunk->record_count / 2;
        }
    }
    while (client->chunk_next < limit) {
        const mr_record *record = &chunk->records[client->chunk_next++];
        MR_ASSERT(client->cluster->plan->topics[record->topic].is_output);
        if (append(client->cluster, client->txn, record) == NULL) {
            fail(client, MR_ERR_MEMORY, "the log in process is full");
            return MR_ERR_FULL;
        }
    }
    if (limit < chunk->record_count) {
        return MR_ERR_FULL;
    }
    client->chunk = NULL;
    if (strike(client->cluster, MR_MEMORY_FAIL_DELIVERY)) {
        fail(client, MR_ERR_TXN_ABORTED, "a record was not delivered");
    }
    return MR_OK;
}

static void mem_offsets(mem_client *client, const mr_kafka_command *command)
{
    MR_ASSERT(client->epoch == 0 || client->epoch == command->epoch);
    client->epoch = command->epoch;
    if (is_fenced(client)) {
        return;
    }
    if (strike(client->cluster, MR_MEMORY_FAIL_OFFSETS)) {
        fail(client, MR_ERR_TXN_ABORTED, "sending the offsets failed");
        return;
    }
    mem_txn *txn = client->txn;
    txn->offsets =
        mr_arena_take_array(client->cluster->arena, command->offset_count + 1, sizeof(mr_offset));
    if (txn->offsets == NULL) {
        fail(client, MR_ERR_MEMORY, "the log in process is full");
        return;
    }
    memcpy(txn->offsets, command->offsets, command->offset_count * sizeof(mr_offset));
    txn->offset_count = command->offset_count;
}

static void mem_commit(mem_client *client, const mr_kafka_command *command)
{
    mr_kafka_memory *cluster = client->cluster;
    MR_ASSERT(client->epoch == command->epoch && client->chunk == NULL);
    if (strike(cluster, MR_MEMORY_FENCE)) {
        take_over(cluster, client->owner);
    }
    if (is_fenced(client)) {
        return;
    }
    MR_ASSERT(client->txn->offset_count > 0); /* OFFSETS come before COMMIT. */
    if (strike(cluster, MR_MEMORY_ABORT)) {
        fail(client, MR_ERR_TXN_ABORTED, "the transaction was aborted");
        return;
    }
    if (strike(cluster, MR_MEMORY_UNKNOWN_ABORTED)) {
        fail(client, MR_ERR_OUTCOME_UNKNOWN, "no answer to the end of the transaction");
        return;
    }
    finish(cluster, client->txn, MEM_COMMITTED);
    client->owner->open = client->txn = NULL;
    if (strike(cluster, MR_MEMORY_UNKNOWN_COMMITTED)) {
        fail(client, MR_ERR_OUTCOME_UNKNOWN, "no answer to the end of the transaction");
        return;
    }
    client->txn = client->owner->open = mr_arena_take(cluster->arena, sizeof(mem_txn));
    client->epoch = 0;
    client->is_renewing = strike(cluster, MR_MEMORY_TAINT);
    tell(client, MR_KAFKA_COMMITTED, command->epoch);
    if (client->txn == NULL) {
        fail(client, MR_ERR_MEMORY, "the log in process is full");
    }
}

static void mem_reset(mem_client *client)
{
    /* What is open stays undecided until its id is taken over, as on a broker. */
    client->txn = NULL;
    client->producer_epoch = client->epoch = 0;
    client->chunk = NULL;
    client->is_ready = client->is_assigned = client->has_failed = client->is_renewing = false;
    client->event_count = 0;
}

/* ---- The cluster ---- */

static mem_owner *owner_of(mr_kafka_memory *cluster, const char *name)
{
    for (uint32_t i = 0; i < cluster->owner_count; i++) {
        if (strcmp(cluster->owners[i].name, name) == 0) {
            return &cluster->owners[i];
        }
    }
    MR_ASSERT(cluster->owner_count < OWNERS_MAX);
    mem_owner *owner = &cluster->owners[cluster->owner_count++];
    snprintf(owner->name, sizeof(owner->name), "%s", name);
    return owner;
}

/* init_transactions: aborts what is open under the id and fences whoever opened it. */
static void take_over(mr_kafka_memory *cluster, mem_owner *owner)
{
    if (owner == NULL) {
        return;
    }
    if (owner->open != NULL) {
        finish(cluster, owner->open, MEM_ABORTED);
    }
    owner->open = NULL;
    owner->epoch++;
}

static bool is_fenced(mem_client *client)
{
    if (client->producer_epoch == client->owner->epoch) {
        if (client->txn == NULL) {
            client->txn = client->owner->open =
                mr_arena_take(client->cluster->arena, sizeof(mem_txn));
        }
        MR_ASSERT(client->txn != NULL);
        return false;
    }
    client->fenced = true;
    fail(client, MR_ERR_TXN_ABORTED, "this producer was fenced");
    return true;
}

static void finish(mr_kafka_memory *cluster, mem_txn *txn, mem_outcome outcome)
{
    const uint32_t count = cluster->plan->topic_count * cluster->partition_count;

    MR_ASSERT(txn->outcome == MEM_OPEN && outcome != MEM_OPEN);
    txn->outcome = outcome;
    for (uint32_t i = 0; i < count; i++) {
        bool is_touched = false;
        for (const mem_entry *entry = cluster->partitions[i].first; entry != NULL;
             entry = entry->next) {
            is_touched = is_touched || entry->txn == txn;
        }
        if (is_touched) {
            const mr_record control = {.topic = i / cluster->partition_count,
                                       .partition = (int32_t)(i % cluster->partition_count)};
            mem_entry *entry = append(cluster, txn, &control);
            if (entry != NULL) {
                entry->is_control = true;
            }
        }
    }
    for (uint32_t i = 0; outcome == MEM_COMMITTED && i < txn->offset_count; i++) {
        const mr_offset *offset = &txn->offsets[i];
        partition_at(cluster, offset->topic, offset->partition)->committed = *offset;
    }
}

static mem_entry *append(mr_kafka_memory *cluster, mem_txn *txn, const mr_record *record)
{
    mem_partition *partition = partition_at(cluster, record->topic, (uint32_t)record->partition);
    mem_entry *entry = mr_arena_take(cluster->arena, sizeof(*entry));
    mr_view *headers =
        mr_arena_take_array(cluster->arena, 2 * record->header_count + 1, sizeof(mr_view));

    if (entry == NULL || headers == NULL) {
        return NULL;
    }
    for (uint32_t i = 0; i < 2 * record->header_count; i++) {
        headers[i] = copy_view(cluster, record->headers[i]);
    }
    *entry = (mem_entry){.txn = txn, .offset = partition->log_end++, .record = *record};
    entry->record.headers = headers;
    entry->record.key = copy_view(cluster, record->key);
    entry->record.value = copy_view(cluster, record->value);
    if (partition->last != NULL) {
        partition->last->next = entry;
    } else {
        partition->first = entry;
    }
    partition->last = entry;
    return entry;
}

static mem_partition *partition_at(const mr_kafka_memory *cluster, uint32_t topic,
                                   uint32_t partition)
{
    MR_ASSERT(topic < cluster->plan->topic_count && partition < cluster->partition_count);
    return &cluster->partitions[topic * cluster->partition_count + partition];
}

static mem_entry *entry_from(const mem_partition *partition, int64_t offset)
{
    mem_entry *entry = partition->first;
    while (entry != NULL && entry->offset < offset) {
        entry = entry->next;
    }
    return entry;
}

/* The last stable offset: nothing from the first undecided record on is visible. */
static int64_t stable_end(const mem_partition *partition)
{
    for (const mem_entry *entry = partition->first; entry != NULL; entry = entry->next) {
        if (entry->txn != NULL && entry->txn->outcome == MEM_OPEN) {
            return entry->offset;
        }
    }
    return partition->log_end;
}

static mr_view copy_view(mr_kafka_memory *cluster, mr_view view)
{
    if (view.bytes == NULL) {
        return view;
    }
    uint8_t *bytes = mr_arena_take(cluster->arena, view.size_bytes + 1);
    MR_ASSERT(bytes != NULL);
    memcpy(bytes, view.bytes, view.size_bytes);
    return (mr_view){.bytes = bytes, .size_bytes = view.size_bytes};
}

static uint32_t mem_headers(const mr_fetch *fetch, uint32_t record, mr_view *pairs,
                            uint32_t pairs_max)
{
    const mem_input *input = fetch->owner;
    /* The runtime may have moved `records` on. */
    const size_t index = (size_t)(&fetch->records[record] - input->records);
    const mr_record *from = &input->entries[index]->record;
    uint32_t filled = 0;

    MR_ASSERT(record < fetch->record_count && index < MR_BATCH_ROWS_MAX);
    for (; filled + 2 <= pairs_max && filled < 2 * from->header_count; filled += 2) {
        pairs[filled] = from->headers[filled];
        pairs[filled + 1] = from->headers[filled + 1];
    }
    return filled;
}

/* ---- Events and faults ---- */

static void tell(mem_client *client, mr_kafka_fact fact, uint64_t epoch)
{
    MR_ASSERT(client->event_count < EVENTS_MAX);
    client->events[client->event_count++] = (mr_kafka_event){.fact = fact, .epoch = epoch};
}

static void fail(mem_client *client, mr_status status, const char *words)
{
    mr_kafka_told(mr_diag_set(&client->diag, status, 0, "%s", words));
    client->has_failed = true;
    tell(client, MR_KAFKA_FAILED, client->epoch);
    client->events[client->event_count - 1].status = status;
    client->events[client->event_count - 1].diag = &client->diag;
}

static bool strike(mr_kafka_memory *cluster, mr_kafka_memory_fault fault)
{
    if (cluster->faults[fault] == 0) {
        return false;
    }
    cluster->faults[fault]--;
    return true;
}

void mr_kafka_memory_inject(mr_kafka_memory *cluster, mr_kafka_memory_fault fault, uint32_t count)
{
    MR_ASSERT(fault < MR_MEMORY_FAULT_COUNT);
    cluster->faults[fault] += count;
}

/* ---- From outside ---- */

int64_t mr_kafka_memory_append(mr_kafka_memory *cluster, const mr_record *record)
{
    const mem_entry *entry = append(cluster, NULL, record);
    MR_ASSERT(entry != NULL);
    return entry->offset;
}

void mr_kafka_memory_append_aborted(mr_kafka_memory *cluster, const mr_record *record)
{
    mem_txn *txn = mr_arena_take(cluster->arena, sizeof(*txn));
    MR_ASSERT(txn != NULL);
    const mem_entry *entry = append(cluster, txn, record);
    MR_ASSERT(entry != NULL);
    finish(cluster, txn, MEM_ABORTED);
}

bool mr_kafka_memory_read(const mr_kafka_memory *cluster, uint32_t topic, uint32_t partition,
                          uint32_t index, mr_record *record)
{
    const mem_partition *log = partition_at(cluster, topic, partition);
    const int64_t end = stable_end(log);
    for (const mem_entry *entry = log->first; entry != NULL && entry->offset < end;
         entry = entry->next) {
        if (entry->is_control || (entry->txn != NULL && entry->txn->outcome != MEM_COMMITTED)) {
            continue;
        }
        if (index-- == 0) {
            *record = entry->record;
            return true;
        }
    }
    return false;
}

mr_offset mr_kafka_memory_committed(const mr_kafka_memory *cluster, uint32_t topic,
                                    uint32_t partition)
{
    return partition_at(cluster, topic, partition)->committed;
}

void mr_kafka_memory_commit_by_hand(mr_kafka_memory *cluster, const mr_offset *offset)
{
    partition_at(cluster, offset->topic, offset->partition)->committed = *offset;
}

void mr_kafka_memory_trim(mr_kafka_memory *cluster, uint32_t topic, uint32_t partition,
                          int64_t log_start)
{
    mem_partition *log = partition_at(cluster, topic, partition);
    MR_ASSERT(log_start <= log->log_end);
    log->log_start = log_start;
    log->first = entry_from(log, log_start);
    log->last = log->first == NULL ? NULL : log->last;
}

/*
 * task.c - tasks, their nodes, and what operators, sources and sinks may ask of them.
 *
 * A lane is a task: one partition number of the sub-topology, with one mr_task handle a plan node.
 * Handles and batches are made once; what operators take in open() comes from an arena that each
 * recovery empties. Thread: the shard's.
 */
#include "engine/runtime/runtime_private.h"
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static mr_status lane_create(mr_shard *shard, mr_lane *lane, uint32_t index);
static mr_status pools_create(mr_shard *shard);
static mr_status tables_declare(mr_shard *shard, mr_lane *lane, mr_task *task);
static mr_status node_open(mr_task *task);
static uint32_t node_self_size(const mr_plan_node *node);
static void fetch_trim(mr_input *input, mr_fetch *fetch);

mr_status mr_tasks_create(mr_shard *shard)
{
    const mr_plan *plan = shard->plan;
    const uint32_t lane_count = shard->options.partition_count;
    uint32_t source_count = 0;

    MR_ASSERT(lane_count > 0 && lane_count <= MR_SHARD_TASKS_MAX);
    for (uint32_t i = 0; i < plan->node_count; i++) {
        source_count += plan->nodes[i].kind == MR_NODE_SOURCE &&
                        (plan->nodes[i].source->head.flags & MR_SOURCE_KAFKA) != 0;
    }
    const uint32_t inputs_max = source_count * lane_count;
    shard->lanes = mr_arena_take_array(shard->arena, lane_count, sizeof(mr_lane));
    shard->inputs = mr_arena_take_array(shard->arena, inputs_max + 1, sizeof(mr_input));
    shard->init_offsets = mr_arena_take_array(shard->arena, inputs_max + 1, sizeof(mr_offset));
    shard->assign_offsets = mr_arena_take_array(shard->arena, inputs_max + 1, sizeof(mr_offset));
    shard->undecided.offsets = mr_arena_take_array(shard->arena, inputs_max + 1, sizeof(mr_offset));
    shard->seal_offsets =
        mr_arena_take_array(shard->arena, inputs_max + 1, sizeof(mr_input_offset));
    shard->points = mr_arena_take_array(shard->arena, lane_count, sizeof(mr_task_point));
    if (shard->lanes == NULL || shard->inputs == NULL || shard->init_offsets == NULL ||
        shard->assign_offsets == NULL || shard->undecided.offsets == NULL ||
        shard->seal_offsets == NULL || shard->points == NULL) {
        return mr_diag_set(&shard->diag, MR_ERR_MEMORY, 0, "no memory for %u tasks", lane_count);
    }
    for (uint32_t i = 0; i < lane_count; i++) {
        const mr_status status = lane_create(shard, &shard->lanes[i], i);
        if (status != MR_OK) {
            return status;
        }
        shard->lane_count = i + 1; /* Those that can be closed. */
    }
    MR_ASSERT(shard->input_count == inputs_max);
    return pools_create(shard);
}

mr_status mr_tasks_open(mr_shard *shard)
{
    mr_arena_reset(shard->task_arena);
    for (uint32_t i = 0; i < shard->lane_count; i++) {
        mr_lane *lane = &shard->lanes[i];
        for (uint32_t n = 0; n < shard->plan->node_count; n++) {
            const mr_status status = node_open(&lane->nodes[n]);
            if (status != MR_OK) {
                return mr_diag_frame(&shard->diag, status, "open %s, partition %u",
                                     shard->plan->nodes[n].name, lane->partition);
            }
        }
    }
    mr_arena_seal(shard->task_arena);
    return MR_OK;
}

void mr_tasks_close(mr_shard *shard)
{
    for (uint32_t i = 0; i < shard->lane_count; i++) {
        mr_lane *lane = &shard->lanes[i];
        mr_dispatch_drop(lane);
        for (uint32_t n = 0; n < shard->plan->node_count; n++) {
            mr_task *task = &lane->nodes[n];
            void (*close)(void *self) = NULL;
            if (!task->is_open) {
                continue;
            }
            switch (task->node->kind) {
            case MR_NODE_SOURCE:
                close = task->node->source->head.close;
                break;
            case MR_NODE_STEP:
                close = task->node->op->close;
                break;
            case MR_NODE_SINK:
                close = task->node->sink->head.close;
                break;
            }
            if (close != NULL) {
                close(task->self);
            }
            task->is_open = false;
            task->at_end = false;
        }
        lane->in_epoch = false;
    }
    for (uint32_t i = 0; i < shard->input_count; i++) {
        mr_input_release_fetch(&shard->inputs[i]);
    }
}

/* ---- What a task may ask ---- */

mr_arena *mr_task_arena(mr_task *task)
{
    return task->shard->task_arena;
}

mr_diag *mr_task_diag(mr_task *task)
{
    return &task->shard->diag;
}

mr_table *mr_task_table(mr_task *task, uint32_t index)
{
    MR_ASSERT(index < task->node->table_count);
    return task->tables[index];
}

bool mr_task_wants_old(const mr_task *task, uint32_t output)
{
    MR_ASSERT(output < task->node->output_count);
    return task->node->outputs[output].wants_old;
}

uint32_t mr_task_partition(const mr_task *task)
{
    return task->lane->partition;
}

int64_t mr_task_wall_us(const mr_task *task)
{
    return task->shard->wall_us;
}

uint32_t mr_task_rows_max(const mr_task *task)
{
    return task->shard->rows_max;
}

uint32_t mr_task_bytes_max(const mr_task *task)
{
    /* 1/16 of an arena, and smaller with smaller batches: see sink.h on overflow. */
    const uint64_t share = task->shard->options.arena_bytes / 16;
    const uint64_t scaled = share * task->shard->rows_max / MR_BATCH_ROWS_MAX;
    return (uint32_t)(scaled > 4096 ? scaled : 4096);
}

mr_status mr_task_watch(mr_task *task, int descriptor)
{
    mr_shard *shard = task->shard;
    MR_ASSERT(descriptor >= 0);
    for (uint32_t i = 0; i < shard->watch_count; i++) {
        if (shard->watches[i] == descriptor) {
            return MR_OK;
        }
    }
    if (shard->watch_count == MR_WATCHES_MAX) {
        return mr_diag_set(&shard->diag, MR_ERR_LIMIT, 0,
                           "more than %d descriptors to watch in one shard: use fewer file sources",
                           MR_WATCHES_MAX);
    }
    shard->watches[shard->watch_count++] = descriptor;
    return shard->ring == NULL ? MR_OK : mr_ring_watch(shard->ring, descriptor, MR_WATCH_TAG);
}

mr_fetch *mr_task_next_fetch(mr_task *task)
{
    mr_shard *shard = task->shard;
    MR_ASSERT(task->input < shard->input_count);
    mr_input *input = &shard->inputs[task->input];

    if (__builtin_expect(shard->attempt.mark.limit != 0 || input->held_count > 0, 0)) {
        return mr_attempt_fetch(task);
    }
    return mr_input_take_fetch(input);
}

mr_fetch *mr_input_take_fetch(mr_input *input)
{
    mr_shard *shard = input->lane->shard;
    const uint32_t index = input->source->input;

    mr_input_release_fetch(input);
    mr_fetch *fetch = shard->env.kafka.type->take(shard->env.kafka.self, index);
    if (fetch == NULL) {
        return NULL;
    }
    MR_ASSERT(fetch->input == index && fetch->record_count <= MR_BATCH_ROWS_MAX);
    input->fetch = fetch;
    input->at_end = fetch->at_end;
    fetch_trim(input, fetch);
    shard->found_data = shard->found_data || fetch->record_count > 0;
    return fetch;
}

void mr_task_misplaced(mr_task *task, uint32_t count, int64_t offset)
{
    mr_shard *shard = task->shard;
    mr_counter_add(&shard->counters.misplaced, count);
    if (offset >= 0) {
        const mr_log_field fields[] = {{.name = "source", .text = task->node->name},
                                       {.name = "partition", .number = task->lane->partition},
                                       {.name = "offset", .number = offset}};
        mr_log_event(shard->env.log, MR_LOG_WARN, "source",
                     "a record's key does not belong on its partition: see `partitioner`", fields,
                     MR_LENGTH(fields));
    }
}

uint32_t mr_task_topic_partitions(const mr_task *task, uint32_t topic)
{
    const mr_kafka *kafka = &task->shard->env.kafka;
    return kafka->type->topic_partitions(kafka->self, topic);
}

uint32_t mr_task_topic_record_max(const mr_task *task, uint32_t topic)
{
    const mr_kafka *kafka = &task->shard->env.kafka;
    return kafka->type->topic_record_max(kafka->self, topic);
}

mr_step mr_task_fail(mr_task *task, mr_status status, const char *format, ...)
{
    char text[1024];
    va_list arguments;
    MR_ASSERT(status != MR_OK);
    va_start(arguments, format);
    vsnprintf(text, sizeof(text), format, arguments);
    va_end(arguments);
    mr_told(mr_diag_set(&task->shard->diag, status, 0, "%s, partition %u: %s", task->node->name,
                        task->lane->partition, text));
    return MR_STEP_FAILED;
}

mr_step mr_task_fail_full(mr_task *task)
{
    mr_diag *diag = &task->shard->diag;
    mr_told(mr_diag_frame(diag, mr_state_full(task->shard->state, diag), "%s, partition %u",
                          task->node->name, task->lane->partition));
    return MR_STEP_FAILED;
}

void mr_input_release_fetch(mr_input *input)
{
    if (input->fetch != NULL) {
        const mr_kafka *kafka = &input->lane->shard->env.kafka;
        kafka->type->give_back(kafka->self, input->fetch);
        input->fetch = NULL;
        input->held_count = 0;
    }
}

mr_input_offset mr_input_offset_of(const mr_input *input, int64_t from, int64_t to)
{
    return (mr_input_offset){.task = input->lane->partition,
                             .input = input->ordinal,
                             .partition = input->lane->partition,
                             .topic = input->topic,
                             .from = from,
                             .to = to};
}

/* ---- Helpers ---- */

static mr_status lane_create(mr_shard *shard, mr_lane *lane, uint32_t index)
{
    const mr_plan *plan = shard->plan;
    uint32_t ordinal = 0;
    lane->shard = shard;
    lane->index = index;
    lane->partition = shard->options.partitions[index];
    lane->nodes = mr_arena_take_array(shard->arena, plan->node_count, sizeof(mr_task));
    lane->frames = mr_arena_take_array(shard->arena, MR_FRAMES_MAX, sizeof(mr_frame));
    if (lane->nodes == NULL || lane->frames == NULL) {
        return mr_diag_set(&shard->diag, MR_ERR_MEMORY, 0, "no memory for task %u", index);
    }
    for (uint32_t i = 0; i < plan->node_count; i++) {
        mr_task *task = &lane->nodes[i];
        task->shard = shard;
        task->lane = lane;
        task->node = &plan->nodes[i];
        task->input = MR_NO_INDEX;
        if (task->node->kind == MR_NODE_SOURCE &&
            (task->node->source->head.flags & MR_SOURCE_KAFKA) != 0) {
            const mr_source_common *common = task->node->common;
            task->input = shard->input_count++;
            shard->inputs[task->input] = (mr_input){.lane = lane,
                                                    .source = task,
                                                    .committed = -1,
                                                    .applied = -1,
                                                    .end = -1,
                                                    .ordinal = ordinal++,
                                                    .topic = plan->topics[common->topic].number};
            shard->init_offsets[task->input] = (mr_offset){.topic = common->topic,
                                                           .partition = lane->partition,
                                                           .offset = -1,
                                                           .start = common->start_us};
        }
        const mr_status status = tables_declare(shard, lane, task);
        if (status != MR_OK) {
            return status;
        }
    }
    return MR_OK;
}

static mr_status tables_declare(mr_shard *shard, mr_lane *lane, mr_task *task)
{
    for (uint32_t i = 0; i < task->node->table_count; i++) {
        mr_table_spec spec = task->node->tables[i];
        char name[2 * MR_NAME_BYTES_MAX + 2];
        spec.task = lane->partition;
        snprintf(name, sizeof(name), "%s.%s", task->node->name, task->node->table_names[i]);
        const mr_status status =
            mr_state_declare(shard->state, &spec, name, &task->tables[i], &shard->diag);
        if (status != MR_OK) {
            return status;
        }
    }
    return MR_OK;
}

static mr_status pools_create(mr_shard *shard)
{
    const mr_plan *plan = shard->plan;
    shard->pools = mr_arena_take_array(shard->arena, (size_t)plan->node_count * MR_PLAN_OUTPUTS_MAX,
                                       sizeof(mr_batch_pool *));
    shard->error_outputs =
        mr_arena_take_array(shard->arena, plan->node_count, sizeof(mr_error_output *));
    shard->dlq_limits =
        mr_arena_take_array(shard->arena, plan->dlq_count + 1, sizeof(mr_dlq_limit));
    if (shard->pools == NULL || shard->error_outputs == NULL || shard->dlq_limits == NULL) {
        return mr_diag_set(&shard->diag, MR_ERR_MEMORY, 0, "no memory for batch pools");
    }
    for (uint32_t i = 0; i < plan->dlq_count; i++) {
        shard->dlq_limits[i] = (mr_dlq_limit){.records = plan->dlqs[i].stop_records,
                                              .per_us = plan->dlqs[i].stop_per_us};
    }
    for (uint32_t i = 0; i < plan->node_count; i++) {
        const mr_plan_node *node = &plan->nodes[i];
        for (uint32_t o = 0; o < node->output_count; o++) {
            const mr_plan_output *output = &node->outputs[o];
            mr_batch_pool *pool =
                mr_batch_pool_create(shard->arena, output->schema, 1,
                                     output->borrows ? 0 : MR_BATCH_SCRATCH_BYTES, output->borrows);
            if (pool == NULL) {
                return mr_diag_set(&shard->diag, MR_ERR_MEMORY, 0,
                                   "no memory for the batches of %s: raise memory.total",
                                   node->name);
            }
            shard->pools[i * MR_PLAN_OUTPUTS_MAX + o] = pool;
        }
        if (node->on_error.kind == MR_ROUTE_OUTPUT) {
            shard->error_outputs[i] = mr_error_output_create(shard->arena, node->input);
            if (shard->error_outputs[i] == NULL) {
                return mr_diag_set(&shard->diag, MR_ERR_MEMORY, 0,
                                   "no memory for the error output of %s: raise memory.total",
                                   node->name);
            }
        }
    }
    return MR_OK;
}

static mr_status node_open(mr_task *task)
{
    mr_shard *shard = task->shard;
    const mr_plan_node *node = task->node;
    const uint32_t self_size = node_self_size(node);

    task->self = mr_arena_take(shard->task_arena, self_size > 0 ? self_size : 1);
    if (task->self == NULL) {
        return mr_diag_set(&shard->diag, MR_ERR_MEMORY, 0, "no memory for a node of %u bytes",
                           self_size);
    }
    task->is_open = true;
    if (node->kind == MR_NODE_STEP) {
        return node->op->open == NULL ? MR_OK : node->op->open(task->self, node->spec, task);
    }
    if (node->kind == MR_NODE_SINK) {
        return node->sink->open(task->self, node, task, mr_state_epoch(shard->state));
    }
    mr_position from = {.size_bytes = sizeof(int64_t)};
    if (task->input == MR_NO_INDEX) {
        return node->source->open(task->self, node, task, NULL);
    }
    memcpy(from.bytes, &shard->inputs[task->input].committed, sizeof(int64_t));
    return node->source->open(task->self, node, task, &from);
}

static uint32_t node_self_size(const mr_plan_node *node)
{
    switch (node->kind) {
    case MR_NODE_SOURCE:
        return node->source->head.self_size;
    case MR_NODE_STEP:
        return node->op->self_size;
    case MR_NODE_SINK:
        return node->sink->head.self_size;
    }
    return 0;
}

/*
 * Drops what was delivered before, also within one fetch (clients have delivered records twice),
 * and what a bounded run must not see. What is left stands in offset order.
 */
static void fetch_trim(mr_input *input, mr_fetch *fetch)
{
    const mr_source_common *common = input->source->node->common;
    mr_fetch_record *records = fetch->records;
    int64_t next = input->applied;
    uint32_t kept = 0;
    uint32_t beyond = 0;

    for (uint32_t i = 0; i < fetch->record_count; i++) {
        const int64_t offset = records[i].offset;
        if (offset < next) {
            continue;
        }
        next = offset + 1;
        if (common->bounded && offset >= input->end) {
            beyond++;
            continue;
        }
        if (kept != i) {
            records[kept] = records[i];
        }
        kept++;
    }
    input->at_end = input->at_end || beyond > 0;
    mr_counter_add(&input->lane->shard->counters.repeated, fetch->record_count - kept - beyond);
    fetch->record_count = kept;
}

/*
 * dispatch.c - walks a batch through the plan, depth first, with an explicit stack.
 *
 * A frame delivers a batch to the consumers of an output, or runs one node on it. Dispatch does
 * all wiring: no operator calls another, so order, counting and parking stand in this one place.
 * A node that waits for state reads parks its task; the stack stays as it is until the reads have
 * landed. Limits: MR_FRAMES_MAX frames; each node has one batch out an output, because a node
 * stands at most once on the stack (plans have no cycles) and a shard parks one task at a time.
 * Thread: the shard's.
 */
#include "engine/base/crash.h"
#include "engine/runtime/runtime_private.h"

static mr_frame *frame_push(mr_lane *lane, mr_frame_kind kind);
static void frame_pop(mr_lane *lane);
static mr_step run(mr_lane *lane);
static mr_step step_deliver(mr_lane *lane, mr_frame *frame);
static mr_step step_node(mr_lane *lane, mr_frame *frame);
static mr_step call_node(mr_frame *frame);
static bool push_next_output(mr_lane *lane, mr_frame *frame);
static void take_outputs(mr_frame *frame);
static void give_back_outputs(mr_frame *frame);

mr_step mr_dispatch_source(mr_lane *lane, mr_task *source, mr_batch *batch)
{
    MR_ASSERT(lane->frame_count == 0 && lane->source_batch == NULL);
    MR_ASSERT(source->node->kind == MR_NODE_SOURCE && source->node->output_count >= 1);
    const mr_plan_output *output = &source->node->outputs[0];
    mr_frame *frame = frame_push(lane, MR_FRAME_DELIVER);

    lane->source_batch = batch;
    frame->in = batch;
    frame->edges = output->consumers;
    frame->edge_count = output->consumer_count;
    return run(lane);
}

mr_step mr_dispatch_resume(mr_lane *lane)
{
    MR_ASSERT(lane->is_parked && lane->frame_count > 0);
    lane->is_parked = false;
    lane->shard->parked_count--;
    return run(lane);
}

mr_step mr_dispatch_flush(mr_lane *lane)
{
    MR_ASSERT(lane->frame_count == 0 && !lane->is_parked);
    const uint32_t node_count = lane->shard->plan->node_count;

    while (lane->flush_node < node_count) {
        mr_task *task = &lane->nodes[lane->flush_node];
        lane->flush_node++;
        if (task->node->kind != MR_NODE_STEP || task->node->op->flush == NULL) {
            continue;
        }
        mr_frame *frame = frame_push(lane, MR_FRAME_FLUSH);
        frame->task = task;
        const mr_step step = run(lane);
        if (step != MR_STEP_NEXT) {
            return step;
        }
    }
    lane->flush_node = 0;
    return MR_STEP_NEXT;
}

void mr_dispatch_drop(mr_lane *lane)
{
    while (lane->frame_count > 0) {
        frame_pop(lane);
    }
    if (lane->source_batch != NULL) {
        mr_batch_give_back(lane->source_batch);
        lane->source_batch = NULL;
    }
    if (lane->is_parked) {
        lane->is_parked = false;
        lane->shard->parked_count--;
    }
    lane->flush_node = 0;
}

/* Runs the stack until it is empty, a node waits, or one fails. */
static mr_step run(mr_lane *lane)
{
    mr_step step = MR_STEP_NEXT;
    while (lane->frame_count > 0) {
        mr_frame *frame = &lane->frames[lane->frame_count - 1];
        step = frame->kind == MR_FRAME_DELIVER ? step_deliver(lane, frame) : step_node(lane, frame);
        if (step == MR_STEP_WAIT) {
            lane->is_parked = true;
            lane->shard->parked_count++;
            return step;
        }
        if (step == MR_STEP_FAILED) {
            return step;
        }
    }
    if (lane->source_batch != NULL) {
        mr_batch_give_back(lane->source_batch);
        lane->source_batch = NULL;
    }
    return MR_STEP_NEXT;
}

/* Gives the batch to the next consumer: a sink is called here, a step gets a frame. */
static mr_step step_deliver(mr_lane *lane, mr_frame *frame)
{
    if (frame->next == frame->edge_count) {
        frame_pop(lane);
        return MR_STEP_NEXT;
    }
    const mr_plan_edge edge = frame->edges[frame->next++];
    mr_task *task = &lane->nodes[edge.node];
    const mr_batch *in = frame->in;
    mr_epoch_touch(lane->shard, lane);

    if (task->node->kind == MR_NODE_SINK) {
        const mr_sink_type *sink = task->node->sink;
        const mr_step step = sink->write(task->self, task, mr_state_epoch(lane->shard->state), in);
        MR_ASSERT(step == MR_STEP_NEXT || step == MR_STEP_FAILED);
        mr_counter_add(&lane->shard->counters.records_out, in->selected_count);
        mr_crash_pass(MR_K1);
        return lane->shard->diag.status != MR_OK ? MR_STEP_FAILED : step;
    }
    mr_frame *node = frame_push(lane, MR_FRAME_PROCESS);
    node->task = task;
    node->port = edge.port;
    node->in = in;
    return MR_STEP_NEXT;
}

/* Outputs of the last call first, then the next call, until the node says NEXT. */
static mr_step step_node(mr_lane *lane, mr_frame *frame)
{
    if (frame->is_called) {
        if (push_next_output(lane, frame)) {
            return MR_STEP_NEXT;
        }
        give_back_outputs(frame);
        if (frame->step == MR_STEP_NEXT) {
            frame_pop(lane);
            return MR_STEP_NEXT;
        }
    }
    if (frame->kind == MR_FRAME_PROCESS && !frame->is_prefetched) {
        const mr_operator_type *op = frame->task->node->op;
        if (op->prefetch != NULL) {
            const mr_step step =
                op->prefetch(frame->task->self, frame->task, frame->port, frame->in);
            if (step != MR_STEP_NEXT) {
                frame->is_prefetched = step == MR_STEP_WAIT;
                return step;
            }
        }
        frame->is_prefetched = true;
    }
    mr_error_output *errors = lane->shard->error_outputs[frame->task->node->index];
    take_outputs(frame);
    if (errors != NULL) {
        mr_error_output_begin(errors);
    }
    frame->step = call_node(frame);
    frame->is_called = true;
    frame->next = 0;
    mr_crash_pass(MR_K1);
    if (frame->step == MR_STEP_FAILED || lane->shard->diag.status != MR_OK) {
        return MR_STEP_FAILED;
    }
    MR_ASSERT(frame->step == MR_STEP_NEXT || frame->step == MR_STEP_AGAIN);
    if (errors != NULL) {
        mr_error_output_end(errors, frame->outs[frame->task->node->on_error.output]);
    }
    return MR_STEP_NEXT;
}

static mr_step call_node(mr_frame *frame)
{
    const mr_operator_type *op = frame->task->node->op;
    mr_batch *const *outs = frame->outs;
    if (frame->kind == MR_FRAME_FLUSH) {
        return op->flush(frame->task->self, frame->task, outs);
    }
    return op->process(frame->task->self, frame->task, frame->port, frame->in, outs);
}

/* True when an output with rows got a frame. */
static bool push_next_output(mr_lane *lane, mr_frame *frame)
{
    const mr_plan_node *node = frame->task->node;
    while (frame->next < node->output_count) {
        const uint32_t i = frame->next++;
        const mr_plan_output *output = &node->outputs[i];
        if (frame->outs[i]->selected_count == 0 || output->consumer_count == 0) {
            continue;
        }
        const mr_batch *out = frame->outs[i];
        mr_frame *deliver = frame_push(lane, MR_FRAME_DELIVER);
        deliver->in = out;
        deliver->edges = output->consumers;
        deliver->edge_count = output->consumer_count;
        return true;
    }
    return false;
}

static void take_outputs(mr_frame *frame)
{
    const mr_plan_node *node = frame->task->node;
    mr_shard *shard = frame->task->shard;
    for (uint32_t i = 0; i < node->output_count; i++) {
        mr_batch_pool *pool = shard->pools[node->index * MR_PLAN_OUTPUTS_MAX + i];
        frame->outs[i] = mr_batch_take(pool);
        MR_ASSERT(frame->outs[i] != NULL);
    }
}

static void give_back_outputs(mr_frame *frame)
{
    for (uint32_t i = 0; i < MR_PLAN_OUTPUTS_MAX; i++) {
        if (frame->outs[i] != NULL) {
            mr_batch_give_back(frame->outs[i]);
            frame->outs[i] = NULL;
        }
    }
}

static mr_frame *frame_push(mr_lane *lane, mr_frame_kind kind)
{
    MR_ASSERT(lane->frame_count < MR_FRAMES_MAX);
    mr_frame *frame = &lane->frames[lane->frame_count++];
    *frame = (mr_frame){.kind = kind};
    return frame;
}

static void frame_pop(mr_lane *lane)
{
    MR_ASSERT(lane->frame_count > 0);
    give_back_outputs(&lane->frames[lane->frame_count - 1]);
    lane->frame_count--;
}

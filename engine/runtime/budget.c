/*
 * budget.c - one number becomes all limits: how memory.total is divided.
 *
 * memory.kafka (a quarter, at least 256 MiB) is shared by the shards: 40 % of a shard's part are
 * its two output arenas, the rest bounds the client's queues; what each partition and shard needs
 * at least counts where that is more. Batches, tasks and operators have a ceiling each; the store
 * gets what is left, for records and for every buffer it has. If the parts do not fit, start is
 * refused with the table and the smallest total that works. Thread: control.
 */
#include "engine/runtime/runtime_private.h"
#include <stdio.h>

#define MIB (UINT64_C(1) << 20)
#define STORE_STEP (2 * MIB) /* Huge pages. */

enum {
    KAFKA_MIB_MIN = 256,
    PROCESS_MIB = 32,     /* Code, stacks, the plan, librdkafka's own objects. */
    ARENA_PERCENT = 20,   /* Of a shard's part of memory.kafka, each of two. */
    STORE_EPOCHS_MIN = 3, /* Records: at least this many times the largest epoch. */
    LANE_KIB = 160        /* Frames, handles and operator scratch of one task, beside batches. */
};

static uint64_t resolve(const mr_plan_size *size, uint64_t whole);
static uint64_t batches_bytes(const mr_plan *plan, uint32_t lanes);
static uint64_t store_overhead(const mr_plan *plan, uint32_t lanes);
static uint64_t store_bytes_min(const mr_plan *plan, uint64_t overhead);
static mr_status refuse(const mr_budget *budget, uint64_t store_min, uint64_t store_overhead,
                        uint32_t shard_count, mr_diag *diag);

uint32_t mr_budget_inputs(const mr_plan *plan)
{
    uint32_t count = 0;

    for (uint32_t i = 0; i < plan->node_count; i++) {
        count += plan->nodes[i].kind == MR_NODE_SOURCE;
    }
    return count;
}

mr_status mr_budget_compute(const mr_plan *plan, uint64_t machine_bytes, uint32_t shard_count,
                            uint32_t lanes_per_shard, mr_budget *budget, mr_diag *diag)
{
    MR_ASSERT(shard_count > 0 && lanes_per_shard > 0);
    const uint64_t overhead = store_overhead(plan, lanes_per_shard);
    const uint64_t store_min = store_bytes_min(plan, overhead);

    budget->total = resolve(&plan->memory.total, machine_bytes);
    budget->fixed = PROCESS_MIB * MIB;
    budget->kafka = 0;
    if (plan->has_kafka) {
        budget->kafka = resolve(&plan->memory.kafka, budget->total);
        if (budget->kafka < KAFKA_MIB_MIN * MIB) {
            budget->kafka = KAFKA_MIB_MIN * MIB;
        }
    }
    budget->shard_kafka = budget->kafka / shard_count;
    budget->shard_arena = budget->shard_kafka * ARENA_PERCENT / 100 / 4096 * 4096;
    if (budget->shard_arena < MR_ARENA_BYTES_MIN) {
        budget->shard_arena = MR_ARENA_BYTES_MIN;
    }
    if (plan->has_kafka) { /* Many partitions or shards: what each needs is more than its part. */
        const uint64_t needed =
            2 * budget->shard_arena +
            mr_kafka_queue_bytes(budget->shard_kafka, mr_budget_inputs(plan) * lanes_per_shard);
        budget->kafka = needed * shard_count > budget->kafka ? needed * shard_count : budget->kafka;
    }
    budget->shard_batches = batches_bytes(plan, lanes_per_shard);
    const uint64_t others = budget->fixed + budget->kafka + budget->shard_batches * shard_count;
    if (others + store_min * shard_count > budget->total) {
        return refuse(budget, store_min, overhead, shard_count, diag);
    }
    budget->shard_store = (budget->total - others) / shard_count / STORE_STEP * STORE_STEP;
    if (!plan->is_stateful && budget->shard_store > store_min) {
        budget->shard_store = store_min; /* Nothing would ever use the rest. */
    }
    return MR_OK;
}

static uint64_t resolve(const mr_plan_size *size, uint64_t whole)
{
    return size->bytes > 0 ? size->bytes : whole * size->percent / 100;
}

/* Cells and text scratch of every output of the plan, once a shard, and what each task needs. */
static uint64_t batches_bytes(const mr_plan *plan, uint32_t lanes)
{
    uint64_t bytes = (uint64_t)lanes * LANE_KIB * 1024 + MR_ROW_TEXT_BYTES;
    for (uint32_t i = 0; i < plan->node_count; i++) {
        const mr_plan_node *node = &plan->nodes[i];
        for (uint32_t o = 0; o < node->output_count; o++) {
            const mr_plan_output *output = &node->outputs[o];
            bytes += UINT64_C(32) * 1024;
            if (!output->borrows) {
                bytes += MR_BATCH_SCRATCH_BYTES +
                         (uint64_t)output->schema->field_count * MR_BATCH_ROWS_MAX * 17;
            }
        }
        bytes += node->on_error.kind == MR_ROUTE_OUTPUT ? UINT64_C(64) * 1024 : 0;
        bytes +=
            (uint64_t)lanes * (node->kind == MR_NODE_STEP ? MR_STEP_NODE_BYTES : MR_END_NODE_BYTES);
    }
    return bytes;
}

/* What a shard's store takes beside its records. */
static uint64_t store_overhead(const mr_plan *plan, uint32_t lanes)
{
    const mr_state_options options = {.directory = plan->has_kafka ? "" : NULL,
                                      .task_count = lanes,
                                      .table_count_max = lanes * plan->table_count,
                                      .inputs_max = mr_budget_inputs(plan),
                                      .wal_bytes_max = plan->state.wal_max_bytes,
                                      .epoch_bytes_max = 4 * plan->commit.dirty_state_bytes};

    return plan->is_stateful ? mr_state_overhead_bytes(&options) : 0;
}

static uint64_t store_bytes_min(const mr_plan *plan, uint64_t overhead)
{
    if (!plan->is_stateful) {
        return 4 * MIB;
    }
    const uint64_t bytes =
        overhead + UINT64_C(4) * STORE_EPOCHS_MIN * plan->commit.dirty_state_bytes;
    return (bytes + STORE_STEP - 1) / STORE_STEP * STORE_STEP;
}

static mr_status refuse(const mr_budget *budget, uint64_t store_min, uint64_t store_overhead,
                        uint32_t shard_count, mr_diag *diag)
{
    const uint64_t smallest =
        budget->fixed + budget->kafka + (budget->shard_batches + store_min) * shard_count;
    return mr_diag_set(
        diag, MR_ERR_CONFIG, 0,
        "E_MEMORY_BUDGET: memory.total of %llu MiB is too small for %u shard%s\n"
        "  process                %6llu MiB\n"
        "  memory.kafka           %6llu MiB  (output arenas 2 x %llu MiB a shard)\n"
        "  batches and operators  %6llu MiB a shard\n"
        "  store, at least        %6llu MiB a shard  (%llu MiB of it buffers: an epoch's delta, a "
        "base)\n"
        "set memory.total to at least %lluMiB, or use fewer --shards",
        (unsigned long long)(budget->total / MIB), shard_count, shard_count == 1 ? "" : "s",
        (unsigned long long)(budget->fixed / MIB), (unsigned long long)(budget->kafka / MIB),
        (unsigned long long)(budget->shard_arena / MIB), budget->shard_batches / MIB + 1ull,
        (unsigned long long)(store_min / MIB),
        (unsigned long long)((store_overhead + MIB - 1) / MIB), smallest / MIB + 1ull);
}

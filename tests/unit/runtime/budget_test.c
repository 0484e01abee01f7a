/* budget_test.c - memory.total becomes limits that add up, or a refusal that says what works. */
#include "engine/runtime/runtime_private.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define MIB (UINT64_C(1) << 20)

static mr_plan plan_of(uint64_t total_mib)
{
    return (mr_plan){.has_kafka = true,
                     .is_stateful = true,
                     .commit = {.dirty_state_bytes = 8 * MIB},
                     .memory = {.total = {.bytes = total_mib * MIB}, .kafka = {.percent = 25}}};
}

static void test_parts_fit_the_total(void **state)
{
    (void)state;
    mr_budget budget;
    mr_diag diag;
    for (uint32_t shards = 1; shards <= 4; shards++) {
        const mr_plan plan = plan_of(4096);
        assert_int_equal(mr_budget_compute(&plan, 24576 * MIB, shards, 4, &budget, &diag), MR_OK);
        const uint64_t sum =
            budget.fixed + budget.kafka + shards * (budget.shard_batches + budget.shard_store);
        assert_true(sum <= budget.total);
        assert_true(sum + 4 * MIB * shards > budget.total);
        assert_int_equal(budget.kafka, 1024 * MIB);
        assert_true(2 * budget.shard_arena <= budget.shard_kafka * 2 / 5);
        assert_int_equal(budget.shard_arena % 4096, 0);
    }
}

static void test_share_of_the_machine(void **state)
{
    (void)state;
    mr_budget budget;
    mr_diag diag;
    mr_plan plan = plan_of(0);
    plan.memory.total = (mr_plan_size){.percent = 50};
    assert_int_equal(mr_budget_compute(&plan, 8192 * MIB, 1, 1, &budget, &diag), MR_OK);
    assert_true(budget.total <= 4096 * MIB && budget.total > 4000 * MIB);
}

static void test_refusal_names_a_total_that_works(void **state)
{
    (void)state;
    mr_budget budget;
    mr_diag diag;
    mr_plan plan = plan_of(64);
    assert_int_equal(mr_budget_compute(&plan, 24576 * MIB, 2, 4, &budget, &diag), MR_ERR_CONFIG);
    const char *hint = strstr(diag.text, "set memory.total to at least ");
    assert_non_null(hint);
    const uint64_t smallest = strtoull(hint + strlen("set memory.total to at least "), NULL, 10);
    plan = plan_of(smallest);
    assert_int_equal(mr_budget_compute(&plan, 24576 * MIB, 2, 4, &budget, &diag), MR_OK);
    plan = plan_of(smallest - 3);
    assert_int_equal(mr_budget_compute(&plan, 24576 * MIB, 2, 4, &budget, &diag), MR_ERR_CONFIG);
}

/* What the store takes beside its records is in its part, also in the smallest total. */
static void test_the_buffers_of_the_store_count(void **state)
{
    (void)state;
    mr_budget budget;
    mr_diag diag;
    const uint64_t epoch = 32 * MIB;
    const mr_state_options options = {.directory = "", .task_count = 4, .epoch_bytes_max = epoch};
    const uint64_t overhead = mr_state_overhead_bytes(&options);
    assert_true(overhead > epoch + 1 * MIB); /* A delta, and the buffers of a base. */
    mr_plan plan = plan_of(64);
    assert_int_equal(mr_budget_compute(&plan, 24576 * MIB, 2, 4, &budget, &diag), MR_ERR_CONFIG);
    char line[64];
    snprintf(line, sizeof(line), "(%u MiB of it buffers", (unsigned)((overhead + MIB - 1) / MIB));
    assert_non_null(strstr(diag.text, line));
    const char *hint = strstr(diag.text, "at least ");
    while (strstr(hint + 1, "at least ") != NULL) {
        hint = strstr(hint + 1, "at least ");
    }
    plan = plan_of(strtoull(hint + strlen("at least "), NULL, 10));
    assert_int_equal(mr_budget_compute(&plan, 24576 * MIB, 2, 4, &budget, &diag), MR_OK);
    assert_true(budget.shard_store >= overhead + 3 * epoch);
}

/* Each partition keeps some records queued, each shard has arenas, whatever their part is. */
static void test_what_many_partitions_and_shards_need_counts(void **state)
{
    (void)state;
    mr_budget budget;
    mr_diag diag;
    const mr_plan_node source = {.kind = MR_NODE_SOURCE};
    mr_plan plan = plan_of(16384);
    plan.nodes = &source;
    plan.node_count = 1;
    plan.memory.kafka = (mr_plan_size){.bytes = 256 * MIB};
    assert_int_equal(mr_budget_compute(&plan, 24576 * MIB, 1, 100, &budget, &diag), MR_OK);
    assert_int_equal(budget.kafka, 256 * MIB);
    assert_int_equal(mr_budget_compute(&plan, 24576 * MIB, 1, 2000, &budget, &diag), MR_OK);
    /* 200 message objects of 304 bytes and 64 KiB of payload a partition, 60 % of the part. */
    const uint64_t part = 256 * MIB;
    assert_int_equal(budget.kafka, 2 * budget.shard_arena + part / 5 +
                                       2000 * (200 * UINT64_C(304) + 64 * UINT64_C(1024)));
    assert_int_equal(mr_budget_compute(&plan, 24576 * MIB, 64, 1, &budget, &diag), MR_OK);
    assert_int_equal(budget.shard_arena, 4 * MIB);
    assert_int_equal(budget.kafka, 64 * (8 * MIB + 3 * (budget.shard_kafka / 5)));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_parts_fit_the_total),
        cmocka_unit_test(test_share_of_the_machine),
        cmocka_unit_test(test_refusal_names_a_total_that_works),
        cmocka_unit_test(test_the_buffers_of_the_store_count),
        cmocka_unit_test(test_what_many_partitions_and_shards_need_counts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

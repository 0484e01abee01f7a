/*
 * check_interval.c - make_interval(years, months, weeks, days, hours, mins, secs) becomes a chain
 * of steps that set months, days and time; and the strides of date_bin.
 */
#include "engine/base/time_interval.h"
#include "engine/expr/expr_private.h"
#include <millrace/plan.h>
#include <string.h>

enum { PARTS = MR_MAKE_INTERVAL_PARTS };

static const mr_function with_counts = {"make_interval",
                                        3,
                                        {MR_INTERVAL, MR_BIGINT, MR_BIGINT},
                                        MR_RULE_FIXED,
                                        MR_INTERVAL,
                                        MR_FALLIBLE_RANGE,
                                        mr_run_interval_with,
                                        "make_interval"};
static const mr_function with_seconds = {"make_interval",
                                         2,
                                         {MR_INTERVAL, MR_DOUBLE},
                                         MR_RULE_FIXED,
                                         MR_INTERVAL,
                                         MR_FALLIBLE_RANGE,
                                         mr_run_interval_with_seconds,
                                         "make_interval"};

int32_t mr_make_interval_part(const char *name)
{
    static const char *const names[PARTS] = {"years", "months", "weeks", "days",
                                             "hours", "mins",   "secs"};

    for (int32_t i = 0; i < PARTS; i++) {
        if (strcmp(names[i], name) == 0) {
            return i;
        }
    }
    return -1;
}

static mr_node *new_step(mr_compile *c, const mr_node *call, mr_expr_node_kind kind,
                         uint32_t kid_count)
{
    mr_node *node = mr_node_new(c, kind, call->location, kid_count);

    if (node != NULL) {
        node->is_typed = true;
        node->type = (mr_value_type){.type = MR_INTERVAL};
        node->name = call->name;
    }
    return node;
}

static bool add_step(mr_compile *c, const mr_node *call, mr_node **chain, uint32_t first,
                     mr_interval_with with)
{
    const bool counts = with != MR_WITH_SECONDS;
    mr_node *step = new_step(c, call, MR_NODE_CALL, counts ? 3 : 2);

    if (step == NULL) {
        return false;
    }
    step->function = counts ? &with_counts : &with_seconds;
    step->operation = (uint8_t)with;
    step->kids[0] = *chain;
    step->kids[1] = call->kids[first];
    if (counts) {
        step->kids[2] = call->kids[first + 1];
    }
    mr_node_inherit(step);
    mr_node_can_fail(step, MR_FALLIBLE_RANGE, step->function->what);
    *chain = step;
    return mr_constant_fold(c, step);
}

bool mr_check_make_interval(mr_compile *c, mr_node *node)
{
    MR_ASSERT(node->kid_count == PARTS);
    for (uint32_t i = 0; i < PARTS; i++) {
        if (!mr_convert_kind(c, &node->kids[i], i + 1 < PARTS ? MR_BIGINT : MR_DOUBLE)) {
            return false;
        }
    }
    mr_node *chain = new_step(c, node, MR_NODE_CONST, 0);
    if (chain == NULL || !add_step(c, node, &chain, 0, MR_WITH_MONTHS) ||
        !add_step(c, node, &chain, 2, MR_WITH_DAYS) ||
        !add_step(c, node, &chain, 4, MR_WITH_TIME) ||
        !add_step(c, node, &chain, 6, MR_WITH_SECONDS)) {
        return false;
    }
    *node = *chain;
    return true;
}

bool mr_check_stride(mr_compile *c, mr_node *node)
{
    const mr_node *stride = node->kids[0];
    const mr_interval value = stride->value.as.interval;
    int64_t unused = 0;

    if (stride->kind != MR_NODE_CONST || stride->value.is_null) {
        return true;
    }
    const int result = mr_time_bin(value, 0, 0, &unused);
    if (result != 0) {
        return mr_compile_error(c, stride->location, 308,
                                result == 1 ? "the stride of date_bin() has no months (0A000)\n"
                                              "hint: its bins are of equal size; date_trunc() "
                                              "has months"
                                            : "the stride of date_bin() is not in range: it "
                                              "must be above zero (22008)");
    }
    return true;
}

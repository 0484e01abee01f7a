/*
 * filter.c - keeps the rows for which a condition is true. NULL is not true.
 *
 * The output borrows all columns of the input; only the selection is its own. A row for which the
 * condition fails is rejected. The halves of an upsert change pass each for itself: an identity
 * whose new row does not pass is thereby deleted.
 */
#include "engine/base/assert.h"
#include "engine/batch/batch.h"
#include "engine/expr/expr.h"
#include "operators/operators.h"
#include <millrace/version.h>
#include <stddef.h>

typedef struct filter_spec {
    const mr_expr *where; /* Boolean; owned by the plan. */
} filter_spec;

typedef struct filter {
    mr_eval *eval; /* Owned by the task arena. */
} filter;

static mr_status filter_plan(void *spec, mr_plan_node *node, mr_diag *diag)
{
    const filter_spec *s = spec;
    const char *what = NULL;
    const uint32_t classes = mr_expr_fallible(s->where, &what);

    (void)diag;
    if (classes != 0) {
        mr_plan_fallible(node, classes, what);
    }
    mr_plan_set_output(node, 0, mr_plan_input(node), true);
    return MR_OK;
}

static mr_status filter_open(void *self, const void *spec, mr_task *task)
{
    const filter_spec *s = spec;
    filter *f = self;

    f->eval = mr_eval_create(mr_task_arena(task), &s->where, 1, MR_EXPR_SCRATCH_BYTES);
    if (f->eval == NULL) {
        return mr_diag_set(mr_task_diag(task), MR_ERR_MEMORY, 0, "no memory for a filter");
    }
    return MR_OK;
}

static mr_step filter_process(void *self, mr_task *task, uint32_t port, const mr_batch *in,
                              mr_batch *const out[])
{
    const filter *f = self;

    MR_ASSERT(port == 0);
    if (mr_eval_run(f->eval, in) != MR_OK) {
        return mr_task_fail(task, MR_ERR_OVERFLOW,
                            "the texts of %u rows in `where` exceed the scratch",
                            in->selected_count);
    }
    const mr_row_error *errors = mr_eval_errors(f->eval);
    for (uint32_t i = 0; errors != NULL && i < in->selected_count; i++) {
        const uint32_t row = mr_batch_row(in, i);
        if (errors[row] != MR_ROW_OK) {
            mr_task_reject(task, in, row, errors[row]);
        }
    }
    mr_batch_share(out[0], in);
    mr_batch_select(out[0], mr_eval_condition(f->eval, in, mr_batch_selection(out[0])));
    return MR_STEP_NEXT;
}

static const mr_option filter_options[] = {
    {.name = "where",
     .kind = MR_OPTION_CONDITION,
     .flags = MR_OPTION_REQUIRED,
     .offset = offsetof(filter_spec, where),
     .summary = "Rows for which it is true are kept."},
};

const mr_operator_type mr_op_filter = {
    .abi_version = MR_OPERATOR_ABI,
    .struct_size = sizeof(mr_operator_type),
    .name = "filter",
    .summary = "Keeps the rows for which a condition is true.",
    .options = filter_options,
    .option_count = MR_LENGTH(filter_options),
    .input_count_min = 1,
    .input_count_max = 1,
    .output_count = 1,
    .spec_size = sizeof(filter_spec),
    .self_size = sizeof(filter),
    .plan = filter_plan,
    .open = filter_open,
    .process = filter_process,
};

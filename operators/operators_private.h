/* operators_private.h - what operators share, for this folder alone. */
#ifndef MR_OPERATORS_OPERATORS_PRIVATE_H
#define MR_OPERATORS_OPERATORS_PRIVATE_H

#include <millrace/operator.h>

extern const mr_operator_type mr_op_filter, mr_op_map, mr_op_aggregate;

/* Rejects the selected rows of `in` that are in error; `errors` by row number, NULL = none. */
void mr_reject_failed(mr_task *task, const mr_batch *in, const mr_row_error *errors);

#endif

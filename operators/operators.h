/*
 * operators.h - the table of operators. A plan names them by the word after `op:`; nobody calls an
 * operator but through its mr_operator_type. Thread: any; all of it is constant.
 */
#ifndef MR_OPERATORS_OPERATORS_H
#define MR_OPERATORS_OPERATORS_H

#include <millrace/operator.h>
#include <stdint.h>

extern const mr_operator_type *const mr_operators[];
extern const uint32_t mr_operator_count;

extern const mr_operator_type mr_op_filter;
extern const mr_operator_type mr_op_map;
extern const mr_operator_type mr_op_aggregate;

/* For an operator of the language that this release does not have: what it would do, else NULL. */
const char *mr_operator_refused(const char *name);

#endif

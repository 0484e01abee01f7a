/*
 * state_dump.h - how `millrace state` names tables and prints columns beside bytes. Thread:
 * control.
 */
#ifndef MR_CLI_STATE_DUMP_H
#define MR_CLI_STATE_DUMP_H

#include <millrace/plan.h>
#include <millrace/store.h>
#include <stdint.h>

typedef struct mr_state_columns mr_state_columns;

/* Returns owned; NULL = no memory. `plan` must outlive it. */
mr_state_columns *mr_state_columns_create(const mr_plan *plan);
void mr_state_columns_destroy(mr_state_columns *columns); /* NULL is allowed. */

/* "step.table"; NULL when no table of the plan is this one (or `columns` is NULL). */
const char *mr_state_columns_name(const mr_state_columns *columns, uint32_t number,
                                  uint64_t layout);
/*
 * The record as a JSON object of its step's result columns; the size, 0 when no table of the plan
 * is this one with this layout (or `columns` is NULL). Valid until the next call.
 */
uint32_t mr_state_columns_text(mr_state_columns *columns, uint32_t number, uint64_t layout,
                               const mr_table_row *row, const uint8_t **text);

#endif

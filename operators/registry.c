/*
 * registry.c - the operators, read from top to bottom; and those of the language that are refused
 * by name. To add an operator: its file, a declaration in operators.h, one line here.
 */
#include "engine/base/assert.h"
#include "operators/operators.h"
#include <string.h>

const mr_operator_type *const mr_operators[] = {
    &mr_op_filter,
    &mr_op_map,
    &mr_op_aggregate,
};

const uint32_t mr_operator_count = MR_LENGTH(mr_operators);

const char *mr_operator_refused(const char *name)
{
    static const struct {
        const char *name, *summary;
    } later[] = {
        {"flat_map", "one row for each element of a jsonb array"},
        {"route", "rows to outputs by condition"},
        {"union", "several streams as one"},
        {"rekey", "partitions by another key"},
        {"dedup", "drops rows whose id was seen"},
        {"window", "aggregates by key and time"},
        {"join", "rows of two inputs"},
        {"lookup", "asks a table or a service"},
        {"top_n", "the best rows of a key"},
        {"latest", "the newest row of a key"},
        {"event_sourced", "commands to events and state"},
        {"delay", "holds rows for a time"},
    };

    MR_ASSERT(name != NULL);
    for (size_t i = 0; i < MR_LENGTH(later); i++) {
        if (strcmp(later[i].name, name) == 0) {
            return later[i].summary;
        }
    }
    return NULL;
}

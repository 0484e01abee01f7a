/*
 * fake.h - a catalogue for the tests of this folder: operators, connectors and formats with the
 * shape of the real ones and nothing behind them, and a loader of texts.
 */
#ifndef MR_TESTS_TOPOLOGY_FAKE_H
#define MR_TESTS_TOPOLOGY_FAKE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "engine/expr/expr.h"
#include "engine/topology/topology.h"
#include <millrace/version.h>
#include <stdio.h>
#include <string.h>

typedef struct fake_filter_spec {
    const mr_expr *where;
} fake_filter_spec;

typedef struct fake_map_spec {
    mr_select set, select;
} fake_map_spec;

typedef struct fake_aggregate_spec {
    mr_columns by;
    const mr_fold *fold;
    uint32_t emit;
} fake_aggregate_spec;

typedef struct fake_source_spec {
    const char *path;
    uint64_t max_record_bytes;
} fake_source_spec;

static mr_status fake_filter_plan(void *spec, mr_plan_node *node, mr_diag *diag)
{
    const fake_filter_spec *filter = spec;
    const char *what = NULL;
    const uint32_t classes = mr_expr_fallible(filter->where, &what);

    (void)diag;
    if (classes != 0) {
        mr_plan_fallible(node, classes, what);
    }
    mr_plan_set_output(node, 0, mr_plan_input(node), true);
    return MR_OK;
}

/* `select` makes the columns; the key is kept by name; hidden columns come along. */
static mr_status fake_map_plan(void *spec, mr_plan_node *node, mr_diag *diag)
{
    const fake_map_spec *map = spec;
    const mr_schema *input = mr_plan_input(node);
    mr_arena *arena = mr_plan_arena(node);
    mr_schema *schema = mr_arena_take(arena, sizeof(mr_schema));
    mr_field *fields = mr_arena_take_array(arena, MR_FIELDS_MAX, sizeof(mr_field));

    (void)diag;
    if (map->select.count == 0) {
        return mr_plan_error(node, NULL, 104, NULL, "map \"%s\" needs select", node->name);
    }
    *schema = (mr_schema){.fields = fields, .mode = input->mode};
    for (uint32_t i = 0; i < map->select.count; i++) {
        const char *what = NULL;
        const uint32_t classes = mr_expr_fallible(map->select.exprs[i], &what);
        if (classes != 0) {
            mr_plan_fallible(node, classes, what);
        }
        fields[i] = *mr_expr_result(map->select.exprs[i]);
        fields[i].name = map->select.names[i];
        fields[i].hidden = false;
        schema->field_count++;
        uint32_t column = 0;
        if (!mr_expr_is_column(map->select.exprs[i], &column)) {
            continue;
        }
        for (uint32_t k = 0; k < input->key_count; k++) {
            if (input->key[k] == column) {
                schema->key[schema->key_count++] = (uint16_t)i;
            }
        }
        for (uint32_t k = 0; k < input->identity_count; k++) {
            if (input->identity[k] == column) {
                schema->identity[schema->identity_count++] = (uint16_t)i;
            }
        }
    }
    for (uint32_t i = 0; i < input->field_count; i++) {
        if (input->fields[i].hidden) {
            fields[schema->field_count++] = input->fields[i];
        }
    }
    mr_plan_set_output(node, 0, schema, true);
    return MR_OK;
}

static mr_status fake_aggregate_plan(void *spec, mr_plan_node *node, mr_diag *diag)
{
    const fake_aggregate_spec *aggregate = spec;
    const mr_table_spec results = {.kind = MR_TABLE_HASH,
                                   .layout = mr_fold_layout(aggregate->fold)};

    mr_plan_set_output(node, 0, mr_fold_schema(aggregate->fold), false);
    return mr_plan_add_table(node, "results", &results, mr_fold_key_schema(aggregate->fold),
                             mr_fold_value_schema(aggregate->fold), diag);
}

static const mr_option fake_filter_options[] = {
    {.name = "where",
     .kind = MR_OPTION_CONDITION,
     .flags = MR_OPTION_REQUIRED,
     .offset = offsetof(fake_filter_spec, where)},
};
static const mr_option fake_map_options[] = {
    {.name = "set", .kind = MR_OPTION_SELECT, .offset = offsetof(fake_map_spec, set)},
    {.name = "select", .kind = MR_OPTION_SELECT, .offset = offsetof(fake_map_spec, select)},
};
static const mr_option fake_aggregate_options[] = {
    {.name = "by", .kind = MR_OPTION_COLUMNS, .offset = offsetof(fake_aggregate_spec, by)},
    {.name = "select",
     .kind = MR_OPTION_FOLD,
     .flags = MR_OPTION_REQUIRED,
     .offset = offsetof(fake_aggregate_spec, fold)},
    {.name = "emit",
     .kind = MR_OPTION_CHOICE,
     .choices = "on_commit|every",
     .fallback = "on_commit",
     .offset = offsetof(fake_aggregate_spec, emit)},
    {.name = "ttl", .kind = MR_OPTION_REFUSED, .choices = "groups do not end"},
};
static const mr_option fake_kafka_options[] = {
    {.name = "max_record",
     .kind = MR_OPTION_SIZE,
     .fallback = "1MiB",
     .offset = offsetof(fake_source_spec, max_record_bytes)},
};
static const mr_option fake_file_options[] = {
    {.name = "path",
     .kind = MR_OPTION_TEXT,
     .flags = MR_OPTION_REQUIRED,
     .offset = offsetof(fake_source_spec, path)},
};

static const mr_operator_type fake_filter = {.abi_version = MR_OPERATOR_ABI,
                                             .struct_size = sizeof(mr_operator_type),
                                             .name = "filter",
                                             .options = fake_filter_options,
                                             .option_count = 1,
                                             .output_count = 1,
                                             .spec_size = sizeof(fake_filter_spec),
                                             .plan = fake_filter_plan};
static const mr_operator_type fake_map = {.abi_version = MR_OPERATOR_ABI,
                                          .struct_size = sizeof(mr_operator_type),
                                          .name = "map",
                                          .options = fake_map_options,
                                          .option_count = 2,
                                          .output_count = 1,
                                          .spec_size = sizeof(fake_map_spec),
                                          .plan = fake_map_plan};
static const mr_operator_type fake_aggregate = {.abi_version = MR_OPERATOR_ABI,
                                                .struct_size = sizeof(mr_operator_type),
                                                .name = "aggregate",
                                                .options = fake_aggregate_options,
                                                .option_count = 4,
                                                .output_count = 1,
                                                .flags = MR_OP_KEYED | MR_OP_STATEFUL,
                                                .spec_size = sizeof(fake_aggregate_spec),
                                                .plan = fake_aggregate_plan};
static const mr_source_type fake_kafka_source = {.head = {.name = "kafka",
                                                          .options = fake_kafka_options,
                                                          .option_count = 1,
                                                          .spec_size = sizeof(fake_source_spec),
                                                          .flags = MR_SOURCE_KAFKA}};
static const mr_source_type fake_file_source = {.head = {.name = "file",
                                                         .options = fake_file_options,
                                                         .option_count = 1,
                                                         .spec_size = sizeof(fake_source_spec)}};
static const mr_sink_type fake_kafka_sink = {.head = {.name = "kafka", .flags = MR_SINK_IN_TXN}};
static const mr_sink_type fake_file_sink = {.head = {.name = "file",
                                                     .options = fake_file_options,
                                                     .option_count = 1,
                                                     .spec_size = sizeof(fake_source_spec),
                                                     .flags = MR_SINK_BEST_EFFORT}};

static mr_status fake_plan_read(mr_arena *arena, const mr_schema *schema,
                                const mr_field_spec *fields, const void **spec, mr_diag *diag)
{
    (void)arena, (void)fields, (void)diag;
    *spec = schema;
    return MR_OK;
}

/* "raw" takes one visible column. */
static mr_status fake_plan_write(mr_arena *arena, const mr_schema *schema, const char *numbers,
                                 const char *times, const void **spec, mr_diag *diag)
{
    (void)arena, (void)numbers, (void)times, (void)diag;
    *spec = schema;
    return MR_OK;
}

static const mr_format_entry fake_formats[] = {
    {.name = "json", .plan_read = fake_plan_read, .plan_write = fake_plan_write},
    {.name = "raw", .plan_read = fake_plan_read, .plan_write = fake_plan_write},
    {.name = "avro", .refused = "Avro is not part of this release"},
};
static const mr_operator_type *const fake_operators[] = {&fake_filter, &fake_map, &fake_aggregate};
static const mr_source_type *const fake_sources[] = {&fake_kafka_source, &fake_file_source};
static const mr_sink_type *const fake_sinks[] = {&fake_kafka_sink, &fake_file_sink};
static const mr_catalogue fake_catalogue = {.operators = fake_operators,
                                            .sources = fake_sources,
                                            .sinks = fake_sinks,
                                            .formats = fake_formats,
                                            .operator_count = 3,
                                            .source_count = 2,
                                            .sink_count = 2,
                                            .format_count = 3};

/* GREETING is "hello", EMPTY is empty, all else unset. */
static inline const char *fake_variable(void *self, const char *name)
{
    (void)self;
    if (strcmp(name, "GREETING") == 0) {
        return "hello";
    }
    return strcmp(name, "EMPTY") == 0 ? "" : NULL;
}

/* Loads a text; the caller destroys the topology. */
static inline mr_topology *fake_load(const char *text)
{
    const mr_topology_source source = {.path = "t.yaml",
                                       .text = text,
                                       .size_bytes = (uint32_t)strlen(text),
                                       .variable = fake_variable};
    mr_topology *topology = NULL;
    mr_diag diag = {0};
    const mr_status status = mr_topology_load(&source, &fake_catalogue, &topology, &diag);

    assert_non_null(topology);
    assert_int_equal(status, mr_topology_plan(topology) != NULL ? MR_OK : MR_ERR_CONFIG);
    return topology;
}

/* The first message with this code, or NULL. */
static inline const mr_message *fake_message(const mr_topology *topology, uint16_t code)
{
    uint32_t count = 0;
    const mr_message *messages = mr_topology_messages(topology, &count);

    for (uint32_t i = 0; i < count; i++) {
        if (messages[i].code == code) {
            return &messages[i];
        }
    }
    return NULL;
}

/* Loads a text that must have a message of this code in this line; returns nothing. */
static inline void fake_expect(const char *text, uint16_t code, uint32_t line)
{
    mr_topology *topology = fake_load(text);
    const mr_message *message = fake_message(topology, code);

    if (message == NULL || message->place.line != line) {
        uint32_t count = 0;
        const mr_message *messages = mr_topology_messages(topology, &count);
        for (uint32_t i = 0; i < count; i++) {
            print_message("%u:%u M%04u %s\n", messages[i].place.line, messages[i].place.column,
                          messages[i].code, messages[i].text);
        }
        fail_msg("no M%04u in line %u of:\n%s", code, line, text);
    }
    mr_topology_destroy(topology);
}

static inline const mr_plan_node *fake_node(const mr_plan *plan, const char *name)
{
    for (uint32_t i = 0; i < plan->node_count; i++) {
        if (strcmp(plan->nodes[i].name, name) == 0) {
            return &plan->nodes[i];
        }
    }
    fail_msg("no node %s", name);
    return NULL;
}

#endif

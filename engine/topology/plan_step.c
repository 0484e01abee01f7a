/*
 * plan_step.c - a step as written becomes a node: options by the operator's table, key rules, then
 * the operator's own plan().
 */
#include "engine/base/assert.h"
#include "engine/batch/batch.h"
#include "engine/topology/topology_private.h"
#include <string.h>

static void test_keys(mr_load *load, const mr_item *item);
static bool test_group(mr_load *load, const mr_item *item, const mr_schema *schema);
static const mr_option *find_by(const mr_operator_type *op);
static bool run_plan(mr_load *load, mr_item *item);
static bool set_error_output(mr_load *load, const mr_item *item);
static bool test_outputs(mr_load *load, const mr_item *item);

void mr_plan_step(mr_load *load, mr_item *item)
{
    const mr_operator_type *op = item->op;
    mr_plan_node *node = item->node;
    const mr_item *input = item->input;
    const mr_schema *schema = NULL;

    MR_ASSERT(op != NULL && node != NULL && item->map != NULL);
    node->op = op;
    if (input != NULL && !input->is_broken && input->node != NULL) {
        schema = input->node->outputs[item->input_output].schema;
        node->input = schema;
        node->input_node = input->node->index;
        node->input_output = item->input_output;
    }
    test_keys(load, item);
    bool good = mr_options_parse(load, item, schema, op->options, op->option_count, node->spec);
    item->is_broken = true;
    if (schema != NULL && good && test_group(load, item, schema) && run_plan(load, item)) {
        item->is_broken = !set_error_output(load, item) || !test_outputs(load, item);
    }
    if (item->is_broken && mr_yaml_get(item->map, "on_error") != NULL) {
        mr_routes_resolve(load, item, 0, "");
    }
}

static void test_keys(mr_load *load, const mr_item *item)
{
    static const mr_key_rule rules[] = {
        {"op", NULL, 0},
        {"from", NULL, 0},
        {"on_error", NULL, 0},
        {"description", NULL, 0},
        {"was", "state is not compared between two versions of a file", 0},
        {"late", "no step of this release can be late", 0},
        {"scope", "groups are those of the stream's key", 0},
    };
    const mr_key_set set = {.what =
                                mr_load_print(load, "step \"%s\" (%s)", item->name, item->op->name),
                            .rules = rules,
                            .rule_count = MR_LENGTH(rules),
                            .options = item->op->options,
                            .option_count = item->op->option_count,
                            .place = item->place};
    mr_keys_test(load, item->map, &set);
}

/* Equal groups must be on one partition: every key column stands in `by`. */
static bool test_group(mr_load *load, const mr_item *item, const mr_schema *schema)
{
    const mr_option *option = find_by(item->op);
    const mr_yaml *written = mr_yaml_get(item->map, "by");
    const mr_place place = written != NULL ? written->place : item->place;

    if ((item->op->flags & MR_OP_KEYED) == 0) {
        return true;
    }
    if (schema->key_count == 0) {
        mr_load_error(load, place, 403,
                      "say by which columns its producer partitions: `key: [...]`",
                      "%s \"%s\" needs a stream with a key, and \"%s\" has none", item->op->name,
                      item->name, item->input->name);
        return false;
    }
    if (option == NULL) {
        return true;
    }
    const mr_columns *by =
        (const mr_columns *)(const void *)((uint8_t *)item->node->spec + option->offset);
    for (uint32_t i = 0; i < schema->key_count; i++) {
        bool found = false;
        for (uint32_t k = 0; k < by->count; k++) {
            found = found || by->indexes[k] == schema->key[i];
        }
        if (!found) {
            mr_load_error(load, place, 401,
                          "name every key column in `by`; rekey is not part of this release",
                          "%s groups by (%s), but \"%s\" is partitioned by (%s)", item->op->name,
                          mr_column_list(load, schema, by->indexes, by->count), item->input->name,
                          mr_column_list(load, schema, schema->key, schema->key_count));
            return false;
        }
    }
    return true;
}

static const mr_option *find_by(const mr_operator_type *op)
{
    for (uint32_t i = 0; i < op->option_count; i++) {
        if (op->options[i].kind == MR_OPTION_COLUMNS && strcmp(op->options[i].name, "by") == 0) {
            return &op->options[i];
        }
    }
    return NULL;
}

/* The operator's plan(); without one, or without outputs set, the output is the input. */
static bool run_plan(mr_load *load, mr_item *item)
{
    mr_plan_node *node = item->node;
    mr_plan_build *build = node->build;
    mr_diag diag = {0};

    if (item->op->plan != NULL) {
        const mr_status status = item->op->plan(node->spec, node, &diag);
        if (status == MR_ERR_MEMORY) {
            load->no_memory = true;
        } else if (status != MR_OK && !build->failed) {
            mr_load_diag(load, &diag, item->place);
        }
        if (status != MR_OK || build->failed) {
            return false;
        }
    }
    if (node->outputs[0].schema == NULL) {
        mr_plan_set_output(node, 0, node->input, true);
    }
    mr_routes_resolve(load, item, build->fallible,
                      mr_load_print(load, "%s in step \"%s\"",
                                    build->what != NULL ? build->what : item->op->name,
                                    item->name));
    return true;
}

/*
 * Behind the operator's own outputs: the input's columns with error_code and error_message, rows of
 * an append stream with the input's key. What is rejected when an epoch closes has no input row, so
 * the columns of a step that flushes can be NULL.
 */
static bool set_error_output(mr_load *load, const mr_item *item)
{
    static const mr_field added[MR_ERROR_COLUMNS] = {{.name = "error_code", .type = MR_TEXT},
                                                     {.name = "error_message", .type = MR_TEXT}};
    mr_plan_node *node = item->node;
    const mr_schema *input = node->input;
    const uint32_t index = item->op->output_count;

    if (node->on_error.kind != MR_ROUTE_OUTPUT) {
        return true;
    }
    MR_ASSERT(index < MR_PLAN_OUTPUTS_MAX && node->output_count <= index);
    for (uint32_t i = 0; i < MR_ERROR_COLUMNS; i++) {
        const char *name = added[i].name;
        if (mr_schema_find(input, name, (uint32_t)strlen(name)) != UINT32_MAX) {
            mr_load_error(load, mr_yaml_get(item->map, "on_error")->place, 606,
                          "rename the column by a map before this step",
                          "step \"%s\" reads a column \"%s\", which its error output adds",
                          item->name, name);
            return false;
        }
    }
    mr_schema *schema = mr_load_take(load, 1, sizeof(mr_schema));
    mr_field *fields = mr_load_take(load, input->field_count + MR_ERROR_COLUMNS, sizeof(mr_field));
    if (schema == NULL || fields == NULL) {
        return false;
    }
    memcpy(fields, input->fields, input->field_count * sizeof(mr_field));
    for (uint32_t i = 0; i < input->field_count; i++) {
        fields[i].nullable = fields[i].nullable || item->op->flush != NULL;
    }
    memcpy(fields + input->field_count, added, sizeof(added));
    *schema = (mr_schema){.fields = fields,
                          .field_count = input->field_count + MR_ERROR_COLUMNS,
                          .key_count = input->key_count,
                          .mode = MR_APPEND};
    memcpy(schema->key, input->key, sizeof(schema->key));
    node->on_error.output = index;
    node->outputs[index] =
        (mr_plan_output){.name = mr_load_print(load, "%s.%s", item->name, MR_ERROR_OUTPUT),
                         .schema = schema,
                         .borrows = true};
    node->output_count = index + 1;
    return true;
}

static bool test_outputs(mr_load *load, const mr_item *item)
{
    const mr_plan_node *node = item->node;

    MR_ASSERT(node->output_count > 0);
    if (item->op->output_count > node->output_count) {
        mr_load_error(load, item->place, 209, NULL, "%s \"%s\" did not say all of its outputs",
                      item->op->name, item->name);
        return false;
    }
    for (uint32_t i = 0; i < node->output_count; i++) {
        if (node->outputs[i].schema->field_count > MR_FIELDS_MAX) {
            mr_load_error(load, item->place, 209, NULL,
                          "step \"%s\" has more than %u columns, the hidden ones included",
                          item->name, (unsigned)MR_FIELDS_MAX);
            return false;
        }
    }
    return true;
}

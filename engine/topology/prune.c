/*
 * prune.c - what sources need not decode, and which upsert streams need their old halves.
 *
 * Both walk the finished nodes from the sinks back. A column that no step, sink, key or event time
 * reads is neither converted nor tested. An old half is needed where something downstream can drop
 * a row of its own accord (a condition, a failing expression) or keeps state of it: then a row that
 * stops passing must take back what it had sent. Filter, map and sinks alone pass deletes on.
 */
#include "engine/base/assert.h"
#include "engine/expr/expr.h"
#include "engine/topology/topology_private.h"
#include <string.h>

static size_t slot_of(const mr_load *load, const mr_plan_node *node, uint32_t output);
static void need_of_sink(const mr_plan_node *sink, bool *needed);
static void need_of_step(const mr_plan_node *step, const bool *output_needed, bool *needed);
static bool selects(const mr_plan_node *step, const char *name);
static bool folds(const mr_plan_node *step);
static void set_needed(const mr_plan_node *source, const bool *needed);
static bool drops_rows(const mr_plan_node *node);

void mr_prune_columns(mr_load *load)
{
    const uint32_t count = load->order_count;
    /* needed[node][output][column] */
    bool *needed = mr_load_take(load, count + 1, (size_t)MR_PLAN_OUTPUTS_MAX * MR_FIELDS_MAX);

    if (needed == NULL) {
        return;
    }
    for (uint32_t i = count; i-- > 0;) {
        const mr_item *item = load->order[i];
        const mr_plan_node *node = item->node;
        const bool *own = needed + slot_of(load, node, 0);
        if (item->kind == MR_ITEM_SOURCE) {
            set_needed(node, own);
            continue;
        }
        if (item->kind == MR_ITEM_STEP && !item->is_used) {
            continue;
        }
        bool *input = needed + slot_of(load, item->input->node, item->input_output);
        if (item->kind == MR_ITEM_SINK) {
            need_of_sink(node, input);
        } else {
            need_of_step(node, own, input);
        }
    }
}

static size_t slot_of(const mr_load *load, const mr_plan_node *node, uint32_t output)
{
    return ((size_t)(node - load->nodes) * MR_PLAN_OUTPUTS_MAX + output) * MR_FIELDS_MAX;
}

void mr_prune_old_halves(mr_load *load)
{
    for (uint32_t i = load->plan->node_count; i-- > 0;) {
        mr_plan_node *node = &load->nodes[i];
        for (uint32_t output = 0; output < node->output_count; output++) {
            mr_plan_output *out = &node->outputs[output];
            for (uint32_t k = 0; k < out->consumer_count && out->schema->mode == MR_UPSERT; k++) {
                const mr_plan_node *consumer = &load->nodes[out->consumers[k].node];
                bool wants = drops_rows(consumer);
                for (uint32_t o = 0; o < consumer->output_count; o++) {
                    wants = wants || consumer->outputs[o].wants_old;
                }
                out->wants_old = out->wants_old || wants;
            }
        }
    }
}

/* A sink writes every visible column; its expressions may read hidden ones. */
static void need_of_sink(const mr_plan_node *sink, bool *needed)
{
    const mr_sink_common *common = sink->common;

    for (uint32_t i = 0; i < sink->input->field_count; i++) {
        needed[i] = needed[i] || !sink->input->fields[i].hidden;
    }
    for (uint32_t i = 0; i < common->key_count; i++) {
        needed[common->key[i]] = true;
    }
    for (uint32_t i = 0; i < common->header_count; i++) {
        mr_expr_columns(common->headers[i].value, needed);
    }
    if (common->partition != NULL) {
        mr_expr_columns(common->partition, needed);
    }
    if (common->timestamp != NULL) {
        mr_expr_columns(common->timestamp, needed);
    }
    mr_options_columns(sink->sink->head.options, sink->sink->head.option_count, sink->spec, needed);
}

/* What its options read, and what it hands on of what is needed behind it. */
static void need_of_step(const mr_plan_node *step, const bool *output_needed, bool *needed)
{
    const mr_schema *input = step->input;

    mr_options_columns(step->op->options, step->op->option_count, step->spec, needed);
    for (uint32_t i = 0; i < step->op->option_count; i++) {
        const mr_option *option = &step->op->options[i];
        if (option->kind == MR_OPTION_COLUMNS && strcmp(option->name, "drop") != 0) {
            const mr_columns *columns =
                (const mr_columns *)(const void *)((const uint8_t *)step->spec + option->offset);
            for (uint32_t k = 0; k < columns->count; k++) {
                needed[columns->indexes[k]] = true;
            }
        }
    }
    for (uint32_t i = 0; i < input->key_count; i++) {
        needed[input->key[i]] = true;
    }
    const bool is_fold = folds(step);
    for (uint32_t output = 0; output < step->output_count; output++) {
        const mr_schema *schema = step->outputs[output].schema;
        const bool is_errors =
            step->on_error.kind == MR_ROUTE_OUTPUT && step->on_error.output == output;
        if (is_fold && !is_errors) {
            continue;
        }
        const bool *of_output = output_needed + (size_t)output * MR_FIELDS_MAX;
        for (uint32_t i = 0; i < schema->field_count; i++) {
            if (!of_output[i] || (!is_errors && selects(step, schema->fields[i].name))) {
                continue;
            }
            for (uint32_t k = 0; k < input->field_count; k++) {
                needed[k] = needed[k] || strcmp(input->fields[k].name, schema->fields[i].name) == 0;
            }
        }
    }
}

/* Whether the step computes the column. */
static bool selects(const mr_plan_node *step, const char *name)
{
    for (uint32_t i = 0; i < step->op->option_count; i++) {
        const mr_option *option = &step->op->options[i];
        if (option->kind != MR_OPTION_SELECT) {
            continue;
        }
        const mr_select *select =
            (const mr_select *)(const void *)((const uint8_t *)step->spec + option->offset);
        for (uint32_t k = 0; k < select->count; k++) {
            if (strcmp(select->names[k], name) == 0) {
                return true;
            }
        }
    }
    return false;
}

/* Whether its rows are made of groups, so that no column passes through. */
static bool folds(const mr_plan_node *step)
{
    for (uint32_t i = 0; i < step->op->option_count; i++) {
        if (step->op->options[i].kind == MR_OPTION_FOLD) {
            return true;
        }
    }
    return false;
}

static void set_needed(const mr_plan_node *source, const bool *needed)
{
    const mr_source_common *common = source->common;
    mr_field_spec *specs = (mr_field_spec *)(uintptr_t)common->fields;
    bool own[MR_FIELDS_MAX] = {false};

    MR_ASSERT(common->schema->field_count <= MR_FIELDS_MAX);
    if (common->event_time != NULL) {
        mr_expr_columns(common->event_time, own);
    }
    for (uint32_t i = 0; i < common->schema->key_count; i++) {
        own[common->schema->key[i]] = true;
    }
    for (uint32_t i = 0; i < common->schema->field_count; i++) {
        specs[i].needed = needed[i] || own[i];
    }
}

static bool drops_rows(const mr_plan_node *node)
{
    if (node->kind != MR_NODE_STEP) {
        return false;
    }
    if ((node->op->flags & MR_OP_STATEFUL) != 0 || node->build->fallible != 0) {
        return true;
    }
    for (uint32_t i = 0; i < node->op->option_count; i++) {
        if (node->op->options[i].kind == MR_OPTION_CONDITION) {
            return true;
        }
    }
    return false;
}

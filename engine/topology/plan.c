/*
 * plan.c - items become nodes in order, then edges, table numbers and the fingerprint.
 *
 * Items that no sink reads are planned too, for their mistakes, but stand behind the plan's nodes
 * and are not part of it. Table numbers follow the names of step and table, and a table's layout
 * contains these names: moving a step in the file keeps its state, and state of one step can never
 * be taken for another's. mr_plan_* are what operators and connectors call while they are planned.
 */
#include "engine/base/assert.h"
#include "engine/base/hash.h"
#include "engine/batch/batch.h"
#include "engine/topology/topology_private.h"
#include <stdio.h>
#include <string.h>

static bool make_nodes(mr_load *load);
static bool make_node(mr_load *load, mr_item *item, uint32_t slot, uint32_t index);
static void plan_item(mr_load *load, mr_item *item);
static void finish(mr_load *load);
static void make_edges(mr_load *load);
static void set_facts(mr_load *load);
static void set_fingerprint(mr_load *load);
static uint64_t add_text(uint64_t hash, const char *text);

void mr_plan_make(mr_load *load)
{
    MR_ASSERT(load->order != NULL);
    if (!make_nodes(load)) {
        return;
    }
    for (uint32_t i = 0; i < load->order_count && !load->no_memory; i++) {
        plan_item(load, load->order[i]);
    }
    mr_routes_finish(load);
    if (load->error_count == 0 && !load->no_memory) {
        finish(load);
    }
}

/* Used items get the first nodes, in order; the others the slots behind them. */
static bool make_nodes(mr_load *load)
{
    uint32_t used = 0, unused = load->order_count;

    load->nodes = mr_load_take(load, load->order_count + 1, sizeof(mr_plan_node));
    load->topics = mr_load_take(load, MR_PLAN_TOPICS_MAX, sizeof(mr_plan_topic));
    load->topic_places = mr_load_take(load, MR_PLAN_TOPICS_MAX, sizeof(mr_place));
    if (load->nodes == NULL || load->topics == NULL || load->topic_places == NULL) {
        return false;
    }
    for (uint32_t i = 0; i < load->order_count; i++) {
        mr_item *item = load->order[i];
        const bool made = item->is_used ? make_node(load, item, used, used)
                                        : make_node(load, item, unused - 1, MR_NO_INDEX);
        if (!made) {
            return false;
        }
        used += item->is_used ? 1 : 0;
        unused -= item->is_used ? 0 : 1;
    }
    MR_ASSERT(used == unused);
    load->plan->nodes = load->nodes;
    load->plan->node_count = used;
    return true;
}

static bool make_node(mr_load *load, mr_item *item, uint32_t slot, uint32_t index)
{
    static const mr_node_kind kinds[] = {MR_NODE_SOURCE, MR_NODE_STEP, MR_NODE_SINK};
    mr_plan_node *node = &load->nodes[slot];
    mr_plan_build *build = mr_load_take(load, 1, sizeof(mr_plan_build));
    uint32_t spec_size = 1;

    if (item->op != NULL) {
        spec_size += item->op->spec_size;
    } else if (item->source != NULL) {
        spec_size += item->source->head.spec_size;
    } else if (item->sink != NULL) {
        spec_size += item->sink->head.spec_size;
    }
    void *spec = mr_load_take(load, 1, spec_size);
    if (build == NULL || spec == NULL) {
        return false;
    }
    *build = (mr_plan_build){.load = load, .item = item};
    node->index = index;
    node->kind = kinds[item->kind];
    node->name = item->name;
    node->place = item->place;
    node->spec = spec;
    node->input_node = MR_NO_INDEX;
    node->build = build;
    item->node = node;
    return true;
}

static void plan_item(mr_load *load, mr_item *item)
{
    if (item->map == NULL) {
        return;
    }
    if (item->kind == MR_ITEM_SOURCE && item->source != NULL) {
        mr_plan_source(load, item);
    } else if (item->kind == MR_ITEM_STEP && item->op != NULL) {
        mr_plan_step(load, item);
    } else if (item->kind == MR_ITEM_SINK && item->sink != NULL) {
        mr_plan_sink(load, item);
    }
}

/* Of a document without mistakes so far. */
static void finish(mr_load *load)
{
    mr_prune_columns(load);
    for (uint32_t i = 0; i < load->order_count; i++) {
        if (load->order[i]->kind == MR_ITEM_SOURCE) {
            mr_plan_source_format(load, load->order[i]);
        }
    }
    make_edges(load);
    mr_prune_old_halves(load);
    mr_numbers_make(load);
    load->plan->topics = load->topics;
    load->plan->dlqs = load->dlqs;
    set_facts(load);
    set_fingerprint(load);
    for (uint32_t i = 0; i < load->order_count; i++) {
        load->order[i]->node->build = NULL;
    }
}

static void make_edges(mr_load *load)
{
    const uint32_t count = load->plan->node_count;

    for (uint32_t i = 0; i < count; i++) {
        mr_plan_node *node = &load->nodes[i];
        for (uint32_t output = 0; output < node->output_count; output++) {
            mr_plan_edge *edges = mr_load_take(load, count + 1, sizeof(mr_plan_edge));
            uint32_t edge_count = 0;
            if (edges == NULL) {
                return;
            }
            for (uint32_t k = i + 1; k < count; k++) {
                if (load->nodes[k].input_node == i && load->nodes[k].input_output == output) {
                    edges[edge_count++] = (mr_plan_edge){.node = k, .port = 0};
                }
            }
            node->outputs[output].consumers = edges;
            node->outputs[output].consumer_count = edge_count;
        }
    }
}

static void set_facts(mr_load *load)
{
    mr_plan *plan = load->plan;

    plan->is_bounded = true;
    for (uint32_t i = 0; i < plan->node_count; i++) {
        const mr_plan_node *node = &load->nodes[i];
        if (node->kind == MR_NODE_SOURCE) {
            const mr_source_common *common = node->common;
            plan->is_bounded = plan->is_bounded && common->bounded;
        }
        if (node->kind == MR_NODE_STEP && (node->op->flags & MR_OP_STATEFUL) != 0) {
            plan->is_stateful = true;
        }
    }
    plan->is_stateful = plan->is_stateful || plan->table_count > 0;
    if (!plan->has_kafka) {
        plan->brokers = NULL;
    }
}

static void set_fingerprint(mr_load *load)
{
    mr_plan *plan = load->plan;
    uint64_t hash = add_text(0, plan->app);

    for (uint32_t i = 0; i < plan->node_count; i++) {
        const mr_plan_node *node = &load->nodes[i];
        hash = add_text(hash, node->name);
        for (uint32_t k = 0; k < node->output_count; k++) {
            const uint64_t part = mr_schema_fingerprint(node->outputs[k].schema);
            hash = mr_hash64(&part, sizeof(part), hash);
        }
        for (uint32_t t = 0; t < node->table_count; t++) {
            hash = add_text(hash, node->table_names[t]);
            hash = mr_hash64(&node->tables[t].layout, sizeof(uint64_t), hash);
        }
    }
    for (uint32_t i = 0; i < plan->topic_count; i++) {
        hash = add_text(hash, plan->topics[i].name);
    }
    plan->fingerprint = hash;
}

/* With its final NUL, so that "ab", "c" differs from "a", "bc". */
static uint64_t add_text(uint64_t hash, const char *text)
{
    return mr_hash64(text, strlen(text) + 1, hash);
}

const char *mr_column_list(mr_load *load, const mr_schema *schema, const uint16_t *columns,
                           uint32_t count)
{
    const char *text = "";

    for (uint32_t i = 0; i < count; i++) {
        text =
            mr_load_print(load, "%s%s%s", text, i > 0 ? ", " : "", schema->fields[columns[i]].name);
    }
    return text;
}

/* ---- What operators and connectors call in their plan() ---- */

struct mr_arena *mr_plan_arena(mr_plan_node *node)
{
    MR_ASSERT(node->build != NULL);
    return node->build->load->arena;
}

const mr_schema *mr_plan_input(const mr_plan_node *node)
{
    MR_ASSERT(node->input != NULL);
    return node->input;
}

void mr_plan_set_output(mr_plan_node *node, uint32_t output, const mr_schema *schema, bool borrows)
{
    MR_ASSERT(output < MR_PLAN_OUTPUTS_MAX && schema != NULL && node->build != NULL);
    const mr_plan_build *build = node->build;
    const char *name = node->name;

    if (output > 0) {
        MR_ASSERT(node->op != NULL && output < node->op->output_count);
        name = mr_load_print(build->load, "%s.%s", node->name, node->op->output_names[output]);
    }
    node->outputs[output] = (mr_plan_output){.name = name, .schema = schema, .borrows = borrows};
    if (output >= node->output_count) {
        node->output_count = output + 1;
    }
}

mr_status mr_plan_add_table(mr_plan_node *node, const char *name, const mr_table_spec *spec,
                            const mr_schema *key, const mr_schema *value, mr_diag *diag)
{
    MR_ASSERT(node->build != NULL && node->op != NULL && key != NULL);
    if (node->table_count == MR_PLAN_TABLES_MAX) {
        return mr_diag_set(diag, MR_ERR_CONFIG, 209, "step \"%s\" needs more than %u tables",
                           node->name, (unsigned)MR_PLAN_TABLES_MAX);
    }
    const uint32_t index = node->table_count++;
    uint64_t layout = add_text(add_text(spec->layout, node->name), name);
    const uint64_t key_part = mr_schema_fingerprint(key);
    layout = mr_hash64(&key_part, sizeof(key_part), layout);
    node->tables[index] = *spec;
    node->tables[index].layout = layout;
    node->tables[index].table = MR_NO_INDEX;
    node->table_names[index] = name;
    node->table_keys[index] = key;
    node->table_values[index] = value;
    return MR_OK;
}

void mr_plan_fallible(mr_plan_node *node, uint32_t classes, const char *what)
{
    mr_plan_build *build = node->build;

    MR_ASSERT(build != NULL);
    /* The reason shown is one of class data, if there is one. */
    if (build->what == NULL ||
        ((classes & MR_FALLIBLE_DATA) != 0 && (build->fallible & MR_FALLIBLE_DATA) == 0)) {
        build->what = what;
    }
    build->fallible |= classes;
}

mr_status mr_plan_error(mr_plan_node *node, const char *option, uint16_t code, const char *hint,
                        const char *format, ...)
{
    mr_plan_build *build = node->build;
    char text[1024];
    va_list arguments;

    MR_ASSERT(build != NULL);
    va_start(arguments, format);
    (void)vsnprintf(text, sizeof(text), format, arguments);
    va_end(arguments);
    const mr_yaml *value = option != NULL ? mr_yaml_get(build->item->map, option) : NULL;
    const mr_place place = value != NULL ? value->place : build->item->place;
    if (hint != NULL) {
        mr_load_error(build->load, place, code, mr_load_print(build->load, "%s", hint), "%s", text);
    } else {
        mr_diag told = {.code = code};
        told.text_size_bytes = (uint32_t)snprintf(told.text, sizeof(told.text), "%s", text);
        mr_load_diag(build->load, &told, place);
    }
    build->failed = true;
    return MR_ERR_CONFIG;
}

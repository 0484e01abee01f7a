/*
 * check.c - the graph of a document: one namespace, every `from` known, no cycle, what is unused.
 *
 * The order made here is that of the plan: sources, then steps as soon as what they read stands,
 * then sinks, each group in file order. So it depends on the graph and the order of the file only.
 */
#include "engine/base/assert.h"
#include "engine/topology/topology_private.h"
#include <string.h>

enum { NAMES_SHOWN = 24 }; /* In a hint. */

static void test_names(mr_load *load);
static void test_name(mr_load *load, const char *name, mr_place place, uint32_t item_max);
static void find_input(mr_load *load, mr_item *item);
static void link_input(mr_load *load, mr_item *item, const mr_yaml *from, const char *text);
static bool find_output(mr_load *load, mr_item *item, const mr_yaml *from, const char *output);
static void mark_used(mr_load *load);
static void order_items(mr_load *load);
static void report_cycle(mr_load *load);

void mr_check_graph(mr_load *load)
{
    MR_ASSERT(load->items != NULL && load->order != NULL);
    test_names(load);
    for (uint32_t i = 0; i < load->item_count; i++) {
        if (load->items[i].kind != MR_ITEM_SOURCE && load->items[i].map != NULL) {
            find_input(load, &load->items[i]);
        }
    }
    mark_used(load);
    order_items(load);
    if (load->order_count < load->item_count) {
        report_cycle(load);
    }
}

/* Equal names in one section are duplicate keys, which were reported before. */
static void test_names(mr_load *load)
{
    uint32_t section_start = 0;

    for (uint32_t i = 0; i < load->item_count; i++) {
        if (load->items[i].kind != load->items[section_start].kind) {
            section_start = i;
        }
        test_name(load, load->items[i].name, load->items[i].place, section_start);
    }
    for (uint32_t i = 0; i < load->dlq_item_count; i++) {
        test_name(load, load->dlq_items[i].name, load->dlq_items[i].place, load->item_count);
    }
}

/* Against the items of the sections before it. */
static void test_name(mr_load *load, const char *name, mr_place place, uint32_t item_max)
{
    for (uint32_t i = 0; i < item_max; i++) {
        if (strcmp(load->items[i].name, name) == 0) {
            mr_load_error(load, place, 201, "sources, steps, sinks and dlqs share one namespace",
                          "the name \"%s\" is taken in line %u", name, load->items[i].place.line);
            return;
        }
    }
}

static void find_input(mr_load *load, mr_item *item)
{
    const mr_yaml *from = mr_yaml_get(item->map, "from");
    const char *text;

    if (from == NULL) {
        mr_load_error(load, item->place, 104, "name the source or step that it reads",
                      "%s \"%s\" needs \"from\"", item->kind == MR_ITEM_STEP ? "step" : "sink",
                      item->name);
        return;
    }
    if (from->kind == MR_YAML_LIST) {
        mr_load_error(load, from->place, 105, "write one name",
                      "\"from\" of %s is one step or source; only a union, which is not part of "
                      "this release, reads several",
                      item->name);
        return;
    }
    if (mr_value_text(load, from, "from", &text)) {
        link_input(load, item, from, text);
    }
}

static void link_input(mr_load *load, mr_item *item, const mr_yaml *from, const char *text)
{
    const size_t size = strcspn(text, ".");
    const char *name = mr_load_print(load, "%.*s", (int)size, text);
    mr_nearest nearest = {.word = name};
    const char *known = "there are:";
    uint32_t count = 0;

    for (uint32_t i = 0; i < load->item_count; i++) {
        mr_item *other = &load->items[i];
        if (other->kind == MR_ITEM_SINK) {
            if (strcmp(other->name, name) == 0) {
                mr_load_error(load, from->place, 202, "read from what the sink reads from",
                              "\"%s\" is a sink: nothing can be read from it", name);
                return;
            }
            continue;
        }
        if (strcmp(other->name, name) == 0) {
            item->input = other;
            if (!find_output(load, item, from, text[size] == '.' ? text + size + 1 : NULL)) {
                item->input = NULL;
            }
            return;
        }
        if (other != item) {
            mr_nearest_try(&nearest, other->name);
            known = count < NAMES_SHOWN
                        ? mr_load_print(load, "%s%s %s", known, count > 0 ? "," : "", other->name)
                        : known;
            count++;
        }
    }
    const char *near = mr_nearest_hint(load, &nearest);
    mr_load_error(load, from->place, 202,
                  near != NULL ? near
                  : count > 0  ? known
                               : NULL,
                  "there is no source or step \"%s\"", name);
}

/* `output` NULL: the step itself. */
static bool find_output(mr_load *load, mr_item *item, const mr_yaml *from, const char *output)
{
    const mr_item *input = item->input;
    const mr_operator_type *op = input->op;

    item->input_output = 0;
    if (output == NULL || (input->kind == MR_ITEM_STEP && op == NULL)) {
        return true;
    }
    for (uint32_t i = 1; op != NULL && op->output_names != NULL && i < op->output_count; i++) {
        if (strcmp(op->output_names[i], output) == 0) {
            item->input_output = i;
            return true;
        }
    }
    const bool is_errors = strcmp(output, "errors") == 0 && op != NULL;
    if (is_errors && mr_routes_have_output(input)) {
        item->input_output = op->output_count; /* Behind the operator's own. */
        return true;
    }
    mr_load_error(
        load, from->place, 202,
        is_errors
            ? mr_load_print(load, "write `on_error: { output: true }` on step \"%s\"", input->name)
            : mr_load_print(load, "read `%s` itself", input->name),
        "\"%s\" has no output \"%s\"", input->name, output);
    return false;
}

/*
 * From every sink back to its sources; what was met before ends the walk, so circles do too. While
 * a `from` is wrong nobody can say what is unused.
 */
static void mark_used(mr_load *load)
{
    bool is_whole = true;

    for (uint32_t i = 0; i < load->item_count; i++) {
        mr_item *item = &load->items[i];
        if (item->kind != MR_ITEM_SINK) {
            continue;
        }
        while (item != NULL && !item->is_used) {
            item->is_used = true;
            item = item->input;
        }
    }
    for (uint32_t i = 0; i < load->item_count; i++) {
        const mr_item *item = &load->items[i];
        is_whole = is_whole && (item->kind == MR_ITEM_SOURCE || item->input != NULL);
    }
    for (uint32_t i = 0; i < load->item_count && is_whole; i++) {
        const mr_item *item = &load->items[i];
        if (!item->is_used) {
            mr_load_warning(load, item->place, 203, "add a sink, or take it out",
                            "no sink reads %s \"%s\": it is left out",
                            item->kind == MR_ITEM_SOURCE ? "source" : "step", item->name);
        }
    }
}

static void order_items(mr_load *load)
{
    bool found = true;

    while (found) {
        found = false;
        for (uint32_t i = 0; i < load->item_count; i++) {
            mr_item *item = &load->items[i];
            if (!item->is_ordered && item->kind != MR_ITEM_SINK &&
                (item->input == NULL || item->input->is_ordered)) {
                item->is_ordered = true;
                load->order[load->order_count++] = item;
                found = true;
            }
        }
    }
    for (uint32_t i = 0; i < load->item_count; i++) {
        mr_item *item = &load->items[i];
        if (item->kind == MR_ITEM_SINK && (item->input == NULL || item->input->is_ordered)) {
            item->is_ordered = true;
            load->order[load->order_count++] = item;
        }
    }
}

/* What is not ordered lies on a cycle or behind one; going back often enough ends on it. */
static void report_cycle(mr_load *load)
{
    const mr_item *item = NULL;
    const mr_item *start;
    const char *path;

    for (uint32_t i = 0; i < load->item_count && item == NULL; i++) {
        item = load->items[i].is_ordered ? NULL : &load->items[i];
    }
    for (uint32_t i = 0; i < load->item_count; i++) {
        MR_ASSERT(item != NULL);
        item = item->input;
    }
    start = item;
    for (const mr_item *on = item->input; on != item; on = on->input) {
        start = on < start ? on : start; /* The first one of the file. */
    }
    item = start;
    path = start->name;
    do {
        item = item->input;
        path = mr_load_print(load, "%s <- %s", path, item->name);
    } while (item != start);
    mr_load_error(load, start->place, 204, "a step reads only what stands before it",
                  "the steps read each other in a circle: %s", path);
}

/*
 * routes.c - where rejected rows go: `on_error` of an item, else `errors.default`.
 *
 * A step that can fail for its data, and every source, must have a route (M0601): nothing is
 * dropped, and no worker stops, without the file having said so. A failure of class range takes
 * the route if there is one, else it stops the worker.
 */
#include "engine/base/assert.h"
#include "engine/topology/topology_private.h"
#include <string.h>

enum { POISON_AFTER = 3, POISON_AFTER_MAX = 100 };

#define STOP_PER_US_MIN INT64_C(1000000)
#define STOP_PER_US_MAX (INT64_C(7) * 24 * 3600 * 1000000)

static void resolve(mr_load *load, const mr_item *item, uint32_t classes, const char *what);
static void read_dlqs(mr_load *load);
static void read_dlq(mr_load *load, const mr_yaml_pair *pair);
static void read_stop_above(mr_load *load, const mr_yaml *node, mr_dlq_item *dlq);
static void read_errors(mr_load *load);
static void read_poison(mr_load *load, const mr_yaml *node);
static bool read_route(mr_load *load, const mr_yaml *node, const char *what, mr_error_route *route);
static bool read_ending(mr_load *load, const mr_yaml *node, const char *what,
                        mr_error_route *route);
static bool takes_output(mr_load *load, const mr_item *item, const mr_yaml *node);
static void refuse_output(mr_load *load, const mr_yaml *value, const char *what);
static bool use_dlq(mr_load *load, const mr_yaml *node, uint32_t *index);

void mr_routes_read(mr_load *load)
{
    MR_ASSERT(load->root != NULL);
    read_dlqs(load);
    read_errors(load);
}

void mr_routes_resolve(mr_load *load, const mr_item *item, uint32_t classes, const char *what)
{
    MR_ASSERT(item->node != NULL);
    resolve(load, item, classes, what);
    item->node->on_error.is_needed = classes != 0;
}

static void resolve(mr_load *load, const mr_item *item, uint32_t classes, const char *what)
{
    const mr_yaml *own = mr_yaml_get(item->map, "on_error");
    mr_plan_node *node = item->node;

    node->on_error = (mr_error_route){.kind = MR_ROUTE_STOP, .dlq = MR_NO_INDEX};
    if (own != NULL) {
        if (!takes_output(load, item, own)) {
            return;
        }
        if (item->is_used) {
            (void)read_route(load, own, "on_error", &node->on_error);
        } else {
            (void)read_ending(load, own, "on_error", &node->on_error);
        }
        return;
    }
    if (load->errors_default != NULL) {
        if (classes != 0 && item->is_used) {
            (void)read_route(load, load->errors_default, "errors.default", &node->on_error);
        }
        return;
    }
    if ((classes & MR_FALLIBLE_DATA) != 0) {
        mr_load_error(load, item->place, 601,
                      "add `on_error: { dlq: ... }` (or drop: true, stop: true) here, or "
                      "`errors: { default: ... }`",
                      "%s can fail and has no route", what);
    }
}

void mr_routes_finish(mr_load *load)
{
    if (load->poison_dlq != NULL) {
        load->plan->poison.has_dlq = use_dlq(load, load->poison_dlq, &load->plan->poison.dlq);
    }
    for (uint32_t i = 0; i < load->dlq_item_count; i++) {
        const mr_dlq_item *dlq = &load->dlq_items[i];
        if (!dlq->is_used && load->error_count == 0) { /* An error may have hidden its use. */
            mr_load_warning(load, dlq->place, 203,
                            "name it in an `on_error` or in `errors.default`, or take it out",
                            "nothing goes to the dlq \"%s\"", dlq->name);
        }
    }
}

static void read_dlqs(mr_load *load)
{
    const mr_yaml *map = mr_yaml_get(load->root, "dlqs");

    if (map == NULL || !mr_value_is_map(load, map, "dlqs")) {
        return;
    }
    if (map->count > MR_DLQS_MAX) {
        mr_load_error(load, map->place, 209, NULL, "a topology has at most %u dlqs",
                      (unsigned)MR_DLQS_MAX);
        return;
    }
    load->dlq_items = mr_load_take(load, map->count + 1, sizeof(mr_dlq_item));
    load->dlqs = mr_load_take(load, map->count + 1, sizeof(mr_plan_dlq));
    if (load->dlq_items == NULL || load->dlqs == NULL) {
        return;
    }
    for (uint32_t i = 0; i < map->count; i++) {
        read_dlq(load, &map->pairs[i]);
    }
}

static void read_dlq(mr_load *load, const mr_yaml_pair *pair)
{
    static const mr_key_rule rules[] = {
        {"topic", NULL, MR_KEY_REQUIRED},
        {"create", NULL, 0},
        {"stop_above", NULL, 0},
        {"description", NULL, 0},
    };
    const char *what = mr_load_print(load, "dlq \"%s\"", pair->key->text);
    mr_dlq_item *dlq = &load->dlq_items[load->dlq_item_count++];

    *dlq = (mr_dlq_item){.name = pair->key->text, .place = pair->key->place, .index = MR_NO_INDEX};
    if (!mr_name_valid(dlq->name, false)) {
        mr_load_error(load, dlq->place, 113,
                      "lower-case letters, digits and _; a letter first; at most 63",
                      "\"%s\" is no name for a dlq", dlq->name);
    }
    if (!mr_value_is_map(load, pair->value, what)) {
        return;
    }
    const mr_key_set set = {
        .what = what, .rules = rules, .rule_count = MR_LENGTH(rules), .place = dlq->place};
    mr_keys_test(load, pair->value, &set);
    dlq->topic = mr_yaml_get(pair->value, "topic");
    dlq->create = mr_yaml_get(pair->value, "create");
    const mr_yaml *limit = mr_yaml_get(pair->value, "stop_above");
    if (limit != NULL) {
        read_stop_above(load, limit, dlq);
    }
}

/* `{ records, per }`: more dead letters than that within that time stop the worker. */
static void read_stop_above(mr_load *load, const mr_yaml *node, mr_dlq_item *dlq)
{
    static const mr_key_rule rules[] = {{"records", NULL, MR_KEY_REQUIRED},
                                        {"per", NULL, MR_KEY_REQUIRED}};
    uint64_t records = 0;
    int64_t per_us = 0;

    if (!mr_value_is_map(load, node, "stop_above")) {
        return;
    }
    const mr_key_set set = {.what = "\"stop_above\"",
                            .rules = rules,
                            .rule_count = MR_LENGTH(rules),
                            .place = node->place};
    mr_keys_test(load, node, &set);
    const mr_yaml *value = mr_yaml_get(node, "records");
    if (value != NULL) {
        (void)mr_value_count(load, value, "stop_above.records", 1, UINT32_MAX, &records);
    }
    value = mr_yaml_get(node, "per");
    if (value != NULL && mr_value_duration(load, value, "stop_above.per", &per_us) &&
        (per_us < STOP_PER_US_MIN || per_us > STOP_PER_US_MAX)) {
        mr_load_error(load, value->place, 106, "e.g. `stop_above: { records: 1000, per: 1m }`",
                      "stop_above.per must be from 1s to 7d");
        return;
    }
    dlq->stop_records = records;
    dlq->stop_per_us = per_us;
}

static void read_errors(mr_load *load)
{
    static const mr_key_rule rules[] = {{"default", NULL, 0}, {"poison", NULL, 0}};
    const mr_yaml *map = mr_yaml_get(load->root, "errors");
    mr_error_route route;

    load->plan->poison.after = POISON_AFTER;
    if (map == NULL || !mr_value_is_map(load, map, "errors")) {
        return;
    }
    const mr_key_set set = {
        .what = "\"errors\"", .rules = rules, .rule_count = MR_LENGTH(rules), .place = map->place};
    mr_keys_test(load, map, &set);
    load->errors_default = mr_yaml_get(map, "default");
    if (load->errors_default != NULL) {
        (void)read_ending(load, load->errors_default, "errors.default", &route);
        const mr_yaml *output = mr_yaml_get(load->errors_default, "output");
        if (output != NULL) {
            refuse_output(load, output, "\"errors.default\"");
            load->errors_default = NULL;
        }
    }
    const mr_yaml *poison = mr_yaml_get(map, "poison");
    if (poison != NULL) {
        read_poison(load, poison);
    }
}

/* `{ after, stop | dlq }`: a record with which the worker fails again and again. */
static void read_poison(mr_load *load, const mr_yaml *node)
{
    static const mr_key_rule rules[] = {{"after", NULL, 0}, {"stop", NULL, 0}, {"dlq", NULL, 0}};
    uint64_t after = POISON_AFTER;
    bool stop = true;

    if (!mr_value_is_map(load, node, "errors.poison")) {
        return;
    }
    const mr_key_set set = {.what = "\"errors.poison\"",
                            .rules = rules,
                            .rule_count = MR_LENGTH(rules),
                            .place = node->place};
    mr_keys_test(load, node, &set);
    const mr_yaml *value = mr_yaml_get(node, "after");
    if (value != NULL) {
        (void)mr_value_count(load, value, "errors.poison.after", 1, POISON_AFTER_MAX, &after);
    }
    load->plan->poison.after = (uint32_t)after;
    load->poison_dlq = mr_yaml_get(node, "dlq");
    value = mr_yaml_get(node, "stop");
    if (value != NULL && mr_value_boolean(load, value, "errors.poison.stop", &stop) && !stop) {
        mr_load_error(load, value->place, 106, "leave it out", "stop: false says nothing");
    }
    if ((value != NULL) == (load->poison_dlq != NULL)) {
        mr_load_error(load, node->place, 603, "one of dlq: NAME, stop: true",
                      "\"errors.poison\" must have exactly one ending, not %u",
                      value != NULL ? 2U : 0U);
    }
}

bool mr_routes_have_output(const mr_item *item)
{
    const mr_yaml *own = item->map != NULL ? mr_yaml_get(item->map, "on_error") : NULL;

    return item->kind == MR_ITEM_STEP && mr_yaml_get(own, "output") != NULL;
}

/* `output` is for steps, and somebody reads it. */
static bool takes_output(mr_load *load, const mr_item *item, const mr_yaml *node)
{
    const mr_yaml *value = mr_yaml_get(node, "output");

    if (value == NULL) {
        return true;
    }
    if (item->kind != MR_ITEM_STEP) {
        refuse_output(load, value, item->kind == MR_ITEM_SOURCE ? "a source" : "a sink");
        return false;
    }
    for (uint32_t i = 0; i < load->item_count; i++) {
        const mr_item *reader = &load->items[i];
        if (reader->input == item && item->op != NULL &&
            reader->input_output == item->op->output_count && (reader->is_used || !item->is_used)) {
            return true;
        }
    }
    if (item->is_used) {
        mr_load_error(load, value->place, 605,
                      mr_load_print(load,
                                    "add a sink or step with `from: %s.errors`, or use "
                                    "`drop: true`",
                                    item->name),
                      "nobody reads the error output of step \"%s\"", item->name);
    }
    return true;
}

static void refuse_output(mr_load *load, const mr_yaml *value, const char *what)
{
    mr_load_error(load, value->place, 604, "use dlq: NAME, drop: true or stop: true",
                  "%s has no error output: only a step has rows to hand on", what);
}

/* A route that is taken: its DLQ counts as used. */
static bool read_route(mr_load *load, const mr_yaml *node, const char *what, mr_error_route *route)
{
    if (!read_ending(load, node, what, route)) {
        return false;
    }
    if (route->kind != MR_ROUTE_DLQ) {
        return true;
    }
    return use_dlq(load, mr_yaml_get(node, "dlq"), &route->dlq);
}

/* The form alone: exactly one ending. */
static bool read_ending(mr_load *load, const mr_yaml *node, const char *what, mr_error_route *route)
{
    static const mr_key_rule rules[] = {
        {"dlq", NULL, 0},
        {"drop", NULL, 0},
        {"stop", NULL, 0},
        {"output", NULL, 0},
        {"retry", "no step waits for an outside service yet", 0},
    };
    static const char *const endings[] = {[MR_ROUTE_STOP] = "stop",
                                          [MR_ROUTE_DROP] = "drop",
                                          [MR_ROUTE_DLQ] = "dlq",
                                          [MR_ROUTE_OUTPUT] = "output"};
    uint32_t count = 0;
    bool wanted = true;

    *route = (mr_error_route){.kind = MR_ROUTE_STOP, .dlq = MR_NO_INDEX};
    if (!mr_value_is_map(load, node, what)) {
        return false;
    }
    const mr_key_set set = {.what = mr_load_print(load, "\"%s\"", what),
                            .rules = rules,
                            .rule_count = MR_LENGTH(rules),
                            .place = node->place};
    mr_keys_test(load, node, &set);
    for (uint32_t i = 0; i < MR_LENGTH(endings); i++) {
        const mr_yaml *value = mr_yaml_get(node, endings[i]);
        if (value == NULL) {
            continue;
        }
        count++;
        route->kind = (mr_route_kind)i;
        if (i != MR_ROUTE_DLQ && mr_value_boolean(load, value, endings[i], &wanted) && !wanted) {
            mr_load_error(load, value->place, 106, "leave it out", "%s: false says nothing",
                          endings[i]);
        }
    }
    if (count != 1) {
        mr_load_error(load, node->place, 603,
                      "one of dlq: NAME, drop: true, stop: true; on a step also output: true",
                      "%s must have exactly one ending, not %u", what, count);
        return false;
    }
    return route->kind != MR_ROUTE_DLQ || mr_yaml_get(node, "dlq") != NULL;
}

/* Finds the DLQ and, at its first use, gives it a place in the plan. */
static bool use_dlq(mr_load *load, const mr_yaml *node, uint32_t *index)
{
    const char *name;

    if (!mr_value_text(load, node, "dlq", &name)) {
        return false;
    }
    mr_nearest nearest = {.word = name};
    for (uint32_t i = 0; i < load->dlq_item_count; i++) {
        mr_dlq_item *dlq = &load->dlq_items[i];
        mr_nearest_try(&nearest, dlq->name);
        if (strcmp(dlq->name, name) != 0) {
            continue;
        }
        if (!dlq->is_used) {
            dlq->is_used = true;
            if (!mr_topic_kafka(load, dlq->place, mr_load_print(load, "dlq \"%s\"", name)) ||
                dlq->topic == NULL) {
                return false;
            }
            const uint32_t topic = mr_topic_add(load, dlq->topic, "topic");
            mr_topic_create(load, dlq->create, topic);
            if (topic == MR_NO_INDEX) {
                return false;
            }
            load->topics[topic].is_output = true;
            dlq->index = load->plan->dlq_count++;
            load->dlqs[dlq->index] = (mr_plan_dlq){.name = name,
                                                   .topic = topic,
                                                   .stop_records = dlq->stop_records,
                                                   .stop_per_us = dlq->stop_per_us};
        }
        *index = dlq->index;
        return dlq->index != MR_NO_INDEX;
    }
    const char *near = mr_nearest_hint(load, &nearest);
    mr_load_error(load, node->place, 602,
                  near != NULL ? near
                               : mr_load_print(load, "add `dlqs: { %s: { topic: ... } }`", name),
                  "there is no dlq \"%s\"", name);
    return false;
}

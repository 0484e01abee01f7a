/*
 * model.c - the document as written: the top level, and the items of sources, steps and sinks.
 *
 * Here every item gets its name and its type (of the catalogue); their keys are read when they are
 * planned, each behind what it reads.
 */
#include "engine/base/assert.h"
#include "engine/topology/topology_private.h"
#include <millrace/version.h>
#include <string.h>

static void read_version(mr_load *load);
static void read_app(mr_load *load);
static void read_items(mr_load *load, mr_item_kind kind, const char *section);
static void read_item(mr_load *load, mr_item_kind kind, const mr_yaml_pair *pair);
static void find_type(mr_load *load, mr_item *item);
static void find_operator(mr_load *load, mr_item *item);
static void find_source(mr_load *load, mr_item *item, const mr_yaml *kind);
static void find_sink(mr_load *load, mr_item *item, const mr_yaml *kind);
static void refuse_word(mr_load *load, const mr_yaml *node, const char *what, const char *word,
                        const char *const *later, uint32_t later_count, mr_nearest *nearest,
                        const char *known, uint16_t code);
static void test_top_level(mr_load *load);

void mr_model_read(mr_load *load)
{
    MR_ASSERT(load->root != NULL);
    if (!mr_value_is_map(load, load->root, "a topology")) {
        return;
    }
    load->items = mr_load_take(load, MR_ITEMS_MAX, sizeof(mr_item));
    load->order = mr_load_take(load, MR_ITEMS_MAX, sizeof(mr_item *));
    if (load->items == NULL || load->order == NULL) {
        return;
    }
    test_top_level(load);
    read_version(load);
    read_app(load);
    read_items(load, MR_ITEM_SOURCE, "sources");
    read_items(load, MR_ITEM_STEP, "steps");
    read_items(load, MR_ITEM_SINK, "sinks");
}

static void test_top_level(mr_load *load)
{
    static const mr_key_rule rules[] = {
        {"millrace", NULL, MR_KEY_REQUIRED},
        {"app", NULL, MR_KEY_REQUIRED},
        {"description", NULL, 0},
        {"kafka", NULL, 0},
        {"registry", "there is no Schema Registry client yet", 0},
        {"delivery", NULL, 0},
        {"commit", NULL, 0},
        {"state", NULL, 0},
        {"memory", NULL, 0},
        {"errors", NULL, 0},
        {"sources", NULL, MR_KEY_REQUIRED},
        {"sinks", NULL, MR_KEY_REQUIRED},
        {"tables", "streams are not joined to tables yet", 0},
        {"steps", NULL, 0},
        {"dlqs", NULL, 0},
        {"secrets", NULL, 0},
        {"tests", "there is no `millrace test` yet to run them", 0},
    };
    mr_yaml_pair *pairs = mr_load_take(load, load->root->count + 1, sizeof(mr_yaml_pair));
    mr_yaml tested = *load->root;
    const mr_key_set set = {.what = "the topology",
                            .rules = rules,
                            .rule_count = MR_LENGTH(rules),
                            .place = load->root->place};

    if (pairs == NULL) {
        return;
    }
    tested.pairs = pairs;
    tested.count = 0;
    for (uint32_t i = 0; i < load->root->count; i++) { /* `x-` keys carry anchors; nobody looks. */
        if (strncmp(load->root->pairs[i].key->text, "x-", 2) != 0) {
            pairs[tested.count++] = load->root->pairs[i];
        }
    }
    mr_keys_test(load, &tested, &set);
}

static void read_version(mr_load *load)
{
    const mr_yaml *node = mr_yaml_get(load->root, "millrace");
    uint64_t version = 0;

    if (node != NULL && mr_value_count(load, node, "millrace", 0, UINT32_MAX, &version) &&
        version != MR_LANGUAGE_VERSION) {
        mr_load_error(load, node->place, 114, "write `millrace: 1`",
                      "this program reads version 1 of the topology language, not %llu",
                      (unsigned long long)version);
    }
}

static void read_app(mr_load *load)
{
    const mr_yaml *node = mr_yaml_get(load->root, "app");
    const char *app;

    load->plan->app = "";
    if (node == NULL || !mr_value_text(load, node, "app", &app)) {
        return;
    }
    if (!mr_name_valid(app, true)) {
        mr_load_error(load, node->place, 113,
                      "lower-case letters, digits, _ and -; a letter first; at most 63",
                      "\"%s\" is no name for an app", app);
        return;
    }
    load->plan->app = app;
}

static void read_items(mr_load *load, mr_item_kind kind, const char *section)
{
    const mr_yaml *map = mr_yaml_get(load->root, section);

    if (map == NULL || (kind == MR_ITEM_STEP && mr_yaml_is_null(map)) ||
        !mr_value_is_map(load, map, section)) {
        return;
    }
    if (map->count == 0 && kind != MR_ITEM_STEP) {
        mr_load_error(load, map->place, 207, "a topology has at least one source and one sink",
                      "\"%s\" is empty: there is nothing to run", section);
    }
    for (uint32_t i = 0; i < map->count; i++) {
        if (load->item_count == MR_ITEMS_MAX) {
            mr_load_error(load, map->pairs[i].key->place, 209, NULL,
                          "a topology has at most %u sources, steps and sinks",
                          (unsigned)MR_ITEMS_MAX);
            return;
        }
        read_item(load, kind, &map->pairs[i]);
    }
}

static void read_item(mr_load *load, mr_item_kind kind, const mr_yaml_pair *pair)
{
    static const char *const words[] = {"source", "step", "sink"};
    mr_item *item = &load->items[load->item_count++];
    const char *what = mr_load_print(load, "%s \"%s\"", words[kind], pair->key->text);

    *item = (mr_item){.kind = kind, .name = pair->key->text, .place = pair->key->place};
    if (!mr_name_valid(item->name, false)) {
        mr_load_error(load, item->place, 113,
                      "lower-case letters, digits and _; a letter first; at most 63",
                      "\"%s\" is no name for a %s", item->name, words[kind]);
    }
    if (!mr_value_is_map(load, pair->value, what)) {
        item->is_broken = true;
        return;
    }
    item->map = pair->value;
    find_type(load, item);
}

static void find_type(mr_load *load, mr_item *item)
{
    const mr_yaml *kind = mr_yaml_get(item->map, "kind");

    if (item->kind == MR_ITEM_STEP) {
        find_operator(load, item);
        item->is_broken = item->op == NULL;
        return;
    }
    item->kind_name = "kafka";
    if (kind != NULL && !mr_value_text(load, kind, "kind", &item->kind_name)) {
        item->is_broken = true;
        return;
    }
    if (item->kind == MR_ITEM_SOURCE) {
        find_source(load, item, kind);
        item->is_broken = item->source == NULL;
    } else {
        find_sink(load, item, kind);
        item->is_broken = item->sink == NULL;
    }
}

static void find_operator(mr_load *load, mr_item *item)
{
    static const char *const later[] = {"flat_map", "route",  "union", "rekey",
                                        "dedup",    "window", "join",  "lookup",
                                        "top_n",    "latest", "delay", "event_sourced"};
    const mr_yaml *node = mr_yaml_get(item->map, "op");

    if (node == NULL) {
        mr_load_error(load, item->place, 104, "name its operator, e.g. `op: filter`",
                      "step \"%s\" needs \"op\"", item->name);
        return;
    }
    if (!mr_value_text(load, node, "op", &item->kind_name)) {
        return;
    }
    mr_nearest nearest = {.word = item->kind_name};
    const char *known = "";
    for (uint32_t i = 0; i < load->catalogue->operator_count; i++) {
        const mr_operator_type *op = load->catalogue->operators[i];
        mr_nearest_try(&nearest, op->name);
        known = mr_load_print(load, "%s%s%s", known, i > 0 ? ", " : "", op->name);
        if (strcmp(op->name, item->kind_name) == 0) {
            item->op = op;
            return;
        }
    }
    refuse_word(load, node, "op", item->kind_name, later, MR_LENGTH(later), &nearest, known, 205);
}

static void find_source(mr_load *load, mr_item *item, const mr_yaml *kind)
{
    static const char *const later[] = {"generator", "postgres_outbox", "redis_pubsub"};
    mr_nearest nearest = {.word = item->kind_name};
    const char *known = "";

    for (uint32_t i = 0; i < load->catalogue->source_count; i++) {
        const mr_source_type *type = load->catalogue->sources[i];
        mr_nearest_try(&nearest, type->head.name);
        known = mr_load_print(load, "%s%s%s", known, i > 0 ? ", " : "", type->head.name);
        if (strcmp(type->head.name, item->kind_name) == 0) {
            item->source = type;
            return;
        }
    }
    MR_ASSERT(kind != NULL); /* Every catalogue has kafka, the kind that need not be written. */
    refuse_word(load, kind, "source kind", item->kind_name, later, MR_LENGTH(later), &nearest,
                known, 206);
}

static void find_sink(mr_load *load, mr_item *item, const mr_yaml *kind)
{
    static const char *const later[] = {"postgres", "redis_pubsub"};
    mr_nearest nearest = {.word = item->kind_name};
    const char *known = "";

    for (uint32_t i = 0; i < load->catalogue->sink_count; i++) {
        const mr_sink_type *type = load->catalogue->sinks[i];
        mr_nearest_try(&nearest, type->head.name);
        known = mr_load_print(load, "%s%s%s", known, i > 0 ? ", " : "", type->head.name);
        if (strcmp(type->head.name, item->kind_name) == 0) {
            item->sink = type;
            return;
        }
    }
    MR_ASSERT(kind != NULL);
    refuse_word(load, kind, "sink kind", item->kind_name, later, MR_LENGTH(later), &nearest, known,
                206);
}

/* A word of the language that comes later, or a word nobody knows. */
static void refuse_word(mr_load *load, const mr_yaml *node, const char *what, const char *word,
                        const char *const *later, uint32_t later_count, mr_nearest *nearest,
                        const char *known, uint16_t code)
{
    const char *there_are = mr_load_print(load, "there are: %s", known);

    for (uint32_t i = 0; i < later_count; i++) {
        mr_nearest_try(nearest, later[i]);
        if (strcmp(word, later[i]) == 0) {
            mr_load_error(load, node->place, 109, there_are,
                          "%s \"%s\" is known, but not part of this release", what, word);
            return;
        }
    }
    const char *near = mr_nearest_hint(load, nearest);
    mr_load_error(load, node->place, code, near != NULL ? near : there_are, "there is no %s \"%s\"",
                  what, word);
}

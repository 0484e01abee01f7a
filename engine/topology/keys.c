/*
 * keys.c - which keys a map may have: known, known but not in this release, or unknown.
 *
 * A key of the language that this release does not build is refused by its name with a reason, so
 * that nobody takes it for a typing error or believes that it works.
 */
#include "engine/base/assert.h"
#include "engine/topology/topology_private.h"
#include <string.h>

enum { LISTED_MAX = 24, HINT_MAX = 512 };

static void test_key(mr_load *load, const mr_yaml *key, const mr_key_set *set);
static const char *missing_hint(mr_load *load, const char *name);
static const char *unknown_hint(mr_load *load, const char *word, const mr_key_set *set);
static const mr_key_rule *find_rule(const mr_key_set *set, const char *name);
static const mr_option *find_option(const mr_key_set *set, const char *name);

void mr_keys_test(mr_load *load, const mr_yaml *map, const mr_key_set *set)
{
    MR_ASSERT(map->kind == MR_YAML_MAP);
    for (uint32_t i = 0; i < map->count; i++) {
        test_key(load, map->pairs[i].key, set);
    }
    for (uint32_t i = 0; i < set->rule_count; i++) {
        const mr_key_rule *rule = &set->rules[i];
        const mr_option *option = find_option(set, rule->name);
        const bool applies = (rule->flags & MR_KEY_KAFKA) == 0 || set->not_kafka == NULL;
        if ((rule->flags & MR_KEY_REQUIRED) == 0 || !applies ||
            mr_yaml_get(map, rule->name) != NULL ||
            (option != NULL && (option->flags & MR_OPTION_REQUIRED) != 0)) {
            continue; /* options.c misses the last ones. */
        }
        mr_load_error(load, set->place, 104, missing_hint(load, rule->name), "%s needs \"%s\"",
                      set->what, rule->name);
    }
}

bool mr_name_valid(const char *name, bool dashes)
{
    const size_t size = strlen(name);
    const char *letters =
        dashes ? "abcdefghijklmnopqrstuvwxyz0123456789_-" : "abcdefghijklmnopqrstuvwxyz0123456789_";

    return size > 0 && size <= MR_NAME_BYTES_MAX && name[0] >= 'a' && name[0] <= 'z' &&
           strspn(name, letters) == size;
}

static void test_key(mr_load *load, const mr_yaml *key, const mr_key_set *set)
{
    const mr_key_rule *rule = find_rule(set, key->text);
    const mr_option *option = find_option(set, key->text);

    if (rule != NULL && rule->refused != NULL) {
        mr_load_error(load, key->place, 109, "take it out",
                      "\"%s\" of %s is known, but not part of this release: %s", key->text,
                      set->what, rule->refused);
    } else if (rule != NULL && (rule->flags & MR_KEY_KAFKA) != 0 && set->not_kafka != NULL) {
        mr_load_error(load, key->place, 120, "take it out",
                      "\"%s\" of %s does not apply to kind %s", key->text, set->what,
                      set->not_kafka);
    } else if (option != NULL && option->kind == MR_OPTION_REFUSED) {
        mr_load_error(load, key->place, 109, "take it out",
                      "\"%s\" of %s is known, but not part of this release%s%s", key->text,
                      set->what, option->choices != NULL ? ": " : "",
                      option->choices != NULL ? option->choices : "");
    } else if (rule == NULL && option == NULL) {
        /* No key has a bracket: it is the rest of an expression behind a comma. */
        const bool is_rest = strpbrk(key->text, "()") != NULL;
        mr_load_error(load, key->place, 102,
                      is_rest ? mr_comma_hint() : unknown_hint(load, key->text, set),
                      "%s has no key \"%s\"", set->what, key->text);
    }
}

/* How a key is written that nobody can do without; NULL: there is nothing to say. */
static const char *missing_hint(mr_load *load, const char *name)
{
    static const struct {
        const char *name, *example;
    } examples[] = {
        {"millrace", "millrace: 1"},
        {"app", "app: orders"},
        {"sources", "sources: { orders: { topic: orders, format: json, schema: { id: text } } }"},
        {"sinks", "sinks: { out: { from: orders, topic: orders.out } }"},
        {"brokers", "brokers: [\"localhost:9092\"]"},
        {"partitions", "partitions: 8"},
        {"topic", "topic: orders.dlq"},
        {"type", "type: text"},
        {"records", "records: 1000"},
        {"per", "per: 1m"},
    };

    for (size_t i = 0; i < MR_LENGTH(examples); i++) {
        if (strcmp(examples[i].name, name) == 0) {
            return mr_load_print(load, "e.g. `%s`", examples[i].example);
        }
    }
    return NULL;
}

/* The nearest key, or all that work. */
static const char *unknown_hint(mr_load *load, const char *word, const mr_key_set *set)
{
    mr_nearest nearest = {.word = word};
    char all[HINT_MAX] = "";
    uint32_t used = 0, listed = 0;

    for (uint32_t i = 0; i < set->rule_count + set->option_count; i++) {
        const bool is_rule = i < set->rule_count;
        const mr_option *option = is_rule ? NULL : &set->options[i - set->rule_count];
        const mr_key_rule *rule = is_rule ? &set->rules[i] : NULL;
        const char *name = is_rule ? rule->name : option->name;
        const size_t size = strlen(name);
        mr_nearest_try(&nearest, name);
        const bool works = is_rule
                               ? rule->refused == NULL &&
                                     (set->not_kafka == NULL || (rule->flags & MR_KEY_KAFKA) == 0)
                               : option->kind != MR_OPTION_REFUSED && find_rule(set, name) == NULL;
        if (works && listed < LISTED_MAX && used + size + 3 < HINT_MAX) {
            const char *separator = used > 0 ? ", " : "";
            memcpy(all + used, separator, strlen(separator));
            used += (uint32_t)strlen(separator);
            memcpy(all + used, name, size);
            used += (uint32_t)size;
            listed++;
        }
    }
    all[used] = '\0';
    const char *near = mr_nearest_hint(load, &nearest);
    return near != NULL ? near : mr_load_print(load, "keys: %s", all);
}

static const mr_key_rule *find_rule(const mr_key_set *set, const char *name)
{
    for (uint32_t i = 0; i < set->rule_count; i++) {
        if (strcmp(set->rules[i].name, name) == 0) {
            return &set->rules[i];
        }
    }
    return NULL;
}

static const mr_option *find_option(const mr_key_set *set, const char *name)
{
    for (uint32_t i = 0; i < set->option_count; i++) {
        if (strcmp(set->options[i].name, name) == 0) {
            return &set->options[i];
        }
    }
    return NULL;
}

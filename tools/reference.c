/*
 * reference.c - the generated pages of docs/: `reference options|functions|failures` prints one;
 * `reference tables` the number of different tables of keys that were seen.
 *
 * What is printed comes from the tables the engine itself reads. Tables of keys are private to the
 * loader's files, so the linker hands every test of keys to this program too (--wrap): loading one
 * document that has every map shows each table, with the option table beside it. A table that is
 * seen and has no title here, a key without a meaning, a meaning without a key, and a default that
 * is not the default end the program with status 1. tests/golden compares the pages.
 *
 * LINK: mr_engine -Wl,--wrap=mr_keys_test
 */
#include "engine/base/error_names.h"
#include "engine/engine.h"
#include "engine/expr/expr_private.h"
#include "engine/topology/topology_private.h"
#include "tools/reference_keys.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { SEEN_MAX = 64, WHAT_MAX = 64, TEXT_MAX = 4096 };

/* Every map the language has; what a run would say to it does not matter. */
static const char everything[] =
    "millrace: 1\n"
    "app: reference\n"
    "kafka: { brokers: [\"localhost:9092\"], client: {}, tls: {},\n"
    "  sasl: { mechanism: PLAIN, username: u, password: { secret: pass } } }\n"
    "secrets: { pass: { env: PASS } }\n"
    "commit: {}\n"
    "state: {}\n"
    "memory: {}\n"
    "errors: { default: { dlq: bad }, poison: {} }\n"
    "dlqs: { bad: { topic: bad, create: { partitions: 1 }, stop_above: { records: 1, per: 1m } } "
    "}\n"
    "sources:\n"
    "  in: { topic: in, format: json, key: [k], watermark: {},\n"
    "        schema: { k: text not null, n: { type: bigint },\n"
    "                  r: { type: record, fields: { f: text } } } }\n"
    "  lines: { kind: file, path: \"-\", format: json, schema: { k: text } }\n"
    "steps:\n"
    "  filtered: { op: filter, from: in, where: n > 0 }\n"
    "  mapped: { op: map, from: filtered, set: { n: n } }\n"
    "  grouped: { op: aggregate, from: mapped, select: { k: , c: count(*) } }\n"
    "sinks:\n"
    "  out: { from: filtered, topic: out, partitioner: { expr: n } }\n"
    "  written: { kind: file, from: lines, path: \"-\", delivery: at_least_once }\n";

/* A right document with room for one more key of each map whose defaults are tried. */
static const char minimal[] =
    "millrace: 1\n"
    "app: reference\n"
    "kafka: { brokers: [\"localhost:9092\"] }\n"
    "%s"
    "errors: { default: { stop: true }%s }\n"
    "sources: { in: { topic: in, format: json, key: [k],\n"
    "  schema: { k: text not null, n: { type: bigint%s }, t: { type: timestamptz%s } }%s } }\n"
    "sinks: { out: { from: in, topic: out%s } }\n";

typedef struct seen_map { /* One table of keys, as the loader tested it. */
    char what[WHAT_MAX];
    const mr_key_rule *rules;
    uint32_t rule_count, option_count;
    const mr_option *options;
} seen_map;

typedef struct reference {
    seen_map seen[SEEN_MAX];
    uint32_t seen_count;
    bool is_watching;
    uint32_t mistakes;
} reference;

static reference page; /* The wrapped function is handed nothing of ours. */

void __real_mr_keys_test(mr_load *load, const mr_yaml *map, const mr_key_set *set);
void __wrap_mr_keys_test(mr_load *load, const mr_yaml *map, const mr_key_set *set);

static void wrong(const char *what, const char *path, const char *name);
static mr_topology *load(const char *text);
static void watch(void);
static void print_tables(void);
static void print_options(void);
static void print_map(const reference_map *map);
static void print_rule(const reference_map *map, const seen_map *seen, const mr_key_rule *rule);
static void print_option(const mr_option *option);
static void print_cell(const char *text);
static void print_value(const char *text);
static void print_refused(const seen_map *seen, bool rules_too);
static const seen_map *find_seen(const char *what);
static const reference_key *find_key(const char *path, const char *name);
static bool is_tried(const reference_key *key);
static void try_default(const reference_key *key);
static bool is_same_plan(const mr_plan *a, const mr_plan *b);
static void print_functions(void);
static void print_function_row(const mr_function *function);
static void print_failures(void);

void __wrap_mr_keys_test(mr_load *load, const mr_yaml *map, const mr_key_set *set)
{
    uint32_t at = 0;

    __real_mr_keys_test(load, map, set);
    while (at < page.seen_count &&
           (page.seen[at].rules != set->rules || page.seen[at].options != set->options)) {
        at++;
    }
    if (page.is_watching && at == page.seen_count && at < SEEN_MAX) {
        page.seen[page.seen_count++] = (seen_map){.rules = set->rules,
                                                  .rule_count = set->rule_count,
                                                  .options = set->options,
                                                  .option_count = set->option_count};
        (void)snprintf(page.seen[at].what, WHAT_MAX, "%s", set->what);
    }
}

int main(int argc, char **argv)
{
    const char *name = argc == 2 ? argv[1] : "";

    if (strcmp(name, "options") == 0) {
        print_options();
    } else if (strcmp(name, "functions") == 0) {
        print_functions();
    } else if (strcmp(name, "failures") == 0) {
        print_failures();
    } else if (strcmp(name, "tables") == 0) {
        print_tables();
    } else {
        (void)fprintf(stderr, "usage: reference options|functions|failures|tables\n");
        return 2;
    }
    return page.mistakes == 0 ? 0 : 1;
}

static void wrong(const char *what, const char *path, const char *name)
{
    page.mistakes++;
    (void)fprintf(stderr, "reference: %s: %s%s%s (see tools/reference_keys.h)\n", what, path,
                  path[0] != '\0' && name[0] != '\0' ? "." : "", name);
}

static const char *no_variable(void *self, const char *name)
{
    (void)self;
    (void)name;
    return NULL;
}

/* Returns owned. */
static mr_topology *load(const char *text)
{
    const mr_topology_source source = {.path = "reference.yaml",
                                       .text = text,
                                       .size_bytes = (uint32_t)strlen(text),
                                       .variable = no_variable};
    mr_engine_tables tables;
    mr_topology *topology = NULL;
    mr_diag diag;

    const mr_status status =
        mr_topology_load(&source, mr_engine_catalogue(&tables), &topology, &diag);
    if (topology == NULL || (status != MR_OK && status != MR_ERR_CONFIG)) {
        (void)fprintf(stderr, "reference: %s\n", diag.text);
        exit(1);
    }
    return topology;
}

/* ---- Options ---- */

static void watch(void)
{
    page.is_watching = true;
    mr_topology_destroy(load(everything));
    page.is_watching = false;
}

/* So that a test can count those of the sources against it. */
static void print_tables(void)
{
    uint32_t count = 0;

    watch();
    for (uint32_t i = 0; i < page.seen_count; i++) {
        uint32_t at = 0;
        while (page.seen[at].rules != page.seen[i].rules) {
            at++;
        }
        count += at == i;
    }
    (void)printf("%u\n", count);
}

static void print_options(void)
{
    (void)printf(
        "# Keys of a topology\n\n"
        "Made by `reference options` from the tables that the loader reads, checked and\n"
        "written anew by `tests/golden/test_golden.py` (`--update`): do not edit. The rules\n"
        "of the language are in [topology.md](topology.md).\n\n"
        "A *size* is written `64KiB`, `8MiB`, `4GiB` or in bytes, a *duration* `250ms`,\n"
        "`30s`, `1h30m`, `7d`. Every mistake is reported with its place; a key of the\n"
        "language that this release lacks is refused by its name (M0109).\n");
    watch();
    for (size_t i = 0; i < MR_LENGTH(reference_maps); i++) {
        print_map(&reference_maps[i]);
    }
    for (uint32_t i = 0; i < page.seen_count; i++) {
        size_t at = 0;
        while (at < MR_LENGTH(reference_maps) &&
               strcmp(reference_maps[at].what, page.seen[i].what) != 0) {
            at++;
        }
        if (at == MR_LENGTH(reference_maps)) {
            wrong("a map of the loader has no title", page.seen[i].what, "");
        }
    }
    for (size_t i = 0; i < MR_LENGTH(reference_keys); i++) {
        const reference_key *key = &reference_keys[i];
        if (is_tried(key)) {
            try_default(key);
        }
    }
}

static void print_map(const reference_map *map)
{
    const seen_map *seen = find_seen(map->what);

    if (seen == NULL) {
        wrong("a title names a map that the loader does not test", map->what, "");
        return;
    }
    (void)printf("\n## %s\n", map->title);
    if (map->about != NULL) {
        (void)printf("%s\n", map->about);
    }
    (void)printf("\n| key | value | default | meaning |\n|---|---|---|---|\n");
    if (map->path != NULL) {
        for (uint32_t i = 0; i < seen->rule_count; i++) {
            print_rule(map, seen, &seen->rules[i]);
        }
        for (size_t i = 0; i < MR_LENGTH(reference_keys); i++) {
            const reference_key *key = &reference_keys[i];
            uint32_t at = 0;
            while (strcmp(key->path, map->path) == 0 && at < seen->rule_count &&
                   strcmp(seen->rules[at].name, key->name) != 0) {
                at++;
            }
            if (strcmp(key->path, map->path) == 0 && at == seen->rule_count) {
                wrong("a meaning without a key", key->path, key->name);
            }
        }
    }
    for (uint32_t i = 0; i < seen->option_count; i++) {
        bool is_rule = false; /* Then it stands in the table of rules. */
        for (uint32_t k = 0; k < seen->rule_count && map->path != NULL; k++) {
            is_rule = is_rule || strcmp(seen->rules[k].name, seen->options[i].name) == 0;
        }
        /* A step's keys and those of its operator are two tables. */
        const bool is_own = strncmp(map->what, "step", 4) != 0 || map->path == NULL;
        if (!is_rule && seen->options[i].kind != MR_OPTION_REFUSED && is_own) {
            print_option(&seen->options[i]);
        }
    }
    print_refused(seen, map->path != NULL);
}

static void print_rule(const reference_map *map, const seen_map *seen, const mr_key_rule *rule)
{
    const reference_key *key = find_key(map->path, rule->name);
    bool is_required = (rule->flags & MR_KEY_REQUIRED) != 0;

    if (rule->refused != NULL) {
        if (key != NULL) {
            wrong("a meaning of a key that is refused", map->path, rule->name);
        }
        return;
    }
    if (key == NULL) {
        wrong("a key without a meaning", map->path, rule->name);
        return;
    }
    for (uint32_t i = 0; i < seen->option_count; i++) {
        is_required = is_required || (strcmp(seen->options[i].name, rule->name) == 0 &&
                                      (seen->options[i].flags & MR_OPTION_REQUIRED) != 0);
    }
    (void)printf("| `%s`%s | ", rule->name, (rule->flags & MR_KEY_KAFKA) != 0 ? " K" : "");
    print_cell(key->value);
    (void)printf(" | ");
    if (is_required || (key->fallback != NULL && strcmp(key->fallback, "(required)") == 0)) {
        (void)printf("required");
    } else if (key->fallback == NULL) {
        (void)printf("-");
    } else if (key->fallback[0] == '(') {
        print_cell(key->fallback);
    } else {
        (void)printf("`%s`", key->fallback);
    }
    (void)printf(" | ");
    print_cell(key->meaning != NULL ? key->meaning : "");
    (void)printf(" |\n");
}

/* A row of an operator's or connector's own table. */
static void print_option(const mr_option *option)
{
    static const char *const kinds[] = {
        [MR_OPTION_EXPR] = "expression",
        [MR_OPTION_CONDITION] = "expression, boolean",
        [MR_OPTION_SELECT] = "map of column: expression",
        [MR_OPTION_FOLD] = "map of column: expression over aggregates",
        [MR_OPTION_COLUMNS] = "list of columns",
        [MR_OPTION_TEXT] = "text",
        [MR_OPTION_CHOICE] = NULL,
        [MR_OPTION_BOOLEAN] = "boolean",
        [MR_OPTION_COUNT] = "whole number",
        [MR_OPTION_SIZE] = "size",
        [MR_OPTION_DURATION] = "duration",
        [MR_OPTION_REFUSED] = "",
    };

    if (option->kind == MR_OPTION_REFUSED) {
        return;
    }
    if (option->summary == NULL) {
        wrong("an option without a summary", "", option->name);
    }
    (void)printf("| `%s` | ", option->name);
    print_value(option->kind == MR_OPTION_CHOICE ? option->choices : kinds[option->kind]);
    if ((option->flags & MR_OPTION_REQUIRED) != 0) {
        (void)printf(" | required | ");
    } else if (option->fallback != NULL) {
        (void)printf(" | `%s` | ", option->fallback);
    } else {
        (void)printf(" | - | ");
    }
    print_cell(option->summary != NULL ? option->summary : "");
    (void)printf(" |\n");
}

/* `a|b` is a choice of words. */
static void print_value(const char *text)
{
    bool is_first = true;

    if (strchr(text, '|') == NULL) {
        print_cell(text);
        return;
    }
    for (const char *at = text; *at != '\0';) {
        const size_t size = strcspn(at, "|");
        (void)printf("%s`%.*s`", is_first ? "" : ", ", (int)size, at);
        is_first = false;
        at += size + (at[size] == '|');
    }
}

static void print_cell(const char *text)
{
    for (const char *at = text; *at != '\0'; at++) {
        (void)printf("%s%c", *at == '|' ? "\\" : "", *at);
    }
}

/* Keys of the language that are refused, each with the reason the loader gives. */
static void print_refused(const seen_map *seen, bool rules_too)
{
    bool is_first = true;

    for (uint32_t i = 0; i < seen->rule_count && rules_too; i++) {
        if (seen->rules[i].refused != NULL) {
            (void)printf("%s`%s` (%s)", is_first ? "\nNot in this release: " : ",\n",
                         seen->rules[i].name, seen->rules[i].refused);
            is_first = false;
        }
    }
    for (uint32_t i = 0; i < seen->option_count; i++) {
        const mr_option *option = &seen->options[i];
        if (option->kind == MR_OPTION_REFUSED) {
            (void)printf("%s`%s` (%s)", is_first ? "\nNot in this release: " : ",\n", option->name,
                         option->choices != NULL ? option->choices : "not built");
            is_first = false;
        }
    }
    if (!is_first) {
        (void)printf(".\n");
    }
}

static const seen_map *find_seen(const char *what)
{
    for (uint32_t i = 0; i < page.seen_count; i++) {
        if (strcmp(page.seen[i].what, what) == 0) {
            return &page.seen[i];
        }
    }
    return NULL;
}

static const reference_key *find_key(const char *path, const char *name)
{
    for (size_t i = 0; i < MR_LENGTH(reference_keys); i++) {
        if (strcmp(reference_keys[i].path, path) == 0 &&
            strcmp(reference_keys[i].name, name) == 0) {
            return &reference_keys[i];
        }
    }
    return NULL;
}

/* ---- Defaults ---- */

static bool is_tried(const reference_key *key)
{
    return key->fallback != NULL && key->fallback[0] != '(';
}

/* A document with the default written down means what the one without it means. */
static void try_default(const reference_key *key)
{
    char texts[6][TEXT_MAX / 8] = {"", "", "", "", "", ""};
    char document[TEXT_MAX];
    const char *path = key->path;
    const bool is_time = strcmp(key->name, "format") == 0;
    uint32_t place = 0;

    if (path[0] == '\0') {
        (void)snprintf(texts[0], sizeof(texts[0]), "%s: %s\n", key->name, key->fallback);
    } else if (strcmp(path, "sources") == 0 || strcmp(path, "watermark") == 0) {
        place = 4;
    } else if (strcmp(path, "sinks") == 0) {
        place = 5;
    } else if (strcmp(path, "schema") == 0) {
        place = is_time ? 3 : 2;
    } else if (strcmp(path, "errors.poison") == 0) {
        place = 1;
    } else {
        (void)snprintf(texts[0], sizeof(texts[0]), "%s: { %s: %s }\n", path, key->name,
                       key->fallback);
    }
    if (place == 1 || strcmp(path, "watermark") == 0) {
        (void)snprintf(texts[place], sizeof(texts[0]), ", %s: { %s: %s }",
                       place == 1 ? "poison" : "watermark", key->name, key->fallback);
    } else if (place > 0) {
        (void)snprintf(texts[place], sizeof(texts[0]), ", %s: %s", key->name, key->fallback);
    }
    (void)snprintf(document, sizeof(document), minimal, "", "", "", "", "", "");
    mr_topology *without = load(document);
    (void)snprintf(document, sizeof(document), minimal, texts[0], texts[1], texts[2], texts[3],
                   texts[4], texts[5]);
    mr_topology *with = load(document);
    if (mr_topology_plan(without) == NULL || mr_topology_plan(with) == NULL ||
        !is_same_plan(mr_topology_plan(without), mr_topology_plan(with))) {
        wrong("this default is not the default", path, key->name);
    }
    mr_topology_destroy(with);
    mr_topology_destroy(without);
}

static bool is_same_size(const mr_plan_size *a, const mr_plan_size *b)
{
    return a->bytes == b->bytes && a->percent == b->percent;
}

static bool is_same_plan(const mr_plan *a, const mr_plan *b)
{
    bool same = a->delivery == b->delivery && a->fingerprint == b->fingerprint &&
                a->commit.interval_us == b->commit.interval_us &&
                a->commit.transaction_timeout_us == b->commit.transaction_timeout_us &&
                a->commit.dirty_state_bytes == b->commit.dirty_state_bytes &&
                a->commit.output_bytes == b->commit.output_bytes &&
                a->commit.records == b->commit.records && a->state.io == b->state.io &&
                a->state.wal_max_bytes == b->state.wal_max_bytes &&
                a->state.value_max_bytes == b->state.value_max_bytes &&
                a->state.checkpoint_us == b->state.checkpoint_us &&
                is_same_size(&a->memory.total, &b->memory.total) &&
                is_same_size(&a->memory.kafka, &b->memory.kafka) &&
                a->node_count == b->node_count && a->node_count == 2;
    const mr_source_common *in_a = a->nodes[0].common, *in_b = b->nodes[0].common;
    const mr_sink_common *out_a = a->nodes[1].common, *out_b = b->nodes[1].common;

    same = same && in_a->key_format == in_b->key_format && in_a->key_test == in_b->key_test &&
           in_a->tombstones == in_b->tombstones && in_a->start_us == in_b->start_us &&
           in_a->bounded == in_b->bounded && out_a->key_format == out_b->key_format &&
           out_a->partitioner == out_b->partitioner && out_a->delivery == out_b->delivery &&
           out_a->timestamp_create == out_b->timestamp_create;
    for (uint32_t i = 0; same && i < in_a->schema->field_count; i++) {
        same = in_a->fields[i].from == in_b->fields[i].from &&
               in_a->fields[i].time_format == in_b->fields[i].time_format;
    }
    return same;
}

/* ---- Functions ---- */

static const char *const type_names[] = {
    [MR_BOOLEAN] = "boolean",
    [MR_BIGINT] = "bigint",
    [MR_DOUBLE] = "double precision",
    [MR_NUMERIC] = "numeric",
    [MR_TEXT] = "text",
    [MR_BYTEA] = "bytea",
    [MR_TIMESTAMPTZ] = "timestamptz",
    [MR_DATE] = "date",
    [MR_INTERVAL] = "interval",
    [MR_JSONB] = "jsonb",
};

static void print_functions(void)
{
    static const char *const aggregates[] = {"count", "sum", "min", "max", "avg"};
    uint32_t count = 0;
    const mr_function *functions = mr_functions(&count);
    mr_aggregate aggregate;

    (void)printf(
        "# Functions and operators\n\n"
        "Made by `reference functions` from `engine/expr/functions.c`, checked and written\n"
        "anew by `tests/golden/test_golden.py` (`--update`): do not edit. What is built into\n"
        "the grammar (comparisons, logic, CASE, casts, `||`, `->`) and the rules of types are\n"
        "in [topology.md](topology.md).\n\n"
        "The first row whose arguments the given ones convert to is taken. *Can fail*: data,\n"
        "for its input, so that the step needs a route; range, by overflow or a limit.\n\n"
        "| call | result | can fail |\n|---|---|---|\n");
    for (uint32_t i = 0; i < count; i++) {
        print_function_row(&functions[i]);
    }
    (void)printf("| concat(any, ...), concat_ws(text, any, ...) | text | range |\n");
    (void)printf(
        "\n## Aggregates\n\nIn `select` of `op: aggregate`; each takes `filter (where ...)`, "
        "and leaves NULLs out.\n\n");
    for (size_t i = 0; i < MR_LENGTH(aggregates); i++) {
        if (!mr_aggregate_named(aggregates[i], &aggregate)) {
            wrong("not an aggregate", "", aggregates[i]);
        }
        (void)printf("%s%s", i > 0 ? ", " : "", aggregates[i]);
    }
    (void)printf(".\n");
}

static void print_function_row(const mr_function *function)
{
    static const char *const rules[] = {
        [MR_RULE_SAME] = "as the argument",
        [MR_RULE_ADD] = "numeric: the larger scale, one digit more",
        [MR_RULE_MULTIPLY] = "numeric: the sum of the scales",
        [MR_RULE_DIVIDE] = "numeric: the larger scale, at least 6",
        [MR_RULE_MODULO] = "numeric: the larger scale",
        [MR_RULE_QUOTIENT] = "numeric, scale 0",
        [MR_RULE_WHOLE] = "numeric, scale 0",
        [MR_RULE_DIGITS] = "numeric of the constant scale",
        [MR_RULE_UNIT] = "; the unit is constant", /* Behind the type. */
        [MR_RULE_PART] = "numeric; the field is constant",
    };
    const bool is_symbol = strchr("+-*/%", function->name[0]) != NULL;
    const bool is_infix = is_symbol && function->argument_count == 2;
    const bool is_data = (function->fallible & MR_FALLIBLE_DATA) != 0;
    const bool is_range = (function->fallible & MR_FALLIBLE_RANGE) != 0;

    (void)printf("| ");
    if (!is_infix) {
        (void)printf("%s%s", function->name, is_symbol ? " " : "(");
    }
    for (uint32_t i = 0; i < function->argument_count; i++) {
        if (i > 0) {
            (void)printf(is_infix ? " %s " : ", ", function->name);
        }
        (void)printf("%s", type_names[function->arguments[i]]);
    }
    const bool has_type = function->rule == MR_RULE_FIXED || function->rule == MR_RULE_UNIT;
    (void)printf("%s | %s%s | %s%s%s |\n", is_symbol ? "" : ")",
                 has_type ? type_names[function->result] : "",
                 function->rule == MR_RULE_FIXED ? ""
                 : function->rule < MR_LENGTH(rules) && rules[function->rule] != NULL
                     ? rules[function->rule]
                     : "?",
                 is_data ? "data" : "", is_data && is_range ? ", " : "", is_range ? "range" : "");
    if (function->rule != MR_RULE_FIXED &&
        (function->rule >= MR_LENGTH(rules) || rules[function->rule] == NULL)) {
        wrong("a rule of results without words", "", function->name);
    }
}

/* ---- Failures ---- */

static void print_failures(void)
{
    uint32_t count = 0;
    const mr_error_name *names = mr_error_names(&count);

    (void)printf(
        "# Named failures\n\n"
        "Made by `reference failures` from `engine/base/error_names.c`, checked and written\n"
        "anew by `tests/golden/test_golden.py` (`--update`): do not edit. `millrace explain\n"
        "E_FENCED` prints one of them. A worker that fails prints its name, the place and\n"
        "what to do as its last line, and ends with status 1, or 78 where the configuration\n"
        "is wrong. How the recovery decides is in [exactly-once.md](exactly-once.md).\n");
    for (uint32_t i = 0; i < count; i++) {
        (void)printf("\n## %s: %s\n%s\n```\n%s\n```\n\nWhat to do:\n%s", names[i].name,
                     names[i].title, names[i].text, names[i].example, names[i].remedy);
    }
}

/*
 * options.c - an option table and a map of the document become the spec of a step, source or sink.
 *
 * One function a kind of value; an absent key takes the table's fallback, read as if it had been
 * written. Without a schema (the input is broken) expressions are left out, the rest is tested.
 */
#include "engine/base/assert.h"
#include "engine/batch/batch.h"
#include "engine/expr/expr.h"
#include "engine/topology/topology_private.h"
#include <string.h>

enum { COLUMNS_SHOWN = 24 }; /* In a hint. */

typedef struct parse { /* Of one table. */
    mr_load *load;
    const mr_item *item;
    const mr_schema *schema;
    const mr_option *options;
    uint32_t option_count;
    uint8_t *spec;
    bool by_failed; /* Then a fold would only repeat the mistake. */
} parse;

static bool parse_option(parse *p, const mr_option *option);
static bool parse_plain(const parse *p, const mr_option *option, const mr_yaml *node);
static bool parse_expr(const parse *p, const mr_option *option, const mr_yaml *node);
static bool parse_columns(const parse *p, const mr_option *option, const mr_yaml *node);
static bool parse_select(const parse *p, const mr_option *option, const mr_yaml *node);
static const mr_expr *select_expr(const parse *p, const mr_yaml_pair *pair);
static bool parse_fold(const parse *p, const mr_option *option, const mr_yaml *node);
static const mr_columns *group_columns(const parse *p);
static bool column_name_valid(mr_load *load, const mr_yaml *key);
static const char *input_name(const mr_item *item);
static void report_expr(mr_load *load, const mr_diag *diag, const mr_yaml *node);
static const char *column_hint(mr_load *load, const mr_schema *schema, const mr_nearest *nearest);
static const char *visible_hint(mr_load *load, const mr_schema *schema);

bool mr_options_parse(mr_load *load, const mr_item *item, const mr_schema *schema,
                      const mr_option *options, uint32_t option_count, void *spec)
{
    parse p = {.load = load,
               .item = item,
               .schema = schema,
               .options = options,
               .option_count = option_count,
               .spec = spec};
    bool good = true;

    MR_ASSERT(item->map != NULL && (spec != NULL || option_count == 0));
    for (uint32_t i = 0; i < option_count; i++) {
        good = parse_option(&p, &options[i]) && good;
    }
    return good;
}

void mr_options_columns(const mr_option *options, uint32_t option_count, const void *spec,
                        bool *needed)
{
    for (uint32_t i = 0; i < option_count; i++) {
        const uint8_t *value = (const uint8_t *)spec + options[i].offset;
        if (options[i].kind == MR_OPTION_EXPR || options[i].kind == MR_OPTION_CONDITION) {
            const mr_expr *expr = *(const mr_expr *const *)value;
            if (expr != NULL) {
                mr_expr_columns(expr, needed);
            }
        } else if (options[i].kind == MR_OPTION_SELECT) {
            const mr_select *select = (const mr_select *)value;
            for (uint32_t k = 0; k < select->count; k++) {
                mr_expr_columns(select->exprs[k], needed);
            }
        } else if (options[i].kind == MR_OPTION_FOLD) {
            const mr_fold *fold = *(const mr_fold *const *)value;
            if (fold != NULL) {
                mr_fold_columns(fold, needed);
            }
        }
    }
}

const mr_expr *mr_plan_expr(mr_load *load, const mr_item *item, const mr_schema *schema,
                            bool event_time, const mr_yaml *node, const char *what)
{
    const mr_expr *expr = NULL;
    const char *text;
    mr_diag diag = {0};

    if (!mr_value_expr(load, node, what, &text)) {
        return NULL;
    }
    const mr_expr_scope scope = {.input_name = input_name(item),
                                 .schema = schema,
                                 .event_time = event_time,
                                 .place = node->text_place,
                                 .literal_block = node->style == MR_YAML_LITERAL,
                                 .indent = node->text_place.column};
    if (mr_expr_compile(&scope, text, load->arena, &expr, &diag) != MR_OK) {
        if (diag.status == MR_ERR_MEMORY) {
            load->no_memory = true;
        } else {
            report_expr(load, &diag, node);
        }
        return NULL;
    }
    return expr;
}

/*
 * A story without a hint, or with the columns alone, gets what is most often the cause: a plain
 * text whose brackets do not close was cut short by a comma of YAML, and texts stand in single
 * quotes.
 */
static void report_expr(mr_load *load, const mr_diag *diag, const mr_yaml *node)
{
    static const char separator[] = "\nhint: ";
    const char *hint = strstr(diag->text, separator);
    const char *said = hint != NULL ? hint + sizeof(separator) - 1 : "";
    const size_t size = hint != NULL ? (size_t)(hint - diag->text) : diag->text_size_bytes;
    uint32_t open = 0, closed = 0;

    for (const char *at = node->text; *at != '\0'; at++) {
        open += *at == '(' ? 1 : 0;
        closed += *at == ')' ? 1 : 0;
    }
    const char *better = NULL;
    if (diag->code == 301 && node->style == MR_YAML_PLAIN && open > closed) {
        better = mr_comma_hint();
    } else if (diag->code == 301 && hint == NULL) {
        better =
            "a text stands in 'single quotes'; a column called like a word of SQL (order, user, "
            "end) in \"double quotes\"";
    } else if (diag->code == 302 && strchr(node->text, '"') != NULL &&
               strncmp(said, "columns:", strlen("columns:")) == 0) {
        better = mr_load_print(load, "a text stands in 'single quotes'; %s", said);
    }
    if (better == NULL) {
        mr_load_diag(load, diag, node->place);
        return;
    }
    mr_load_error(load, diag->place.line > 0 ? diag->place : node->place, diag->code, better,
                  "%.*s", (int)size, diag->text);
}

const mr_expr *mr_plan_typed_expr(mr_load *load, const mr_item *item, const mr_schema *schema,
                                  bool event_time, const mr_yaml *node, const char *what,
                                  mr_type type)
{
    const mr_field wanted = {.name = what, .type = type, .nullable = true};
    char wanted_text[MR_TYPE_TEXT_MAX], has_text[MR_TYPE_TEXT_MAX];
    const mr_expr *converted = NULL;
    mr_diag diag = {0};
    const mr_expr *expr = mr_plan_expr(load, item, schema, event_time, node, what);

    if (expr == NULL || mr_expr_result(expr)->type == type) {
        return expr;
    }
    if (mr_expr_convert(expr, &wanted, load->arena, &converted, &diag) == MR_OK) {
        return converted;
    }
    (void)mr_type_text(&wanted, wanted_text);
    mr_load_error(
        load, node->place, 304,
        type == MR_BOOLEAN
            ? mr_load_print(load, "write a comparison, e.g. `%.40s is not null`", node->text)
            : mr_load_print(load, "write a cast: `(%.40s)::%s`", node->text, wanted_text),
        "%s must be %s, but this is %s", what, wanted_text,
        mr_type_text(mr_expr_result(expr), has_text));
    return NULL;
}

bool mr_plan_columns(mr_load *load, const mr_schema *schema, const mr_yaml *node, const char *what,
                     uint32_t count_max, mr_columns *columns)
{
    bool good = true;

    *columns = (mr_columns){.given = 1};
    if (!mr_value_is_list(load, node, what)) {
        return false;
    }
    if (node->count > count_max) {
        mr_load_error(load, node->place, 209, NULL, "%s names at most %u columns", what, count_max);
        return false;
    }
    uint16_t *indexes = mr_load_take(load, node->count + 1, sizeof(uint16_t));
    if (indexes == NULL) {
        return false;
    }
    for (uint32_t i = 0; i < node->count; i++) {
        const char *name;
        if (!mr_value_text(load, node->items[i], "a column", &name)) {
            good = false;
            continue;
        }
        const uint32_t index = mr_schema_find(schema, name, (uint32_t)strlen(name));
        mr_nearest nearest = {.word = name};
        for (uint32_t k = 0; k < schema->field_count; k++) {
            if (!schema->fields[k].hidden) {
                mr_nearest_try(&nearest, schema->fields[k].name);
            }
        }
        bool is_repeated = false;
        for (uint32_t k = 0; k < columns->count; k++) {
            is_repeated = is_repeated || indexes[k] == index;
        }
        if (index == UINT32_MAX || schema->fields[index].hidden || is_repeated) {
            mr_load_error(
                load, node->items[i]->place, is_repeated ? 103 : 302,
                is_repeated ? "take one of them out" : column_hint(load, schema, &nearest),
                is_repeated ? "column \"%s\" stands twice in %s" : "no column \"%s\" for %s", name,
                what);
            good = false;
            continue;
        }
        indexes[columns->count++] = (uint16_t)index;
    }
    columns->indexes = indexes;
    return good;
}

/* What to write instead of a word that is no column: a record is named by its fields. */
static const char *column_hint(mr_load *load, const mr_schema *schema, const mr_nearest *nearest)
{
    const size_t size = strlen(nearest->word);
    const char *text = "it is a record: name its fields:";
    uint32_t count = 0;

    for (uint32_t i = 0; i < schema->field_count && count < COLUMNS_SHOWN; i++) {
        const char *name = schema->fields[i].name;
        if (!schema->fields[i].hidden && strncmp(name, nearest->word, size) == 0 &&
            name[size] == '.') {
            text = mr_load_print(load, "%s%s %s", text, count > 0 ? "," : "", name);
            count++;
        }
    }
    if (count > 0) {
        return text;
    }
    return nearest->best != NULL ? mr_nearest_hint(load, nearest) : visible_hint(load, schema);
}

/* "columns: a, b" */
static const char *visible_hint(mr_load *load, const mr_schema *schema)
{
    const char *text = "columns:";
    uint32_t count = 0;

    for (uint32_t i = 0; i < schema->field_count && count < COLUMNS_SHOWN; i++) {
        if (!schema->fields[i].hidden) {
            text =
                mr_load_print(load, "%s%s %s", text, count > 0 ? "," : "", schema->fields[i].name);
            count++;
        }
    }
    return text;
}

static bool parse_option(parse *p, const mr_option *option)
{
    static const char *const words[] = {"source", "step", "sink"};
    const mr_yaml *node = mr_yaml_get(p->item->map, option->name);

    if (option->kind == MR_OPTION_REFUSED) {
        return true; /* keys.c has complained if it was written. */
    }
    if (node == NULL && (option->flags & MR_OPTION_REQUIRED) != 0) {
        mr_load_error(p->load, p->item->place, 104,
                      option->summary != NULL
                          ? mr_load_print(p->load, "%s: %s", option->name, option->summary)
                          : NULL,
                      "%s \"%s\" (%s) needs \"%s\"", words[p->item->kind], p->item->name,
                      p->item->kind_name, option->name);
        return false;
    }
    if (node == NULL && option->fallback != NULL && option->kind != MR_OPTION_COLUMNS) {
        mr_yaml *fallback = mr_load_take(p->load, 1, sizeof(mr_yaml));
        if (fallback == NULL) {
            return false;
        }
        *fallback = (mr_yaml){.kind = MR_YAML_SCALAR,
                              .style = MR_YAML_QUOTED,
                              .place = p->item->place,
                              .text_place = p->item->place,
                              .text = option->fallback,
                              .size_bytes = (uint32_t)strlen(option->fallback),
                              .weight = 1};
        node = fallback;
    }
    switch (option->kind) {
    case MR_OPTION_EXPR:
    case MR_OPTION_CONDITION:
        return node == NULL || p->schema == NULL || parse_expr(p, option, node);
    case MR_OPTION_SELECT:
        return node == NULL || p->schema == NULL || parse_select(p, option, node);
    case MR_OPTION_FOLD:
        return node == NULL || p->schema == NULL || p->by_failed || parse_fold(p, option, node);
    case MR_OPTION_COLUMNS:
        if (p->schema != NULL && !parse_columns(p, option, node)) {
            p->by_failed = true;
            return false;
        }
        return true;
    default:
        return node == NULL || parse_plain(p, option, node);
    }
}

/* Values that need no schema. */
static bool parse_plain(const parse *p, const mr_option *option, const mr_yaml *node)
{
    void *value = p->spec + option->offset;

    switch (option->kind) {
    case MR_OPTION_TEXT:
        return mr_value_text(p->load, node, option->name, value);
    case MR_OPTION_CHOICE:
        return mr_value_choice(p->load, node, option->name, option->choices, NULL, value);
    case MR_OPTION_BOOLEAN:
        return mr_value_boolean(p->load, node, option->name, value);
    case MR_OPTION_COUNT:
        return mr_value_count(p->load, node, option->name, 0, INT64_MAX, value);
    case MR_OPTION_SIZE:
        return mr_value_size(p->load, node, option->name, value);
    case MR_OPTION_DURATION:
        return mr_value_duration(p->load, node, option->name, value);
    default:
        MR_ASSERT(!"a kind of option.h");
        return false;
    }
}

static bool parse_expr(const parse *p, const mr_option *option, const mr_yaml *node)
{
    const mr_expr **value = (const mr_expr **)(void *)(p->spec + option->offset);

    if (option->kind == MR_OPTION_CONDITION) {
        *value =
            mr_plan_typed_expr(p->load, p->item, p->schema, true, node, option->name, MR_BOOLEAN);
    } else {
        *value = mr_plan_expr(p->load, p->item, p->schema, true, node, option->name);
    }
    return *value != NULL;
}

/* Absent `by`: the key of the stream. */
static bool parse_columns(const parse *p, const mr_option *option, const mr_yaml *node)
{
    mr_columns *value = (mr_columns *)(void *)(p->spec + option->offset);

    if (node != NULL) {
        return mr_plan_columns(p->load, p->schema, node, option->name,
                               strcmp(option->name, "by") == 0 ? MR_KEY_FIELDS_MAX : MR_FIELDS_MAX,
                               value);
    }
    *value = (mr_columns){0};
    if (strcmp(option->name, "by") == 0) {
        value->indexes = p->schema->key;
        value->count = p->schema->key_count;
    }
    return true;
}

static bool parse_select(const parse *p, const mr_option *option, const mr_yaml *node)
{
    mr_select *value = (mr_select *)(void *)(p->spec + option->offset);
    bool good = true;

    if (!mr_value_is_map(p->load, node, option->name)) {
        return false;
    }
    if (node->count == 0 || node->count > MR_FIELDS_MAX) {
        mr_load_error(p->load, node->place, 209, "name at least one, e.g. `{ id, n: 1 }`",
                      "\"%s\" must name 1 to %u columns", option->name, (unsigned)MR_FIELDS_MAX);
        return false;
    }
    const char **names = mr_load_take(p->load, node->count, sizeof(const char *));
    const mr_expr **exprs = mr_load_take(p->load, node->count, sizeof(const mr_expr *));
    if (names == NULL || exprs == NULL) {
        return false;
    }
    for (uint32_t i = 0; i < node->count; i++) {
        names[i] = node->pairs[i].key->text;
        good = column_name_valid(p->load, node->pairs[i].key) && good;
        exprs[i] = select_expr(p, &node->pairs[i]);
        good = exprs[i] != NULL && good;
    }
    *value = (mr_select){.names = names, .exprs = exprs, .count = good ? node->count : 0};
    return good;
}

/* An empty value means the input column of this name. */
static const mr_expr *select_expr(const parse *p, const mr_yaml_pair *pair)
{
    char text[2 * MR_NAME_BYTES_MAX + 3];
    uint32_t size = 0;

    if (!mr_yaml_is_null(pair->value)) {
        return mr_plan_expr(p->load, p->item, p->schema, true, pair->value, pair->key->text);
    }
    if (pair->key->size_bytes > MR_NAME_BYTES_MAX) {
        return NULL;
    }
    text[size++] = '"';
    for (const char *at = pair->key->text; *at != '\0'; at++) {
        if (*at == '"') {
            text[size++] = '"';
        }
        text[size++] = *at;
    }
    text[size++] = '"';
    text[size] = '\0';
    mr_yaml quoted = *pair->key;
    quoted.text = text;
    quoted.size_bytes = size;
    quoted.style = MR_YAML_QUOTED;
    return mr_plan_expr(p->load, p->item, p->schema, true, &quoted, pair->key->text);
}

static bool parse_fold(const parse *p, const mr_option *option, const mr_yaml *node)
{
    const mr_fold **value = (const mr_fold **)(void *)(p->spec + option->offset);
    const mr_expr_scope scope = {.input_name = input_name(p->item),
                                 .schema = p->schema,
                                 .event_time = true,
                                 .place = node->place};
    mr_diag diag = {0};
    bool good = true;

    if (!mr_value_is_map(p->load, node, option->name)) {
        return false;
    }
    if (node->count == 0 || node->count > MR_FIELDS_MAX) {
        mr_load_error(p->load, node->place, 209, "name at least one, e.g. `{ id, n: 1 }`",
                      "\"%s\" must name 1 to %u columns", option->name, (unsigned)MR_FIELDS_MAX);
        return false;
    }
    mr_fold_item *items = mr_load_take(p->load, node->count, sizeof(mr_fold_item));
    if (items == NULL) {
        return false;
    }
    for (uint32_t i = 0; i < node->count; i++) {
        const mr_yaml *key = node->pairs[i].key, *expr = node->pairs[i].value;
        items[i] = (mr_fold_item){.name = key->text, .text = "", .place = key->text_place};
        good = column_name_valid(p->load, key) && good;
        if (!mr_yaml_is_null(expr)) {
            good = mr_value_expr(p->load, expr, key->text, &items[i].text) && good;
            items[i].place = expr->text_place;
            items[i].literal_block = expr->style == MR_YAML_LITERAL;
            items[i].indent = expr->text_place.column;
        }
    }
    if (!good) {
        return false;
    }
    if (mr_fold_compile(&scope, group_columns(p), items, node->count, p->load->arena, value,
                        &diag) != MR_OK) {
        if (diag.status == MR_ERR_MEMORY) {
            p->load->no_memory = true;
        } else {
            mr_load_diag(p->load, &diag, node->place);
        }
        *value = NULL;
        return false;
    }
    return true;
}

/* The table's `by`, which stands before the fold. */
static const mr_columns *group_columns(const parse *p)
{
    for (uint32_t i = 0; i < p->option_count; i++) {
        if (p->options[i].kind == MR_OPTION_COLUMNS && strcmp(p->options[i].name, "by") == 0) {
            return (const mr_columns *)(const void *)(p->spec + p->options[i].offset);
        }
    }
    MR_ASSERT(!"an operator with a fold has `by`");
    return NULL;
}

static bool column_name_valid(mr_load *load, const mr_yaml *key)
{
    if (key->size_bytes == 0 || key->size_bytes > MR_NAME_BYTES_MAX) {
        mr_load_error(load, key->place, 113, NULL, "a column name has 1 to %u bytes",
                      (unsigned)MR_NAME_BYTES_MAX);
        return false;
    }
    return true;
}

static const char *input_name(const mr_item *item)
{
    const mr_item *input = item->input;

    if (input == NULL) {
        return item->name;
    }
    if (item->input_output == 0) {
        return input->name;
    }
    return item->input_output == input->op->output_count
               ? MR_ERROR_OUTPUT
               : input->op->output_names[item->input_output];
}

/*
 * value.c - scalars of the document by type: text, boolean, count, size, duration, choice, expr.
 *
 * `what` names the value in messages, as `commit.interval`. Values that are no expressions are
 * expanded first (variables.c), so that a number may come from the environment.
 */
#include "engine/base/assert.h"
#include "engine/base/decimal.h"
#include "engine/base/time_text.h"
#include "engine/topology/topology_private.h"
#include <string.h>

enum { WORD_MAX = 64 };

static bool is_scalar(mr_load *load, const mr_yaml *node, const char *what, const char *wanted);
static void refuse_value(mr_load *load, const mr_yaml *node, const char *what, const char *text,
                         const char *wanted);
static bool find_choice(const char *choices, const char *word, uint32_t *index);
static const char *choice_hint(mr_load *load, const char *choices, const char *word);

bool mr_value_text(mr_load *load, const mr_yaml *node, const char *what, const char **text)
{
    if (!is_scalar(load, node, what, "a text")) {
        return false;
    }
    *text = mr_variables_expand(load, node);
    return *text != NULL;
}

bool mr_value_boolean(mr_load *load, const mr_yaml *node, const char *what, bool *value)
{
    const char *text;

    if (!mr_value_text(load, node, what, &text)) {
        return false;
    }
    *value = strcmp(text, "true") == 0;
    if (!*value && strcmp(text, "false") != 0) {
        refuse_value(load, node, what, text, "true or false");
        return false;
    }
    return true;
}

bool mr_value_count(mr_load *load, const mr_yaml *node, const char *what, uint64_t least,
                    uint64_t most, uint64_t *value)
{
    const char *text;
    int64_t number;

    MR_ASSERT(least <= most && most <= INT64_MAX);
    if (!mr_value_text(load, node, what, &text)) {
        return false;
    }
    if (mr_integer_parse(text, strlen(text), &number) != 0 || number < (int64_t)least ||
        number > (int64_t)most) {
        refuse_value(load, node, what, text,
                     mr_load_print(load, "a whole number from %llu to %llu",
                                   (unsigned long long)least, (unsigned long long)most));
        return false;
    }
    *value = (uint64_t)number;
    return true;
}

bool mr_value_size(mr_load *load, const mr_yaml *node, const char *what, uint64_t *bytes)
{
    const char *text;

    if (!mr_value_text(load, node, what, &text)) {
        return false;
    }
    if (mr_size_parse(text, strlen(text), bytes) != 0) {
        refuse_value(load, node, what, text, "a size such as 64KiB, 8MiB, 4GiB or plain bytes");
        return false;
    }
    return true;
}

bool mr_value_duration(mr_load *load, const mr_yaml *node, const char *what, int64_t *duration_us)
{
    const char *text;

    if (!mr_value_text(load, node, what, &text)) {
        return false;
    }
    if (mr_duration_parse(text, strlen(text), duration_us) != 0) {
        refuse_value(load, node, what, text, "a duration such as 250ms, 30s, 1h30m or 7d");
        return false;
    }
    return true;
}

bool mr_value_choice(mr_load *load, const mr_yaml *node, const char *what, const char *choices,
                     const char *refused, uint32_t *index)
{
    const char *text;
    uint32_t ignored;

    if (!mr_value_text(load, node, what, &text)) {
        return false;
    }
    if (find_choice(choices, text, index)) {
        return true;
    }
    if (refused != NULL && find_choice(refused, text, &ignored)) {
        mr_load_error(load, node->place, 109, choice_hint(load, choices, ""),
                      "%s \"%s\" is known, but not part of this release", what, text);
        return false;
    }
    mr_load_error(load, node->place, 106, choice_hint(load, choices, text),
                  "\"%s\" is no value of %s", text, what);
    return false;
}

bool mr_value_expr(mr_load *load, const mr_yaml *node, const char *what, const char **text)
{
    if (!is_scalar(load, node, what, "an expression")) {
        return false;
    }
    if (node->style == MR_YAML_FOLDED || (node->multi_line && node->style == MR_YAML_PLAIN)) {
        mr_load_error(load, node->place, 108, "use one line, quotes, or a literal block (|)",
                      "positions are lost in a folded expression");
        return false;
    }
    if (strstr(node->text, "${") != NULL) {
        mr_load_error(load, node->place, 107,
                      "variables work in topics, paths and settings; write the value here",
                      "variables are not expanded inside expressions");
        return false;
    }
    if (node->text[strspn(node->text, " \t\r\n")] == '\0') {
        mr_load_error(load, node->place, 106, NULL, "%s needs an expression", what);
        return false;
    }
    *text = node->text;
    return true;
}

const char *mr_comma_hint(void)
{
    return "inside { ... } a comma ends a value: put the whole expression in double quotes";
}

bool mr_value_is_map(mr_load *load, const mr_yaml *node, const char *what)
{
    if (node->kind != MR_YAML_MAP) {
        mr_load_error(load, node->place, 105,
                      "a map is written { key: value }, or key: value lines", "%s must be a map",
                      what);
        return false;
    }
    return true;
}

bool mr_value_is_list(mr_load *load, const mr_yaml *node, const char *what)
{
    if (node->kind != MR_YAML_LIST) {
        mr_load_error(load, node->place, 105, "a list is written [a, b]", "%s must be a list",
                      what);
        return false;
    }
    return true;
}

static bool is_scalar(mr_load *load, const mr_yaml *node, const char *what, const char *wanted)
{
    if (node->kind != MR_YAML_SCALAR) {
        mr_load_error(load, node->place, 105,
                      node->kind == MR_YAML_LIST && node->count == 1 ? "take off the brackets"
                                                                     : "write one plain value",
                      "%s must be %s, not a %s", what, wanted,
                      node->kind == MR_YAML_MAP ? "map" : "list");
        return false;
    }
    if (mr_yaml_is_null(node)) {
        mr_load_error(load, node->place, 105, "write one behind the colon, or take the key out",
                      "%s has no value; it must be %s", what, wanted);
        return false;
    }
    return true;
}

static void refuse_value(mr_load *load, const mr_yaml *node, const char *what, const char *text,
                         const char *wanted)
{
    mr_load_error(load, node->place, 106, NULL, "%s must be %s, not \"%s\"", what, wanted, text);
}

static bool find_choice(const char *choices, const char *word, uint32_t *index)
{
    const size_t size = strlen(word);
    const char *at = choices;

    for (uint32_t i = 0; size > 0; i++) {
        const size_t length = strcspn(at, "|");
        if (length == size && memcmp(at, word, size) == 0) {
            *index = i;
            return true;
        }
        if (at[length] == '\0') {
            return false;
        }
        at += length + 1;
    }
    return false;
}

/* `did you mean` when one is near, else all of them. */
static const char *choice_hint(mr_load *load, const char *choices, const char *word)
{
    char all[512] = "";
    mr_nearest nearest = {.word = word};
    uint32_t used = 0;
    const char *at = choices;

    for (;;) {
        const size_t length = strcspn(at, "|");
        if (length < WORD_MAX && used + length + 3 < sizeof(all)) {
            mr_nearest_try(&nearest, mr_load_print(load, "%.*s", (int)length, at));
            if (used > 0) {
                memcpy(all + used, ", ", 2);
                used += 2;
            }
            memcpy(all + used, at, length);
            used += (uint32_t)length;
        }
        if (at[length] == '\0') {
            break;
        }
        at += length + 1;
    }
    all[used] = '\0';
    const char *near = mr_nearest_hint(load, &nearest);
    return near != NULL ? mr_load_print(load, "%s (values: %s)", near, all)
                        : mr_load_print(load, "values: %s", all);
}

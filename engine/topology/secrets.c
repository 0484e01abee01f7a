/*
 * secrets.c - `secrets:`, which says where each one lies, and the options that take one.
 *
 * Nothing is read here: a file is checked on machines that have no passwords. An option that takes
 * a secret refuses a literal, and the line on which one was written is not shown in messages.
 */
#include "engine/base/assert.h"
#include "engine/topology/topology_private.h"
#include <string.h>

static void read_secret(mr_load *load, const mr_yaml_pair *pair);
static uint32_t use_secret(mr_load *load, mr_secret_item *item);

void mr_secrets_read(mr_load *load)
{
    const mr_yaml *map = mr_yaml_get(load->root, "secrets");

    if (map == NULL || !mr_value_is_map(load, map, "secrets")) {
        return;
    }
    if (map->count > MR_PLAN_SECRETS_MAX) {
        mr_load_error(load, map->place, 209, NULL, "a topology has at most %u secrets",
                      (unsigned)MR_PLAN_SECRETS_MAX);
        return;
    }
    load->secret_items = mr_load_take(load, map->count + 1, sizeof(mr_secret_item));
    load->plan->secrets = mr_load_take(load, map->count + 1, sizeof(mr_plan_secret));
    if (load->secret_items == NULL || load->plan->secrets == NULL) {
        return;
    }
    for (uint32_t i = 0; i < map->count; i++) {
        read_secret(load, &map->pairs[i]);
    }
}

static void read_secret(mr_load *load, const mr_yaml_pair *pair)
{
    static const mr_key_rule rules[] = {
        {"file", NULL, 0}, {"env", NULL, 0}, {"description", NULL, 0}};
    static const char form[] = "`{ file: PATH }` or `{ env: NAME }`";
    mr_secret_item *item = &load->secret_items[load->secret_item_count++];
    const char *what = mr_load_print(load, "secret \"%s\"", pair->key->text);

    *item =
        (mr_secret_item){.name = pair->key->text, .place = pair->key->place, .index = MR_NO_INDEX};
    if (!mr_name_valid(item->name, false)) {
        mr_load_error(load, pair->key->place, 113,
                      "lower-case letters, digits and _; a letter first; at most 63",
                      "\"%s\" is no name for a secret", item->name);
    }
    if (pair->value->kind == MR_YAML_SCALAR && !mr_yaml_is_null(pair->value)) {
        mr_load_hide(load, pair->value->place);
        mr_load_error(load, pair->value->place, 720, form,
                      "a secret must not stand in a topology: %s says where it lies", what);
        return;
    }
    if (!mr_value_is_map(load, pair->value, what)) {
        return;
    }
    const mr_key_set set = {
        .what = what, .rules = rules, .rule_count = MR_LENGTH(rules), .place = pair->key->place};
    mr_keys_test(load, pair->value, &set);
    const mr_yaml *file = mr_yaml_get(pair->value, "file"), *env = mr_yaml_get(pair->value, "env");
    if ((file == NULL) == (env == NULL)) {
        mr_load_error(load, pair->key->place, 104, form, "%s needs one of \"file\" and \"env\"",
                      what);
        return;
    }
    const char **into = file != NULL ? &item->file : &item->env;
    if (mr_value_text(load, file != NULL ? file : env, file != NULL ? "file" : "env", into) &&
        (*into)[0] == '\0') {
        mr_load_error(load, (file != NULL ? file : env)->place, 106, form, "%s is empty", what);
    }
}

bool mr_value_secret(mr_load *load, const mr_yaml *node, const char *what, uint32_t *index)
{
    static const mr_key_rule rules[] = {{"secret", NULL, MR_KEY_REQUIRED}};
    const mr_yaml *name = mr_yaml_get(node, "secret");
    const char *text;

    if (node->kind == MR_YAML_SCALAR && !mr_yaml_is_null(node)) {
        mr_load_hide(load, node->place);
        mr_load_error(load, node->place, 720,
                      "write `{ secret: NAME }`, and `secrets: { NAME: { file: PATH } }`",
                      "a secret must not stand in a topology: %s names one", what);
        return false;
    }
    if (!mr_value_is_map(load, node, what)) {
        return false;
    }
    const mr_key_set set = {
        .what = what, .rules = rules, .rule_count = MR_LENGTH(rules), .place = node->place};
    mr_keys_test(load, node, &set);
    if (name == NULL || !mr_value_text(load, name, "secret", &text)) {
        return false;
    }
    mr_nearest nearest = {.word = text};
    for (uint32_t i = 0; i < load->secret_item_count; i++) {
        mr_nearest_try(&nearest, load->secret_items[i].name);
        if (strcmp(load->secret_items[i].name, text) == 0) {
            *index = use_secret(load, &load->secret_items[i]);
            return true;
        }
    }
    const char *near = mr_nearest_hint(load, &nearest);
    mr_load_error(load, name->place, 721,
                  near != NULL ? near
                               : mr_load_print(load, "add `secrets: { %s: { file: PATH } }`", text),
                  "there is no secret \"%s\"", text);
    return false;
}

/* Only what some option takes is read when a worker starts. */
static uint32_t use_secret(mr_load *load, mr_secret_item *item)
{
    mr_plan *plan = load->plan;

    if (item->index == MR_NO_INDEX) {
        mr_plan_secret *secrets = (mr_plan_secret *)(uintptr_t)plan->secrets;
        MR_ASSERT(plan->secret_count < load->secret_item_count);
        item->index = plan->secret_count++;
        secrets[item->index] = (mr_plan_secret){
            .name = item->name, .file = item->file, .env = item->env, .place = item->place};
    }
    return item->index;
}

void mr_secrets_finish(mr_load *load)
{
    for (uint32_t i = 0; i < load->secret_item_count; i++) {
        const mr_secret_item *item = &load->secret_items[i];
        if (item->index == MR_NO_INDEX && load->error_count == 0) {
            mr_load_warning(load, item->place, 203,
                            "name it where it is needed: `{ secret: NAME }`, or take it out",
                            "no option uses the secret \"%s\": it is not read", item->name);
        }
    }
}

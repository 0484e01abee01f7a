/*
 * variables.c - `${VAR}`, `${VAR:-default}`, `${VAR:?message}` and `$$` in texts of the document.
 *
 * Expansion comes after parsing, so a value can never change the document's structure, and what a
 * variable holds is not looked at again. An empty variable counts as unset for `:-` and `:?`, as in
 * a shell. A lone `$` that starts neither form is refused rather than guessed.
 */
#include "engine/base/assert.h"
#include "engine/topology/topology_private.h"
#include <string.h>

enum { NAME_MAX_BYTES = 255, TEXT_MAX = 16384 };

typedef struct output {
    uint32_t size_bytes;
    char text[TEXT_MAX];
} output;

static const char *expand_one(mr_load *load, const mr_yaml *scalar, const char *at, output *out);
static const char *value_of(mr_load *load, const mr_yaml *scalar, const char *body, size_t size);
static bool append(output *out, const char *text, size_t size);

const char *mr_variables_expand(mr_load *load, const mr_yaml *scalar)
{
    const char *at = scalar->text;

    MR_ASSERT(scalar->kind == MR_YAML_SCALAR);
    if (strchr(at, '$') == NULL) {
        return at;
    }
    output out;
    out.size_bytes = 0;
    while (*at != '\0') {
        const size_t plain = strcspn(at, "$");
        bool fits = append(&out, at, plain);
        at += plain;
        if (fits && at[0] == '$' && at[1] == '$') {
            fits = append(&out, "$", 1);
            at += 2;
        } else if (fits && at[0] == '$') {
            at = expand_one(load, scalar, at, &out);
            if (at == NULL) {
                return NULL;
            }
        }
        if (!fits) {
            mr_load_error(load, scalar->place, 110, NULL, "the expanded text is above 16 KiB");
            return NULL;
        }
    }
    const char *text = mr_arena_copy(load->arena, out.text, out.size_bytes);
    load->no_memory = load->no_memory || text == NULL;
    return text;
}

/* `at` stands at a `$`; returns what follows the form, NULL after a message. */
static const char *expand_one(mr_load *load, const mr_yaml *scalar, const char *at, output *out)
{
    const char *end = at[1] == '{' ? strchr(at, '}') : NULL;

    if (end == NULL) {
        mr_load_error(load, scalar->place, 110, "a dollar sign is written $$",
                      "\"$\" starts neither ${NAME} nor $$");
        return NULL;
    }
    const char *value = value_of(load, scalar, at + 2, (size_t)(end - at - 2));
    if (value == NULL) {
        return NULL;
    }
    if (!append(out, value, strlen(value))) {
        mr_load_error(load, scalar->place, 110, NULL, "the expanded text is above 16 KiB");
        return NULL;
    }
    return end + 1;
}

/* `body` is what stands between the braces. */
static const char *value_of(mr_load *load, const mr_yaml *scalar, const char *body, size_t size)
{
    static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz_0123456789";
    char name[NAME_MAX_BYTES + 1] = "";
    const size_t name_size = strspn(body, letters);
    const mr_topology_source *source = load->source;

    const bool has_form = name_size + 2 <= size && body[name_size] == ':' &&
                          (body[name_size + 1] == '-' || body[name_size + 1] == '?');
    if (name_size == 0 || name_size > NAME_MAX_BYTES || (name_size != size && !has_form)) {
        mr_load_error(load, scalar->place, 110, "forms: ${VAR}, ${VAR:-default}, ${VAR:?message}",
                      "\"${%.*s}\" is no form of a variable", (int)size, body);
        return NULL;
    }
    memcpy(name, body, name_size);
    const char *value =
        source->variable != NULL ? source->variable(source->variable_self, name) : NULL;
    if (!has_form) {
        if (value == NULL) {
            mr_load_error(load, scalar->place, 110,
                          mr_load_print(load, "export it, or write ${%s:-default}", name),
                          "the variable %s is not set", name);
        }
        return value;
    }
    if (value != NULL && value[0] != '\0') {
        return value;
    }
    const char *rest =
        mr_load_print(load, "%.*s", (int)(size - name_size - 2), body + name_size + 2);
    if (body[name_size + 1] == '-') {
        return rest;
    }
    mr_load_error(load, scalar->place, 110, NULL, "the variable %s is not set: %s", name, rest);
    return NULL;
}

static bool append(output *out, const char *text, size_t size)
{
    if (size >= TEXT_MAX - out->size_bytes) {
        return false;
    }
    memcpy(out->text + out->size_bytes, text, size);
    out->size_bytes += (uint32_t)size;
    return true;
}

/*
 * topology.c - the front door: loads a document and owns what came of it.
 */
#define _GNU_SOURCE
#include "engine/topology/topology.h"
#include "engine/base/assert.h"
#include "engine/base/memory.h"
#include "engine/expr/expr.h"
#include "engine/topology/topology_private.h"
#include <string.h>

enum { ARENA_BYTES_MAX = 512 << 20, STACK_MAX = MR_YAML_DEPTH_MAX + 2 };

struct mr_topology {
    mr_arena *arena;
    mr_load load;
    mr_plan plan;
    bool is_complete;
};

static void run(mr_load *load);
static void find_headers(mr_load *load);
static void scan_scalar(mr_load *load, const mr_yaml *node);

mr_status mr_topology_load(const mr_topology_source *source, const mr_catalogue *catalogue,
                           mr_topology **topology, mr_diag *diag)
{
    MR_ASSERT(source != NULL && source->text != NULL && source->path != NULL);
    MR_ASSERT(catalogue != NULL && topology != NULL);
    *topology = NULL;
    mr_arena *arena = mr_arena_create(mr_memory_system(), ARENA_BYTES_MAX, "topology");
    mr_topology *made = arena != NULL ? mr_arena_take(arena, sizeof(mr_topology)) : NULL;
    if (made == NULL) {
        mr_arena_destroy(arena);
        return mr_diag_set(diag, MR_ERR_MEMORY, 0, "no memory to read %s", source->path);
    }
    made->arena = arena;
    mr_load *load = &made->load;
    load->arena = arena;
    load->source = source;
    load->catalogue = catalogue;
    load->plan = &made->plan;
    load->messages = mr_load_take(load, MR_TOPOLOGY_ERRORS_MAX + 2, sizeof(mr_message));
    made->plan.file = mr_load_print(load, "%s", source->path);
    if (!load->no_memory) {
        run(load);
    }
    if (load->no_memory) {
        mr_arena_destroy(arena);
        return mr_diag_set(diag, MR_ERR_MEMORY, 0,
                           "%s needs more than the %u MiB that loading may take", source->path,
                           (unsigned)(ARENA_BYTES_MAX >> 20));
    }
    mr_load_finish_messages(load);
    made->is_complete = load->error_count == 0;
    *topology = made;
    if (!made->is_complete) {
        return mr_diag_set(diag, MR_ERR_CONFIG, 0, "%s has %u mistake%s", source->path,
                           load->error_count, load->error_count == 1 ? "" : "s");
    }
    return MR_OK;
}

const mr_plan *mr_topology_plan(const mr_topology *topology)
{
    return topology->is_complete ? &topology->plan : NULL;
}

const mr_message *mr_topology_messages(const mr_topology *topology, uint32_t *count)
{
    *count = topology->load.message_count;
    return topology->load.messages;
}

void mr_topology_destroy(mr_topology *topology)
{
    if (topology != NULL) {
        mr_arena_destroy(topology->arena);
    }
}

static void run(mr_load *load)
{
    load->root = mr_yaml_parse(load);
    if (load->root == NULL) {
        return;
    }
    mr_model_read(load);
    if (load->items == NULL || load->order == NULL || load->no_memory) {
        return;
    }
    mr_secrets_read(load);
    mr_settings_read(load);
    mr_routes_read(load);
    mr_check_graph(load);
    find_headers(load);
    if (!load->no_memory) {
        mr_plan_make(load);
        mr_secrets_finish(load);
    }
}

/* Names in meta.header('x') anywhere in the items; a stack instead of recursion. */
static void find_headers(mr_load *load)
{
    const mr_yaml *stack[STACK_MAX];
    uint32_t at[STACK_MAX];

    for (uint32_t i = 0; i < load->item_count; i++) {
        uint32_t depth = 0;
        if (load->items[i].map == NULL) {
            continue;
        }
        stack[depth] = load->items[i].map;
        at[depth++] = 0;
        while (depth > 0) {
            const mr_yaml *node = stack[depth - 1];
            if (node->kind == MR_YAML_SCALAR || at[depth - 1] == node->count) {
                scan_scalar(load, node);
                depth--;
                continue;
            }
            const uint32_t child = at[depth - 1]++;
            MR_ASSERT(depth < STACK_MAX);
            stack[depth] =
                node->kind == MR_YAML_MAP ? node->pairs[child].value : node->items[child];
            at[depth++] = 0;
        }
    }
}

static void scan_scalar(mr_load *load, const mr_yaml *node)
{
    const char *found[MR_HEADERS_MAX];

    if (node->kind != MR_YAML_SCALAR || strcasestr(node->text, "header") == NULL ||
        node->size_bytes > MR_EXPR_TEXT_MAX) {
        return;
    }
    const uint32_t count = mr_expr_headers(node->text, load->arena, found, MR_HEADERS_MAX);
    for (uint32_t i = 0; i < count; i++) {
        bool is_known = false;
        for (uint32_t k = 0; k < load->header_count; k++) {
            is_known = is_known || strcmp(load->headers[k], found[i]) == 0;
        }
        if (is_known) {
            continue;
        }
        if (load->header_count == MR_HEADERS_MAX) {
            mr_load_error(load, node->place, 209, NULL, "a topology reads at most %u headers",
                          (unsigned)MR_HEADERS_MAX);
            return;
        }
        load->headers[load->header_count++] = found[i];
    }
}

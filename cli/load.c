/*
 * load.c - reads a topology file, or standard input for `-`, and loads it with the environment.
 */
#include "cli/cli.h"
#include "engine/base/arena.h"
#include "engine/base/assert.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

static bool read_text(FILE *stream, const char *path, mr_arena *arena, char **text,
                      uint32_t *size_bytes);
static const char *read_variable(void *self, const char *name);

bool mr_load_file(const char *path, const mr_catalogue *catalogue, mr_loaded *loaded)
{
    const bool is_stdin = strcmp(path, "-") == 0;
    char *text = NULL;
    uint32_t size_bytes = 0;
    mr_diag diag = {0};

    MR_ASSERT(loaded != NULL && catalogue != NULL);
    *loaded = (mr_loaded){0};
    FILE *stream = is_stdin ? stdin : fopen(path, "rbe");
    if (stream == NULL) {
        (void)fprintf(stderr, "%s: error: cannot be opened: %s\n", path, strerror(errno));
        return false;
    }
    loaded->arena =
        mr_arena_create(mr_memory_system(), MR_TOPOLOGY_BYTES_MAX + 65536, "topology text");
    const bool is_read =
        loaded->arena != NULL && read_text(stream, path, loaded->arena, &text, &size_bytes);
    if (!is_stdin) {
        (void)fclose(stream);
    }
    if (!is_read) {
        mr_load_release(loaded);
        return false;
    }
    const mr_topology_source source = {.path = is_stdin ? "<stdin>" : path,
                                       .text = text,
                                       .size_bytes = size_bytes,
                                       .variable = read_variable};
    const mr_status status = mr_topology_load(&source, catalogue, &loaded->topology, &diag);
    if (status != MR_OK && loaded->topology == NULL) {
        (void)fprintf(stderr, "%s: error: %s\n", path, diag.text);
        mr_load_release(loaded);
        return false;
    }
    return true;
}

void mr_load_release(mr_loaded *loaded)
{
    mr_topology_destroy(loaded->topology);
    mr_arena_destroy(loaded->arena);
    *loaded = (mr_loaded){0};
}

/* One byte more than is allowed is read, so that the loader sees when a file is too large. */
static bool read_text(FILE *stream, const char *path, mr_arena *arena, char **text,
                      uint32_t *size_bytes)
{
    const size_t room = MR_TOPOLOGY_BYTES_MAX + 1;

    *text = mr_arena_take(arena, room + 1);
    if (*text == NULL) {
        (void)fprintf(stderr, "%s: error: no memory to read the file\n", path);
        return false;
    }
    *size_bytes = (uint32_t)fread(*text, 1, room, stream);
    if (ferror(stream)) {
        (void)fprintf(stderr, "%s: error: cannot be read: %s\n", path, strerror(errno));
        return false;
    }
    return true;
}

static const char *read_variable(void *self, const char *name)
{
    (void)self;
    return getenv(name);
}

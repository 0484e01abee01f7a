/*
 * file_paths.c - from `path:` to files: itself, standard input, or what a pattern matches, sorted.
 *
 * The match is made anew when a partition opens; if files have come or gone since the partitions
 * were counted, the open fails rather than read the wrong file.
 */
#include "engine/base/assert.h"
#include "io/files/files_private.h"
#include <glob.h>
#include <stdio.h>
#include <string.h>

static bool is_pattern(const char *path);

mr_status mr_file_partitions(const mr_plan_node *node, uint32_t *count, mr_diag *diag)
{
    MR_ASSERT(node->kind == MR_NODE_SOURCE && count != NULL);
    *count = 0;
    if (node->source != &mr_source_file) {
        return MR_OK;
    }
    return mr_file_path(node, 0, NULL, count, diag);
}

mr_status mr_file_path_test(mr_plan_node *node, const char *path)
{
    const size_t size = strlen(path);

    if (size > 0 && size < MR_FILE_PATH_BYTES) {
        return MR_OK;
    }
    return mr_plan_error(node, "path", 106, "e.g. `path: data/orders.json`",
                         "a path has 1 to %d bytes", MR_FILE_PATH_BYTES - 1);
}

mr_status mr_file_path(const mr_plan_node *node, uint32_t index, char out[MR_FILE_PATH_BYTES],
                       uint32_t *count, mr_diag *diag)
{
    const mr_file_source_spec *spec = node->spec;
    glob_t found = {0};

    if (!is_pattern(spec->path)) {
        *count = 1;
        MR_ASSERT(index == 0 || out == NULL);
        MR_ASSERT(strlen(spec->path) < MR_FILE_PATH_BYTES);
        if (out != NULL) {
            (void)snprintf(out, MR_FILE_PATH_BYTES, "%s", spec->path);
        }
        return MR_OK;
    }
    const int error = glob(spec->path, GLOB_ERR, NULL, &found);
    mr_status status = MR_OK;
    if (error == GLOB_NOMATCH || (error == 0 && found.gl_pathc == 0)) {
        status =
            mr_diag_set(diag, MR_ERR_CONFIG, 0, "source %s: no file matches %s; check the pattern",
                        node->name, spec->path);
    } else if (error != 0) {
        status = mr_diag_set(diag, MR_ERR_CONFIG, 0,
                             "source %s: a folder of %s cannot be read; check its permissions",
                             node->name, spec->path);
    } else if (found.gl_pathc > MR_FILE_PARTITIONS_MAX) {
        status = mr_diag_set(diag, MR_ERR_CONFIG, 0,
                             "source %s: %zu files match %s, at most %d are read; use a narrower "
                             "pattern",
                             node->name, found.gl_pathc, spec->path, MR_FILE_PARTITIONS_MAX);
    } else if (out != NULL && index >= found.gl_pathc) {
        status =
            mr_diag_set(diag, MR_ERR_CONFIG, 0, "source %s: files of %s have gone since the start",
                        node->name, spec->path);
    } else if (out != NULL) {
        const int size = snprintf(out, MR_FILE_PATH_BYTES, "%s", found.gl_pathv[index]);
        MR_ASSERT(size > 0 && size < MR_FILE_PATH_BYTES);
    }
    *count = status == MR_OK ? (uint32_t)found.gl_pathc : 0;
    globfree(&found);
    return status;
}

static bool is_pattern(const char *path)
{
    return strpbrk(path, "*?[") != NULL;
}

/* files_private.h - the spec of a file source, and how its path becomes files. Inside io/files. */
#ifndef MR_FILES_FILES_PRIVATE_H
#define MR_FILES_FILES_PRIVATE_H

#include "io/files/files.h"

typedef struct mr_file_source_spec {
    const char *path;
    uint64_t record_bytes_max;
} mr_file_source_spec;

/* Whether a file can have the path of this item; if not, the plan's error (M0106) is told. */
MR_MUST_USE mr_status mr_file_path_test(mr_plan_node *node, const char *path);

/*
 * The path of partition `index` into `out` (room for MR_FILE_PATH_BYTES), and how many there are.
 * `out` may be NULL.
 */
enum { MR_FILE_PATH_BYTES = 4096 };
MR_MUST_USE mr_status mr_file_path(const mr_plan_node *node, uint32_t index,
                                   char out[MR_FILE_PATH_BYTES], uint32_t *count, mr_diag *diag);

#endif

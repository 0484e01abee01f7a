/*
 * machine_memory.c - how much memory this process may have: that of the machine, or the least limit
 * of the control groups it is in. Sources: cgroups(7), the kernel's cgroup-v2 and cgroup-v1 memory
 * documentation. Thread: control.
 */
#include "engine/runtime/runtime_private.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static uint64_t least_of_groups(const char *root, const char *mount, const char *group,
                                const char *file, uint64_t bytes);
static uint64_t limit_of(const char *path);
static bool names_memory(const char *controllers);

uint64_t mr_machine_memory_bytes(const char *root)
{
    uint64_t bytes = (uint64_t)sysconf(_SC_PHYS_PAGES) * (uint64_t)sysconf(_SC_PAGESIZE);
    char path[MR_PATH_BYTES_MAX], line[MR_PATH_BYTES_MAX];

    bytes = least_of_groups(root, "/sys/fs/cgroup", "/", "memory.max", bytes);
    (void)snprintf(path, sizeof(path), "%s/proc/self/cgroup", root);
    FILE *groups = fopen(path, "re");
    while (groups != NULL && fgets(line, sizeof(line), groups) != NULL) {
        line[strcspn(line, "\n")] = '\0'; /* <number>:<controllers>:<path> */
        char *controllers = strchr(line, ':');
        char *group = controllers != NULL ? strchr(controllers + 1, ':') : NULL;
        if (group == NULL) {
            continue;
        }
        *group++ = '\0';
        if (controllers[1] == '\0') { /* Version 2 has one hierarchy. */
            bytes = least_of_groups(root, "/sys/fs/cgroup", group, "memory.max", bytes);
        } else if (names_memory(controllers + 1)) {
            bytes = least_of_groups(root, "/sys/fs/cgroup/memory", group, "memory.limit_in_bytes",
                                    bytes);
        }
    }
    if (groups != NULL) {
        (void)fclose(groups);
    }
    return bytes;
}

/* ---- Helpers ---- */

/* Of the group and all above it; where a container sees another tree, what is not there says
 * nothing. */
static uint64_t least_of_groups(const char *root, const char *mount, const char *group,
                                const char *file, uint64_t bytes)
{
    char name[MR_PATH_BYTES_MAX], path[MR_PATH_BYTES_MAX];
    char *end;

    (void)snprintf(name, sizeof(name), "%s", group);
    do {
        const int size = snprintf(path, sizeof(path), "%s%s%s/%s", root, mount, name, file);
        const uint64_t limit = size > 0 && (size_t)size < sizeof(path) ? limit_of(path) : 0;
        bytes = limit > 0 && limit < bytes ? limit : bytes;
        end = strrchr(name, '/');
        if (end != NULL) {
            *end = '\0';
        }
    } while (end != NULL);
    return bytes;
}

/* 0 = none, or "max". */
static uint64_t limit_of(const char *path)
{
    char text[32] = "";
    FILE *file = fopen(path, "re");

    if (file == NULL) {
        return 0;
    }
    const bool is_read = fgets(text, sizeof(text), file) != NULL;
    (void)fclose(file);
    return is_read ? strtoull(text, NULL, 10) : 0;
}

/* Among controllers with commas between them. */
static bool names_memory(const char *controllers)
{
    const size_t size = strlen("memory");

    for (const char *at = controllers; at != NULL; at = strchr(at, ',')) {
        at += *at == ',';
        if (strncmp(at, "memory", size) == 0 && (at[size] == '\0' || at[size] == ',')) {
            return true;
        }
    }
    return false;
}

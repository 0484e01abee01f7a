/* machine_memory_test.c - the least limit of a machine's control groups, of both versions. */
#define _GNU_SOURCE
#include "engine/runtime/runtime_private.h"
#include <ftw.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

static int remove_one(const char *path, const struct stat *status, int flag, struct FTW *place)
{
    (void)status;
    (void)flag;
    (void)place;
    return remove(path);
}

static int make_root(void **state)
{
    char *root = strdup("/tmp/mr-machine.XXXXXX");
    assert_non_null(mkdtemp(root));
    *state = root;
    return 0;
}

static int drop_root(void **state)
{
    (void)nftw(*state, remove_one, 8, FTW_DEPTH | FTW_PHYS);
    free(*state);
    return 0;
}

/* A file below the root, with the folders it needs. */
static void put(const char *root, const char *name, const char *text)
{
    char path[512];
    (void)snprintf(path, sizeof(path), "%s%s", root, name);
    for (char *at = path + strlen(root) + 1; (at = strchr(at, '/')) != NULL; *at++ = '/') {
        *at = '\0';
        (void)mkdir(path, 0755);
    }
    FILE *file = fopen(path, "we");
    assert_non_null(file);
    assert_true(fputs(text, file) >= 0);
    assert_int_equal(fclose(file), 0);
}

static void test_no_group_is_the_machine(void **state)
{
    const uint64_t whole = (uint64_t)sysconf(_SC_PHYS_PAGES) * (uint64_t)sysconf(_SC_PAGESIZE);
    assert_int_equal(mr_machine_memory_bytes(*state), whole);
    put(*state, "/proc/self/cgroup", "0::/system.slice/millrace.service\n");
    put(*state, "/sys/fs/cgroup/system.slice/millrace.service/memory.max", "max\n");
    assert_int_equal(mr_machine_memory_bytes(*state), whole);
}

static void test_a_container(void **state)
{
    put(*state, "/proc/self/cgroup", "0::/\n");
    put(*state, "/sys/fs/cgroup/memory.max", "268435456\n");
    assert_int_equal(mr_machine_memory_bytes(*state), 268435456);
}

static void test_a_service_in_a_slice(void **state)
{
    put(*state, "/proc/self/cgroup", "0::/app.slice/millrace.service\n");
    put(*state, "/sys/fs/cgroup/app.slice/millrace.service/memory.max", "536870912\n");
    assert_int_equal(mr_machine_memory_bytes(*state), 536870912);
    put(*state, "/sys/fs/cgroup/app.slice/memory.max", "134217728\n"); /* All of it together. */
    assert_int_equal(mr_machine_memory_bytes(*state), 134217728);
}

static void test_version_1(void **state)
{
    put(*state, "/proc/self/cgroup",
        "12:cpuset:/other\n7:hugetlb,memory:/docker/abc\n3:memoryless:/docker/no\n");
    put(*state, "/sys/fs/cgroup/memory/docker/abc/memory.limit_in_bytes", "67108864\n");
    put(*state, "/sys/fs/cgroup/memory/docker/no/memory.limit_in_bytes", "1048576\n");
    put(*state, "/sys/fs/cgroup/memory/memory.limit_in_bytes", "9223372036854771712\n");
    assert_int_equal(mr_machine_memory_bytes(*state), 67108864);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_no_group_is_the_machine, make_root, drop_root),
        cmocka_unit_test_setup_teardown(test_a_container, make_root, drop_root),
        cmocka_unit_test_setup_teardown(test_a_service_in_a_slice, make_root, drop_root),
        cmocka_unit_test_setup_teardown(test_version_1, make_root, drop_root),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

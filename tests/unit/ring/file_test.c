/*
 * file_test.c - the real files: what is refused, and by which name.
 */
#define _GNU_SOURCE
#include "engine/base/assert.h"
#include "io/ring/ring_private.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

typedef struct bench {
    char folder[32];
    char path[64];
    mr_diag diag;
} bench;

static int set_up(void **state)
{
    bench *b = calloc(1, sizeof(*b));

    (void)snprintf(b->folder, sizeof(b->folder), "file_test-XXXXXX");
    *state = b;
    return mkdtemp(b->folder) == NULL ? -1 : 0;
}

static int tear_down(void **state)
{
    static const char *const names[] = {"f", "g", "sub/f", "link"};
    bench *b = *state;

    for (size_t i = 0; i < MR_LENGTH(names); i++) {
        (void)snprintf(b->path, sizeof(b->path), "%s/%s", b->folder, names[i]);
        (void)unlink(b->path);
    }
    (void)snprintf(b->path, sizeof(b->path), "%s/sub", b->folder);
    (void)rmdir(b->path);
    (void)rmdir(b->folder);
    free(b);
    return 0;
}

static mr_status open_file(bench *b, const char *name, uint32_t flags, int *descriptor)
{
    uint64_t size = 0;

    (void)snprintf(b->path, sizeof(b->path), "%s/%s", b->folder, name);
    return mr_file_system()->open(NULL, b->path, flags, descriptor, &size, &b->diag);
}

static void expect_refusal(bench *b, const char *name, const char *word)
{
    int descriptor = -1;

    assert_int_equal(open_file(b, name, MR_FILE_CREATE, &descriptor), MR_ERR_REFUSED);
    assert_non_null(strstr(b->diag.text, "E_STATE_UNSAFE"));
    assert_non_null(strstr(b->diag.text, word));
}

static void test_made_for_the_owner_alone(void **state)
{
    bench *b = *state;
    struct stat stat_of;
    int descriptor = -1;

    assert_int_equal(open_file(b, "sub/f", MR_FILE_CREATE, &descriptor), MR_OK);
    assert_int_equal(fstat(descriptor, &stat_of), 0);
    assert_int_equal(stat_of.st_mode & 0777, 0600);
    mr_file_system()->close(NULL, descriptor);
    (void)snprintf(b->path, sizeof(b->path), "%s/sub", b->folder);
    assert_int_equal(stat(b->path, &stat_of), 0);
    assert_int_equal(stat_of.st_mode & 0777, 0700);
}

/* COVERS: F16 */
static void test_a_linked_file_is_refused(void **state)
{
    bench *b = *state;
    int descriptor = -1;

    assert_int_equal(open_file(b, "f", MR_FILE_CREATE, &descriptor), MR_OK);
    mr_file_system()->close(NULL, descriptor);
    (void)snprintf(b->path, sizeof(b->path), "%s/link", b->folder);
    assert_int_equal(symlink("f", b->path), 0);
    assert_int_equal(open_file(b, "link", MR_FILE_CREATE, &descriptor), MR_ERR_REFUSED);
    assert_non_null(strstr(b->diag.text, "symbolic link"));
}

/* COVERS: F16 */
static void test_a_linked_folder_is_refused(void **state)
{
    bench *b = *state;

    (void)snprintf(b->path, sizeof(b->path), "%s/link", b->folder);
    assert_int_equal(symlink(".", b->path), 0);
    expect_refusal(b, "link/f", "is not a directory");
}

/* COVERS: F16 */
static void test_a_folder_open_to_others_is_refused(void **state)
{
    bench *b = *state;

    assert_int_equal(chmod(b->folder, 0770), 0);
    expect_refusal(b, "f", "others may write");
    assert_int_equal(chmod(b->folder, 0702), 0);
    expect_refusal(b, "f", "others may write");
    assert_int_equal(chmod(b->folder, 0755), 0);
    int descriptor = -1;
    assert_int_equal(open_file(b, "f", MR_FILE_CREATE, &descriptor), MR_OK);
    mr_file_system()->close(NULL, descriptor);
}

static void test_a_folder_in_place_of_a_file_is_refused(void **state)
{
    bench *b = *state;
    int descriptor = -1;

    (void)snprintf(b->path, sizeof(b->path), "%s/sub", b->folder);
    assert_int_equal(mkdir(b->path, 0700), 0);
    assert_int_equal(open_file(b, "sub", MR_FILE_CREATE, &descriptor), MR_ERR_REFUSED);
    assert_non_null(strstr(b->diag.text, "E_STATE_"));
}

static void test_errors_have_words(void **state)
{
    char text[128];

    (void)state;
    assert_string_equal(mr_io_error_text(ENOSPC, text), "No space left on device");
    assert_non_null(strstr(mr_io_error_text(99999, text), "99999"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_made_for_the_owner_alone, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_a_linked_file_is_refused, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_a_linked_folder_is_refused, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_a_folder_open_to_others_is_refused, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_a_folder_in_place_of_a_file_is_refused, set_up,
                                        tear_down),
        cmocka_unit_test(test_errors_have_words),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

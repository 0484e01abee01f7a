/*
 * error_names_test.c - every E_ name that the sources print is explained, and no other one.
 */
#define _GNU_SOURCE /* nftw */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "engine/base/error_names.h"
#include <ctype.h>
#include <ftw.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { FILE_BYTES_MAX = 1 << 20, NAMES_MAX = 256, NAME_MAX_BYTES = 64, DIRECTORIES_MAX = 16 };

/* What a walk found; nftw hands its callback nothing. */
static char found[NAMES_MAX][NAME_MAX_BYTES];
static uint32_t found_count, file_count;
static char text[FILE_BYTES_MAX + 1];

static bool is_name_byte(char byte)
{
    return (byte >= 'A' && byte <= 'Z') || byte == '_';
}

static void note(const char *name, size_t size)
{
    assert_true(size < NAME_MAX_BYTES);
    for (uint32_t i = 0; i < found_count; i++) {
        if (strlen(found[i]) == size && memcmp(found[i], name, size) == 0) {
            return;
        }
    }
    assert_true(found_count < NAMES_MAX);
    memcpy(found[found_count], name, size);
    found[found_count++][size] = '\0';
}

/* Names at the start of a word: PAGE_BYTES is none. */
static int read_source(const char *path, const struct stat *status, int type, struct FTW *walk)
{
    const size_t length = strlen(path);

    (void)status, (void)walk;
    if (type != FTW_F || length < 2 || strcmp(path + length - 2, ".c") != 0 ||
        strstr(path, "error_names.c") != NULL) {
        return 0;
    }
    FILE *stream = fopen(path, "rb");
    assert_non_null(stream);
    const size_t size = fread(text, 1, FILE_BYTES_MAX, stream);
    assert_true(size < FILE_BYTES_MAX);
    assert_int_equal(fclose(stream), 0);
    text[size] = '\0';
    file_count++;
    for (const char *at = strstr(text, "E_"); at != NULL; at = strstr(at + 1, "E_")) {
        if (at > text && (is_name_byte(at[-1]) || isalnum((unsigned char)at[-1]))) {
            continue;
        }
        size_t end = 2;
        while (is_name_byte(at[end])) {
            end++;
        }
        if (end > 2) {
            note(at, end);
        }
    }
    return 0;
}

static void walk(const char *root, const char *folder)
{
    char path[4096];

    assert_true(snprintf(path, sizeof(path), "%s/%s", root, folder) < (int)sizeof(path));
    assert_int_equal(nftw(path, read_source, DIRECTORIES_MAX, FTW_PHYS), 0);
}

static void test_the_table_is_sorted_and_whole(void **state)
{
    uint32_t count = 0;
    const mr_error_name *names = mr_error_names(&count);

    (void)state;
    assert_true(count > 30);
    for (uint32_t i = 0; i < count; i++) {
        const mr_error_name *name = &names[i];
        assert_true(i == 0 || strcmp(names[i - 1].name, name->name) < 0);
        assert_ptr_equal(mr_error_name_find(name->name), name);
        assert_true(strlen(name->title) > 0 && strlen(name->title) < 80);
        assert_int_equal(name->text[strlen(name->text) - 1], '\n');
        assert_int_equal(name->remedy[strlen(name->remedy) - 1], '\n');
        /* The example is a message of this very name. */
        assert_memory_equal(name->example, name->name, strlen(name->name));
        assert_int_equal(name->example[strlen(name->name)], ':');
        assert_null(strchr(name->example, '\n'));
    }
    assert_null(mr_error_name_find("E_NOTHING"));
}

static void test_what_the_sources_print_is_explained(void **state)
{
    static const char *const folders[] = {"engine", "io", "cli", "operators"};
    const char *root = getenv("MR_SOURCE_DIR");
    uint32_t count = 0;
    const mr_error_name *names = mr_error_names(&count);

    (void)state;
    assert_non_null(root);
    for (size_t i = 0; i < sizeof(folders) / sizeof(folders[0]); i++) {
        walk(root, folders[i]);
    }
    assert_true(file_count > 100);
    for (uint32_t i = 0; i < found_count; i++) {
        if (mr_error_name_find(found[i]) == NULL) {
            fail_msg("%s is printed, but engine/base/error_names.c does not explain it", found[i]);
        }
    }
    for (uint32_t i = 0; i < count; i++) {
        bool is_found = false;
        for (uint32_t k = 0; k < found_count; k++) {
            is_found = is_found || strcmp(found[k], names[i].name) == 0;
        }
        if (!is_found) {
            fail_msg("%s is explained, but nothing prints it", names[i].name);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_table_is_sorted_and_whole),
        cmocka_unit_test(test_what_the_sources_print_is_explained),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

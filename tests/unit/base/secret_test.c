/* secret_test.c - where secrets come from, what is refused by name, and that nothing shows them. */
#define _GNU_SOURCE
#include "engine/base/assert.h"
#include "engine/base/secret.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define CANARY "CANARY-0d1f"

static char path[64];

static int make_path(void **state)
{
    (void)state;
    (void)snprintf(path, sizeof(path), "/tmp/secret_test.%d", (int)getpid());
    return 0;
}

static int remove_path(void **state)
{
    (void)state;
    (void)unlink(path);
    return 0;
}

static void put(const char *bytes, size_t size, mode_t mode)
{
    (void)unlink(path);
    FILE *file = fopen(path, "wbe");
    assert_non_null(file);
    assert_int_equal(fwrite(bytes, 1, size, file), size);
    assert_int_equal(fclose(file), 0);
    assert_int_equal(chmod(path, mode), 0);
}

static void expect(const mr_secret_source *source, const char *value)
{
    mr_secrets *secrets = NULL;
    mr_diag diag = {0};

    const mr_status status = mr_secrets_open(mr_memory_system(), source, 1, &secrets, &diag);
    if (status != MR_OK) {
        fail_msg("%s", diag.text);
    }
    assert_string_equal(mr_secret_reveal(secrets, 0), value);
    mr_secrets_close(secrets);
}

static void refuse(const mr_secret_source *source, const char *words)
{
    mr_secrets *secrets = NULL;
    mr_diag diag = {0};

    assert_int_equal(mr_secrets_open(mr_memory_system(), source, 1, &secrets, &diag),
                     MR_ERR_CONFIG);
    assert_null(secrets);
    assert_memory_equal(diag.text, "E_SECRET: <secret pw>: ", 23);
    if (strstr(diag.text, words) == NULL || strstr(diag.text, "CANARY") != NULL) {
        fail_msg("%s", diag.text);
    }
}

static void test_files(void **state)
{
    const mr_secret_source source = {.name = "pw", .file = path};

    (void)state;
    put(CANARY, strlen(CANARY), 0600);
    expect(&source, CANARY);
    put(CANARY "\n", strlen(CANARY) + 1, 0400);
    expect(&source, CANARY);
    put(CANARY "\n\n", strlen(CANARY) + 2, 0600);
    expect(&source, CANARY "\n"); /* One newline, nothing else. */
    put(" " CANARY " \r\n", strlen(CANARY) + 4, 0600);
    expect(&source, " " CANARY " \r");
}

static void test_files_that_are_refused(void **state)
{
    const mr_secret_source source = {.name = "pw", .file = path};
    static const mode_t modes[] = {0640, 0604, 0644, 0660, 0602, 0610, 0777};

    (void)state;
    for (size_t i = 0; i < MR_LENGTH(modes); i++) {
        put(CANARY, strlen(CANARY), modes[i]);
        refuse(&source, "chmod 600 it");
    }
    put("", 0, 0600);
    refuse(&source, "is empty");
    put("\n", 1, 0600);
    refuse(&source, "is empty");
    put(CANARY "\0x", strlen(CANARY) + 2, 0600);
    refuse(&source, "NUL");
    (void)unlink(path);
    refuse(&source, "cannot be opened: No such file");
    assert_int_equal(mkfifo(path, 0600), 0); /* Nobody writes: it must not wait for one. */
    refuse(&source, "is not a file");
}

static void test_the_limit(void **state)
{
    const mr_secret_source source = {.name = "pw", .file = path};
    static char large[MR_SECRET_BYTES_MAX + 3];

    (void)state;
    memset(large, 'x', sizeof(large) - 1);
    large[MR_SECRET_BYTES_MAX] = '\n';
    put(large, MR_SECRET_BYTES_MAX + 1, 0600);
    large[MR_SECRET_BYTES_MAX] = '\0';
    expect(&source, large);
    large[MR_SECRET_BYTES_MAX] = 'x';
    put(large, MR_SECRET_BYTES_MAX + 1, 0600);
    refuse(&source, "is above 16384 bytes");
    put(large, MR_SECRET_BYTES_MAX + 2, 0600);
    refuse(&source, "is above 16384 bytes");
    assert_int_equal(setenv("SECRET_TEST_PW", large, 1), 0);
    refuse(&(mr_secret_source){.name = "pw", .env = "SECRET_TEST_PW"}, "is above 16384 bytes");
}

static void test_variables(void **state)
{
    const mr_secret_source source = {.name = "pw", .env = "SECRET_TEST_PW"};

    (void)state;
    assert_int_equal(setenv("SECRET_TEST_PW", CANARY "\n", 1), 0);
    expect(&source, CANARY "\n"); /* As it is: no editor puts a newline there. */
    assert_int_equal(setenv("SECRET_TEST_PW", "", 1), 0);
    refuse(&source, "SECRET_TEST_PW is empty");
    assert_int_equal(unsetenv("SECRET_TEST_PW"), 0);
    refuse(&source, "SECRET_TEST_PW is not set");
}

/* ---- Memory that looks at what it gets back ---- */

static bool was_wiped;

static void *watched_acquire(void *self, size_t size_bytes, const char *purpose)
{
    (void)self;
    (void)purpose;
    return calloc(1, size_bytes);
}

static void watched_release(void *self, void *memory, size_t size_bytes)
{
    const uint8_t *bytes = memory;

    (void)self;
    was_wiped = true;
    for (size_t i = 0; i < size_bytes; i++) {
        was_wiped = was_wiped && bytes[i] == 0;
    }
    free(memory);
}

static void test_values_are_wiped(void **state)
{
    static const mr_memory_type type = {.acquire = watched_acquire, .release = watched_release};
    const mr_memory memory = {.type = &type};
    const mr_secret_source sources[] = {{.name = "pw", .file = path},
                                        {.name = "gone", .env = "SECRET_TEST_GONE"}};
    mr_secrets *secrets = NULL;
    mr_diag diag = {0};

    (void)state;
    put(CANARY, strlen(CANARY), 0600);
    assert_int_equal(mr_secrets_open(memory, sources, 1, &secrets, &diag), MR_OK);
    was_wiped = false;
    mr_secrets_close(secrets);
    assert_true(was_wiped);
    was_wiped = false;
    assert_int_equal(mr_secrets_open(memory, sources, 2, &secrets, &diag), MR_ERR_CONFIG);
    assert_true(was_wiped);
    assert_int_equal(mr_secrets_open(memory, NULL, 0, &secrets, &diag), MR_OK);
    assert_null(secrets);
    mr_secrets_close(secrets);
}

static void test_the_text_is_the_name(void **state)
{
    char text[MR_SECRET_TEXT_MAX];

    (void)state;
    assert_string_equal(mr_secret_text("kafka_pw", text), "<secret kafka_pw>");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_files),
        cmocka_unit_test(test_files_that_are_refused),
        cmocka_unit_test(test_the_limit),
        cmocka_unit_test(test_variables),
        cmocka_unit_test(test_values_are_wiped),
        cmocka_unit_test(test_the_text_is_the_name),
    };

    return cmocka_run_group_tests(tests, make_path, remove_path);
}

/* death.c - see death.h. */
#define _GNU_SOURCE
#include "tests/support/death.h"
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

int mr_run_child(void (*function)(void), char *text, uint32_t text_bytes_max)
{
    int ends[2];
    int status = 0;
    uint32_t size_bytes = 0;

    assert_int_equal(pipe(ends), 0);
    const pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        const struct rlimit none = {0, 0};
        (void)setrlimit(RLIMIT_CORE, &none);
        (void)signal(SIGABRT, SIG_DFL);
        if (text != NULL) {
            (void)dup2(ends[1], 2);
        }
        function();
        _exit(0);
    }
    (void)close(ends[1]);
    for (ssize_t got = 1; got > 0 && text != NULL && size_bytes + 1 < text_bytes_max;) {
        got = read(ends[0], text + size_bytes, text_bytes_max - 1 - size_bytes);
        size_bytes += got > 0 ? (uint32_t)got : 0;
    }
    if (text != NULL) {
        text[size_bytes] = '\0';
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    (void)close(ends[0]);
    return status;
}

void mr_expect_assert(void (*function)(void), const char *expression)
{
    char text[4096];
    const int status = mr_run_child(function, text, sizeof(text));

    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT);
    if (strstr(text, "assertion failed") == NULL || strstr(text, expression) == NULL) {
        fail_msg("died with: %s", text);
    }
}

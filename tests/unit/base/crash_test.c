/* crash_test.c - killed at the pass that was asked for, not before; nonsense is refused. */
#define _GNU_SOURCE
#include "engine/base/crash.h"
#include "tests/support/death.h"
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

static void pass_twice_and_other(void)
{
    (void)setenv("MR_CRASH_AT", "K7:3", 1);
    mr_crash_pass(MR_K6);
    mr_crash_pass(MR_K6);
    mr_crash_pass(MR_K6);
    mr_crash_pass(MR_K7);
    mr_crash_pass(MR_K7);
    _exit(42);
}

static void pass_three_times(void)
{
    (void)setenv("MR_CRASH_AT", "K7:3", 1);
    mr_crash_pass(MR_K7);
    mr_crash_pass(MR_K7);
    mr_crash_pass(MR_K7);
    _exit(42);
}

static void pass_once(void)
{
    (void)setenv("MR_CRASH_AT", "K12C", 1);
    mr_crash_pass(MR_K12);
    mr_crash_pass(MR_K12C);
    _exit(42);
}

/* Every neighbour of the two records, by topic, partition and offset. */
static void apply_others(void)
{
    (void)setenv("MR_CRASH_AT_RECORD", "in:3:40,other.x:0:7", 1);
    mr_crash_record("in", 3, 0, 40);
    mr_crash_record("in", 3, 41, 1000);
    mr_crash_record("in", 4, 0, 1000);
    mr_crash_record("int", 3, 0, 1000);
    mr_crash_record("other", 0, 0, 1000);
    mr_crash_record("other.x", 0, 0, 7);
    _exit(42);
}

static void apply_the_first(void)
{
    (void)setenv("MR_CRASH_AT_RECORD", "in:3:40,other.x:0:7", 1);
    mr_crash_record("in", 3, 40, 41);
    _exit(42);
}

static void apply_the_second(void)
{
    (void)setenv("MR_CRASH_AT_RECORD", "in:3:40,other.x:0:7", 1);
    mr_crash_record("other.x", 0, 0, 1000);
    _exit(42);
}

static void test_kills_at_a_record(void **state)
{
    (void)state;
    int status = mr_run_child(apply_others, NULL, 0);
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 42);
    status = mr_run_child(apply_the_first, NULL, 0);
    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
    status = mr_run_child(apply_the_second, NULL, 0);
    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
}

static void apply_nonsense(void)
{
    (void)setenv("MR_CRASH_AT_RECORD", "in-3@40", 1);
    mr_crash_record("in", 3, 0, 1);
}

static void pass_nonsense(void)
{
    (void)setenv("MR_CRASH_AT", "K77", 1);
    mr_crash_pass(MR_K7);
}

static void test_kills(void **state)
{
    (void)state;
    int status = mr_run_child(pass_twice_and_other, NULL, 0);
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 42);
    status = mr_run_child(pass_three_times, NULL, 0);
    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
    status = mr_run_child(pass_once, NULL, 0);
    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
}

static void test_nonsense(void **state)
{
    (void)state;
    mr_expect_assert(pass_nonsense, "name a crash point");
    mr_expect_assert(apply_nonsense, "topic:partition:offset");
}

static void test_stops(void **state)
{
    int status = 0;
    const pid_t child = fork();

    (void)state;
    assert_true(child >= 0);
    if (child == 0) {
        (void)setenv("MR_STOP_AT", "K0", 1);
        mr_crash_pass(MR_K0);
        _exit(43);
    }
    assert_int_equal(waitpid(child, &status, WUNTRACED), child);
    assert_true(WIFSTOPPED(status));
    assert_int_equal(kill(child, SIGCONT), 0);
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 43);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_kills),
        cmocka_unit_test(test_kills_at_a_record),
        cmocka_unit_test(test_nonsense),
        cmocka_unit_test(test_stops),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

/*
 * verbs_test.c - exit statuses of the command line.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "cli/cli.h"
#include <string.h>

enum { WORDS_MAX = 6, WORD_MAX = 64 };

/* The exit status of a command line. */
static int run(const char *line)
{
    char words[WORDS_MAX][WORD_MAX];
    char *argv[WORDS_MAX + 1] = {NULL};
    int argc = 0;

    while (*line != '\0') {
        const size_t size = strcspn(line, " ");
        assert_true(argc < WORDS_MAX && size < WORD_MAX);
        memcpy(words[argc], line, size);
        words[argc][size] = '\0';
        argv[argc] = words[argc];
        argc++;
        line += size + (line[size] == ' ');
    }
    return mr_cli_main(argc, argv);
}

static void test_wrong_use_is_2(void **state)
{
    (void)state;
    assert_int_equal(run("millrace"), MR_EXIT_USAGE);
    assert_int_equal(run("millrace fly"), MR_EXIT_USAGE);
    assert_int_equal(run("millrace graph x.yaml"), MR_EXIT_USAGE);
    assert_int_equal(run("millrace check"), MR_EXIT_USAGE);
    assert_int_equal(run("millrace check --connect x"), MR_EXIT_USAGE);
    assert_int_equal(run("millrace explain"), MR_EXIT_USAGE);
    assert_int_equal(run("millrace explain M0999"), MR_EXIT_USAGE);
    assert_int_equal(run("millrace explain E_NOTHING"), MR_EXIT_USAGE);
    assert_int_equal(run("millrace version x"), MR_EXIT_USAGE);
    assert_int_equal(run("millrace run"), MR_EXIT_USAGE);
    assert_int_equal(run("millrace run a b"), MR_EXIT_USAGE);
    assert_int_equal(run("millrace run --group g x"), MR_EXIT_USAGE);
    assert_int_equal(run("millrace run --shards 0 x"), MR_EXIT_USAGE);
    assert_int_equal(run("millrace run --shards 65 x"), MR_EXIT_USAGE);
    assert_int_equal(run("millrace run --log-level loud x"), MR_EXIT_USAGE);
    assert_int_equal(run("millrace run --state-dir= x"), MR_EXIT_USAGE);
    assert_int_equal(run("millrace run --partitions 3-1 x"), MR_EXIT_USAGE);
    assert_int_equal(run("millrace run --partitions 1,1 x"), MR_EXIT_USAGE);
    assert_int_equal(run("millrace run --partitions 1, x"), MR_EXIT_USAGE);
    assert_int_equal(run("millrace run --partitions 10000 x"), MR_EXIT_USAGE);
    assert_int_equal(run("millrace run --partitions 1/3 x"), MR_EXIT_USAGE);
    assert_int_equal(run("millrace run --ordinal 3/3 x"), MR_EXIT_USAGE);
    assert_int_equal(run("millrace run --ordinal 1 x"), MR_EXIT_USAGE);
    assert_int_equal(run("millrace run --ordinal 1/3x x"), MR_EXIT_USAGE);
    assert_int_equal(run("millrace run --ordinal=1/3 --partitions=0 x"), MR_EXIT_USAGE);
}

static void test_a_file_that_is_not_there_is_78(void **state)
{
    (void)state;
    assert_int_equal(run("millrace check /nowhere/x.yaml"), MR_EXIT_CONFIG);
    assert_int_equal(run("millrace explain /nowhere/x.yaml"), MR_EXIT_CONFIG);
    assert_int_equal(run("millrace run --partitions 0-3,7 /nowhere/x.yaml"), MR_EXIT_CONFIG);
    assert_int_equal(run("millrace run --ordinal 1/3 /nowhere/x.yaml"), MR_EXIT_CONFIG);
    assert_int_equal(run("millrace check /"), MR_EXIT_CONFIG);
}

static void test_words_are_0(void **state)
{
    (void)state;
    assert_int_equal(run("millrace --help"), MR_EXIT_DONE);
    assert_int_equal(run("millrace run --help"), MR_EXIT_DONE);
    assert_int_equal(run("millrace version"), MR_EXIT_DONE);
    assert_int_equal(run("millrace --version --format json"), MR_EXIT_DONE);
    assert_int_equal(run("millrace explain M0302"), MR_EXIT_DONE);
    assert_int_equal(run("millrace explain E_FENCED"), MR_EXIT_DONE);
    assert_int_equal(run("millrace explain E_FENCED --format json"), MR_EXIT_DONE);
    assert_int_equal(run("millrace explain M0302 --format json"), MR_EXIT_DONE);
    assert_int_equal(run("millrace explain filter"), MR_EXIT_DONE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_wrong_use_is_2),
        cmocka_unit_test(test_a_file_that_is_not_there_is_78),
        cmocka_unit_test(test_words_are_0),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

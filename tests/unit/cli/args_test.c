/*
 * args_test.c - flags and names of a command line.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "cli/cli.h"
#include <string.h>

enum { SET, WORD, LATER, FLAG_COUNT };

static const mr_flag flags[FLAG_COUNT] = {
    [SET] = {"--set", MR_FLAG_VALUE, "SET", "a value"},
    [WORD] = {"--word", MR_FLAG_PLAIN, NULL, "a plain flag"},
    [LATER] = {"--later", MR_FLAG_REFUSED, NULL, NULL},
};

enum { WORDS_MAX = 8 };

static bool parse(const char *line, mr_args *args, int *status)
{
    static char words[WORDS_MAX][32];
    static char *argv[WORDS_MAX + 1];
    int argc = 0;

    while (*line != '\0') {
        const size_t size = strcspn(line, " ");
        assert_true(argc < WORDS_MAX && size < sizeof(words[0]));
        memcpy(words[argc], line, size);
        words[argc][size] = '\0';
        argv[argc] = words[argc];
        argc++;
        line += size + (line[size] == ' ');
    }
    return mr_args_parse("check", flags, FLAG_COUNT, argc, argv, args, status);
}

static void test_flags_and_names(void **state)
{
    mr_args args;
    int status;

    (void)state;
    assert_true(parse("check a --set 1-3 b --word -- --c", &args, &status));
    assert_int_equal(args.name_count, 3);
    assert_string_equal(args.names[0], "a");
    assert_string_equal(args.names[1], "b");
    assert_string_equal(args.names[2], "--c");
    assert_string_equal(args.values[SET], "1-3");
    assert_non_null(args.values[WORD]);
    assert_false(args.is_json || args.quiet || args.verbose);
    assert_true(parse("check --set=x -q -v --format json --color=never -", &args, &status));
    assert_string_equal(args.values[SET], "x");
    assert_null(args.values[WORD]);
    assert_true(args.is_json && args.quiet && args.verbose);
    assert_int_equal(args.color, MR_COLOR_NEVER);
    assert_string_equal(args.names[0], "-");
}

static void refused(const char *line)
{
    mr_args args;
    int status = 0;

    assert_false(parse(line, &args, &status));
    assert_int_equal(status, MR_EXIT_USAGE);
}

static void test_wrong_use(void **state)
{
    mr_args args;
    int status = 9;

    (void)state;
    refused("check --nothing");
    refused("check --set");
    refused("check --word=1");
    refused("check --later");
    refused("check --format xml");
    refused("check --color red");
    refused("check -x");
    assert_false(parse("check --help", &args, &status));
    assert_int_equal(status, MR_EXIT_DONE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_flags_and_names),
        cmocka_unit_test(test_wrong_use),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

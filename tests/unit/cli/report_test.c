/*
 * report_test.c - messages as text with a caret, coloured, and as JSON.
 */
#define _GNU_SOURCE /* open_memstream */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "cli/cli.h"
#include <stdlib.h>
#include <string.h>

static const mr_message amount = {
    .code = 302,
    .place = {.file = "o.yaml", .line = 31, .column = 12, .length = 5},
    .text = "no column \"amout\"",
    .hint = "did you mean \"amount\"?",
    .line = "    where: amout > 0",
};

static void expect(mr_report report, const mr_message *message, const char *wanted)
{
    char *text = NULL;
    size_t size = 0;

    report.stream = open_memstream(&text, &size);
    assert_non_null(report.stream);
    mr_report_message(&report, message);
    assert_int_equal(fclose(report.stream), 0);
    assert_string_equal(text, wanted);
    free(text);
}

static void test_text(void **state)
{
    mr_message message = amount;

    (void)state;
    expect((mr_report){0}, &message,
           "o.yaml:31:12: error[M0302]: no column \"amout\"\n"
           "   31 |     where: amout > 0\n"
           "      |            ^~~~~\n"
           "hint: did you mean \"amount\"?\n");
    message.is_warning = true;
    message.hint = NULL;
    message.place.length = 100; /* Not beyond the line. */
    expect((mr_report){0}, &message,
           "o.yaml:31:12: warning[M0302]: no column \"amout\"\n"
           "   31 |     where: amout > 0\n"
           "      |            ^~~~~~~~~\n");
    message.line = NULL;
    expect((mr_report){.strict = true}, &message, "o.yaml: error[M0302]: no column \"amout\"\n");
}

static void test_columns_are_characters_and_tabs_one_space(void **state)
{
    const mr_message message = {.code = 101,
                                .place = {.file = "f", .line = 1, .column = 6, .length = 2},
                                .text = "x",
                                .line = "\tgröß ab\x1b[31m"};

    (void)state;
    expect((mr_report){0}, &message,
           "f:1:6: error[M0101]: x\n"
           "    1 |  größ ab [31m\n"
           "      |      ^~\n");
}

/* The mark ends with the line, which has fewer characters than bytes. */
static void test_the_mark_ends_with_the_line(void **state)
{
    const mr_message message = {.code = 101,
                                .place = {.file = "f", .line = 1, .column = 3, .length = 50},
                                .text = "x",
                                .line = "a größe"};

    (void)state;
    expect((mr_report){0}, &message,
           "f:1:3: error[M0101]: x\n"
           "    1 | a größe\n"
           "      |   ^~~~~\n");
}

static void test_long_lines_are_cut(void **state)
{
    char line[1000], wanted[400];
    const mr_message message = {.code = 101,
                                .place = {.file = "f", .line = 1, .column = 900, .length = 2},
                                .text = "x",
                                .line = line};

    (void)state;
    memset(line, 'a', sizeof(line));
    line[sizeof(line) - 1] = '\0';
    (void)snprintf(wanted, sizeof(wanted), "f:1:900: error[M0101]: x\n    1 | %.160s ...\n", line);
    expect((mr_report){0}, &message, wanted);
}

static void test_colors(void **state)
{
    const mr_message message = {
        .code = 101, .place = {.file = "f"}, .text = "x", .hint = "h", .line = NULL};

    (void)state;
    expect((mr_report){.is_colored = true}, &message,
           "\033[1mf:\033[0m \033[1;31merror[M0101]:\033[0m x\n"
           "\033[1;36mhint:\033[0m h\n");
}

static void test_json(void **state)
{
    mr_message message = amount;

    (void)state;
    message.text = "a \"b\" \\ \n\x01";
    expect((mr_report){.is_json = true}, &message,
           "{\"file\":\"o.yaml\",\"line\":31,\"column\":12,\"length\":5,\"severity\":\"error\","
           "\"code\":\"M0302\",\"message\":\"a \\\"b\\\" \\\\ \\n\\u0001\","
           "\"hint\":\"did you mean \\\"amount\\\"?\"}\n");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_text),
        cmocka_unit_test(test_columns_are_characters_and_tabs_one_space),
        cmocka_unit_test(test_the_mark_ends_with_the_line),
        cmocka_unit_test(test_long_lines_are_cut),
        cmocka_unit_test(test_colors),
        cmocka_unit_test(test_json),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

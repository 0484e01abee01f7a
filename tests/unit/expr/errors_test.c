/*
 * errors_test.c - every line of tests/golden/expr/errors.txt: what is refused, with its code, its
 * place and the first words of its message; and the places of texts in blocks.
 */
#include "tests/unit/expr/fixture.h"
// clang-format off
#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>
// clang-format on

enum { LINE_MAX_BYTES = 2048, ARENA_BYTES = 64 << 20 };

/* "M0302 4-9 no column ..." of what the compiler says; "accepted" when it says nothing. */
static void verdict(const mr_expr_scope *scope, const char *text, char out[VALUE_TEXT_MAX])
{
    mr_arena *arena = mr_arena_create(mr_memory_system(), ARENA_BYTES, "errors");
    const mr_expr *expr = NULL;
    mr_diag diag = {0};

    if (mr_expr_compile(scope, text, arena, &expr, &diag) == MR_OK) {
        (void)snprintf(out, VALUE_TEXT_MAX, "accepted");
    } else {
        (void)snprintf(out, VALUE_TEXT_MAX, "M0%u %u:%u-%u %.*s", diag.code, diag.place.line,
                       diag.place.column, diag.place.column + diag.place.length, 3000, diag.text);
        for (char *at = out; *at != '\0'; at++) {
            *at = *at == '\n' ? '|' : *at;
        }
    }
    mr_arena_destroy(arena);
}

static void every_line(void **state)
{
    const mr_expr_scope scope = {.input_name = "in",
                                 .schema = &fixture_schema,
                                 .event_time = true,
                                 .place = {.file = "x.yaml", .line = 1, .column = 1}};
    char path[512], line[LINE_MAX_BYTES], got[VALUE_TEXT_MAX];
    const char *root = getenv("MR_SOURCE_DIR");
    uint32_t lines = 0, bad = 0;

    (void)state;
    (void)snprintf(path, sizeof(path), "%s/tests/golden/expr/errors.txt",
                   root != NULL ? root : ".");
    FILE *file = fopen(path, "r");
    assert_non_null(file);
    while (fgets(line, sizeof(line), file) != NULL) {
        line[strcspn(line, "\n")] = '\0';
        char *arrow = last_arrow(line);
        if (line[0] == '#' || line[0] == '\0') {
            continue;
        }
        assert_non_null(arrow);
        *arrow = '\0';
        verdict(&scope, line, got);
        if (strncmp(got, arrow + 4, strlen(arrow + 4)) != 0) {
            print_error("%s => %s\n    expected %s\n", line, got, arrow + 4);
            bad++;
        }
        lines++;
    }
    (void)fclose(file);
    assert_true(lines > 80);
    assert_int_equal(bad, 0);
}

static void places_in_a_block(void **state)
{
    mr_expr_scope scope = {.schema = &fixture_schema,
                           .place = {.file = "x.yaml", .line = 10, .column = 7},
                           .literal_block = true,
                           .indent = 7};
    char got[VALUE_TEXT_MAX];

    (void)state;
    verdict(&scope, "i = 1\n  and j = 2\n  and amuont > 3", got);
    assert_int_equal(strncmp(got, "M0302 12:13-19 ", 15), 0);
    scope.literal_block = false;
    scope.place.column = 20;
    verdict(&scope, "i + amuont", got);
    assert_int_equal(strncmp(got, "M0302 10:24-30 ", 15), 0);
    verdict(&scope, "i = ", got);
    assert_int_equal(strncmp(got, "M0301 10:24-25 the expression ends", 34), 0);
}

static char *repeat(mr_arena *arena, const char *part, uint32_t count, const char *end)
{
    const size_t size = strlen(part);
    char *text = mr_arena_take(arena, size * count + strlen(end) + 1);

    for (uint32_t i = 0; i < count; i++) {
        memcpy(text + i * size, part, size);
    }
    memcpy(text + size * count, end, strlen(end) + 1);
    return text;
}

static void limits(void **state)
{
    const mr_expr_scope scope = {.schema = &fixture_schema, .place = {.line = 1, .column = 1}};
    mr_arena *arena = mr_arena_create(mr_memory_system(), ARENA_BYTES, "limits");
    char got[VALUE_TEXT_MAX];

    (void)state;
    verdict(&scope, repeat(arena, "not ", 60, "b"), got);
    assert_string_equal(got, "accepted");
    verdict(&scope, repeat(arena, "not ", 70, "b"), got);
    assert_non_null(strstr(got, "nested deeper than 64"));
    verdict(&scope, repeat(arena, "not ", 4000, "b"), got);
    assert_non_null(strstr(got, "nested deeper than 64"));
    verdict(&scope, repeat(arena, "(", 4000, "b"), got);
    assert_int_equal(strncmp(got, "M0301", 5), 0);
    verdict(&scope, repeat(arena, "i + ", 4000, "i"), got);
    assert_non_null(strstr(got, "more than 4096 words"));
    verdict(&scope, repeat(arena, "b or ", 1000, "b"), got);
    assert_string_equal(got, "accepted");
    /* What hides a quote from a reader who looks for the next one: words between are words. */
    static const char *const hiding[][2] = {{"/*'*/ ", " --'"},
                                            {"--'\n", " /*'*/"},
                                            {"length(e'\\'') + ", "-- e''"},
                                            {"length($$'$$) + ", " + length($a$'$a$)"}};
    for (size_t k = 0; k < sizeof(hiding) / sizeof(hiding[0]); k++) {
        verdict(&scope,
                repeat(arena, hiding[k][0], 1,
                       repeat(arena, "1+", 15000, repeat(arena, "1", 1, hiding[k][1]))),
                got);
        assert_non_null(strstr(got, "more than 4096 words"));
    }
    verdict(&scope, repeat(arena, "t = 'a", 1, repeat(arena, " a", 9000, "' -- why")), got);
    assert_non_null(strstr(got, "more than 4096 words")); /* The price. */
    verdict(&scope, repeat(arena, "t = 'a", 1, repeat(arena, " a", 9000, "'")), got);
    assert_string_equal(got, "accepted");
    verdict(&scope, repeat(arena, "          ", 7000, "b"), got);
    assert_non_null(strstr(got, "longer than 65536"));
    /* 62 levels of two uses of one value each: bound once, not 2^62 times. */
    char *nested = mr_arena_take(arena, 8192);
    nested[0] = 'i';
    for (uint32_t k = 0; k < 14; k++) {
        char *next = mr_arena_take(arena, 8192);
        (void)snprintf(next, 8192, "nullif(%s, %u)", nested, k + 100);
        nested = next;
    }
    verdict(&scope, nested, got);
    assert_string_equal(got, "accepted");
    mr_arena_destroy(arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(every_line),
                                       cmocka_unit_test(places_in_a_block),
                                       cmocka_unit_test(limits)};
    return cmocka_run_group_tests_name("expr errors", tests, NULL, NULL);
}

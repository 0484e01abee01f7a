/*
 * values_test.c - every line of tests/golden/expr/values.txt, in batches of one row, in full
 * batches with a selection, and with NULL rows and poisoned unselected rows between.
 */
#include "tests/unit/expr/fixture.h"
// clang-format off
#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>
// clang-format on

enum { LINE_MAX_BYTES = 2048, ARENA_BYTES = 64 << 20, SCRATCH = 1 << 20 };

static bool third_is_null(uint32_t row)
{
    return row % 3 == 1;
}

static bool always_null(uint32_t row)
{
    (void)row;
    return true;
}

static bool not_fifth(uint32_t row)
{
    return row % 5 != 2;
}

/* Value or error of a row after a run. */
static void outcome(const mr_eval *eval, const mr_expr *expr, uint32_t row, char *out)
{
    const mr_row_error *errors = mr_eval_errors(eval);

    if (errors != NULL && errors[row] != MR_ROW_OK) {
        (void)snprintf(out, VALUE_TEXT_MAX, "error %s", mr_row_error_name(errors[row]));
        return;
    }
    value_text(mr_expr_result(expr), mr_eval_column(eval, 0), row, out);
}

/* Rows outside of the selection must not be looked at. */
static void poison_unselected(fixture *x, bool (*keep)(uint32_t row))
{
    for (uint32_t f = 0; f < FIELD_COUNT; f++) {
        for (uint32_t row = 0; row < x->batch.row_count; row++) {
            if (!keep(row)) {
                fixture_cell(x, f, row, true);
                x->valid[f][row / 64] |= 1ull << (row % 64);
            }
        }
    }
}

typedef struct batches {
    mr_arena *arena;
    fixture *one, *one_null, *mixed, *full;
} batches;

static uint32_t check_rows(const batches *all, const mr_expr *expr, const char *line,
                           const char *expected)
{
    char got[VALUE_TEXT_MAX], of_null[VALUE_TEXT_MAX];
    uint32_t bad = 0;
    mr_arena *arena = mr_arena_create(mr_memory_system(), ARENA_BYTES, "values");
    mr_eval *eval = mr_eval_create(arena, &expr, 1, SCRATCH);

    assert_non_null(eval);
    assert_int_equal(mr_eval_run(eval, &all->one_null->batch), MR_OK);
    outcome(eval, expr, 0, of_null);
    assert_int_equal(mr_eval_run(eval, &all->one->batch), MR_OK);
    outcome(eval, expr, 0, got);
    if (strcmp(got, expected) != 0) {
        print_error("%s\n    expected %s, is %s\n", line, expected, got);
        bad++;
    }
    const fixture *shapes[] = {all->mixed, all->full};
    for (uint32_t s = 0; s < 2 && bad == 0; s++) {
        const mr_batch *batch = &shapes[s]->batch;
        assert_int_equal(mr_eval_run(eval, batch), MR_OK);
        for (uint32_t i = 0; i < batch->selected_count; i++) {
            const uint32_t row = mr_batch_row(batch, i);
            const char *want = s == 0 && third_is_null(row) ? of_null : expected;
            outcome(eval, expr, row, got);
            if (strcmp(got, want) != 0) {
                print_error("%s\n    row %u of shape %u: expected %s, is %s\n", line, row, s, want,
                            got);
                bad++;
                break;
            }
        }
    }
    mr_arena_destroy(arena);
    return bad;
}

static uint32_t check_line(const batches *all, char *line)
{
    char *arrow = last_arrow(line);
    const mr_expr_scope scope = {.input_name = "in", .schema = &fixture_schema, .event_time = true};
    const mr_expr *expr = NULL;
    mr_diag diag = {0};

    if (arrow == NULL) {
        print_error("no ` => ` in: %s\n", line);
        return 1;
    }
    *arrow = '\0';
    const char *expected = arrow + 4;
    const char *text = line[0] == '!' ? line + 1 : line;
    mr_arena *arena = mr_arena_create(mr_memory_system(), ARENA_BYTES, "values");
    uint32_t bad = 0;
    if (mr_expr_compile(&scope, text, arena, &expr, &diag) != MR_OK) {
        print_error("%s\n    M0%u %s\n", text, diag.code, diag.text);
        bad = 1;
    } else {
        bad = check_rows(all, expr, text, expected);
    }
    mr_arena_destroy(arena);
    return bad;
}

static void every_line(void **state)
{
    char path[512], line[LINE_MAX_BYTES];
    const char *root = getenv("MR_SOURCE_DIR");
    uint32_t lines = 0, bad = 0;
    batches all = {.arena = mr_arena_create(mr_memory_system(), ARENA_BYTES, "values")};

    (void)state;
    (void)snprintf(path, sizeof(path), "%s/tests/golden/expr/values.txt",
                   root != NULL ? root : ".");
    FILE *file = fopen(path, "r");
    assert_non_null(file);
    all.one = fixture_make(all.arena, 1, NULL);
    all.one_null = fixture_make(all.arena, 1, always_null);
    all.full = fixture_make(all.arena, MR_BATCH_ROWS_MAX, NULL);
    all.mixed = fixture_make(all.arena, 200, third_is_null);
    fixture_select(all.mixed, not_fifth);
    poison_unselected(all.mixed, not_fifth);
    while (fgets(line, sizeof(line), file) != NULL) {
        line[strcspn(line, "\n")] = '\0';
        if (line[0] == '#' || line[0] == '\0') {
            continue;
        }
        bad += check_line(&all, line);
        lines++;
    }
    (void)fclose(file);
    mr_arena_destroy(all.arena);
    assert_true(lines > 350);
    assert_int_equal(bad, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(every_line)};
    return cmocka_run_group_tests_name("expr values", tests, NULL, NULL);
}

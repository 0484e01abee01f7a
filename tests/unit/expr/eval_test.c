/*
 * eval_test.c - what values_test.c cannot show: several programs in one run, selections, scratch
 * that is full, results that are columns, conversions, what a program says of itself.
 */
#include "tests/unit/expr/fixture.h"
#include <millrace/plan.h>
// clang-format off
#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>
// clang-format on

enum { ARENA_BYTES = 64 << 20, SCRATCH = 1 << 16 };

static mr_arena *arena;

static int make_arena(void **state)
{
    (void)state;
    arena = mr_arena_create(mr_memory_system(), ARENA_BYTES, "eval");
    return arena == NULL;
}

static int drop_arena(void **state)
{
    (void)state;
    mr_arena_destroy(arena);
    return 0;
}

static const mr_expr *compile(const char *text)
{
    const mr_expr_scope scope = {.schema = &fixture_schema, .event_time = true};
    const mr_expr *expr = NULL;
    mr_diag diag = {0};

    if (mr_expr_compile(&scope, text, arena, &expr, &diag) != MR_OK) {
        print_error("%s: %s\n", text, diag.text);
    }
    assert_non_null(expr);
    return expr;
}

static bool every_seventh(uint32_t row)
{
    return row % 7 == 3;
}

static bool no_row(uint32_t row)
{
    (void)row;
    return false;
}

static void condition_selects(void **state)
{
    (void)state;
    const mr_expr *where = compile("meta.offset % 2 = 1 and (meta.offset - 1003) <> 0");
    const mr_expr *risky = compile("10 / (meta.offset - 1010) > -1");
    mr_eval *eval = mr_eval_create(arena, &where, 1, SCRATCH);
    fixture *x = fixture_make(arena, 1000, NULL);
    uint16_t selection[MR_BATCH_ROWS_MAX];

    fixture_select(x, every_seventh); /* 3, 10, 17, ... */
    assert_int_equal(mr_eval_run(eval, &x->batch), MR_OK);
    assert_null(mr_eval_errors(eval));
    const uint32_t count = mr_eval_condition(eval, &x->batch, selection);
    assert_int_equal(count, 71);
    assert_int_equal(selection[0], 17);
    assert_int_equal(selection[1], 31);

    /* A row in error is not selected, and the others are. */
    eval = mr_eval_create(arena, &risky, 1, SCRATCH);
    assert_int_equal(mr_eval_run(eval, &x->batch), MR_OK);
    const mr_row_error *errors = mr_eval_errors(eval);
    assert_non_null(errors);
    assert_int_equal(errors[10], MR_ROW_22012);
    assert_int_equal(errors[3], MR_ROW_OK);
    /* 10 / -7 = -1 is not above -1; all others but row 10 are. */
    assert_int_equal(mr_eval_condition(eval, &x->batch, selection), x->batch.selected_count - 2);

    /* No rows at all; and the errors of the last run are gone. */
    fixture_select(x, no_row);
    assert_int_equal(mr_eval_run(eval, &x->batch), MR_OK);
    assert_null(mr_eval_errors(eval));
    assert_int_equal(mr_eval_condition(eval, &x->batch, selection), 0);
}

static void first_error_of_several_programs(void **state)
{
    (void)state;
    const mr_expr *exprs[] = {compile("i + 1"), compile("bad::bigint"), compile("1 / z"),
                              compile("t"), compile("event_time")};
    mr_eval *eval = mr_eval_create(arena, exprs, 5, SCRATCH);
    fixture *x = fixture_make(arena, 70, NULL);
    char text[VALUE_TEXT_MAX];

    assert_int_equal(mr_eval_run(eval, &x->batch), MR_OK);
    assert_int_equal(mr_eval_errors(eval)[69], MR_ROW_22P02);
    value_text(mr_expr_result(exprs[0]), mr_eval_column(eval, 0), 69, text);
    assert_string_equal(text, "8");
    /* A column is the input's own. */
    assert_ptr_equal(mr_eval_column(eval, 3)->as.views, x->columns[15].as.views);
    assert_ptr_equal(mr_eval_column(eval, 4)->as.integers, x->batch.event_time_us);
}

static void results_stand_side_by_side(void **state)
{
    (void)state;
    const mr_expr *exprs[] = {compile("i + j"), compile("i - j"), compile("lower(t)"),
                              compile("upper(t)"), compile("case when b then i * j else 1 end")};
    static const char *const expected[] = {"4", "10", "hello", "HELLO", "-21"};
    mr_eval *eval = mr_eval_create(arena, exprs, 5, SCRATCH);
    fixture *x = fixture_make(arena, 500, NULL);
    char text[VALUE_TEXT_MAX];

    for (uint32_t run = 0; run < 3; run++) {
        assert_int_equal(mr_eval_run(eval, &x->batch), MR_OK);
        for (uint32_t p = 0; p < 5; p++) {
            value_text(mr_expr_result(exprs[p]), mr_eval_column(eval, p), 499, text);
            assert_string_equal(text, expected[p]);
        }
    }
}

static void full_scratch(void **state)
{
    (void)state;
    const mr_expr *expr = compile("t || t || t");
    mr_eval *eval = mr_eval_create(arena, &expr, 1, 64);
    fixture *many = fixture_make(arena, 100, NULL);
    fixture *one = fixture_make(arena, 1, NULL);
    char text[VALUE_TEXT_MAX];

    /* Many rows: the batch fails as a whole. One row: the row is in error. */
    assert_int_equal(mr_eval_run(eval, &many->batch), MR_ERR_OVERFLOW);
    assert_int_equal(mr_eval_run(eval, &one->batch), MR_OK);
    value_text(mr_expr_result(expr), mr_eval_column(eval, 0), 0, text);
    assert_string_equal(text, "HelloHelloHello");
    eval = mr_eval_create(arena, &expr, 1, 12);
    assert_int_equal(mr_eval_run(eval, &one->batch), MR_OK);
    assert_int_equal(mr_eval_errors(eval)[0], MR_ROW_54000);
}

/* No batch is smaller than the two halves of one change. */
static void full_scratch_of_halves(void **state)
{
    static const uint8_t change[] = {MR_CHANGE_OLD, MR_CHANGE_NEW},
                         two[] = {MR_CHANGE_NEW, MR_CHANGE_NEW};
    (void)state;
    const mr_expr *expr = compile("t || t || t");
    mr_eval *eval = mr_eval_create(arena, &expr, 1, 12);
    fixture *x = fixture_make(arena, 2, NULL);

    assert_int_equal(mr_eval_run(eval, &x->batch), MR_ERR_OVERFLOW);
    x->batch.change = two;
    assert_int_equal(mr_eval_run(eval, &x->batch), MR_ERR_OVERFLOW);
    x->batch.change = change;
    assert_int_equal(mr_eval_run(eval, &x->batch), MR_OK);
    assert_int_equal(mr_eval_errors(eval)[1], MR_ROW_54000);
}

/* A long set wants room for its table. No row may be left to smaller batches that do not follow. */
static void no_room_for_a_set(void **state)
{
    (void)state;
    const mr_expr *expr =
        compile("btrim(t, 'Hoéàèùâêîôûëïüçœæÿñéàèùâêîôûëïüçœæÿñéàèùâêîôûëïüçœæÿñ')");
    mr_eval *eval = mr_eval_create(arena, &expr, 1, SCRATCH);
    fixture *x = fixture_make(arena, 2, NULL);
    char text[VALUE_TEXT_MAX];

    assert_int_equal(mr_eval_run(eval, &x->batch), MR_ERR_OVERFLOW);
    mr_eval_run_least(eval, &x->batch);
    assert_null(mr_eval_errors(eval));
    value_text(mr_expr_result(expr), mr_eval_column(eval, 0), 1, text);
    assert_string_equal(text, "ell");
}

typedef struct failing { /* What a program says of itself. */
    const char *text;
    uint32_t classes;
    const char *what;
} failing;

static const failing fallible[] = {
    {"t::bigint", MR_FALLIBLE_DATA | MR_FALLIBLE_RANGE, "cast text -> bigint"},
    {"try(t::bigint)", 0, NULL},
    {"i / j", MR_FALLIBLE_DATA | MR_FALLIBLE_RANGE, "division"},
    {"i / 2", 0, NULL},
    {"i / -1", MR_FALLIBLE_RANGE, "division"},
    {"i / nullif(j, 0)", MR_FALLIBLE_RANGE, "division"},
    {"m / nullif(m, 0)", 0, NULL},
    {"m / nullif(i, 0)", 0, NULL},
    /* What is not zero may become it. */
    {"i / nullif(m, 0)::bigint", MR_FALLIBLE_DATA | MR_FALLIBLE_RANGE, "division"},
    {"i / nullif(d, 0)::bigint", MR_FALLIBLE_DATA | MR_FALLIBLE_RANGE, "division"},
    {"m / nullif(m, 0)::numeric(9,1)", MR_FALLIBLE_DATA | MR_FALLIBLE_RANGE, "division"},
    {"m / nullif(m, 0)::numeric(20,4)", 0, NULL},
    {"d / nullif(m, 0)::float8", MR_FALLIBLE_RANGE, "division"},
    {"d / nullif(d, 0)", MR_FALLIBLE_RANGE, "division"},
    {"i % nullif(j + 1, 0)", MR_FALLIBLE_RANGE, "bigint +"},
    {"i % 3", 0, NULL},
    {"i + 1", MR_FALLIBLE_RANGE, "bigint +"},
    {"m + m", 0, NULL},
    {"huge + m", MR_FALLIBLE_RANGE, "numeric +"},
    {"m::numeric(12,2)", 0, NULL},
    {"m::numeric(9,2)", MR_FALLIBLE_RANGE, "cast numeric -> numeric"},
    {"m::bigint", 0, NULL},
    {"i = 7 and t like 'x%'", 0, NULL},
    {"t like t", MR_FALLIBLE_DATA, "LIKE with a pattern that is not constant"},
    {"js -> 'a'", 0, NULL},
    {"(js ->> 'a')::numeric(5,2) + (i + 1)", MR_FALLIBLE_DATA | MR_FALLIBLE_RANGE,
     "cast text -> numeric"},
    {"(i + 1)::float8 > (js ->> 'a')::float8", MR_FALLIBLE_DATA | MR_FALLIBLE_RANGE,
     "cast text -> double precision"},
    {"case when z = 0 then 0 else i / z end", MR_FALLIBLE_DATA | MR_FALLIBLE_RANGE, "division"},
    {"div(m, 3)", 0, NULL},
    {"mod(i, z)", MR_FALLIBLE_DATA, "mod"},
    {"m * w", 0, NULL},
    {"huge * 2", MR_FALLIBLE_RANGE, "numeric *"},
    {"huge > w and i in (1, 2.5)", 0, NULL},
    {"sqrt(d)", MR_FALLIBLE_DATA, "sqrt"},
    {"try(sqrt(d) + exp(d))", 0, NULL},
    {"split_part(t, ',', 1)", 0, NULL},
    {"split_part(t, ',', i)", MR_FALLIBLE_DATA, "split_part"},
    {"substring(t from i for 3)", 0, NULL},
    {"substring(t from 1 for i)", MR_FALLIBLE_DATA, "substring"},
    {"(js -> 'a')::bigint", MR_FALLIBLE_DATA | MR_FALLIBLE_RANGE, "cast jsonb -> bigint"},
    {"t::interval", MR_FALLIBLE_DATA | MR_FALLIBLE_RANGE, "cast text -> interval"},
    {"iv::text", 0, NULL},
    {"iv + iv", MR_FALLIBLE_RANGE, "interval +"},
    {"iv * d", MR_FALLIBLE_RANGE, "interval *"},
    {"iv / d", MR_FALLIBLE_DATA | MR_FALLIBLE_RANGE, "division"},
    {"iv / 2", MR_FALLIBLE_RANGE, "division"},
    {"iv / nullif(d, 0)", MR_FALLIBLE_RANGE, "division"},
    {"ts + iv", MR_FALLIBLE_RANGE, "timestamptz + interval"},
    {"dt - iv", MR_FALLIBLE_RANGE, "date - interval"},
    {"ts - ts", 0, NULL},
    {"iv > '1 day'", 0, NULL},
    {"make_interval(days => 5)", 0, NULL},
    {"make_interval(days => i)", MR_FALLIBLE_RANGE, "make_interval"},
    {"date_bin('1 hour', ts, ts)", MR_FALLIBLE_RANGE, "date_bin"},
    {"date_bin(iv, ts, ts)", MR_FALLIBLE_DATA | MR_FALLIBLE_RANGE, "date_bin"},
    {"date_trunc('year', iv)", 0, NULL},
    {"date_trunc('year', dt)", MR_FALLIBLE_RANGE, "date_trunc"},
    {"date_trunc('day', dt)", 0, NULL},
    {"extract(hour from iv)", 0, NULL},
    {"extract(epoch from iv)", MR_FALLIBLE_RANGE, "extract(epoch from interval)"},
    {"extract(epoch from dt)", 0, NULL},
};

static void what_can_fail(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(fallible) / sizeof(fallible[0]); i++) {
        const char *what = "unset";
        const uint32_t classes = mr_expr_fallible(compile(fallible[i].text), &what);
        if (classes != fallible[i].classes || (what == NULL) != (fallible[i].what == NULL) ||
            (what != NULL && strcmp(what, fallible[i].what) != 0)) {
            print_error("%s: %u %s\n", fallible[i].text, classes, what != NULL ? what : "-");
            fail();
        }
    }
}

typedef struct typed {
    const char *text, *type;
    bool nullable;
} typed;

static const typed results[] = {
    {"i", "bigint", false},
    {"i + j", "bigint", true},
    {"i + 1", "bigint", false},
    {"m + w", "numeric(12,3)", true},
    {"m * w", "numeric(19,5)", true},
    {"m / w", "numeric(17,6)", true},
    {"m % w", "numeric(11,3)", true},
    {"huge * huge", "numeric(38,0)", true},
    {"i + m", "numeric(22,2)", true},
    {"0.908", "numeric(3,3)", false},
    {"1.50", "numeric(3,2)", false},
    {"case when b then m else w end", "numeric(11,3)", true},
    {"coalesce(nm, i)", "numeric(21,2)", false},
    {"coalesce(nd, m)", "double precision", true},
    {"i is null", "boolean", false},
    {"nullif(i, 7)", "bigint", true},
    {"js -> 'a'", "jsonb", true},
    {"js ->> 'a'", "text", true},
    {"event_time", "timestamptz", false},
    {"'x'", "text", false},
    {"null", "text", true},
    {"i is distinct from j", "boolean", false},
    {"m - huge", "numeric(38,2)", true},
    {"w - m", "numeric(12,3)", true},
    {"0.5 * 0.25", "numeric(3,3)", false},
    {"i / 0.001", "numeric(28,6)", false},
    {"w / 0.0000001", "numeric(20,7)", true},
    {"div(m, w)", "numeric(11,0)", true},
    {"div(i, 0.01)", "numeric(21,0)", false},
    {"mod(m, 3)", "numeric(10,2)", true},
    {"round(m)", "numeric(9,0)", true},
    {"ceil(m)", "numeric(9,0)", true},
    {"trunc(huge)", "numeric(38,0)", true},
    {"sign(w)", "numeric(7,0)", true},
    {"round(m, 1)", "numeric(10,1)", true},
    {"trunc(m, 4)", "numeric(13,4)", true},
    {"round(m, -3)", "numeric(9,0)", true},
    {"round(i)", "double precision", false},
    {"abs(m)", "numeric(10,2)", true},
    {"- w", "numeric(9,3)", true},
    {"greatest(huge, w)", "numeric(38,3)", true},
    {"coalesce(i, 0.5)", "numeric(20,1)", false},
    {"nullif(m, 7)", "numeric(10,2)", true},
    {"1e3", "numeric(4,0)", false},
    {"iv", "interval", true},
    {"ts - ts", "interval", true},
    {"event_time - event_time", "interval", false},
    {"event_time + interval '1 day'", "timestamptz", false},
    {"iv * 2", "interval", true},
    {"dt + iv", "timestamptz", true},
    {"dt + 1", "date", true},
    {"dt - dt", "bigint", true},
    {"date_trunc('day', dt)", "timestamptz", true},
    {"date_trunc('day', iv)", "interval", true},
    {"date_bin('1 hour', event_time, event_time)", "timestamptz", false},
    {"make_interval(days => i)", "interval", false},
    {"make_interval(days => j)", "interval", true},
    {"extract(second from iv)", "numeric(20,6)", true},
    {"extract(milliseconds from ts)", "numeric(20,3)", true},
    {"extract(epoch from dt)", "numeric(20,6)", true},
    {"extract(year from event_time)", "numeric(20,0)", false},
    {"coalesce(niv, '1 day')", "interval", false},
};

static void types_of_results(void **state)
{
    char text[MR_TYPE_TEXT_MAX];

    (void)state;
    for (size_t i = 0; i < sizeof(results) / sizeof(results[0]); i++) {
        const mr_field *field = mr_expr_result(compile(results[i].text));
        if (strcmp(mr_type_text(field, text), results[i].type) != 0 ||
            field->nullable != results[i].nullable) {
            print_error("%s: %s, nullable %d\n", results[i].text, text, field->nullable);
            fail();
        }
    }
}

static void columns_and_names(void **state)
{
    bool needed[FIELD_COUNT] = {false};
    uint32_t column = 0;
    const char *headers[4];

    (void)state;
    mr_expr_columns(compile("i + z > 3 and t like 'x'"), needed);
    for (uint32_t f = 0; f < FIELD_COUNT; f++) {
        assert_int_equal(needed[f], f == 0 || f == 2 || f == 15);
    }
    const mr_expr *plain = compile("m");
    assert_true(mr_expr_is_column(plain, &column));
    assert_int_equal(column, 10);
    assert_string_equal(mr_expr_result(plain)->name, "m");
    assert_false(mr_expr_is_column(compile("m + 0"), &column));
    assert_null(mr_expr_result(compile("m + 0"))->name);
    assert_int_equal(
        mr_expr_headers("coalesce(meta.header('a'), x, meta.header('b''c'))", arena, headers, 4),
        2);
    assert_string_equal(headers[1], "a");
    assert_string_equal(headers[0], "b'c");
    assert_int_equal(mr_expr_headers("meta.header('a'", arena, headers, 4), 0);
    assert_int_equal(mr_expr_headers("sum(meta.header('a')::bigint)", arena, headers, 4), 1);
    assert_int_equal(mr_expr_headers("meta.header('a') || meta.header('b')", arena, headers, 1), 1);
}

static void conversions(void **state)
{
    const mr_field bigint = {.type = MR_BIGINT}, real = {.type = MR_DOUBLE};
    const mr_field time = {.type = MR_TIMESTAMPTZ}, text_type = {.type = MR_TEXT};
    const mr_field money = {.type = MR_NUMERIC, .precision = 22, .scale = 2};
    const mr_expr *out = NULL, *plain = compile("i"), *sum = compile("i + j");
    fixture *x = fixture_make(arena, 3, NULL);
    mr_diag diag = {0};
    char text[VALUE_TEXT_MAX];

    (void)state;
    assert_int_equal(mr_expr_convert(plain, &bigint, arena, &out, &diag), MR_OK);
    assert_ptr_equal(out, plain);
    assert_int_equal(mr_expr_convert(sum, &money, arena, &out, &diag), MR_OK);
    const mr_expr *exprs[2] = {out, NULL};
    assert_int_equal(mr_expr_convert(plain, &real, arena, &exprs[1], &diag), MR_OK);
    mr_eval *eval = mr_eval_create(arena, exprs, 2, SCRATCH);
    assert_int_equal(mr_eval_run(eval, &x->batch), MR_OK);
    value_text(mr_expr_result(exprs[0]), mr_eval_column(eval, 0), 2, text);
    assert_string_equal(text, "4.00");
    value_text(mr_expr_result(exprs[1]), mr_eval_column(eval, 1), 2, text);
    assert_string_equal(text, "7");

    assert_int_equal(mr_expr_convert(compile("'2026-01-01'"), &time, arena, &out, &diag), MR_OK);
    assert_int_equal(mr_expr_result(out)->type, MR_TIMESTAMPTZ);
    assert_int_equal(mr_expr_convert(compile("'today'"), &time, arena, &out, &diag), MR_ERR_CONFIG);
    assert_int_equal(diag.code, 308);
    assert_int_equal(mr_expr_convert(compile("null"), &time, arena, &out, &diag), MR_OK);
    assert_int_equal(mr_expr_convert(plain, &text_type, arena, &out, &diag), MR_ERR_CONFIG);
    assert_int_equal(diag.code, 304);
    assert_null(out);
    assert_int_equal(mr_expr_convert(compile("d"), &bigint, arena, &out, &diag), MR_ERR_CONFIG);
}

/* Division by a constant is a multiplication inside: against the machine's, at the edges. */
static void fixed_divisors(void **state)
{
    static const int64_t divisors[] = {
        2,         3,         5,          7,          10,         123,       641,
        -2,        -3,        -7,         -10,        1000000007, 1ll << 32, (1ll << 62) + 1,
        INT64_MAX, INT64_MIN, -INT64_MAX, (1ll << 62)};
    fixture *x = fixture_make(arena, 1024, NULL);
    int64_t *values = x->cells[31];

    (void)state;
    for (uint32_t i = 0; i < 1024; i++) {
        const int64_t edge[] = {0, 1, -1, INT64_MAX, INT64_MIN, INT64_MIN + 1};
        values[i] = i < 6 ? edge[i] : (int64_t)(i * 0x9e3779b97f4a7c15ull);
    }
    for (size_t k = 0; k < sizeof(divisors) / sizeof(divisors[0]); k++) {
        const int64_t d = divisors[k];
        char text[2][80];
        (void)snprintf(text[0], 80, "meta.offset / (%" PRId64 ")", d);
        (void)snprintf(text[1], 80, "meta.offset %% (%" PRId64 ")", d);
        for (uint32_t i = 6; i < 200; i++) { /* Near multiples too. */
            values[i] = (int64_t)((uint64_t)d * (i / 3) + i % 3 - 1);
        }
        const mr_expr *exprs[] = {compile(text[0]), compile(text[1])};
        mr_eval *eval = mr_eval_create(arena, exprs, 2, SCRATCH);
        assert_int_equal(mr_eval_run(eval, &x->batch), MR_OK);
        for (uint32_t i = 0; i < 1024; i++) {
            assert_int_equal(mr_eval_column(eval, 0)->as.integers[i], values[i] / d);
            assert_int_equal(mr_eval_column(eval, 1)->as.integers[i], values[i] % d);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(condition_selects),
        cmocka_unit_test(first_error_of_several_programs),
        cmocka_unit_test(results_stand_side_by_side),
        cmocka_unit_test(full_scratch),
        cmocka_unit_test(full_scratch_of_halves),
        cmocka_unit_test(no_room_for_a_set),
        cmocka_unit_test(what_can_fail),
        cmocka_unit_test(types_of_results),
        cmocka_unit_test(columns_and_names),
        cmocka_unit_test(conversions),
        cmocka_unit_test(fixed_divisors),
    };
    return cmocka_run_group_tests_name("expr eval", tests, make_arena, drop_arena);
}

/*
 * variables_test.c - the forms of ${VAR}.
 */
#include "tests/unit/topology/private.h"

/* The expanded text of a value; NULL = refused, with M0110. */
static void expect(const char *text, const char *wanted)
{
    char document[256];
    fixture f;

    (void)snprintf(document, sizeof(document), "v: \"%s\"\n", text);
    const mr_yaml *root = fixture_parse(&f, document);
    assert_non_null(root);
    const char *expanded = mr_variables_expand(&f.load, mr_yaml_get(root, "v"));
    if (wanted == NULL) {
        assert_null(expanded);
        fixture_expect(&f, 110, 1, 4);
    } else {
        assert_non_null(expanded);
        assert_string_equal(expanded, wanted);
        assert_int_equal(f.load.message_count, 0);
    }
    fixture_close(&f);
}

static void test_forms(void **state)
{
    (void)state;
    expect("plain", "plain");
    expect("${GREETING}", "hello");
    expect("a${GREETING}b${GREETING}", "ahellobhello");
    expect("${NOBODY:-there}", "there");
    expect("${EMPTY:-there}", "there");
    expect("${NOBODY:-}", "");
    expect("${GREETING:-there}", "hello");
    expect("${GREETING:?needed}", "hello");
    expect("${EMPTY}", "");
    expect("$$5 and $${GREETING}", "$5 and ${GREETING}");
}

static void test_refused(void **state)
{
    (void)state;
    expect("${NOBODY}", NULL);
    expect("${NOBODY:?needed}", NULL);
    expect("${EMPTY:?needed}", NULL);
    expect("$GREETING", NULL);
    expect("5$", NULL);
    expect("${GREETING", NULL);
    expect("${}", NULL);
    expect("${GREETING:=x}", NULL);
    expect("${GREE TING}", NULL);
}

/* A value that looks like a form is not looked at again. */
static const char *recursive(void *self, const char *name)
{
    (void)self, (void)name;
    return "${GREETING} $";
}

static void test_values_are_not_expanded_again(void **state)
{
    fixture f;
    const mr_yaml *root = fixture_parse(&f, "v: ${X}\n");

    (void)state;
    f.source.variable = recursive;
    assert_string_equal(mr_variables_expand(&f.load, mr_yaml_get(root, "v")), "${GREETING} $");
    fixture_close(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_forms),
        cmocka_unit_test(test_refused),
        cmocka_unit_test(test_values_are_not_expanded_again),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/*
 * yaml_test.c - trees and places of documents, and what the language refuses of YAML.
 */
#include "tests/unit/topology/private.h"

static void test_scalars_know_their_places(void **state)
{
    fixture f;
    const mr_yaml *root =
        fixture_parse(&f, "a: plain\nb: \"quo\\ted\"\nc: |\n    one\n    two\nd:\ne: [x, 'y z']\n");

    (void)state;
    assert_non_null(root);
    assert_int_equal(root->count, 5);
    const mr_yaml *a = mr_yaml_get(root, "a"), *b = mr_yaml_get(root, "b");
    assert_string_equal(a->text, "plain");
    assert_int_equal(a->style, MR_YAML_PLAIN);
    assert_int_equal(a->place.line, 1);
    assert_int_equal(a->place.column, 4);
    assert_int_equal(a->place.length, 5);
    assert_string_equal(b->text, "quo\ted");
    assert_int_equal(b->place.column, 4);
    assert_int_equal(b->text_place.column, 5);
    assert_int_equal(b->place.length, 9);
    const mr_yaml *c = mr_yaml_get(root, "c"), *d = mr_yaml_get(root, "d");
    assert_string_equal(c->text, "one\ntwo\n");
    assert_int_equal(c->style, MR_YAML_LITERAL);
    assert_int_equal(c->text_place.line, 4);
    assert_int_equal(c->text_place.column, 5);
    fixture other;
    const mr_yaml *block =
        fixture_parse(&other, "k: 1\nblock: |-\n\n      first\n        second\n");
    assert_non_null(block);
    block = mr_yaml_get(block, "block");
    assert_string_equal(block->text, "\nfirst\n  second");
    assert_int_equal(block->text_place.line, 3); /* The blank line is of the text. */
    assert_int_equal(block->text_place.column, 7);
    assert_int_equal(block->place.line, 4);
    assert_int_equal(block->place.length, 5);
    fixture_close(&other);
    assert_true(mr_yaml_is_null(d));
    assert_int_equal(d->place.line, 6);
    const mr_yaml *e = mr_yaml_get(root, "e");
    assert_int_equal(e->kind, MR_YAML_LIST);
    assert_int_equal(e->count, 2);
    assert_string_equal(e->items[1]->text, "y z");
    assert_int_equal(e->items[1]->place.column, 8);
    assert_null(mr_yaml_get(root, "f"));
    assert_null(mr_yaml_get(e, "a"));
    fixture_close(&f);
}

static void test_columns_count_characters(void **state)
{
    fixture f;
    const mr_yaml *root = fixture_parse(&f, "m: { größe: 1, b: 2 }\n");

    (void)state;
    assert_non_null(root);
    assert_int_equal(mr_yaml_get(mr_yaml_get(root, "m"), "b")->place.column, 19);
    fixture_close(&f);
}

static void test_an_alias_is_the_node_of_its_anchor(void **state)
{
    fixture f;
    const mr_yaml *root = fixture_parse(&f, "x-a: &a { k: 1 }\nb: *a\nc: &a two\nd: *a\n");

    (void)state;
    assert_non_null(root);
    assert_ptr_equal(mr_yaml_get(root, "b"), mr_yaml_get(root, "x-a"));
    assert_string_equal(mr_yaml_get(root, "d")->text, "two"); /* The newest of a name. */
    fixture_close(&f);
}

static void test_duplicates_are_reported_and_reading_goes_on(void **state)
{
    fixture f;
    const mr_yaml *root = fixture_parse(&f, "a: 1\nb: 2\na: 3\n");

    (void)state;
    assert_non_null(root);
    fixture_expect(&f, 103, 3, 1);
    fixture_close(&f);
}

static void test_refused_yaml(void **state)
{
    (void)state;
    fixture_refused("", 101, 1, 1);
    fixture_refused("a: [1\n", 101, 1, 5);
    fixture_refused("a: [1", 101, 1, 5);
    fixture_refused("b: 1\na: { b: c d: e }\n\n\n", 101, 2, 12);
    fixture_refused("a: *nobody\n", 116, 1, 4);
    fixture_refused("a: &x { b: *x }\n", 116, 1, 12);
    fixture_refused("a: &x { b: 1 }\nc: { <<: *x }\n", 111, 2, 6);
    fixture_refused("a: !!int 1\n", 101, 1, 4);
    fixture_refused("a: 1\n---\nb: 2\n", 101, 2, 1);
    fixture_refused("%YAML 1.1\n---\na: 1\n", 101, 2, 1);
    fixture_refused("? [a]\n: 1\n", 105, 1, 3);
    fixture_refused("ok: 1\nbad: \xff\n", 101, 2, 1);
    fixture_refused("a: \"\\0\"\n", 101, 1, 5);
}

static void test_depth_has_a_limit(void **state)
{
    char text[512] = "a: ";
    fixture f;

    (void)state;
    memset(text + 3, '[', 63);
    memset(text + 66, ']', 63);
    assert_non_null(fixture_parse(&f, text));
    fixture_close(&f);
    memset(text + 3, '[', 64);
    memset(text + 67, ']', 64);
    fixture_refused(text, 112, 1, 67);
}

static void test_depth_counts_through_aliases(void **state)
{
    char text[512] = "a: &x ";
    fixture f;

    (void)state;
    memset(text + 6, '[', 40);
    memset(text + 46, ']', 40);
    memcpy(text + strlen(text), "\nb: [[[[[[[[[[[[[[[[[[[[[[[[[[ *x ]]]]]]]]]]]]]]]]]]]]]]]]]]\n",
           strlen("\nb: [[[[[[[[[[[[[[[[[[[[[[[[[[ *x ]]]]]]]]]]]]]]]]]]]]]]]]]]\n") + 1);
    assert_null(fixture_parse(&f, text));
    assert_int_equal(f.load.messages[0].code, 112);
    fixture_close(&f);
}

/* Each line holds the former ten times: ten to the power of nine values when followed. */
static void test_aliases_cannot_explode(void **state)
{
    char text[4096] = "l0: &l0 [a]\n";
    fixture f;

    (void)state;
    for (int i = 1; i < 10; i++) {
        char line[128];
        (void)snprintf(line, sizeof(line), "l%d: &l%d [*l%d,*l%d,*l%d,*l%d,*l%d,*l%d,*l%d,*l%d]\n",
                       i, i, i - 1, i - 1, i - 1, i - 1, i - 1, i - 1, i - 1, i - 1);
        memcpy(text + strlen(text), line, strlen(line) + 1);
    }
    assert_null(fixture_parse(&f, text));
    assert_int_equal(f.load.messages[0].code, 112);
    fixture_close(&f);
}

static void test_size_has_a_limit(void **state)
{
    static char text[MR_TOPOLOGY_BYTES_MAX + 1];
    fixture f;

    (void)state;
    memset(text, '#', sizeof(text));
    fixture_open_bytes(&f, text, sizeof(text));
    assert_null(mr_yaml_parse(&f.load));
    assert_int_equal(f.load.messages[0].code, 112);
    fixture_close(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_scalars_know_their_places),
        cmocka_unit_test(test_columns_count_characters),
        cmocka_unit_test(test_an_alias_is_the_node_of_its_anchor),
        cmocka_unit_test(test_duplicates_are_reported_and_reading_goes_on),
        cmocka_unit_test(test_refused_yaml),
        cmocka_unit_test(test_depth_has_a_limit),
        cmocka_unit_test(test_depth_counts_through_aliases),
        cmocka_unit_test(test_aliases_cannot_explode),
        cmocka_unit_test(test_size_has_a_limit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

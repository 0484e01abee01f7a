/* partitions_test.c - the text of --partitions and the name it gives the worker set. */
#include "engine/runtime/runtime_private.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

static mr_partition_set set;
static mr_diag diag;

static void expect(const char *text, uint32_t count, uint32_t last, const char *name)
{
    assert_int_equal(mr_partition_set_parse(text, 16, &set, &diag), MR_OK);
    assert_int_equal(set.count, count);
    assert_int_equal(set.partitions[count - 1], last);
    assert_string_equal(set.name, name);
}

static void test_names(void **state)
{
    (void)state;
    expect(NULL, 16, 15, "all");
    expect("0-7", 8, 7, "p0_7");
    expect("0-7,12", 9, 12, "p0_7.12");
    expect("3", 1, 3, "p3");
    expect("3-3,5", 2, 5, "p3.5");
    expect("1/3", 5, 13, "o1of3");
    assert_int_equal(set.partitions[1], 4);
    expect("0/1", 16, 15, "o0of1");
    expect("015/0016", 1, 15, "o15of16");
}

static void refuse(const char *text, mr_status status, const char *word)
{
    assert_int_equal(mr_partition_set_parse(text, 16, &set, &diag), status);
    assert_non_null(strstr(diag.text, word));
    assert_non_null(strstr(diag.text, text));
}

static void test_refusals(void **state)
{
    (void)state;
    refuse("", MR_ERR_CONFIG, "0 to 15");
    refuse("a", MR_ERR_USAGE, "numbers and ranges");
    refuse("7-3", MR_ERR_USAGE, "smaller number");
    refuse("3,1", MR_ERR_USAGE, "ascending");
    refuse("3,3", MR_ERR_USAGE, "ascending");
    refuse("0-16", MR_ERR_CONFIG, "16 partitions");
    refuse("3/3", MR_ERR_USAGE, "N from 0 to M-1");
    refuse("0/0", MR_ERR_USAGE, "N from 0 to M-1");
    refuse("/3", MR_ERR_USAGE, "N from 0 to M-1");
    refuse("1/3,4", MR_ERR_USAGE, "N from 0 to M-1");
    refuse("1/10000", MR_ERR_USAGE, "N from 0 to M-1");
    refuse("17/20", MR_ERR_CONFIG, "none is left");
    refuse("1;2", MR_ERR_USAGE, "no digit");
    refuse("99999999999", MR_ERR_USAGE, "numbers and ranges");
    refuse("0,2,4,6,8,10,12,14,1000,1001,1002,1004,1006,1008", MR_ERR_USAGE, "too many ranges");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_names),
        cmocka_unit_test(test_refusals),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

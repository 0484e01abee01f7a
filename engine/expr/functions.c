/*
 * functions.c - the one table of scalar functions and operators, read from top to bottom: the first
 * row whose arguments the given ones convert to is taken, so bigint stands before numeric before
 * double precision. To add a function: its row here, its kernel in the file of its type, a line in
 * tests/golden/expr/.
 *
 * Comparisons, casts, `||`, `->` and what is evaluated in parts (and, case, coalesce, ...) are node
 * kinds of their own. The second table names what the language has and this release has not.
 */
#include "engine/expr/expr_private.h"
#include <millrace/plan.h>
#include <string.h>

enum { DATA = MR_FALLIBLE_DATA, RANGE = MR_FALLIBLE_RANGE, BOTH = DATA | RANGE };

static const mr_function functions[] = {
    {"+",
     2,
     {MR_BIGINT, MR_BIGINT},
     MR_RULE_FIXED,
     MR_BIGINT,
     RANGE,
     mr_run_add_integer,
     "bigint +"},
    {"+", 2, {MR_NUMERIC, MR_NUMERIC}, MR_RULE_ADD, 0, RANGE, mr_run_add_numeric, "numeric +"},
    {"+",
     2,
     {MR_DOUBLE, MR_DOUBLE},
     MR_RULE_FIXED,
     MR_DOUBLE,
     RANGE,
     mr_run_add_double,
     "double +"},
    {"-",
     2,
     {MR_BIGINT, MR_BIGINT},
     MR_RULE_FIXED,
     MR_BIGINT,
     RANGE,
     mr_run_subtract_integer,
     "bigint -"},
    {"-", 2, {MR_NUMERIC, MR_NUMERIC}, MR_RULE_ADD, 0, RANGE, mr_run_subtract_numeric, "numeric -"},
    {"-",
     2,
     {MR_DOUBLE, MR_DOUBLE},
     MR_RULE_FIXED,
     MR_DOUBLE,
     RANGE,
     mr_run_subtract_double,
     "double -"},
    {"*",
     2,
     {MR_BIGINT, MR_BIGINT},
     MR_RULE_FIXED,
     MR_BIGINT,
     RANGE,
     mr_run_multiply_integer,
     "bigint *"},
    {"*",
     2,
     {MR_NUMERIC, MR_NUMERIC},
     MR_RULE_MULTIPLY,
     0,
     RANGE,
     mr_run_multiply_numeric,
     "numeric *"},
    {"*",
     2,
     {MR_DOUBLE, MR_DOUBLE},
     MR_RULE_FIXED,
     MR_DOUBLE,
     RANGE,
     mr_run_multiply_double,
     "double *"},
    {"/",
     2,
     {MR_BIGINT, MR_BIGINT},
     MR_RULE_FIXED,
     MR_BIGINT,
     BOTH,
     mr_run_divide_integer,
     "division"},
    {"/", 2, {MR_NUMERIC, MR_NUMERIC}, MR_RULE_DIVIDE, 0, BOTH, mr_run_divide_numeric, "division"},
    {"/",
     2,
     {MR_DOUBLE, MR_DOUBLE},
     MR_RULE_FIXED,
     MR_DOUBLE,
     BOTH,
     mr_run_divide_double,
     "division"},
    {"%",
     2,
     {MR_BIGINT, MR_BIGINT},
     MR_RULE_FIXED,
     MR_BIGINT,
     DATA,
     mr_run_modulo_integer,
     "division (%)"},
    {"%",
     2,
     {MR_NUMERIC, MR_NUMERIC},
     MR_RULE_MODULO,
     0,
     DATA,
     mr_run_modulo_numeric,
     "division (%)"},
    {"-", 1, {MR_BIGINT}, MR_RULE_FIXED, MR_BIGINT, RANGE, mr_run_negate_integer, "bigint -"},
    {"-", 1, {MR_NUMERIC}, MR_RULE_SAME, 0, 0, mr_run_negate_numeric, NULL},
    {"-", 1, {MR_DOUBLE}, MR_RULE_FIXED, MR_DOUBLE, 0, mr_run_negate_double, NULL},
    {"abs", 1, {MR_BIGINT}, MR_RULE_FIXED, MR_BIGINT, RANGE, mr_run_abs_integer, "abs of bigint"},
    {"abs", 1, {MR_NUMERIC}, MR_RULE_SAME, 0, 0, mr_run_abs_numeric, NULL},
    {"abs", 1, {MR_DOUBLE}, MR_RULE_FIXED, MR_DOUBLE, 0, mr_run_abs_double, NULL},
    {"lower", 1, {MR_TEXT}, MR_RULE_FIXED, MR_TEXT, RANGE, mr_run_lower, "length of lower()"},
    {"upper", 1, {MR_TEXT}, MR_RULE_FIXED, MR_TEXT, RANGE, mr_run_upper, "length of upper()"},
    {"length", 1, {MR_TEXT}, MR_RULE_FIXED, MR_BIGINT, 0, mr_run_length, NULL},
    {"octet_length", 1, {MR_TEXT}, MR_RULE_FIXED, MR_BIGINT, 0, mr_run_octet_length, NULL},
    {"octet_length", 1, {MR_BYTEA}, MR_RULE_FIXED, MR_BIGINT, 0, mr_run_octet_length, NULL},
};

typedef struct refused_function {
    const char *name, *hint;
} refused_function;

static const refused_function refused[] = {
    {"ceil", ""},
    {"ceiling", ""},
    {"floor", ""},
    {"round", "`x::numeric(18,2)` rounds to two digits"},
    {"trunc", ""},
    {"mod", "`x % y`"},
    {"div", ""},
    {"power", ""},
    {"sqrt", ""},
    {"ln", ""},
    {"exp", ""},
    {"sign", ""},
    {"width_bucket", ""},
    {"substring", ""},
    {"substr", ""},
    {"left", ""},
    {"right", ""},
    {"replace", ""},
    {"position", ""},
    {"strpos", ""},
    {"split_part", ""},
    {"trim", ""},
    {"btrim", ""},
    {"ltrim", ""},
    {"rtrim", ""},
    {"lpad", ""},
    {"rpad", ""},
    {"reverse", ""},
    {"starts_with", "`x like 'abc%'`"},
    {"concat", "`a || b`"},
    {"concat_ws", "`a || ',' || b`"},
    {"format", "`a || b`"},
    {"~", ""},
    {"~*", ""},
    {"!~", ""},
    {"!~*", ""},
    {"regexp_match", ""},
    {"regexp_replace", ""},
    {"chr", ""},
    {"ascii", ""},
    {"date_trunc", ""},
    {"extract", ""},
    {"date_part", ""},
    {"date_bin", ""},
    {"to_char", ""},
    {"to_timestamp", ""},
    {"make_interval", ""},
    {"timezone", ""},
    {"#>", "`x -> 'a' -> 'b'`"},
    {"#>>", "`x -> 'a' ->> 'b'`"},
    {"?", "`x -> 'key' is not null`"},
    {"@>", ""},
    {"jsonb_typeof", ""},
    {"jsonb_array_length", ""},
    {"jsonb_build_object", ""},
    {"jsonb_build_array", ""},
    {"to_jsonb", ""},
    {"encode", ""},
    {"decode", ""},
    {"md5", ""},
    {"sha256", ""},
    {"murmur2", ""},
    {"hash64", ""},
    {"convert_to", ""},
    {"convert_from", ""},
    {"first", ""},
    {"last", ""},
    {"array_agg", ""},
    {"bool_and", ""},
    {"bool_or", ""},
    {"stddev", ""},
    {"stddev_samp", ""},
    {"stddev_pop", ""},
    {"var_samp", ""},
    {"var_pop", ""},
    {"variance", ""},
    {"approx_count_distinct", ""},
};

const mr_function *mr_functions(uint32_t *count)
{
    *count = MR_LENGTH(functions);
    return functions;
}

const char *mr_function_refused(const char *name)
{
    MR_ASSERT(name != NULL);
    for (size_t i = 0; i < MR_LENGTH(refused); i++) {
        if (strcmp(refused[i].name, name) == 0) {
            return refused[i].hint;
        }
    }
    return NULL;
}

bool mr_aggregate_named(const char *name, mr_aggregate *aggregate)
{
    static const struct {
        const char *name;
        mr_aggregate aggregate;
    } table[] = {
        {"count", MR_COUNT}, {"sum", MR_SUM}, {"min", MR_MIN}, {"max", MR_MAX}, {"avg", MR_AVG}};

    for (size_t i = 0; i < MR_LENGTH(table); i++) {
        if (strcmp(table[i].name, name) == 0) {
            *aggregate = table[i].aggregate;
            return true;
        }
    }
    return false;
}

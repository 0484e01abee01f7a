/* row_error.c - the table of reasons for which a row is rejected: stable name, and a sentence. */
#include "engine/base/assert.h"
#include <millrace/row_error.h>
#include <stddef.h>

typedef struct reason {
    const char *name, *text;
} reason;

static const reason reasons[MR_ROW_ERROR_COUNT] = {
    [MR_ROW_OK] = {"OK", "no error"},
    [MR_ROW_DECODE_JSON] = {"DECODE_JSON", "the value is not a well-formed JSON object"},
    [MR_ROW_DECODE_TYPE] = {"DECODE_TYPE", "a field does not fit its type without loss"},
    [MR_ROW_DECODE_NULL] = {"DECODE_NULL", "a field that is `not null` is missing or null"},
    [MR_ROW_DECODE_UTF8] = {"DECODE_UTF8", "invalid UTF-8, or U+0000 in a text"},
    [MR_ROW_DECODE_DEPTH] = {"DECODE_DEPTH", "nested deeper than 64 levels"},
    [MR_ROW_DECODE_KEY] = {"DECODE_KEY", "the record key does not decode by `key_format`"},
    [MR_ROW_KEY_NULL] = {"KEY_NULL", "a key column is null"},
    [MR_ROW_TOMBSTONE] = {"TOMBSTONE", "a null value where `tombstones` is `error`"},
    [MR_ROW_TOO_LARGE] = {"TOO_LARGE", "the value is above `max_record`"},
    [MR_ROW_EVENT_TIME] = {"EVENT_TIME", "the event time is null or fails"},
    [MR_ROW_22003] = {"22003", "numeric value out of range"},
    [MR_ROW_0A000] = {"0A000", "feature not supported: bins of months have no one size"},
    [MR_ROW_22012] = {"22012", "division by zero"},
    [MR_ROW_22P02] = {"22P02", "invalid text representation"},
    [MR_ROW_22007] = {"22007", "invalid datetime format"},
    [MR_ROW_22008] = {"22008", "datetime field overflow"},
    [MR_ROW_22011] = {"22011", "negative length of a substring"},
    [MR_ROW_22015] = {"22015", "interval field overflow"},
    [MR_ROW_2201E] = {"2201E", "the logarithm of zero or of a negative number"},
    [MR_ROW_2201F] = {"2201F", "a power or root that is no real number"},
    [MR_ROW_22023] = {"22023", "invalid parameter value"},
    [MR_ROW_22025] = {"22025", "invalid escape sequence"},
    [MR_ROW_54000] = {"54000", "program limit exceeded: a text is too long, or jsonb too deep"},
    [MR_ROW_STATE_VALUE] = {"STATE_VALUE", "the stored value would exceed `state.value_max`"},
    [MR_ROW_STATE_KEY] = {"STATE_KEY", "the key is longer than 4 KiB"},
    [MR_ROW_OUTPUT_TOO_LARGE] = {"OUTPUT_TOO_LARGE", "the record is too large for the topic"},
    [MR_ROW_OUTPUT_KEY_NULL] = {"OUTPUT_KEY_NULL", "an upsert sink met a key without bytes"},
    [MR_ROW_POISON] = {"POISON", "the worker failed with this record alone, again and again"},
};

const char *mr_row_error_name(mr_row_error error)
{
    MR_ASSERT(error < MR_ROW_ERROR_COUNT && reasons[error].name != NULL);
    return reasons[error].name;
}

const char *mr_row_error_text(mr_row_error error)
{
    MR_ASSERT(error < MR_ROW_ERROR_COUNT && reasons[error].text != NULL);
    return reasons[error].text;
}

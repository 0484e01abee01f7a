/*
 * row_error.h - why a row was rejected. One table for the whole engine, so that counters, DLQ
 * headers and logs use the same names everywhere. Codes of expressions are PostgreSQL's SQLSTATEs.
 * Thread: any.
 */
#ifndef MILLRACE_ROW_ERROR_H
#define MILLRACE_ROW_ERROR_H

#include <stdint.h>

typedef uint16_t mr_row_error;

enum {
    MR_ROW_OK = 0,
    /* Decoding. */
    MR_ROW_DECODE_JSON,  /* Not a JSON object, or malformed. */
    MR_ROW_DECODE_TYPE,  /* A field's value does not fit its type without loss. */
    MR_ROW_DECODE_NULL,  /* A field that is `not null` is missing or null. */
    MR_ROW_DECODE_UTF8,  /* Invalid UTF-8, or U+0000 in text. */
    MR_ROW_DECODE_DEPTH, /* Nested deeper than 64 levels. */
    MR_ROW_DECODE_KEY,   /* The record key does not decode. */
    MR_ROW_KEY_NULL,     /* A key column is null. */
    MR_ROW_TOMBSTONE,    /* A null value where `tombstones: error`. */
    MR_ROW_TOO_LARGE,    /* The value is above `max_record`. */
    MR_ROW_EVENT_TIME,   /* The event-time expression is NULL or fails. */
    /* Expressions: the SQLSTATE is the name. */
    MR_ROW_22003, /* Numeric value out of range. */
    MR_ROW_0A000, /* Feature not supported: bins of months. */
    MR_ROW_22012, /* Division by zero. */
    MR_ROW_22P02, /* Invalid text representation. */
    MR_ROW_22007, /* Invalid datetime format. */
    MR_ROW_22008, /* Datetime field overflow. */
    MR_ROW_22011, /* Negative length of a substring. */
    MR_ROW_22015, /* Interval field overflow. */
    MR_ROW_2201E, /* Logarithm of a number that is not positive. */
    MR_ROW_2201F, /* Power or root without a real result. */
    MR_ROW_22023, /* Invalid parameter value, jsonb of the wrong kind. */
    MR_ROW_22025, /* Invalid escape sequence of LIKE. */
    MR_ROW_54000, /* A program limit: a text, or all texts of a batch, too long. */
    /* State and sinks. */
    MR_ROW_STATE_VALUE,      /* The stored value would exceed `state.value_max`. */
    MR_ROW_STATE_KEY,        /* The key is longer than 4 KiB. */
    MR_ROW_OUTPUT_TOO_LARGE, /* The record is too large for the topic. */
    MR_ROW_OUTPUT_KEY_NULL,  /* An upsert sink met a key without bytes. */
    /* Anything. */
    MR_ROW_POISON, /* The worker failed with this record alone, again and again. */
    MR_ROW_ERROR_COUNT
};

/* The stable name ("DECODE_JSON", "22P02"); static. */
const char *mr_row_error_name(mr_row_error error);

/* One sentence for people ("division by zero"); static. */
const char *mr_row_error_text(mr_row_error error);

#endif

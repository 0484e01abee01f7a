/*
 * json.h - JSON text: records read on top of simdjson's structural index, and text written by hand.
 *
 * A record is walked once, to its closing brace. Values nobody asks for are tested but neither
 * copied nor converted: the verdict on a record does not depend on which columns a topology needs.
 * The grammar is RFC 8259 without relaxation; an escaped lone surrogate counts as invalid UTF-8. A
 * byte order mark is a syntax error. Threads: a reader belongs to one thread.
 */
#ifndef MR_BASE_JSON_H
#define MR_BASE_JSON_H

#include "engine/base/arena.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    MR_JSON_DEPTH_MAX = 64,
    MR_JSON_PATHS_MAX = 576,
    MR_JSON_NAME_BYTES_MAX = 255 /* Of a wanted name. */
};

typedef enum mr_json_kind {
    MR_JSON_MISSING, /* The member is not there. */
    MR_JSON_NULL,    /* `text` of these three is their source text. */
    MR_JSON_FALSE,
    MR_JSON_TRUE,
    MR_JSON_NUMBER, /* `text` is its source digits. */
    MR_JSON_STRING, /* `text` is the unescaped UTF-8 (may be a view into the input). */
    MR_JSON_OBJECT, /* `text` is its source text. */
    MR_JSON_ARRAY
} mr_json_kind;

typedef struct mr_json_value {
    mr_json_kind kind;
    const char *text; /* Into the record, or into the scratch. */
    uint32_t size_bytes;
} mr_json_value;

typedef enum mr_json_result {
    MR_JSON_OK,
    MR_JSON_SYNTAX,
    MR_JSON_UTF8,
    MR_JSON_DEPTH,      /* More than MR_JSON_DEPTH_MAX levels. */
    MR_JSON_NOT_OBJECT, /* Something else begins; the rest was not tested. */
    MR_JSON_ROOM
} mr_json_result;

/* A wanted value: member names from the outside in. Owned by the caller for the reader's life. */
typedef struct mr_json_path {
    const char *const *names;
    uint32_t name_count;
} mr_json_path;

typedef struct mr_json_reader mr_json_reader;

/*
 * A reader of the given paths for records up to `record_bytes_max`. Memory lives as
 * long as `arena`, but the C++ parser inside needs mr_json_reader_close(). NULL = no memory.
 */
mr_json_reader *mr_json_reader_open(mr_arena *arena, const mr_json_path *paths, uint32_t path_count,
                                    uint32_t record_bytes_max);
void mr_json_reader_close(mr_json_reader *reader);

/*
 * Reads one record of at most `record_bytes_max`: an object with nothing but white space around it;
 * of equal member names the last counts. Fills values[i] for path i; without MR_JSON_OK they mean
 * nothing. Texts are views into `bytes`, but for strings with escapes, which are unescaped into
 * `scratch` (moved on; room up to `scratch_end`): MR_JSON_ROOM when it does not suffice, and
 * nothing is consumed. Nothing behind `size_bytes` is read.
 */
mr_json_result mr_json_read(mr_json_reader *reader, const uint8_t *bytes, uint32_t size_bytes,
                            mr_json_value *values, uint8_t **scratch, uint8_t *scratch_end);

/*
 * The same for an array: its first `value_count_max` elements; `value_count` is how many it has.
 * MR_JSON_NOT_OBJECT when it is none. The paths of the reader play no part.
 */
mr_json_result mr_json_read_array(mr_json_reader *reader, const uint8_t *bytes, uint32_t size_bytes,
                                  mr_json_value *values, uint32_t value_count_max,
                                  uint32_t *value_count, uint8_t **scratch, uint8_t *scratch_end);

/*
 * jsonb's text form of one JSON value: keys by length, then bytes; of equal keys the last; ": " and
 * ", "; the digits of numbers as they stand; strings with the least escapes. Returns the size, or 0
 * on error (see `result`; U+0000 is MR_JSON_UTF8, too little room MR_JSON_ROOM). `out` is work
 * space too: with mr_json_canonical_room() bytes the room always suffices; often twice the size
 * does.
 */
uint32_t mr_json_canonical(const uint8_t *bytes, uint32_t size_bytes, uint8_t *out,
                           uint32_t out_bytes_max, mr_json_result *result);
uint64_t mr_json_canonical_room(uint32_t size_bytes);

/* Writes `text` as a JSON string with quotes; returns the size or 0 when it does not fit (worst
 * case 6 x size_bytes + 2). Input is valid UTF-8. */
uint32_t mr_json_quote(const uint8_t *text, uint32_t size_bytes, uint8_t *out,
                       uint32_t out_bytes_max);

#endif

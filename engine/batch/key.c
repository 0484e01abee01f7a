/*
 * key.c - the keys of a batch: canonical bytes, hashed, equal ones folded into one.
 *
 * The format is in batch.h; it is stored in state and must not change. Every key is first written
 * at the end of the scratch; if an equal one is there already the room is taken back, so that only
 * distinct keys count against it. Folding uses a table of 2,048 slots for at most 1,024 keys, 4 KiB
 * that stay in the first-level cache. One column of eight bytes or of text has a loop of its own:
 * that is nearly every key.
 */
#include "engine/base/assert.h"
#include "engine/base/hash.h"
#include "engine/batch/batch.h"
#include <string.h>

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "keys are copied as they lie in memory");

enum {
    SLOT_COUNT = 2048,
    SLOT_FREE = 0xffff,
    INTEGER_KEY_BYTES = 1 + 8,
    TEXT_HEAD_BYTES = 1 + 4,
    FIXED_COLUMN_BYTES_MAX = 1 + 16
};

typedef enum shape { SHAPE_GENERAL, SHAPE_INTEGER, SHAPE_TEXT } shape;

typedef struct keys {
    mr_keys seen; /* First: what the world sees is cast back to this. */
    uint64_t seed;
    uint8_t *bytes, *bytes_at, *bytes_end; /* Slack for one more key follows bytes_end. */
    uint16_t *key_of_row;
    uint64_t *hashes;
    mr_view *views;
    uint32_t column_count;
    uint16_t columns[MR_KEY_FIELDS_MAX];
    uint16_t slots[SLOT_COUNT]; /* Index of a distinct key. */
} keys;

static bool encode_integers(keys *own, const mr_batch *in);
static bool encode_texts(keys *own, const mr_batch *in);
static bool encode_rows(keys *own, const mr_batch *in);
static uint32_t encode_row(const mr_batch *in, uint32_t row, const uint16_t *columns,
                           uint32_t column_count, uint8_t *out);
static uint32_t encode_fixed(const mr_column *column, mr_type type, uint32_t row, uint8_t *out);
static bool decode_cell(mr_view *rest, mr_type type, mr_batch *out, uint32_t column, uint32_t row);

mr_keys *mr_keys_create(struct mr_arena *arena, const uint16_t *columns, uint32_t column_count,
                        uint64_t seed)
{
    MR_ASSERT(arena != NULL && column_count <= MR_KEY_FIELDS_MAX);
    MR_ASSERT(columns != NULL || column_count == 0);
    keys *own = mr_arena_take(arena, sizeof(*own));
    uint8_t *bytes = mr_arena_take(arena, MR_KEYS_BYTES_MAX + MR_KEY_BYTES_MAX);
    uint16_t *key_of_row = mr_arena_take_array(arena, MR_BATCH_ROWS_MAX, sizeof(*key_of_row));
    uint64_t *hashes = mr_arena_take_array(arena, MR_BATCH_ROWS_MAX, sizeof(*hashes));
    mr_view *views = mr_arena_take_array(arena, MR_BATCH_ROWS_MAX, sizeof(*views));
    if (own == NULL || bytes == NULL || key_of_row == NULL || hashes == NULL || views == NULL) {
        return NULL;
    }
    own->seed = seed;
    own->bytes = bytes;
    own->bytes_at = bytes;
    own->bytes_end = bytes + MR_KEYS_BYTES_MAX;
    own->key_of_row = key_of_row;
    own->hashes = hashes;
    own->views = views;
    own->column_count = column_count;
    for (uint32_t i = 0; i < column_count; i++) {
        own->columns[i] = columns[i];
    }
    own->seen.key_of_row = key_of_row;
    own->seen.hashes = hashes;
    own->seen.views = views;
    return &own->seen;
}

bool mr_keys_encode(mr_keys *seen, const mr_batch *in)
{
    keys *own = (keys *)seen;
    shape form = SHAPE_GENERAL;

    MR_ASSERT(seen != NULL && in->selected_count <= MR_BATCH_ROWS_MAX);
    memset(own->slots, 0xff, sizeof(own->slots));
    own->bytes_at = own->bytes;
    own->seen.count = 0;
    if (own->column_count == 1) {
        const mr_type type = in->schema->fields[own->columns[0]].type;
        if (type == MR_BIGINT || type == MR_TIMESTAMPTZ) {
            form = SHAPE_INTEGER;
        } else if (type == MR_TEXT || type == MR_BYTEA || type == MR_JSONB) {
            form = SHAPE_TEXT;
        }
    }
    switch (form) {
    case SHAPE_INTEGER:
        return encode_integers(own, in);
    case SHAPE_TEXT:
        return encode_texts(own, in);
    case SHAPE_GENERAL:
        break;
    }
    return encode_rows(own, in);
}

uint32_t mr_key_encode_row(const mr_batch *in, uint32_t row, const uint16_t *columns,
                           uint32_t column_count, uint8_t *out)
{
    MR_ASSERT(column_count > 0 && column_count <= MR_KEY_FIELDS_MAX && row < in->row_count);
    const uint32_t size_bytes = encode_row(in, row, columns, column_count, out);
    return size_bytes > MR_KEY_BYTES_MAX ? 0 : size_bytes;
}

bool mr_key_decode_row(mr_view key, const mr_schema *schema, const uint16_t *targets,
                       uint32_t column_count, mr_batch *out, uint32_t row)
{
    mr_view rest = key;

    MR_ASSERT(column_count <= MR_KEY_FIELDS_MAX && column_count <= schema->field_count);
    MR_ASSERT(row < MR_BATCH_ROWS_MAX);
    for (uint32_t i = 0; i < column_count; i++) {
        const mr_type type = schema->fields[i].type;
        MR_ASSERT(out->schema->fields[targets[i]].type == type);
        if (rest.size_bytes == 0 || rest.bytes[0] > 1) {
            return false;
        }
        const bool is_null = rest.bytes[0] == 0;
        rest.bytes++;
        rest.size_bytes--;
        if (is_null) {
            mr_batch_set_null(out, targets[i], row);
        } else if (!decode_cell(&rest, type, out, targets[i], row)) {
            return false;
        }
    }
    return rest.size_bytes == 0;
}

/*
 * Folds the key of `size_bytes` that stands at bytes_at into the distinct ones; its index goes to
 * `key_of_row`. False = scratch full.
 */
static inline bool fold(keys *own, uint32_t i, uint32_t size_bytes)
{
    uint8_t *bytes = own->bytes_at;
    const uint64_t hash = mr_hash64(bytes, size_bytes, own->seed);
    uint32_t slot = (uint32_t)(hash >> 32) % SLOT_COUNT;

    while (own->slots[slot] != SLOT_FREE) { /* Ends: at most half of the slots are taken. */
        const uint16_t key = own->slots[slot];
        if (own->hashes[key] == hash && own->views[key].size_bytes == size_bytes &&
            memcmp(own->views[key].bytes, bytes, size_bytes) == 0) {
            own->key_of_row[i] = key;
            return true;
        }
        slot = (slot + 1) % SLOT_COUNT;
    }
    if (size_bytes > (size_t)(own->bytes_end - bytes)) {
        return false;
    }
    const uint32_t key = own->seen.count++;
    own->slots[slot] = (uint16_t)key;
    own->hashes[key] = hash;
    own->views[key] = (mr_view){.bytes = bytes, .size_bytes = size_bytes};
    own->key_of_row[i] = (uint16_t)key;
    own->bytes_at += size_bytes;
    return true;
}

static bool encode_integers(keys *own, const mr_batch *in)
{
    const mr_column *column = &in->columns[own->columns[0]];

    for (uint32_t i = 0; i < in->selected_count; i++) {
        const uint32_t row = mr_batch_row(in, i);
        const bool is_valid = mr_column_valid(column, row);
        own->bytes_at[0] = is_valid;
        memcpy(own->bytes_at + 1, &column->as.integers[row], sizeof(int64_t));
        if (!fold(own, i, is_valid ? INTEGER_KEY_BYTES : 1)) {
            return false;
        }
    }
    return true;
}

static bool encode_texts(keys *own, const mr_batch *in)
{
    const mr_column *column = &in->columns[own->columns[0]];

    for (uint32_t i = 0; i < in->selected_count; i++) {
        const uint32_t row = mr_batch_row(in, i);
        uint32_t size_bytes = 1;
        own->bytes_at[0] = 0;
        if (mr_column_valid(column, row)) {
            const mr_view text = column->as.views[row];
            if (text.size_bytes > MR_KEY_BYTES_MAX - TEXT_HEAD_BYTES) {
                own->key_of_row[i] = MR_KEY_TOO_LONG;
                continue;
            }
            own->bytes_at[0] = 1;
            memcpy(own->bytes_at + 1, &text.size_bytes, sizeof(uint32_t));
            if (text.size_bytes > 0) {
                memcpy(own->bytes_at + TEXT_HEAD_BYTES, text.bytes, text.size_bytes);
            }
            size_bytes = TEXT_HEAD_BYTES + text.size_bytes;
        }
        if (!fold(own, i, size_bytes)) {
            return false;
        }
    }
    return true;
}

static bool encode_rows(keys *own, const mr_batch *in)
{
    for (uint32_t i = 0; i < in->selected_count; i++) {
        const uint32_t size_bytes =
            encode_row(in, mr_batch_row(in, i), own->columns, own->column_count, own->bytes_at);
        if (size_bytes > MR_KEY_BYTES_MAX) {
            own->key_of_row[i] = MR_KEY_TOO_LONG;
        } else if (!fold(own, i, size_bytes)) {
            return false;
        }
    }
    return true;
}

/* Into `out` with room for MR_KEY_BYTES_MAX; UINT32_MAX = too long. */
static uint32_t encode_row(const mr_batch *in, uint32_t row, const uint16_t *columns,
                           uint32_t column_count, uint8_t *out)
{
    uint32_t at = 0;

    for (uint32_t i = 0; i < column_count; i++) {
        const mr_column *column = &in->columns[columns[i]];
        const mr_type type = in->schema->fields[columns[i]].type;
        const bool is_text = type == MR_TEXT || type == MR_BYTEA || type == MR_JSONB;
        uint8_t cell[FIXED_COLUMN_BYTES_MAX];
        uint32_t head_bytes = 1;
        mr_view text = {0};

        cell[0] = mr_column_valid(column, row);
        if (cell[0] != 0 && is_text) {
            text = column->as.views[row];
            memcpy(cell + 1, &text.size_bytes, sizeof(uint32_t));
            head_bytes = TEXT_HEAD_BYTES;
        } else if (cell[0] != 0) {
            head_bytes += encode_fixed(column, type, row, cell + 1);
        }
        if ((uint64_t)at + head_bytes + text.size_bytes > MR_KEY_BYTES_MAX) {
            return UINT32_MAX;
        }
        memcpy(out + at, cell, head_bytes);
        at += head_bytes;
        if (text.size_bytes > 0) {
            memcpy(out + at, text.bytes, text.size_bytes);
            at += text.size_bytes;
        }
    }
    return at;
}

/* A cell of fixed size; returns it. */
static uint32_t encode_fixed(const mr_column *column, mr_type type, uint32_t row, uint8_t *out)
{
    const uint32_t size_bytes = mr_type_cell_bytes(type);

    if (type == MR_DOUBLE) {
        const double value = column->as.doubles[row];
        const uint64_t not_a_number = UINT64_C(0x7ff8000000000000);
        if (value == 0.0) {
            memset(out, 0, size_bytes); /* -0 too. */
        } else if (value != value) {
            memcpy(out, &not_a_number, size_bytes);
        } else {
            memcpy(out, &value, size_bytes);
        }
    } else {
        MR_ASSERT(type != MR_TEXT && type != MR_BYTEA && type != MR_JSONB);
        memcpy(out, column->as.booleans + (size_t)row * size_bytes, size_bytes);
    }
    return size_bytes;
}

/* Takes one value off the front of `rest`; false = damaged. */
static bool decode_cell(mr_view *rest, mr_type type, mr_batch *out, uint32_t column, uint32_t row)
{
    const bool is_text = type == MR_TEXT || type == MR_BYTEA || type == MR_JSONB;
    uint32_t size_bytes = is_text ? (uint32_t)sizeof(uint32_t) : mr_type_cell_bytes(type);

    if (rest->size_bytes < size_bytes) {
        return false;
    }
    if (!is_text) {
        if (type == MR_BOOLEAN && rest->bytes[0] > 1) {
            return false;
        }
        uint8_t *cells = mr_batch_cells(out, column);
        memcpy(cells + (size_t)row * size_bytes, rest->bytes, size_bytes);
    } else {
        memcpy(&size_bytes, rest->bytes, sizeof(size_bytes));
        rest->bytes += sizeof(size_bytes);
        rest->size_bytes -= (uint32_t)sizeof(size_bytes);
        if (rest->size_bytes < size_bytes) {
            return false;
        }
        mr_view *views = mr_batch_cells(out, column);
        views[row] = (mr_view){.bytes = rest->bytes, .size_bytes = size_bytes};
    }
    rest->bytes += size_bytes;
    rest->size_bytes -= size_bytes;
    return true;
}

/*
 * json.c - reads one JSON record: a walk over its structural index, by explicit stack.
 *
 * The index (json_shim.cpp) gives the place of every bracket, colon, comma and scalar; between two
 * of them lies nothing but one scalar and white space. The walk tests the grammar and every scalar,
 * and compares member names with a tree of the wanted ones. Names usually come in the same order in
 * every record, so the search in a node begins behind the last name found there.
 *
 * Limits: MR_JSON_PATHS_MAX paths, names of 255 bytes, 64 levels.
 */
#include "engine/base/json.h"
#include "engine/base/assert.h"
#include "engine/base/json_private.h"
#include <string.h>

enum { NO_NODE = 0xffffffff };

typedef struct node { /* A wanted name, or the way to one. Node 0 is the record. */
    const char *name;
    uint32_t name_bytes;
    uint32_t parent;
    uint32_t first_child, last_child, next; /* NO_NODE = none */
    uint32_t likely;                        /* The child to try first. */
    uint32_t path;       /* First path that ends here; others follow by next_path. */
    uint64_t sizes;      /* Bit n: a child's name has n bytes, modulo 64. Turns most names away. */
    uint64_t generation; /* Of the record in which it was last found. */
} node;

typedef struct frame { /* An open container. */
    uint32_t node;     /* Its node, NO_NODE = nothing below is wanted. */
    uint32_t value;    /* Index + 1 of the element it is, in a walk over an array; 0 = none. */
    uint32_t start;
    bool is_array;
} frame;

typedef struct walk {
    mr_json_reader *reader;
    const uint8_t *bytes;
    const uint32_t *positions;
    uint32_t size_bytes, count;
    mr_json_value *values;
    uint32_t value_count_max, element_count;
    uint8_t *scratch, *scratch_end;
    mr_json_result result;
    bool has_escapes; /* A backslash anywhere in the record. */
    uint32_t depth;
    frame frames[MR_JSON_DEPTH_MAX];
} walk;

struct mr_json_reader {
    mr_json_index *index;
    node *nodes;
    uint32_t *next_path; /* Path -> another one with the same names. */
    uint32_t node_count, path_count, record_bytes_max;
    uint64_t generation;
    walk on; /* Here, not on the stack: release builds clear what lies there. */
};

static bool add_path(mr_json_reader *reader, mr_arena *arena, const mr_json_path *path,
                     uint32_t index);
static uint32_t find_child(const mr_json_reader *reader, uint32_t parent, const char *name,
                           uint32_t name_bytes);
static mr_json_result begin_walk(walk *on, uint8_t root);
static bool run_walk(walk *on);
static const uint32_t *take_key(walk *on, const uint32_t *at, const uint32_t *end, uint32_t *child);
static bool take_escaped_key(walk *on, uint32_t parent, const uint8_t *name, uint32_t name_bytes,
                             uint32_t *child);
static bool take_scalar(walk *on, uint32_t position, uint32_t next, uint32_t child,
                        uint32_t element);
static const uint32_t *close_up(walk *on, const uint32_t *at, const uint32_t *end);
static bool open_container(walk *on, uint32_t position, uint32_t child, uint32_t element);
static void close_container(walk *on, uint32_t position);
static bool take_string(walk *on, const uint8_t *body, uint32_t body_bytes, bool is_wanted,
                        mr_json_value *value);
static void store(walk *on, uint32_t child, uint32_t element, const mr_json_value *value);
static uint32_t match(walk *on, uint32_t parent, const uint8_t *name, uint32_t name_bytes);
static void forget(walk *on, uint32_t ancestor);
static uint32_t find_found(const mr_json_reader *reader, uint32_t at);
static bool fail(walk *on, mr_json_result result);

mr_json_reader *mr_json_reader_open(mr_arena *arena, const mr_json_path *paths, uint32_t path_count,
                                    uint32_t record_bytes_max)
{
    uint32_t node_count_max = 1;

    MR_ASSERT(path_count <= MR_JSON_PATHS_MAX && record_bytes_max > 0);
    for (uint32_t i = 0; i < path_count; i++) {
        node_count_max += paths[i].name_count;
    }
    mr_json_reader *reader = mr_arena_take(arena, sizeof(*reader));
    node *nodes = mr_arena_take_array(arena, node_count_max, sizeof(*nodes));
    uint32_t *next_path = mr_arena_take_array(arena, path_count, sizeof(*next_path));
    if (reader == NULL || nodes == NULL || next_path == NULL) {
        return NULL;
    }
    *reader = (mr_json_reader){.nodes = nodes,
                               .next_path = next_path,
                               .node_count = 1,
                               .path_count = path_count,
                               .record_bytes_max = record_bytes_max};
    nodes[0] = (node){.parent = NO_NODE,
                      .first_child = NO_NODE,
                      .last_child = NO_NODE,
                      .next = NO_NODE,
                      .likely = NO_NODE,
                      .path = NO_NODE};
    for (uint32_t i = 0; i < path_count; i++) {
        if (!add_path(reader, arena, &paths[i], i)) {
            return NULL;
        }
    }
    MR_ASSERT(reader->node_count <= node_count_max);
    reader->index = mr_json_index_open(record_bytes_max);
    return reader->index == NULL ? NULL : reader;
}

void mr_json_reader_close(mr_json_reader *reader)
{
    if (reader != NULL) {
        mr_json_index_close(reader->index);
        reader->index = NULL;
    }
}

mr_json_result mr_json_read(mr_json_reader *reader, const uint8_t *bytes, uint32_t size_bytes,
                            mr_json_value *values, uint8_t **scratch, uint8_t *scratch_end)
{
    MR_ASSERT(reader != NULL && bytes != NULL && size_bytes <= reader->record_bytes_max);
    walk *on = &reader->on;
    on->reader = reader;
    on->bytes = bytes;
    on->size_bytes = size_bytes;
    on->values = values;
    on->value_count_max = 0;
    on->scratch = *scratch;
    on->scratch_end = scratch_end;
    for (uint32_t i = 0; i < reader->path_count; i++) {
        values[i] = (mr_json_value){.kind = MR_JSON_MISSING};
    }
    const mr_json_result result = begin_walk(on, '{');
    if (result != MR_JSON_OK) {
        return result;
    }
    if (!run_walk(on)) {
        return on->result;
    }
    *scratch = on->scratch;
    return MR_JSON_OK;
}

mr_json_result mr_json_read_array(mr_json_reader *reader, const uint8_t *bytes, uint32_t size_bytes,
                                  mr_json_value *values, uint32_t value_count_max,
                                  uint32_t *value_count, uint8_t **scratch, uint8_t *scratch_end)
{
    MR_ASSERT(reader != NULL && bytes != NULL && size_bytes <= reader->record_bytes_max);
    walk *on = &reader->on;
    on->reader = reader;
    on->bytes = bytes;
    on->size_bytes = size_bytes;
    on->values = values;
    on->value_count_max = value_count_max;
    on->scratch = *scratch;
    on->scratch_end = scratch_end;
    const mr_json_result result = begin_walk(on, '[');
    if (result != MR_JSON_OK) {
        return result;
    }
    if (!run_walk(on)) {
        return on->result;
    }
    *value_count = on->element_count;
    *scratch = on->scratch;
    return MR_JSON_OK;
}

static bool add_path(mr_json_reader *reader, mr_arena *arena, const mr_json_path *path,
                     uint32_t index)
{
    uint32_t at = 0;

    MR_ASSERT(path->name_count > 0 && path->name_count < MR_JSON_DEPTH_MAX);
    for (uint32_t i = 0; i < path->name_count; i++) {
        const size_t name_bytes = strlen(path->names[i]);
        MR_ASSERT(name_bytes <= MR_JSON_NAME_BYTES_MAX);
        uint32_t child = find_child(reader, at, path->names[i], (uint32_t)name_bytes);
        if (child == NO_NODE) {
            char *name = mr_arena_copy(arena, path->names[i], name_bytes);
            if (name == NULL) {
                return false;
            }
            child = reader->node_count++;
            reader->nodes[child] = (node){.name = name,
                                          .name_bytes = (uint32_t)name_bytes,
                                          .parent = at,
                                          .first_child = NO_NODE,
                                          .last_child = NO_NODE,
                                          .next = NO_NODE,
                                          .likely = NO_NODE,
                                          .path = NO_NODE};
            if (reader->nodes[at].first_child == NO_NODE) {
                reader->nodes[at].first_child = child;
                reader->nodes[at].likely = child;
            } else {
                reader->nodes[reader->nodes[at].last_child].next = child;
            }
            reader->nodes[at].last_child = child;
            reader->nodes[at].sizes |= UINT64_C(1) << (name_bytes % 64);
        }
        at = child;
    }
    reader->next_path[index] = reader->nodes[at].path;
    reader->nodes[at].path = index;
    return true;
}

static uint32_t find_child(const mr_json_reader *reader, uint32_t parent, const char *name,
                           uint32_t name_bytes)
{
    uint32_t child = reader->nodes[parent].first_child;

    while (child != NO_NODE && (reader->nodes[child].name_bytes != name_bytes ||
                                memcmp(reader->nodes[child].name, name, name_bytes) != 0)) {
        child = reader->nodes[child].next;
    }
    return child;
}

/* Indexes the record; `root` is the bracket it must begin with. */
static mr_json_result begin_walk(walk *on, uint8_t root)
{
    if (on->size_bytes == 0) {
        return MR_JSON_SYNTAX;
    }
    switch (mr_json_index_run(on->reader->index, on->bytes, on->size_bytes, &on->positions,
                              &on->count)) {
    case MR_JSON_INDEX_OK:
        break;
    case MR_JSON_INDEX_UTF8:
        return MR_JSON_UTF8;
    case MR_JSON_INDEX_SYNTAX:
        return MR_JSON_SYNTAX;
    }
    MR_ASSERT(on->count > 0);
    if (on->bytes[on->positions[0]] != root) {
        return MR_JSON_NOT_OBJECT;
    }
    on->has_escapes = memchr(on->bytes, '\\', on->size_bytes) != NULL;
    on->depth = 0;
    on->element_count = 0;
    on->result = MR_JSON_OK;
    on->reader->generation++;
    return MR_JSON_OK;
}

/* One value a turn. The place in the index is a local variable: it is what all else waits for. */
static bool run_walk(walk *on)
{
    const uint32_t *at = on->positions;
    const uint32_t *const end = at + on->count;
    uint32_t child = 0;   /* Node of the value that comes. */
    uint32_t element = 0; /* See frame.value. */

    while (at < end) {
        const uint32_t position = *at++;
        const uint8_t byte = on->bytes[position];
        const bool goes_down = byte == '{' || byte == '[';
        if (goes_down && !open_container(on, position, child, element)) {
            return false;
        }
        if (!goes_down &&
            !take_scalar(on, position, at < end ? *at : on->size_bytes, child, element)) {
            return false;
        }
        /* A closing bracket is its opening one + 2. */
        if (!goes_down || (at < end && on->bytes[*at] == byte + 2)) {
            at = close_up(on, at, end);
            if (at == NULL) {
                return false;
            }
            if (on->depth == 0) {
                return at == end || fail(on, MR_JSON_SYNTAX);
            }
        }
        if (on->frames[on->depth - 1].is_array) {
            child = NO_NODE;
            element = on->depth == 1 ? ++on->element_count : 0;
        } else {
            element = 0;
            at = take_key(on, at, end, &child);
            if (at == NULL) {
                return false;
            }
        }
    }
    return fail(on, MR_JSON_SYNTAX);
}

/* Where the scalar at `position` ends: white space at most stands between it and `next`. */
static inline uint32_t scalar_end(const walk *on, uint32_t position, uint32_t next)
{
    MR_CHECK_SLOW(next > position && next <= on->size_bytes);
    while (next > position + 1 && mr_json_is_space(on->bytes[next - 1])) {
        next--;
    }
    return next;
}

/* A name and its colon; NULL = failed. */
static inline const uint32_t *take_key(walk *on, const uint32_t *at, const uint32_t *end,
                                       uint32_t *child)
{
    const uint32_t parent = on->frames[on->depth - 1].node;

    if (end - at < 2 || on->bytes[at[0]] != '"' || on->bytes[at[1]] != ':') {
        (void)fail(on, MR_JSON_SYNTAX);
        return NULL;
    }
    const uint32_t name_end = scalar_end(on, at[0], at[1]) - 1;
    if (name_end == at[0] || on->bytes[name_end] != '"') {
        (void)fail(on, MR_JSON_SYNTAX);
        return NULL;
    }
    const uint8_t *name = on->bytes + at[0] + 1;
    const uint32_t name_bytes = name_end - at[0] - 1;
    if (on->has_escapes && memchr(name, '\\', name_bytes) != NULL) {
        return take_escaped_key(on, parent, name, name_bytes, child) ? at + 2 : NULL;
    }
    *child = parent == NO_NODE ? NO_NODE : match(on, parent, name, name_bytes);
    return at + 2;
}

/* Closes what ends here, up to and with the comma before the next value; NULL = failed. */
static inline const uint32_t *close_up(walk *on, const uint32_t *at, const uint32_t *end)
{
    while (on->depth > 0 && at < end) {
        const uint32_t position = *at++;
        const uint8_t byte = on->bytes[position];
        if (byte == ',') {
            return at;
        }
        if (byte != (on->frames[on->depth - 1].is_array ? ']' : '}')) {
            (void)fail(on, MR_JSON_SYNTAX);
            return NULL;
        }
        close_container(on, position);
    }
    if (on->depth > 0) {
        (void)fail(on, MR_JSON_SYNTAX);
        return NULL;
    }
    return at;
}

static bool take_escaped_key(walk *on, uint32_t parent, const uint8_t *name, uint32_t name_bytes,
                             uint32_t *child)
{
    uint8_t
        plain[6 * MR_JSON_NAME_BYTES_MAX]; /* No wanted name is longer with every byte escaped. */
    const bool fits = name_bytes <= sizeof(plain);
    const int64_t plain_bytes = mr_json_unescape(name, name_bytes, fits ? plain : NULL);

    if (plain_bytes < 0) {
        return fail(on, plain_bytes == MR_JSON_BAD_ESCAPE ? MR_JSON_SYNTAX : MR_JSON_UTF8);
    }
    *child = parent == NO_NODE || !fits ? NO_NODE : match(on, parent, plain, (uint32_t)plain_bytes);
    return true;
}

static bool open_container(walk *on, uint32_t position, uint32_t child, uint32_t element)
{
    if (on->depth == MR_JSON_DEPTH_MAX) {
        return fail(on, MR_JSON_DEPTH);
    }
    on->frames[on->depth++] = (frame){
        .node = child, .value = element, .start = position, .is_array = on->bytes[position] == '['};
    return true;
}

static void close_container(walk *on, uint32_t position)
{
    const frame *closed = &on->frames[--on->depth];

    if (closed->node != NO_NODE || closed->value != 0) {
        const mr_json_value value = {.kind = closed->is_array ? MR_JSON_ARRAY : MR_JSON_OBJECT,
                                     .text = (const char *)on->bytes + closed->start,
                                     .size_bytes = position + 1 - closed->start};
        store(on, closed->node, closed->value, &value);
    }
}

static inline bool take_scalar(walk *on, uint32_t position, uint32_t next, uint32_t child,
                               uint32_t element)
{
    const uint32_t end = scalar_end(on, position, next);
    const uint8_t *token = on->bytes + position;
    const uint32_t token_bytes = end - position;
    const bool is_wanted =
        (child != NO_NODE && on->reader->nodes[child].path != NO_NODE) || element != 0;
    mr_json_value value = {.text = (const char *)token, .size_bytes = token_bytes};

    if (token[0] == '"') {
        if (token_bytes < 2 || token[token_bytes - 1] != '"') {
            return fail(on, MR_JSON_SYNTAX);
        }
        if (!take_string(on, token + 1, token_bytes - 2, is_wanted, &value)) {
            return false;
        }
    } else if (mr_json_is_number(token, token_bytes)) {
        value.kind = MR_JSON_NUMBER;
    } else if (mr_json_is_literal(token, token_bytes)) {
        value.kind = token[0] == 't'   ? MR_JSON_TRUE
                     : token[0] == 'f' ? MR_JSON_FALSE
                                       : MR_JSON_NULL;
    } else {
        return fail(on, MR_JSON_SYNTAX);
    }
    if (is_wanted) {
        store(on, child, element, &value);
    }
    return true;
}

static bool take_string(walk *on, const uint8_t *body, uint32_t body_bytes, bool is_wanted,
                        mr_json_value *value)
{
    value->kind = MR_JSON_STRING;
    value->text = (const char *)body;
    value->size_bytes = body_bytes;
    if (!on->has_escapes || memchr(body, '\\', body_bytes) == NULL) {
        return true;
    }
    if (is_wanted && body_bytes > (size_t)(on->scratch_end - on->scratch)) {
        return fail(on, MR_JSON_ROOM);
    }
    const int64_t plain_bytes = mr_json_unescape(body, body_bytes, is_wanted ? on->scratch : NULL);
    if (plain_bytes < 0) {
        return fail(on, plain_bytes == MR_JSON_BAD_ESCAPE ? MR_JSON_SYNTAX : MR_JSON_UTF8);
    }
    if (is_wanted) {
        value->text = (const char *)on->scratch;
        value->size_bytes = (uint32_t)plain_bytes;
        on->scratch += plain_bytes;
    }
    return true;
}

static void store(walk *on, uint32_t child, uint32_t element, const mr_json_value *value)
{
    if (element != 0 && element <= on->value_count_max) {
        on->values[element - 1] = *value;
    }
    if (child != NO_NODE && on->value_count_max == 0) {
        for (uint32_t path = on->reader->nodes[child].path; path != NO_NODE;
             path = on->reader->next_path[path]) {
            on->values[path] = *value;
        }
    }
}

/* The child of that name, NO_NODE = not wanted. A name seen before in this record counts anew. */
static uint32_t match(walk *on, uint32_t parent, const uint8_t *name, uint32_t name_bytes)
{
    node *nodes = on->reader->nodes;
    const uint32_t first = nodes[parent].likely;
    uint32_t child = first;

    if (((nodes[parent].sizes >> (name_bytes % 64)) & 1) == 0) {
        return NO_NODE; /* So has a node without children. */
    }
    MR_ASSERT(first != NO_NODE);
    do {
        if (nodes[child].name_bytes == name_bytes &&
            memcmp(nodes[child].name, name, name_bytes) == 0) {
            const uint32_t next = nodes[child].next;
            nodes[parent].likely = next != NO_NODE ? next : nodes[parent].first_child;
            if (nodes[child].generation == on->reader->generation) {
                forget(on, child);
            }
            nodes[child].generation = on->reader->generation;
            return child;
        }
        child = nodes[child].next != NO_NODE ? nodes[child].next : nodes[parent].first_child;
    } while (child != first);
    return NO_NODE;
}

/*
 * Drops the values at and below a node whose name has come a second time. Only nodes that were
 * found in this record have any, and each is dropped once: names that come again and again cost no
 * more than those that are not wanted.
 */
static void forget(walk *on, uint32_t ancestor)
{
    const mr_json_reader *reader = on->reader;
    node *nodes = reader->nodes;
    uint32_t at = ancestor;

    while (on->value_count_max == 0) {
        for (uint32_t path = nodes[at].path; path != NO_NODE; path = reader->next_path[path]) {
            on->values[path] = (mr_json_value){.kind = MR_JSON_MISSING};
        }
        nodes[at].generation = 0;
        uint32_t next = find_found(reader, nodes[at].first_child);
        while (next == NO_NODE && at != ancestor) {
            next = find_found(reader, nodes[at].next);
            at = nodes[at].parent;
        }
        if (next == NO_NODE) {
            return;
        }
        at = next;
    }
}

/* The first of a node and those next to it that was found in this record. */
static uint32_t find_found(const mr_json_reader *reader, uint32_t at)
{
    while (at != NO_NODE && reader->nodes[at].generation != reader->generation) {
        at = reader->nodes[at].next;
    }
    return at;
}

static bool fail(walk *on, mr_json_result result)
{
    MR_ASSERT(result != MR_JSON_OK);
    on->result = result;
    return false;
}

/*
 * json_names.c - names of columns as members of JSON objects: the dots of a name are nested
 * records.
 *
 * `customer.address.city` is the member `city` of the object `address` of the object `customer`.
 * Objects are opened and closed between two names, so whoever writes needs the name before only;
 * the fields of a record must stand together (mr_json_order), or its member would come twice.
 */
#include "engine/base/assert.h"
#include "io/format/format_private.h"
#include <string.h>

static size_t shared_records(const char *a, const char *b, uint32_t *count);
static uint32_t dots(const char *name);

uint32_t mr_json_name_room(const char *name)
{
    const size_t size_bytes = strlen(name);

    MR_ASSERT(size_bytes < UINT32_MAX / 16);
    /* Brace or comma; of each part the quotes, the colon, and the braces of its object. */
    return (uint32_t)(1 + 6 * size_bytes + 5 * ((uint64_t)dots(name) + 1));
}

uint32_t mr_json_name_put(const char *previous, const char *name, uint8_t *out)
{
    const char *part = name;
    uint32_t count = 0;
    uint32_t at = 0;

    if (previous == NULL) {
        out[at++] = '{';
    } else {
        const size_t shared = shared_records(previous, name, &count);
        for (uint32_t i = dots(previous + shared); i > 0; i--) {
            out[at++] = '}';
        }
        out[at++] = ',';
        part += shared;
    }
    for (;;) {
        const size_t size = strcspn(part, ".");
        at +=
            mr_json_quote((const uint8_t *)part, (uint32_t)size, out + at, 6 * (uint32_t)size + 2);
        out[at++] = ':';
        if (part[size] == '\0') {
            return at;
        }
        out[at++] = '{';
        part += size + 1;
    }
}

uint32_t mr_json_name_end(const char *previous, uint8_t *out)
{
    uint32_t at = 0;

    if (previous == NULL) {
        out[at++] = '{';
    }
    for (uint32_t i = previous != NULL ? dots(previous) : 0; i > 0; i--) {
        out[at++] = '}';
    }
    out[at++] = '}';
    return at;
}

uint32_t mr_json_name_end_room(const char *previous)
{
    return 2 + (previous != NULL ? dots(previous) : 0);
}

uint32_t mr_json_order(const mr_schema *schema, uint16_t *order)
{
    uint32_t count = 0;

    for (uint32_t i = 0; i < schema->field_count; i++) {
        uint32_t place = count, best = 0;
        if (schema->fields[i].hidden) {
            continue;
        }
        /* Behind the last one of the innermost record that it shares with any. */
        for (uint32_t k = 0; k < count && dots(schema->fields[i].name) > 0; k++) {
            uint32_t shared = 0;
            (void)shared_records(schema->fields[order[k]].name, schema->fields[i].name, &shared);
            if (shared > 0 && shared >= best) {
                best = shared;
                place = k + 1;
            }
        }
        memmove(order + place + 1, order + place, (count - place) * sizeof(*order));
        order[place] = (uint16_t)i;
        count++;
    }
    return count;
}

bool mr_json_is_record_of(const char *record, const char *name)
{
    const size_t size = strlen(record);
    return strncmp(name, record, size) == 0 && name[size] == '.';
}

/* How many bytes of both are the same records, dots included, and how many records. */
static size_t shared_records(const char *a, const char *b, uint32_t *count)
{
    size_t shared = 0;

    *count = 0;
    for (size_t i = 0; a[i] != '\0' && a[i] == b[i]; i++) {
        if (a[i] == '.') {
            shared = i + 1;
            (*count)++;
        }
    }
    return shared;
}

static uint32_t dots(const char *name)
{
    uint32_t count = 0;

    for (const char *at = name; *at != '\0'; at++) {
        count += *at == '.' ? 1 : 0;
    }
    return count;
}

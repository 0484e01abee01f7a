/*
 * record.c - the record mr1;... that is committed as the metadata of each input offset.
 *
 * `mr1;l=...;e=...;s=...;i=...;d=...;w=...;t=...;c=...`: lineage, epoch, epoch of the last state
 * change, incarnation, digest of the task's section, owner, topic id, CRC-32C of all before `;c=`.
 * It is what recovery trusts, so it is read strictly: order, lengths, lower-case hex, no leading
 * zero in e and s, nothing after c; a record that is almost ours is not ours. At most 195 bytes of
 * printable ASCII; as it comes back from Kafka it is not NUL-terminated. The format is fixed in
 * docs/exactly-once.md, section 3.4. Thread: any.
 */
#include "engine/base/assert.h"
#include "engine/base/hash.h"
#include "io/kafka/kafka.h"
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum {
    OWNER_BYTES = 48,
    WORKER_SET_BYTES = 40, /* [A-Za-z0-9._] */
    TOPIC_ID_BYTES = 32,
    CHECKSUM_BYTES = 3 + 8, /* ;c= and eight digits */
    /* mr1, the names of eight fields, their longest values. */
    LONGEST = 3 + 8 * 3 + 5 * 16 + OWNER_BYTES + TOPIC_ID_BYTES + 8
};
_Static_assert(LONGEST == 195 && LONGEST <= (int)MR_RECORD_BYTES_MAX, "every broker takes it");

/* No store lives to see it; numbers behind it would overflow. */
#define EPOCH_MAX (UINT64_MAX / 2)

typedef struct reader {
    const char *at, *end;
} reader;

static bool take_name(reader *in, char name);
static bool take_hex(reader *in, uint32_t digits_min, uint32_t digits_max, uint64_t *value);
static bool take_owner(reader *in, char owner[OWNER_BYTES + 1]);
static bool take_topic_id(reader *in, char topic_id[TOPIC_ID_BYTES + 1]);
static bool is_newer(const char *text, uint32_t size_bytes);
static int hex_value(char digit);

uint32_t mr_offset_record_print(const mr_offset_record *record, char out[MR_RECORD_BYTES_MAX + 1])
{
    const size_t size = MR_RECORD_BYTES_MAX + 1;

    MR_ASSERT(strlen(record->topic_id) == TOPIC_ID_BYTES && strlen(record->owner) <= OWNER_BYTES);
    MR_ASSERT(record->epoch > 0 && record->state_epoch <= record->epoch);
    const int body = snprintf(out, size,
                              "mr1;l=%016" PRIx64 ";e=%" PRIx64 ";s=%" PRIx64 ";i=%016" PRIx64
                              ";d=%016" PRIx64 ";w=%s;t=%s",
                              record->lineage, record->epoch, record->state_epoch,
                              record->incarnation, record->digest, record->owner, record->topic_id);
    MR_ASSERT(body > 0 && body + CHECKSUM_BYTES <= LONGEST);
    const uint32_t sum = mr_hash_crc32c(out, (size_t)body);
    const int tail = snprintf(out + body, size - (size_t)body, ";c=%08" PRIx32, sum);
    MR_ASSERT(tail == CHECKSUM_BYTES);
    return (uint32_t)(body + tail);
}

mr_record_result mr_offset_record_parse(const char *text, uint32_t size_bytes,
                                        mr_offset_record *record)
{
    mr_offset_record found = {.lineage = 0};
    uint64_t sum = 0;

    MR_ASSERT(text != NULL || size_bytes == 0);
    if (is_newer(text, size_bytes)) {
        return MR_RECORD_NEWER;
    }
    if (size_bytes < 3 || size_bytes > MR_RECORD_BYTES_MAX || memcmp(text, "mr1", 3) != 0) {
        return MR_RECORD_FOREIGN;
    }
    reader in = {.at = text + 3, .end = text + size_bytes};
    bool good = take_name(&in, 'l') && take_hex(&in, 16, 16, &found.lineage);
    good = good && take_name(&in, 'e') && take_hex(&in, 1, 16, &found.epoch);
    good = good && take_name(&in, 's') && take_hex(&in, 1, 16, &found.state_epoch);
    good = good && take_name(&in, 'i') && take_hex(&in, 16, 16, &found.incarnation);
    good = good && take_name(&in, 'd') && take_hex(&in, 16, 16, &found.digest);
    good = good && take_name(&in, 'w') && take_owner(&in, found.owner);
    good = good && take_name(&in, 't') && take_topic_id(&in, found.topic_id);
    const char *body_end = in.at;
    good = good && take_name(&in, 'c') && take_hex(&in, 8, 8, &sum) && in.at == in.end;
    good = good && sum == mr_hash_crc32c(text, (size_t)(body_end - text));
    if (!good || found.epoch == 0 || found.epoch > EPOCH_MAX || found.state_epoch > found.epoch) {
        return MR_RECORD_FOREIGN;
    }
    *record = found;
    return MR_RECORD_OK;
}

/* ---- Helpers ---- */

static bool take_name(reader *in, char name)
{
    if (in->end - in->at < 3 || in->at[0] != ';' || in->at[1] != name || in->at[2] != '=') {
        return false;
    }
    in->at += 3;
    return true;
}

/* A number of variable length has no leading zero, so that it has one text. */
static bool take_hex(reader *in, uint32_t digits_min, uint32_t digits_max, uint64_t *value)
{
    uint32_t count = 0;
    uint64_t number = 0;

    MR_ASSERT(digits_min > 0 && digits_max <= 16);
    while (count < digits_max && in->at + count < in->end && hex_value(in->at[count]) >= 0) {
        number = number << 4 | (uint64_t)hex_value(in->at[count]);
        count++;
    }
    if (count < digits_min || (digits_min != digits_max && count > 1 && in->at[0] == '0')) {
        return false;
    }
    in->at += count;
    *value = number;
    return true;
}

/* <worker set>-<shard>: no dash in the set, so a transactional id is read from the right. */
static bool take_owner(reader *in, char owner[OWNER_BYTES + 1])
{
    const char *stop = memchr(in->at, ';', (size_t)(in->end - in->at));
    const char *dash = stop == NULL ? NULL : memchr(in->at, '-', (size_t)(stop - in->at));

    if (dash == NULL || dash == in->at || dash - in->at > WORKER_SET_BYTES || stop - dash < 2 ||
        stop - in->at > OWNER_BYTES) {
        return false;
    }
    for (const char *at = in->at; at < stop; at++) {
        const bool is_digit = *at >= '0' && *at <= '9';
        const bool is_letter = (*at >= 'a' && *at <= 'z') || (*at >= 'A' && *at <= 'Z');
        const bool is_name = is_digit || is_letter || *at == '.' || *at == '_';
        if (at != dash && !(at < dash ? is_name : is_digit)) {
            return false;
        }
    }
    memcpy(owner, in->at, (size_t)(stop - in->at));
    owner[stop - in->at] = '\0';
    in->at = stop;
    return true;
}

static bool take_topic_id(reader *in, char topic_id[TOPIC_ID_BYTES + 1])
{
    if (in->end - in->at < TOPIC_ID_BYTES) {
        return false;
    }
    for (uint32_t i = 0; i < TOPIC_ID_BYTES; i++) {
        if (hex_value(in->at[i]) < 0) {
            return false;
        }
    }
    memcpy(topic_id, in->at, TOPIC_ID_BYTES);
    topic_id[TOPIC_ID_BYTES] = '\0';
    in->at += TOPIC_ID_BYTES;
    return true;
}

/* `mr`, a number above 1, a semicolon. */
static bool is_newer(const char *text, uint32_t size_bytes)
{
    uint32_t at = 3;
    if (size_bytes < 4 || text[0] != 'm' || text[1] != 'r' || text[2] < '1' || text[2] > '9') {
        return false;
    }
    while (at < size_bytes && at < 8 && text[at] >= '0' && text[at] <= '9') {
        at++;
    }
    return at < size_bytes && text[at] == ';' && (at > 3 || text[2] > '1');
}

static int hex_value(char digit)
{
    if (digit >= '0' && digit <= '9') {
        return digit - '0';
    }
    return digit >= 'a' && digit <= 'f' ? digit - 'a' + 10 : -1;
}

/*
 * partitions.c - which partitions a worker owns: the text of --partitions or --ordinal, and the
 * name it gives the worker set.
 *
 * The name is part of the transactional id (`<app>-<set>-<shard>`) and of the commit metadata, so a
 * set written alike must have one name: `0-7,12` is p0_7.12, `2/8` (p mod 8 = 2) is o2of8, all of
 * them `all`. Thread: control.
 */
#include "engine/runtime/runtime_private.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { SET_NAME_MAX = 40 };

static bool read_number(const char **text, uint32_t *number);
static mr_status parse_ordinal(const char *text, uint32_t partition_count, mr_partition_set *set,
                               mr_diag *diag);
static mr_status add_range(mr_partition_set *set, uint32_t from, uint32_t to, const char *text,
                           mr_diag *diag);

mr_status mr_partition_set_parse(const char *text, uint32_t partition_count, mr_partition_set *set,
                                 mr_diag *diag)
{
    MR_ASSERT(partition_count > 0 && partition_count <= MR_PARTITIONS_MAX);
    set->count = 0;
    if (text == NULL) {
        memcpy(set->name, "all", sizeof("all"));
        for (uint32_t i = 0; i < partition_count; i++) {
            set->partitions[set->count++] = i;
        }
        return MR_OK;
    }
    if (strchr(text, '/') != NULL) {
        return parse_ordinal(text, partition_count, set, diag);
    }
    size_t length = 0;
    set->name[length++] = 'p';
    for (const char *at = text; *at != '\0';) {
        uint32_t from = 0;
        if (!read_number(&at, &from)) {
            return mr_diag_set(diag, MR_ERR_USAGE, 0,
                               "--partitions %s: expected numbers and ranges such as 0-7,12", text);
        }
        uint32_t to = from;
        if (*at == '-') {
            at++;
            if (!read_number(&at, &to) || to < from) {
                return mr_diag_set(diag, MR_ERR_USAGE, 0,
                                   "--partitions %s: a range goes from a smaller number to a "
                                   "larger one",
                                   text);
            }
        }
        const mr_status status = add_range(set, from, to, text, diag);
        if (status != MR_OK) {
            return status;
        }
        const size_t room = sizeof(set->name) - length;
        const int written =
            to > from
                ? snprintf(set->name + length, room, "%s%u_%u", length > 1 ? "." : "", from, to)
                : snprintf(set->name + length, room, "%s%u", length > 1 ? "." : "", from);
        length += (size_t)written;
        if (length > SET_NAME_MAX || (*at != ',' && *at != '\0')) {
            return mr_diag_set(diag, MR_ERR_USAGE, 0,
                               "--partitions %s: too many ranges, or a character that is no digit, "
                               "dash or comma",
                               text);
        }
        at += *at == ',';
    }
    if (set->count == 0 || set->partitions[set->count - 1] >= partition_count) {
        return mr_diag_set(diag, MR_ERR_CONFIG, 0,
                           "--partitions %s: the inputs have %u partitions, 0 to %u", text,
                           partition_count, partition_count - 1);
    }
    return MR_OK;
}

/* "2/8": the partitions p with p mod 8 = 2. */
static mr_status parse_ordinal(const char *text, uint32_t partition_count, mr_partition_set *set,
                               mr_diag *diag)
{
    const char *at = text;
    uint32_t ordinal = 0, count = 0;
    bool ok = read_number(&at, &ordinal) && *at == '/';

    at += ok ? 1 : 0;
    ok = ok && read_number(&at, &count) && *at == '\0';
    if (!ok || ordinal >= count) {
        return mr_diag_set(diag, MR_ERR_USAGE, 0,
                           "--ordinal %s: expected N/M with N from 0 to M-1, such as 0/3", text);
    }
    for (uint32_t p = ordinal; p < partition_count; p += count) {
        set->partitions[set->count++] = p;
    }
    if (set->count == 0) {
        return mr_diag_set(diag, MR_ERR_CONFIG, 0,
                           "--ordinal %s: the inputs have %u partitions, 0 to %u: none is left for "
                           "this worker; start fewer",
                           text, partition_count, partition_count - 1);
    }
    (void)snprintf(set->name, sizeof(set->name), "o%uof%u", ordinal, count);
    return MR_OK;
}

static bool read_number(const char **text, uint32_t *number)
{
    uint64_t value = 0;
    const char *at = *text;
    while (*at >= '0' && *at <= '9' && value <= MR_PARTITIONS_MAX) {
        value = value * 10 + (uint64_t)(*at - '0');
        at++;
    }
    const bool ok = at != *text && value < MR_PARTITIONS_MAX;
    *text = at;
    *number = (uint32_t)value;
    return ok;
}

/* Ascending and without repeats, so that equal sets have equal names. */
static mr_status add_range(mr_partition_set *set, uint32_t from, uint32_t to, const char *text,
                           mr_diag *diag)
{
    if (set->count > 0 && from <= set->partitions[set->count - 1]) {
        return mr_diag_set(diag, MR_ERR_USAGE, 0,
                           "--partitions %s: write the numbers in ascending order, each once",
                           text);
    }
    for (uint32_t i = from; i <= to; i++) {
        set->partitions[set->count++] = i;
    }
    return MR_OK;
}

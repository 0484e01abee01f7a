/*
 * crash.c - crash points: kill or stop this process at the n-th pass of a named place.
 *
 * Only in test builds (MR_CRASH_POINTS=1); in others this file is empty. The environment is read
 * at each pass: that needs no state but the counters, and points are passed per batch or per epoch.
 * A value that names no point aborts, as a fault test with a typing error would prove nothing.
 */
#define _GNU_SOURCE
#include "engine/base/crash.h"

#if defined(MR_CRASH_POINTS) && MR_CRASH_POINTS
#include "engine/base/assert.h"
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char *const names[MR_CRASH_POINT_COUNT] = {
    [MR_K0] = "K0",     [MR_K1] = "K1",     [MR_K2] = "K2",     [MR_K3] = "K3",
    [MR_K4] = "K4",     [MR_K5] = "K5",     [MR_K6] = "K6",     [MR_K7] = "K7",
    [MR_K8] = "K8",     [MR_K9] = "K9",     [MR_K10] = "K10",   [MR_K12] = "K12",
    [MR_K11A] = "K11A", [MR_K11B] = "K11B", [MR_K11C] = "K11C", [MR_K11D] = "K11D",
    [MR_K12C] = "K12C", [MR_K14] = "K14",
};

static _Atomic uint64_t passes[MR_CRASH_POINT_COUNT];

static bool is_named(const char *variable, mr_crash_point point, uint64_t pass);

void mr_crash_pass(mr_crash_point point)
{
    MR_ASSERT(point < MR_CRASH_POINT_COUNT);
    const uint64_t pass = atomic_fetch_add_explicit(&passes[point], 1, memory_order_relaxed) + 1;

    if (is_named("MR_STOP_AT", point, pass)) {
        (void)kill(getpid(), SIGSTOP); /* Cannot fail for oneself. */
    }
    if (is_named("MR_CRASH_AT", point, pass)) {
        (void)kill(getpid(), SIGKILL);
    }
}

void mr_crash_record(const char *topic, uint32_t partition, int64_t first, int64_t end)
{
    const char *text = getenv("MR_CRASH_AT_RECORD");

    while (text != NULL && *text != '\0') {
        const size_t name_bytes = strcspn(text, ":");
        char *rest = NULL;
        MR_ASSERT(text[name_bytes] == ':' && "MR_CRASH_AT_RECORD is topic:partition:offset,...");
        const uint64_t number = strtoull(text + name_bytes + 1, &rest, 10);
        MR_ASSERT(*rest == ':');
        const int64_t offset = strtoll(rest + 1, &rest, 10);
        MR_ASSERT(*rest == '\0' || *rest == ',');
        if (strlen(topic) == name_bytes && memcmp(topic, text, name_bytes) == 0 &&
            number == partition && offset >= first && offset < end) {
            (void)kill(getpid(), SIGKILL);
        }
        text = *rest == ',' ? rest + 1 : rest;
    }
}

/* Whether `variable` says `<name of point>:<pass>`; `:1` may be left out. */
static bool is_named(const char *variable, mr_crash_point point, uint64_t pass)
{
    const char *text = getenv(variable);

    if (text == NULL || text[0] == '\0') {
        return false;
    }
    const size_t name_bytes = strcspn(text, ":");
    uint64_t wanted = 1;
    if (text[name_bytes] == ':') {
        char *end = NULL;
        wanted = strtoull(text + name_bytes + 1, &end, 10);
        MR_ASSERT(end != text + name_bytes + 1 && *end == '\0' && wanted > 0);
    }
    for (uint32_t i = 0; i < MR_CRASH_POINT_COUNT; i++) {
        if (strlen(names[i]) == name_bytes && memcmp(names[i], text, name_bytes) == 0) {
            return i == (uint32_t)point && pass == wanted;
        }
    }
    MR_ASSERT(!"MR_CRASH_AT and MR_STOP_AT name a crash point, e.g. K7:3");
    return false;
}
#endif

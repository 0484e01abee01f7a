/* clock.c - the system's clocks and random source behind their seams, and splitmix64. */
#define _GNU_SOURCE
#include "engine/base/clock.h"
#include "engine/base/assert.h"
#include <errno.h>
#include <stddef.h>
#include <sys/random.h>
#include <time.h>

static int64_t monotonic_us(void *self);
static int64_t wall_us(void *self);
static int64_t read_us(clockid_t clock);
static uint64_t random_next(void *self);

mr_clock mr_clock_system(void)
{
    static const mr_clock_type type = {.monotonic_us = monotonic_us, .wall_us = wall_us};

    return (mr_clock){.type = &type, .self = NULL};
}

mr_random mr_random_system(void)
{
    static const mr_random_type type = {.next = random_next};

    return (mr_random){.type = &type, .self = NULL};
}

uint64_t mr_prng_next(uint64_t *state)
{
    MR_ASSERT(state != NULL);
    *state += UINT64_C(0x9e3779b97f4a7c15);
    uint64_t mixed = *state;
    mixed = (mixed ^ (mixed >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    mixed = (mixed ^ (mixed >> 27)) * UINT64_C(0x94d049bb133111eb);
    return mixed ^ (mixed >> 31);
}

static int64_t monotonic_us(void *self)
{
    (void)self;
    return read_us(CLOCK_MONOTONIC);
}

static int64_t wall_us(void *self)
{
    (void)self;
    return read_us(CLOCK_REALTIME);
}

static int64_t read_us(clockid_t clock)
{
    struct timespec now = {0};

    const int error = clock_gettime(clock, &now);
    MR_ASSERT(error == 0);
    return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

static uint64_t random_next(void *self)
{
    uint64_t value = 0;
    ssize_t got = -1;

    (void)self;
    /* Up to 256 bytes are never given in part; only a signal before the first byte interrupts. */
    while (got < 0) {
        got = getrandom(&value, sizeof(value), 0);
        MR_ASSERT(got >= 0 || errno == EINTR);
    }
    MR_ASSERT(got == (ssize_t)sizeof(value));
    return value;
}

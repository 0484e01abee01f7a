/* clock.h - the clock and random seams. Thread: any for the system ones. */
#ifndef MR_BASE_CLOCK_H
#define MR_BASE_CLOCK_H

#include <stdint.h>

typedef struct mr_clock_type {
    int64_t (*monotonic_us)(void *self); /* Microseconds from an arbitrary start; never back. */
    int64_t (*wall_us)(void *self);      /* Microseconds UTC since 1970. */
} mr_clock_type;

typedef struct mr_clock {
    const mr_clock_type *type;
    void *self;
} mr_clock;

typedef struct mr_random_type {
    uint64_t (*next)(void *self);
} mr_random_type;

typedef struct mr_random {
    const mr_random_type *type;
    void *self;
} mr_random;

mr_clock mr_clock_system(void);
/* From the kernel's random source; aborts if that fails, as no identity could be drawn. */
mr_random mr_random_system(void);

/* splitmix64 with the caller's state, for tests and simulation. */
uint64_t mr_prng_next(uint64_t *state);

#endif

/*
 * death.h - runs a function in a child process that must die: tests of assertions and of kills.
 */
#ifndef MR_TESTS_SUPPORT_DEATH_H
#define MR_TESTS_SUPPORT_DEATH_H

#include <stdint.h>

/* The wait status of the child; its standard error goes to `text` (NULL: shown), cut at the room.
 */
int mr_run_child(void (*function)(void), char *text, uint32_t text_bytes_max);

/* Fails the test unless `function` dies by an assertion whose line holds `expression`. */
void mr_expect_assert(void (*function)(void), const char *expression);

#endif

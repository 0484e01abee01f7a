/*
 * assert.h - checks of our own mistakes; they stay in release. Input, disks and brokers get a
 * status instead. MR_CHECK_SLOW is for checks too dear for release: only where MR_SLOW_CHECKS is
 * set to 1. Thread: any.
 */
#ifndef MR_BASE_ASSERT_H
#define MR_BASE_ASSERT_H

#ifdef __cplusplus
extern "C" {
#endif

/* Prints file, line and expression on stderr and aborts. */
__attribute__((noreturn, cold)) void mr_assert_failed(const char *file, int line,
                                                      const char *expression);

#ifdef __cplusplus
}
#endif

#define MR_ASSERT(expression)                                                               \
    (__builtin_expect(!(expression), 0) ? mr_assert_failed(__FILE__, __LINE__, #expression) \
                                        : (void)0)

#if defined(MR_SLOW_CHECKS) && MR_SLOW_CHECKS
#define MR_CHECK_SLOW(expression) MR_ASSERT(expression)
#else
#define MR_CHECK_SLOW(expression) ((void)sizeof(!(expression)))
#endif

#define MR_LENGTH(array) (sizeof(array) / sizeof((array)[0]))

#endif

/*
 * log_test.c - lines in both forms, escapes, thresholds, that bursts collapse, and many threads.
 *
 * ALSO: tsan
 */
#define _GNU_SOURCE
#include "engine/base/assert.h"
#include "engine/base/log.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

/* All lines written so far, the time stamps replaced by `T`. */
static const char *lines(int descriptor, char text[8192])
{
    const ssize_t size_bytes = pread(descriptor, text, 8191, 0);

    assert_true(size_bytes >= 0);
    text[size_bytes] = '\0';
    for (char *at = text; (at = strstr(at, "20")) != NULL; at++) {
        if (strlen(at) > 24 && at[10] == 'T' && at[23] == 'Z') {
            memmove(at, at + 23, strlen(at + 23) + 1);
            at[0] = 'T';
        }
    }
    return text;
}

static void test_logfmt(void **state)
{
    const int descriptor = memfd_create("log", 0);
    mr_log *log = mr_log_create(descriptor, MR_LOG_INFO, MR_LOG_LOGFMT);
    const mr_log_field fields[] = {{.name = "epoch", .number = -7},
                                   {.name = "topic", .text = "a\"b c"},
                                   {.name = "empty", .text = ""},
                                   {.name = "odd", .text = "x\n\x01"}};
    char text[8192];

    (void)state;
    mr_log_event(NULL, MR_LOG_ERROR, "a", "b", NULL, 0);
    mr_log_event(log, MR_LOG_DEBUG, "commit", "hidden", NULL, 0);
    mr_log_event(log, MR_LOG_WARN, "commit", "epoch closed", fields, MR_LENGTH(fields));
    assert_string_equal(lines(descriptor, text),
                        "ts=T level=warn msg=\"epoch closed\" component=commit epoch=-7 "
                        "topic=\"a\\\"b c\" empty=\"\" odd=\"x\\n\\u0001\"\n");
    assert_int_equal(mr_log_threshold(log), MR_LOG_INFO);
    mr_log_destroy(log);
    mr_log_destroy(NULL);
    (void)close(descriptor);
}

static void test_json(void **state)
{
    const int descriptor = memfd_create("log", 0);
    mr_log *log = mr_log_create(descriptor, MR_LOG_DEBUG, MR_LOG_JSON);
    const mr_log_field fields[] = {{.name = "n", .number = 5}, {.name = "t", .text = "a\\b"}};
    char text[8192];

    (void)state;
    mr_log_event(log, MR_LOG_DEBUG, "state", "opened", fields, MR_LENGTH(fields));
    assert_string_equal(lines(descriptor, text),
                        "{\"ts\":\"T\",\"level\":\"debug\",\"msg\":\"opened\",\"component\":"
                        "\"state\",\"n\":5,\"t\":\"a\\\\b\"}\n");
    mr_log_destroy(log);
    (void)close(descriptor);
}

static void test_bursts_collapse(void **state)
{
    const int descriptor = memfd_create("log", 0);
    mr_log *log = mr_log_create(descriptor, MR_LOG_INFO, MR_LOG_LOGFMT);
    char text[8192];
    uint32_t count = 0;

    (void)state;
    for (int i = 0; i < 25; i++) {
        mr_log_event(log, MR_LOG_INFO, "a", "same", NULL, 0);
    }
    mr_log_event(log, MR_LOG_INFO, "b", "same", NULL, 0);
    mr_log_destroy(log);
    for (const char *at = lines(descriptor, text); (at = strstr(at, "component=a")) != NULL; at++) {
        count++;
    }
    assert_int_equal(count, 11);
    assert_non_null(strstr(text, "msg=same component=a suppressed=15\n"));
    assert_non_null(strstr(text, "component=b\n"));
    (void)close(descriptor);
}

static void test_more_kinds_than_slots(void **state)
{
    const int descriptor = memfd_create("log", 0);
    mr_log *log = mr_log_create(descriptor, MR_LOG_INFO, MR_LOG_LOGFMT);
    uint32_t count = 0;

    (void)state;
    for (int i = 0; i < 200; i++) {
        char event[24];
        snprintf(event, sizeof(event), "event%d", i);
        mr_log_event(log, MR_LOG_INFO, "a", event, NULL, 0);
    }
    mr_log_destroy(log);
    const off_t size = lseek(descriptor, 0, SEEK_END);
    char *all = mmap(NULL, (size_t)size, PROT_READ, MAP_SHARED, descriptor, 0);
    assert_true(all != MAP_FAILED);
    for (off_t i = 0; i < size; i++) {
        count += all[i] == '\n';
    }
    assert_int_equal(count, 200);
    (void)munmap(all, (size_t)size);
    (void)close(descriptor);
}

enum { WRITERS = 4, EVENTS = 200 };

typedef struct writer {
    mr_log *log;
    char component[24];
} writer;

/* Five kinds of events of its own, and one that all writers share. */
static void *write_events(void *argument)
{
    const writer *w = argument;

    for (int64_t i = 0; i < EVENTS; i++) {
        char event[24];
        const mr_log_field field = {.name = "n", .number = i};
        snprintf(event, sizeof(event), "e%d", (int)(i % 5));
        mr_log_event(w->log, MR_LOG_INFO, w->component, event, &field, 1);
        mr_log_event(w->log, MR_LOG_INFO, "all", "same", NULL, 0);
    }
    return NULL;
}

static uint32_t count_of(const char *text, const char *word)
{
    uint32_t count = 0;

    for (const char *at = text; (at = strstr(at, word)) != NULL; at++) {
        count++;
    }
    return count;
}

/* No line torn, none lost, none too many: 10 of each kind and one with the rest as a count. */
static void test_many_threads(void **state)
{
    const int descriptor = memfd_create("log", 0);
    mr_log *log = mr_log_create(descriptor, MR_LOG_INFO, MR_LOG_LOGFMT);
    writer writers[WRITERS];
    pthread_t threads[WRITERS];
    static char text[64 << 10];

    (void)state;
    for (int i = 0; i < WRITERS; i++) {
        writers[i].log = log;
        snprintf(writers[i].component, sizeof(writers[i].component), "w%d", i);
        assert_int_equal(pthread_create(&threads[i], NULL, write_events, &writers[i]), 0);
    }
    for (int i = 0; i < WRITERS; i++) {
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    }
    mr_log_destroy(log);
    const ssize_t size_bytes = pread(descriptor, text, sizeof(text) - 1, 0);
    assert_true(size_bytes > 0);
    text[size_bytes] = '\0';
    for (int i = 0; i < WRITERS; i++) {
        char word[48];
        snprintf(word, sizeof(word), "component=w%d n=", i);
        assert_int_equal(count_of(text, word), 5 * 10);
        snprintf(word, sizeof(word), "component=w%d supp", i);
        assert_int_equal(count_of(text, word), 5);
    }
    assert_int_equal(count_of(text, "suppressed=30\n"), 5 * WRITERS);
    assert_int_equal(count_of(text, "msg=same component=all\n"), 10);
    assert_int_equal(count_of(text, "component=all suppressed=790\n"), 1);
    assert_int_equal(count_of(text, "\n"), 11 * (5 * WRITERS + 1));
    (void)close(descriptor);
}

static void test_long_texts(void **state)
{
    const int descriptor = memfd_create("log", 0);
    mr_log *log = mr_log_create(descriptor, MR_LOG_INFO, MR_LOG_JSON);
    static char text[4096];
    mr_log_field fields[32];

    (void)state;
    memset(text, 'x', sizeof(text) - 1);
    for (uint32_t i = 0; i < MR_LENGTH(fields); i++) {
        fields[i] = (mr_log_field){.name = "x", .text = text};
    }
    mr_log_event(log, MR_LOG_INFO, "a", "b", fields, MR_LENGTH(fields));
    mr_log_destroy(log);
    char last[2] = {0};
    const off_t size = lseek(descriptor, 0, SEEK_END);
    assert_true(size > 3000 && size <= 4096);
    assert_int_equal(pread(descriptor, last, 2, size - 2), 2);
    assert_memory_equal(last, "}\n", 2);
    (void)close(descriptor);
}

/* A reader that has gone to sleep holds nobody up; what is lost is told. */
static void test_a_full_pipe_is_not_waited_for(void **state)
{
    static char text[1 << 20];
    int ends[2];
    uint64_t events = 0;

    (void)state;
    assert_int_equal(pipe(ends), 0);
    mr_log *log = mr_log_create(ends[1], MR_LOG_INFO, MR_LOG_LOGFMT);
    for (; events < 5000; events++) { /* Other events each, as bursts of one are held back. */
        char name[32];
        (void)snprintf(name, sizeof(name), "event %llu", (unsigned long long)events);
        mr_log_event(log, MR_LOG_INFO, "a", name, NULL, 0);
    }
    const ssize_t size = read(ends[0], text, sizeof(text) - 1);
    assert_true(size > 0);
    text[size] = '\0';
    uint64_t lines = 0;
    for (const char *at = text; (at = strchr(at, '\n')) != NULL; at++) {
        lines++;
    }
    assert_true(lines > 100 && lines < events);
    mr_log_event(log, MR_LOG_INFO, "a", "again", NULL, 0);
    const ssize_t last = read(ends[0], text, sizeof(text) - 1);
    assert_true(last > 0);
    text[last] = '\0';
    char wanted[64];
    (void)snprintf(wanted, sizeof(wanted), " lines=%llu\n", (unsigned long long)(events - lines));
    assert_non_null(strstr(text, "msg=again"));
    assert_non_null(strstr(text, wanted));
    mr_log_destroy(log);
    (void)close(ends[0]);
    (void)close(ends[1]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_logfmt),
        cmocka_unit_test(test_json),
        cmocka_unit_test(test_bursts_collapse),
        cmocka_unit_test(test_more_kinds_than_slots),
        cmocka_unit_test(test_many_threads),
        cmocka_unit_test(test_long_texts),
        cmocka_unit_test(test_a_full_pipe_is_not_waited_for),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

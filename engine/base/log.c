/*
 * log.c - one line an event, formatted by the caller and written by one write(2).
 *
 * Lines: `ts=... level=... msg=<event> component=... name=value`, or the same as a JSON object. A
 * value of logfmt is quoted where it is not plain. Events are told apart by component and name;
 * the eleventh within 10 s of the first is held back, and the next one after that time (or the
 * destruction of the log) first writes one line with `suppressed=N`. At most SLOTS_MAX kinds of
 * events are tracked; a new kind takes the place of the one whose window began first.
 *
 * A mutex guards the slots: events are rare by contract, so nobody waits for long. Nor does anybody
 * wait for who reads the lines: a shard that hung in a full pipe would let its transaction time
 * out. While the descriptor takes no more, lines are lost, and the next one that is written is
 * followed by one that tells how many. A pipe that is ready takes PIPE_BUF bytes without waiting,
 * so a line is cut there.
 */
#define _GNU_SOURCE
#include "engine/base/log.h"
#include "engine/base/assert.h"
#include "engine/base/clock.h"
#include "engine/base/memory.h"
#include "engine/base/time_text.h"
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum {
    SLOTS_MAX = 64,
    BURST_MAX = 10,
    WINDOW_US = 10 * 1000 * 1000,
    NAME_BYTES_MAX = 64,
    TEXT_BYTES_MAX = 1024,
    FIELDS_MAX = 32,
    LINE_BYTES_MAX = 4 << 10 /* PIPE_BUF of Linux. */
};

typedef struct slot { /* One kind of event. */
    char component[NAME_BYTES_MAX], event[NAME_BYTES_MAX];
    mr_log_level level;
    int64_t window_us; /* Monotonic start of its window; 0 = unused. */
    uint32_t count;    /* Lines written in the window. */
    uint64_t suppressed;
} slot;

struct mr_log {
    pthread_mutex_t lock;
    int descriptor;
    mr_log_level level;
    mr_log_format format;
    uint64_t lost; /* Lines since the last one that was written. */
    slot slots[SLOTS_MAX];
};

typedef struct line {
    uint32_t size_bytes;
    bool is_full; /* Something did not fit. */
    char text[LINE_BYTES_MAX];
} line;

static bool admit(mr_log *log, mr_log_level level, const char *component, const char *event);
static slot *find_slot(mr_log *log, const char *component, const char *event, int64_t now_us);
static void report_suppressed(mr_log *log, slot *of);
static void write_event(mr_log *log, mr_log_level level, const char *component, const char *event,
                        const mr_log_field *fields, uint32_t field_count);
static void send_line(mr_log *log, const line *out);
static void put_name(line *out, mr_log_format format, const char *name);
static void put_text(line *out, mr_log_format format, const char *text);
static void put_quoted(line *out, const char *text, size_t size_bytes);
static void put(line *out, const char *format, ...) __attribute__((format(printf, 2, 3)));
static void put_bytes(line *out, const char *bytes, size_t size_bytes);

mr_log *mr_log_create(int descriptor, mr_log_level level, mr_log_format format)
{
    const mr_memory memory = mr_memory_system();

    MR_ASSERT(descriptor >= 0 && level <= MR_LOG_DEBUG && format <= MR_LOG_JSON);
    mr_log *log = memory.type->acquire(memory.self, sizeof(*log), "log");
    if (log == NULL) {
        return NULL;
    }
    log->descriptor = descriptor;
    log->level = level;
    log->format = format;
    const int error = pthread_mutex_init(&log->lock, NULL);
    MR_ASSERT(error == 0);
    return log;
}

void mr_log_destroy(mr_log *log)
{
    const mr_memory memory = mr_memory_system();

    if (log == NULL) {
        return;
    }
    for (uint32_t i = 0; i < SLOTS_MAX; i++) {
        report_suppressed(log, &log->slots[i]);
    }
    const int error = pthread_mutex_destroy(&log->lock);
    MR_ASSERT(error == 0);
    memory.type->release(memory.self, log, sizeof(*log));
}

mr_log_level mr_log_threshold(const mr_log *log)
{
    MR_ASSERT(log != NULL);
    return log->level;
}

void mr_log_event(mr_log *log, mr_log_level level, const char *component, const char *event,
                  const mr_log_field *fields, uint32_t field_count)
{
    MR_ASSERT(component != NULL && event != NULL && field_count <= FIELDS_MAX);
    MR_ASSERT(fields != NULL || field_count == 0);
    if (log == NULL || level > log->level) {
        return;
    }
    int error = pthread_mutex_lock(&log->lock);
    MR_ASSERT(error == 0);
    if (admit(log, level, component, event)) {
        write_event(log, level, component, event, fields, field_count);
    }
    error = pthread_mutex_unlock(&log->lock);
    MR_ASSERT(error == 0);
}

/* Whether the event is written; counts it. */
static bool admit(mr_log *log, mr_log_level level, const char *component, const char *event)
{
    const mr_clock clock = mr_clock_system();
    const int64_t now_us = clock.type->monotonic_us(clock.self);
    slot *kind = find_slot(log, component, event, now_us);

    kind->level = level;
    if (now_us - kind->window_us >= WINDOW_US) {
        report_suppressed(log, kind);
        kind->window_us = now_us;
        kind->count = 0;
    }
    if (kind->count == BURST_MAX) {
        kind->suppressed++;
        return false;
    }
    MR_ASSERT(kind->count < BURST_MAX);
    kind->count++;
    return true;
}

/* The slot of a kind of event: its own, an unused one, or the one whose window began first. */
static slot *find_slot(mr_log *log, const char *component, const char *event, int64_t now_us)
{
    slot *oldest = &log->slots[0];

    for (uint32_t i = 0; i < SLOTS_MAX; i++) {
        slot *candidate = &log->slots[i];
        if (candidate->window_us != 0 &&
            strncmp(candidate->component, component, NAME_BYTES_MAX - 1) == 0 &&
            strncmp(candidate->event, event, NAME_BYTES_MAX - 1) == 0) {
            return candidate;
        }
        if (candidate->window_us < oldest->window_us) {
            oldest = candidate;
        }
    }
    report_suppressed(log, oldest);
    *oldest = (slot){.window_us = now_us};
    (void)snprintf(oldest->component, NAME_BYTES_MAX, "%s", component);
    (void)snprintf(oldest->event, NAME_BYTES_MAX, "%s", event);
    return oldest;
}

static void report_suppressed(mr_log *log, slot *of)
{
    if (of->suppressed > 0) {
        const mr_log_field field = {.name = "suppressed", .number = (int64_t)of->suppressed};
        write_event(log, of->level, of->component, of->event, &field, 1);
        of->suppressed = 0;
    }
}

static void write_event(mr_log *log, mr_log_level level, const char *component, const char *event,
                        const mr_log_field *fields, uint32_t field_count)
{
    static const char *const level_names[] = {"error", "warn", "info", "debug"};
    const mr_clock clock = mr_clock_system();
    const int64_t now_us = clock.type->wall_us(clock.self);
    mr_civil now = {0};
    char time_text[80];
    line out;

    out.size_bytes = 0;
    out.is_full = false;

    mr_time_civil(now_us, &now);
    (void)snprintf(time_text, sizeof(time_text), "%04d-%02d-%02dT%02d:%02d:%02d.%03dZ", now.year,
                   now.month, now.day, now.hour, now.minute, now.second, now.microsecond / 1000);
    if (log->format == MR_LOG_JSON) {
        put(&out, "{\"ts\":\"%s\",\"level\":\"%s\"", time_text, level_names[level]);
    } else {
        put(&out, "ts=%s level=%s", time_text, level_names[level]);
    }
    put_name(&out, log->format, "msg");
    put_text(&out, log->format, event);
    put_name(&out, log->format, "component");
    put_text(&out, log->format, component);
    for (uint32_t i = 0; i < field_count && !out.is_full; i++) {
        const uint32_t whole_bytes = out.size_bytes;
        put_name(&out, log->format, fields[i].name);
        if (fields[i].text != NULL) {
            put_text(&out, log->format, fields[i].text);
        } else {
            put(&out, "%lld", (long long)fields[i].number);
        }
        if (out.is_full) {
            out.size_bytes = whole_bytes; /* A field is there as a whole or not at all. */
        }
    }
    /* The room always suffices for the end: put_bytes keeps 2 bytes back. */
    if (log->format == MR_LOG_JSON) {
        out.text[out.size_bytes++] = '}';
    }
    out.text[out.size_bytes++] = '\n';
    MR_ASSERT(out.size_bytes <= LINE_BYTES_MAX);
    send_line(log, &out);
}

static void send_line(mr_log *log, const line *out)
{
    struct pollfd ready = {.fd = log->descriptor, .events = POLLOUT};
    ssize_t written = -1;

    if (poll(&ready, 1, 0) != 1 || (ready.revents & POLLOUT) == 0) {
        log->lost++;
        return;
    }
    do {
        written = write(log->descriptor, out->text, out->size_bytes);
    } while (written < 0 && errno == EINTR);
    if (written >= 0 && log->lost > 0) {
        const mr_log_field field = {.name = "lines", .number = (int64_t)log->lost};
        log->lost = 0; /* Before the call: it comes back here. */
        write_event(log, MR_LOG_WARN, "log", "lines were lost, as nobody read them", &field, 1);
    }
}

static void put_name(line *out, mr_log_format format, const char *name)
{
    MR_ASSERT(name != NULL);
    if (format == MR_LOG_JSON) {
        put(out, ",\"%s\":", name);
    } else {
        put(out, " %s=", name);
    }
}

static void put_text(line *out, mr_log_format format, const char *text)
{
    const size_t size_bytes = strnlen(text, TEXT_BYTES_MAX);
    bool plain = size_bytes > 0;

    for (size_t i = 0; i < size_bytes; i++) {
        const uint8_t byte = (uint8_t)text[i];
        plain = plain && byte > ' ' && byte != '"' && byte != '\\' && byte != '=' && byte != 0x7f;
    }
    if (format == MR_LOG_LOGFMT && plain) {
        put_bytes(out, text, size_bytes);
    } else {
        put_quoted(out, text, size_bytes);
    }
}

/* JSON's escapes serve logfmt as well. */
static void put_quoted(line *out, const char *text, size_t size_bytes)
{
    put_bytes(out, "\"", 1);
    for (size_t i = 0; i < size_bytes; i++) {
        const uint8_t byte = (uint8_t)text[i];
        if (byte == '"' || byte == '\\') {
            put(out, "\\%c", byte);
        } else if (byte == '\n') {
            put(out, "\\n");
        } else if (byte < ' ' || byte == 0x7f) {
            put(out, "\\u%04x", byte);
        } else {
            put_bytes(out, text + i, 1);
        }
    }
    put_bytes(out, "\"", 1);
}

static void put(line *out, const char *format, ...)
{
    char text[256];
    va_list arguments;

    va_start(arguments, format);
    const int size = vsnprintf(text, sizeof(text), format, arguments);
    va_end(arguments);
    MR_ASSERT(size >= 0 && (size_t)size < sizeof(text));
    put_bytes(out, text, (size_t)size);
}

/* All or nothing. Two bytes stay free for the end of the line. */
static void put_bytes(line *out, const char *bytes, size_t size_bytes)
{
    MR_ASSERT(out->size_bytes <= LINE_BYTES_MAX - 2);
    if (size_bytes <= LINE_BYTES_MAX - 2 - out->size_bytes) {
        memcpy(out->text + out->size_bytes, bytes, size_bytes);
        out->size_bytes += (uint32_t)size_bytes;
    } else {
        out->is_full = true;
    }
}

/*
 * log.h - events on stderr, logfmt or JSON, never one per row or batch. Payloads, keys and secrets
 * are never fields. Equal events (same component and event) beyond 10 in 10 s collapse into one
 * line with a count. The text is formatted by the caller's thread and written with one write(2).
 * Thread: any (a log is used by control, committers and, for rare events, shards).
 */
#ifndef MR_BASE_LOG_H
#define MR_BASE_LOG_H

#include <stdint.h>

typedef enum mr_log_level { MR_LOG_ERROR, MR_LOG_WARN, MR_LOG_INFO, MR_LOG_DEBUG } mr_log_level;
typedef enum mr_log_format { MR_LOG_LOGFMT, MR_LOG_JSON } mr_log_format;

typedef struct mr_log mr_log;

typedef struct mr_log_field { /* `text` NULL: the number is printed. */
    const char *name;
    const char *text;
    int64_t number;
} mr_log_field;

/* Writes to `descriptor`, which stays the caller's. Returns owned; NULL = no memory. */
mr_log *mr_log_create(int descriptor, mr_log_level level, mr_log_format format);
void mr_log_destroy(mr_log *log);
mr_log_level mr_log_threshold(const mr_log *log);

/*
 * One line: ts level msg=<event> component=... fields. `log` NULL: nothing. Control characters in
 * text are escaped; texts are cut at 1,024 bytes.
 */
void mr_log_event(mr_log *log, mr_log_level level, const char *component, const char *event,
                  const mr_log_field *fields, uint32_t field_count);

#endif

/*
 * eval_like.c - LIKE: `%` is any text, `_` one character, the escape character takes the meaning of
 * what follows. Matching looks at bytes; only `_` needs to know where a character ends. A lone
 * escape at the end of a pattern is 22025, and only when the match gets there, as in PostgreSQL.
 *
 * Without recursion: after a `%` it is enough to remember the last one, for an earlier `%` could
 * not do better. Worst case: text length x pattern length.
 */
#include "engine/base/utf8.h"
#include "engine/expr/expr_private.h"
#include <string.h>

typedef struct pattern {
    const uint8_t *bytes, *end;
    uint8_t escape[4];
    uint32_t escape_bytes; /* 0: none. */
} pattern;

typedef enum verdict { NO_MATCH, MATCH, BAD_PATTERN } verdict;

static uint32_t character_bytes(uint8_t first)
{
    return first < 0x80 ? 1 : first < 0xe0 ? 2 : first < 0xf0 ? 3 : 4;
}

static bool at_escape(const pattern *p, const uint8_t *at)
{
    return p->escape_bytes > 0 && (size_t)(p->end - at) >= p->escape_bytes &&
           memcmp(at, p->escape, p->escape_bytes) == 0;
}

/* The last `%` that was met: where the pattern goes on, and where the text may. */
typedef struct resume {
    const uint8_t *pattern, *text;
} resume;

/* A text that is used up matches what is left if that is nothing but %. */
static verdict match_end(const pattern *p, const uint8_t *at)
{
    while (at < p->end && *at == '%' && !at_escape(p, at)) {
        at++;
    }
    return at == p->end ? MATCH : NO_MATCH;
}

/* Behind a %: further % mean nothing, each _ takes a character of the text. */
static const uint8_t *skip_wildcards(const pattern *p, const uint8_t *at, const uint8_t **text,
                                     const uint8_t *end)
{
    while (at < p->end && !at_escape(p, at) && (*at == '%' || (*at == '_' && *text < end))) {
        *text += *at == '_' ? character_bytes(**text) : 0;
        at++;
    }
    return at;
}

static verdict match(const pattern *p, mr_view text)
{
    const uint8_t *t = text.bytes, *end = text.bytes + text.size_bytes, *at = p->bytes;
    resume last = {0};

    while (t < end) {
        if (at < p->end && at_escape(p, at)) {
            const uint8_t *literal = at + p->escape_bytes;
            if (literal == p->end) {
                return BAD_PATTERN;
            }
            const uint32_t bytes = character_bytes(*literal);
            if ((size_t)(end - t) >= bytes && memcmp(t, literal, bytes) == 0) {
                t += bytes;
                at = literal + bytes;
                continue;
            }
        } else if (at < p->end && *at == '%') {
            at = skip_wildcards(p, at, &t, end);
            if (at == p->end) {
                return MATCH;
            }
            if (at_escape(p, at) && at + p->escape_bytes == p->end) {
                return BAD_PATTERN; /* Found out even when the text is used up. */
            }
            last = (resume){.pattern = at, .text = t};
            continue;
        } else if (at < p->end && (*at == '_' || *at == *t)) {
            t += *at == '_' ? character_bytes(*t) : 1;
            at++;
            continue;
        }
        /* A mismatch: the last % takes one character more. */
        if (last.pattern == NULL) {
            return NO_MATCH;
        }
        last.text += character_bytes(*last.text);
        t = last.text;
        at = last.pattern;
    }
    return match_end(p, at);
}

static pattern make_pattern(mr_view text, uint32_t escape)
{
    pattern p = {.bytes = text.bytes, .end = text.bytes + text.size_bytes};

    if (escape != 0) {
        p.escape_bytes = mr_utf8_encode(escape, p.escape);
    }
    return p;
}

bool mr_like_pattern_safe(mr_view text, uint32_t escape)
{
    const pattern p = make_pattern(text, escape);

    for (const uint8_t *at = p.bytes; at < p.end;) {
        if (at_escape(&p, at)) {
            at += p.escape_bytes;
            if (at == p.end) {
                return false;
            }
        }
        at += character_bytes(*at);
    }
    return true;
}

void mr_run_like(mr_frame *frame, const mr_program_step *step)
{
    const mr_view *a = frame->registers[step->a].column.as.views;
    const mr_view *b = frame->registers[step->b].column.as.views;
    uint8_t *out = frame->registers[step->dst].cells;
    const uint32_t escape = *(const uint32_t *)step->extra;
    uint64_t live[MR_BATCH_WORDS_MAX];

    mr_frame_strict(frame, step, 2);
    mr_frame_live(frame, step, 2, live);
    for (uint32_t row = 0; mr_next_row(live, frame->word_count, &row); row++) {
        const pattern p = make_pattern(b[row], escape);
        const verdict found = match(&p, a[row]);
        if (found == BAD_PATTERN) {
            mr_frame_fail_row(frame, row, MR_ROW_22025);
        }
        out[row] = found == MATCH;
    }
}

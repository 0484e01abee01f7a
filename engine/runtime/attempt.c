/*
 * attempt.c - a shard's attempts: the durable mark, small epochs, the trial of a single record.
 *
 * An attempt begins when the claim is committed; then the mark is written as open. Whoever sees its
 * end and knows that the data is not the reason closes it: a stop, a recovery, a fence, a full
 * disk. A mark that the next start finds open has failed (poison.c says what follows). With a limit
 * the shard works on one epoch at a time, of some records of one input, which are written into the
 * mark before anything looks at them; a source sees no more of a fetch. Cost as long as all is
 * well: a branch a fetch, and one small synced write a start or recovery. Thread: the shard's.
 */
#include "engine/base/hash.h"
#include "engine/runtime/runtime_private.h"
#include <inttypes.h>
#include <string.h>

enum { SEED = 2 };

static const char AS_USUAL[] = "epochs are as large as usual again";

static bool is_kept(const mr_shard *shard);
static bool is_all_past(const mr_shard *shard);
static uint64_t name_hash(const mr_shard *shard, const mr_input *input);
static bool take_prints(mr_shard *shard, const mr_offset *offsets);
static uint32_t find_suspect(const mr_shard *shard);
static void forget(mr_shard *shard);
static void write_mark(mr_shard *shard);
static mr_status refuse(mr_shard *shard);
static void acquit_all(mr_shard *shard);
static bool is_of_data(const mr_diag *diag);
static mr_fetch *try_some(mr_input *input, mr_task *task);
static void send_away(mr_input *input, mr_task *task);
static mr_fetch *serve(mr_input *input, uint32_t count);
static void log_mark(mr_shard *shard, const char *message);

mr_status mr_attempt_judge(mr_shard *shard, const mr_offset *offsets)
{
    mr_attempt *attempt = &shard->attempt;
    mr_mark *mark = &attempt->mark;

    if (!is_kept(shard)) {
        return MR_OK;
    }
    if (shard->options.retry_poison) {
        forget(shard);
    }
    attempt->suspect_input = find_suspect(shard);
    const uint32_t limit = mark->limit;
    const mr_mark_facts facts = {.epoch_records = shard->plan->commit.records,
                                 .after = shard->plan->poison.after,
                                 .is_same = take_prints(shard, offsets),
                                 .is_past =
                                     attempt->suspect_input == MR_NO_INDEX ||
                                     shard->inputs[attempt->suspect_input].applied >= mark->end};
    mr_mark_start(mark, &facts);
    attempt->passed = 0;
    attempt->suspect_input = mark->has_suspect ? attempt->suspect_input : MR_NO_INDEX;
    attempt->range_end = mark->end;
    for (uint32_t i = 0; i < shard->input_count; i++) {
        shard->inputs[i].seen_end = offsets[i].log_end;
    }
    if (mark->limit != limit) {
        log_mark(shard, limit == 0 ? "epochs fail at the same offsets: fewer records are tried"
                                   : "a small epoch failed: fewer records are tried");
    }
    if (!mark->is_convicted ||
        (shard->plan->poison.has_dlq && mark->in_a_row <= MR_POISON_ROW_MAX)) {
        return MR_OK;
    }
    return refuse(shard);
}

void mr_attempt_begin(mr_shard *shard)
{
    mr_attempt *attempt = &shard->attempt;

    if (!is_kept(shard)) {
        return;
    }
    attempt->mark.is_open = true;
    attempt->mark.is_tried = false;
    attempt->mark.reason = MR_OK;
    write_mark(shard);
    attempt->is_begun = true;
}

void mr_attempt_end(mr_shard *shard, const mr_diag *diag)
{
    mr_attempt *attempt = &shard->attempt;

    mr_turn_leave(shard);
    mr_turn_give(shard);
    if (!attempt->is_begun) {
        return;
    }
    attempt->is_begun = false;
    attempt->mark.is_open = diag != NULL && is_of_data(diag);
    attempt->mark.reason = attempt->mark.is_open ? diag->status : MR_OK;
    write_mark(shard);
}

void mr_attempt_passed(mr_shard *shard, uint64_t records)
{
    mr_attempt *attempt = &shard->attempt;
    mr_mark *mark = &attempt->mark;

    if (mark->limit == 0 || records == 0) {
        return;
    }
    mr_turn_give(shard);
    mark->is_tried = false;
    if (attempt->suspect_input != MR_NO_INDEX &&
        shard->inputs[attempt->suspect_input].applied >= attempt->range_end) {
        mr_mark_clear(mark);
    }
    if (is_all_past(shard)) {
        acquit_all(shard);
    } else if (mr_mark_passed(mark, &attempt->passed, records, shard->plan->commit.records)) {
        write_mark(shard);
        if (mark->limit == 0) {
            log_mark(shard, AS_USUAL);
        }
    }
    if (!mark->has_suspect) {
        attempt->suspect_input = MR_NO_INDEX;
    }
}

mr_fetch *mr_attempt_fetch(mr_task *task)
{
    mr_shard *shard = task->shard;
    mr_attempt *attempt = &shard->attempt;
    mr_input *input = &shard->inputs[task->input];

    if (attempt->suspect_input != MR_NO_INDEX && task->input != attempt->suspect_input) {
        return NULL; /* The suspect first: what is in front of it would hide it. */
    }
    if (input->held_count == 0) {
        mr_fetch *fetch = mr_input_take_fetch(input);
        if (fetch == NULL) {
            return NULL;
        }
        if (fetch->record_count == 0) { /* The end of the log: the suspect is in it no more. */
            mr_mark_forget(&attempt->mark);
            attempt->suspect_input = MR_NO_INDEX;
            return fetch;
        }
        input->held = fetch->records;
        input->held_count = fetch->record_count;
        input->held_end = input->at_end;
        input->held_fetch_end = fetch->at_end;
        fetch->record_count = 0;
        fetch->at_end = input->at_end = false;
    }
    return attempt->mark.limit == 0 ? serve(input, input->held_count) : try_some(input, task);
}

/* ---- Helpers ---- */

static bool is_kept(const mr_shard *shard)
{
    return shard->env.marks.write != NULL && shard->plan->poison.after > 0;
}

static uint64_t name_hash(const mr_shard *shard, const mr_input *input)
{
    const mr_source_common *common = input->source->node->common;
    const char *topic = shard->plan->topics[common->topic].name;

    return mr_hash64(topic, strlen(topic), SEED);
}

/* Notes where each input stands; true = one that has records has not moved since the last time. */
static bool take_prints(mr_shard *shard, const mr_offset *offsets)
{
    mr_mark *mark = &shard->attempt.mark;
    bool is_same = false;

    for (uint32_t i = 0; i < MR_MARK_PRINTS; i++) {
        uint16_t print = 0;
        if (i < shard->input_count) {
            const mr_input *input = &shard->inputs[i];
            const uint64_t place[] = {name_hash(shard, input), input->lane->partition,
                                      (uint64_t)input->applied};
            print = (uint16_t)(mr_hash64(place, sizeof(place), SEED) | 1);
            is_same = is_same || (print == mark->prints[i] && input->applied < offsets[i].log_end);
        }
        mark->prints[i] = print;
    }
    return is_same;
}

static uint32_t find_suspect(const mr_shard *shard)
{
    const mr_mark *mark = &shard->attempt.mark;

    for (uint32_t i = 0; mark->has_suspect && i < shard->input_count; i++) {
        const mr_input *input = &shard->inputs[i];
        if (input->lane->partition == mark->partition && name_hash(shard, input) == mark->topic) {
            return i;
        }
    }
    return MR_NO_INDEX;
}

/* Whether all is committed that was in the logs when the last attempt had failed. With a limit one
 * epoch is under way at a time: what is applied is committed. */
static bool is_all_past(const mr_shard *shard)
{
    for (uint32_t i = 0; i < shard->input_count; i++) {
        const mr_input *input = &shard->inputs[i];
        const bool is_at_end = input->at_end && input->held_count == 0; /* Behind a marker, say. */
        if (input->applied < input->seen_end && !is_at_end) {
            return false;
        }
    }
    return true;
}

static void acquit_all(mr_shard *shard)
{
    mr_mark_acquit(&shard->attempt.mark);
    shard->attempt.suspect_input = MR_NO_INDEX;
    write_mark(shard);
    log_mark(shard, AS_USUAL);
}

/* Once: nothing that a process learns itself makes epochs small. */
static void forget(mr_shard *shard)
{
    if (shard->attempt.mark.limit > 0) {
        log_mark(shard, "what is known of failed attempts is forgotten, as told");
    }
    shard->attempt.mark = (mr_mark){.limit = 0};
}

/* Without it nothing is counted, which harms nobody: the worker goes on. */
static void write_mark(mr_shard *shard)
{
    mr_diag diag = {.status = MR_OK};

    if (shard->env.marks.write(shard->env.marks.self, &shard->attempt.mark, &diag) != MR_OK) {
        const mr_log_field fields[] = {{.name = "shard", .number = shard->options.index},
                                       {.name = "cause", .text = diag.text}};
        mr_log_event(shard->env.log, MR_LOG_WARN, "poison", "an attempt is not marked", fields,
                     MR_LENGTH(fields));
    }
}

static mr_status refuse(mr_shard *shard)
{
    const mr_mark *mark = &shard->attempt.mark;
    const mr_input *input = &shard->inputs[shard->attempt.suspect_input];
    const mr_source_common *common = input->source->node->common;
    const char *topic = shard->plan->topics[common->topic].name;
    const char *ending = mark->reason == MR_OK ? "died" : mr_status_name((mr_status)mark->reason);

    if (shard->plan->poison.has_dlq) {
        return mr_diag_set(&shard->diag, MR_ERR_ROW, 0,
                           "E_POISON: %s-%" PRIu32 "@%" PRId64 ": the last %" PRIu32
                           " records failed, one after the other (the worker %s): the cause is "
                           "hardly in the records, and no more are sent to the dlq; mend it and "
                           "start with --retry-poison",
                           topic, mark->partition, mark->offset, mark->in_a_row, ending);
    }
    return mr_diag_set(&shard->diag, MR_ERR_ROW, 0,
                       "E_POISON: %s-%" PRIu32 "@%" PRId64 ": failed %" PRIu32
                       " times with this record alone (the worker %s); mend the cause and start "
                       "with --retry-poison, or let such records go to a dlq: "
                       "`errors: { poison: { dlq: NAME } }`",
                       topic, mark->partition, mark->offset, mark->suspect_failures, ending);
}

/* Failures that the output of a record causes and that do not name the record; both end the
 * process. */
static bool is_of_data(const mr_diag *diag)
{
    static const char *const names[] = {"E_OUTPUT_TOO_LARGE", "E_OUTPUT_REJECTED"};

    for (uint32_t i = 0; i < MR_LENGTH(names); i++) {
        if (strstr(diag->text, names[i]) != NULL) {
            return true;
        }
    }
    return false;
}

/* The first records that are held, as many as the limit says; NULL = not now. */
static mr_fetch *try_some(mr_input *input, mr_task *task)
{
    mr_shard *shard = task->shard;
    mr_attempt *attempt = &shard->attempt;
    mr_mark *mark = &attempt->mark;
    const uint32_t count = mark->limit < input->held_count ? mark->limit : input->held_count;
    const mr_mark_place place = {.topic = name_hash(shard, input),
                                 .partition = input->lane->partition,
                                 .offset = input->held[0].offset,
                                 .end = input->held[count - 1].offset + 1};

    MR_ASSERT(shard->epoch.records_in == 0);
    if (mark->limit == 1 && !mr_turn_take(shard)) {
        return NULL;
    }
    if (mark->is_convicted && mr_mark_is_at(mark, &place)) {
        send_away(input, task);
        return NULL; /* The epoch has what it may hold. */
    }
    mr_mark_try(mark, &place);
    write_mark(shard);
    attempt->range_end = attempt->suspect_input == task->input && attempt->range_end > place.end
                             ? attempt->range_end
                             : place.end;
    attempt->suspect_input = task->input;
    return serve(input, count);
}

/* The convicted record, which no source sees: a dead letter in an epoch of its own. */
static void send_away(mr_input *input, mr_task *task)
{
    mr_shard *shard = task->shard;
    mr_fetch *fetch = serve(input, 1);

    mr_reject_poison(task, fetch, shard->attempt.mark.suspect_failures);
    input->applied = fetch->records[0].offset + 1;
    fetch->record_count = 0;
    shard->epoch.records_in++;
    mr_counter_add(&shard->counters.records_in, 1);
}

/* The next `count` records of what is held; the end of the log is told behind the last of them. */
static mr_fetch *serve(mr_input *input, uint32_t count)
{
    mr_fetch *fetch = input->fetch;

    MR_ASSERT(count > 0 && count <= input->held_count);
    fetch->records = input->held;
    fetch->record_count = count;
    input->held += count;
    input->held_count -= count;
    if (input->held_count == 0) {
        input->at_end = input->held_end;
        fetch->at_end = input->held_fetch_end;
    }
    return fetch;
}

static void log_mark(mr_shard *shard, const char *message)
{
    const mr_mark *mark = &shard->attempt.mark;
    const mr_log_field fields[] = {{.name = "shard", .number = shard->options.index},
                                   {.name = "failures", .number = mark->failures},
                                   {.name = "records", .number = mark->limit}};
    mr_log_event(shard->env.log, MR_LOG_WARN, "poison", message, fields, MR_LENGTH(fields));
}

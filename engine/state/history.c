/*
 * history.c - what the log says of each task: its newest epochs with their identities and offsets.
 *
 * Of each task the 64 newest moments are kept, so that memory does not grow with the log: Kafka
 * steps back by a few epochs at most, and what is older than the ring is older than what is known
 * to be committed. Also kept: the layouts of stored tables, and which epochs are dead because a
 * later delta follows an earlier one.
 */
#include "engine/state/state_private.h"

enum { FIRST_ROOM = 16, OFFSET_ROOM_FIRST = 4, LOG_BYTES_MAX = 256 << 20 };

static mr_status visit(mr_state *state, void *context, const mr_delta_view *delta, mr_diag *diag);
static bool add_table(void *context, const mr_section *section, mr_view key, mr_view value,
                      bool is_tombstone);
static mr_history *find_or_add(mr_log *log, uint32_t task);
static bool add_moment(mr_log *log, mr_history *history, const mr_delta_header *header,
                       const mr_delta_task *task, const mr_delta_offset *offsets, uint32_t count);
static bool more_offsets(mr_log *log, mr_history *history, uint32_t count);
static void *more(mr_log *log, const void *old, uint32_t count, uint32_t *room, size_t size_bytes);

mr_status mr_log_read(mr_state *state, mr_diag *diag)
{
    mr_log *log = &state->log;

    state->is_scanned = false; /* If this fails, what stands here is no word of the disk. */
    mr_log_release(log);
    if (!mr_log_open(log, state->options.memory)) {
        return mr_state_no_memory(state->options.shard, "the history of the log", diag);
    }
    mr_log_end end;
    mr_status status = mr_base_read(state, diag);
    if (status == MR_OK) {
        status = mr_scan_chain(state, visit, NULL, &end, diag);
    }
    if (status == MR_OK) {
        const uint64_t acked = state->acked > end.acked ? state->acked : end.acked;
        log->end = end;
        log->end.acked = acked;
        state->is_scanned = true;
        state->is_tail_safe = log->end.delta_count == 0;
        state->log_doubtful = false;
    }
    return status;
}

bool mr_log_open(mr_log *log, mr_memory memory)
{
    *log = (mr_log){.arena = mr_arena_create(memory, LOG_BYTES_MAX, "history of the log")};
    return log->arena != NULL;
}

void mr_log_release(mr_log *log)
{
    mr_arena_destroy(log->arena);
    *log = (mr_log){.arena = NULL};
}

mr_history *mr_log_history(const mr_log *log, uint32_t task)
{
    uint32_t low = 0;
    uint32_t high = log->history_count;

    while (low < high) {
        const uint32_t middle = low + (high - low) / 2;
        if (log->histories[middle].task < task) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low < log->history_count && log->histories[low].task == task ? &log->histories[low]
                                                                        : NULL;
}

const mr_moment *mr_history_at(const mr_history *history, uint32_t index)
{
    MR_ASSERT(index < history->moment_count);
    return &history->moments[(history->first + index) % MR_HISTORY_MAX];
}

const mr_moment *mr_history_newest(const mr_history *history, uint64_t epoch)
{
    for (uint32_t i = history != NULL ? history->moment_count : 0; i > 0; i--) {
        const mr_moment *moment = mr_history_at(history, i - 1);
        if (moment->point.epoch <= epoch) {
            return moment;
        }
    }
    return NULL;
}

const mr_delta_offset *mr_history_offsets(const mr_history *history, uint32_t index)
{
    MR_ASSERT(index < history->moment_count);
    return history->offsets +
           (size_t)((history->first + index) % MR_HISTORY_MAX) * history->offset_room;
}

bool mr_log_add(mr_log *log, const mr_delta_header *header, const mr_delta_task *tasks,
                const mr_delta_offset *offsets)
{
    uint32_t offset = 0;

    if (header->follows < log->end.epoch) {
        mr_dead *dead = more(log, log->dead, log->dead_count, &log->dead_room, sizeof(*dead));
        if (dead == NULL) {
            return false;
        }
        log->dead = dead;
        log->dead[log->dead_count++] = (mr_dead){.from = header->follows, .to = header->epoch};
        mr_log_cut(log, header->follows);
    }
    for (uint32_t i = 0; i < header->task_count; i++) {
        mr_history *history = find_or_add(log, tasks[i].task);
        const uint32_t from = offset;
        while (offset < header->offset_count && offsets[offset].task == tasks[i].task) {
            offset++;
        }
        if (history == NULL ||
            !add_moment(log, history, header, &tasks[i], offsets + from, offset - from)) {
            return false;
        }
    }
    log->end.epoch = header->epoch;
    if (header->epoch > log->end.epoch_max) {
        log->end.epoch_max = header->epoch;
    }
    if (header->acked > log->end.acked) {
        log->end.acked = header->acked;
    }
    return true;
}

bool mr_log_reserve(mr_log *log, const uint32_t *tasks, uint32_t task_count, uint32_t offset_count)
{
    /* Only the first epoch behind a roll can make others dead. */
    mr_dead *dead = more(log, log->dead, log->dead_count, &log->dead_room, sizeof(*dead));
    bool ok = dead != NULL;

    log->dead = ok ? dead : log->dead;
    for (uint32_t i = 0; ok && i < task_count; i++) {
        mr_history *history = find_or_add(log, tasks[i]);
        ok = history != NULL &&
             (offset_count <= history->offset_room || more_offsets(log, history, offset_count));
    }
    return ok;
}

void mr_log_cut(mr_log *log, uint64_t epoch)
{
    for (uint32_t i = 0; i < log->history_count; i++) {
        mr_history *history = &log->histories[i];
        while (history->moment_count > 0 &&
               mr_history_at(history, history->moment_count - 1)->point.epoch > epoch) {
            history->moment_count--;
        }
    }
}

bool mr_log_is_dead(const mr_log *log, uint64_t epoch)
{
    for (uint32_t i = log->dead_count; i > 0; i--) {
        if (log->dead[i - 1].from < epoch && epoch < log->dead[i - 1].to) {
            return true;
        }
    }
    return false;
}

uint32_t mr_state_unassigned(const mr_state *state, uint32_t *tasks, uint32_t count_max)
{
    const mr_log *log = &state->log;
    uint32_t count = 0;

    for (uint32_t i = 0; i < log->history_count; i++) {
        const uint32_t task = log->histories[i].task;
        if (mr_state_task_index(state, task) != UINT32_MAX || log->histories[i].moment_count == 0) {
            continue;
        }
        if (count < count_max) {
            tasks[count] = task;
        }
        count++;
    }
    return count;
}

uint64_t mr_log_kept_offsets(const mr_state *state)
{
    const mr_log *log = &state->log;
    uint64_t offsets = 0;

    for (uint32_t i = 0; i < log->history_count; i++) {
        const mr_history *history = &log->histories[i];
        uint32_t most = 0; /* A roll may go back to any of them. */
        for (uint32_t m = 0; m < history->moment_count; m++) {
            const uint32_t count = mr_history_at(history, m)->offset_count;
            most = count > most ? count : most;
        }
        offsets += mr_state_task_index(state, history->task) == UINT32_MAX ? most : 0;
    }
    return offsets;
}

/* The newest layout counts. */
bool mr_log_add_table(mr_log *log, uint32_t task, uint32_t table, uint64_t layout)
{
    uint32_t at = log->table_hint; /* Deltas name their tables in the same order. */
    uint32_t looked = 0;

    for (; looked < log->table_count; looked++, at++) {
        at = at < log->table_count ? at : 0;
        if (log->tables[at].task == task && log->tables[at].table == table) {
            break;
        }
    }
    if (looked == log->table_count) {
        at = log->table_count;
        mr_stored_table *tables =
            more(log, log->tables, log->table_count, &log->table_room, sizeof(*tables));
        if (tables == NULL) {
            return false;
        }
        log->tables = tables;
        log->table_count++;
    }
    log->tables[at] = (mr_stored_table){.task = task, .table = table, .layout = layout};
    log->table_hint = at + 1;
    return true;
}

/* ---- Helpers ---- */

static mr_status visit(mr_state *state, void *context, const mr_delta_view *delta, mr_diag *diag)
{
    (void)context;
    if (!mr_log_add(&state->log, delta->header, delta->tasks, delta->offsets) ||
        !mr_delta_sections(delta, add_table, &state->log)) {
        return mr_state_no_memory(state->options.shard, "the history of the log", diag);
    }
    return MR_OK;
}

/* Once a section. */
static bool add_table(void *context, const mr_section *section, mr_view key, mr_view value,
                      bool is_tombstone)
{
    (void)key;
    (void)value;
    (void)is_tombstone;
    return mr_log_add_table(context, section->task, section->table, section->layout);
}

static mr_history *find_or_add(mr_log *log, uint32_t task)
{
    mr_history *found = mr_log_history(log, task);
    if (found != NULL) {
        return found;
    }
    mr_history *histories =
        more(log, log->histories, log->history_count, &log->history_room, sizeof(*histories));
    if (histories == NULL) {
        return NULL;
    }
    log->histories = histories;
    uint32_t at = log->history_count++;
    for (; at > 0 && histories[at - 1].task > task; at--) {
        histories[at] = histories[at - 1];
    }
    histories[at] = (mr_history){.task = task};
    return &histories[at];
}

static bool add_moment(mr_log *log, mr_history *history, const mr_delta_header *header,
                       const mr_delta_task *task, const mr_delta_offset *offsets, uint32_t count)
{
    if (count > history->offset_room && !more_offsets(log, history, count)) {
        return false;
    }
    if (history->moment_count == MR_HISTORY_MAX) {
        history->first = (history->first + 1) % MR_HISTORY_MAX;
        history->moment_count--;
    }
    const uint32_t slot = (history->first + history->moment_count) % MR_HISTORY_MAX;
    history->moments[slot] = (mr_moment){.point = {.task = task->task,
                                                   .lineage = task->lineage,
                                                   .epoch = header->epoch,
                                                   .incarnation = header->incarnation,
                                                   .digest = task->digest,
                                                   .watermark_us = task->watermark_us},
                                         .offset_count = count};
    if (count > 0) {
        memcpy(history->offsets + (size_t)slot * history->offset_room, offsets,
               count * sizeof(*offsets));
    }
    history->moment_count++;
    return true;
}

/* More room for the offsets of each moment; the old room stays in the arena. */
static bool more_offsets(mr_log *log, mr_history *history, uint32_t count)
{
    uint32_t room = history->offset_room == 0 ? OFFSET_ROOM_FIRST : history->offset_room;
    while (room < count) {
        room *= 2;
    }
    mr_delta_offset *offsets =
        mr_arena_take_array(log->arena, (size_t)room * MR_HISTORY_MAX, sizeof(*offsets));
    if (offsets == NULL) {
        return false;
    }
    for (uint32_t i = 0; i < MR_HISTORY_MAX && history->offset_room > 0; i++) {
        memcpy(offsets + (size_t)i * room, history->offsets + (size_t)i * history->offset_room,
               history->offset_room * sizeof(*offsets));
    }
    history->offsets = offsets;
    history->offset_room = room;
    return true;
}

/* The array, with room for one more; doubles in the arena. NULL = no memory. */
static void *more(mr_log *log, const void *old, uint32_t count, uint32_t *room, size_t size_bytes)
{
    if (count < *room) {
        return (void *)(uintptr_t)old;
    }
    const uint32_t doubled = *room == 0 ? FIRST_ROOM : *room * 2;
    void *array = mr_arena_take_array(log->arena, doubled, size_bytes);
    if (array == NULL) {
        return NULL;
    }
    if (count > 0) {
        memcpy(array, old, count * size_bytes);
    }
    *room = doubled;
    return array;
}

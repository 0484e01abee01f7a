/*
 * judge.c - Kafka's word of each task against the log's: the recovery table of FORMAT.md.
 *
 * E, the epoch to roll to, is the newest that some point matches exactly; a point that matches
 * nothing never raises it, as a task that moved may carry another store's numbers. Then every task
 * must stand exactly where its newest entry at or below E says, because one transaction commits
 * all of its tasks or none. Whatever does not fit is refused by name, with both sides printed.
 */
#include "engine/state/state_private.h"
#include <stdio.h>

typedef struct finding { /* One task. */
    const mr_task_point *point;
    const mr_history *history; /* NULL: the log does not know the task. */
    uint32_t exact;            /* Index of the moment that equals the point; UINT32_MAX = none. */
    uint32_t same_epoch;       /* Of the one with the point's epoch. */
} finding;

static void find(const mr_state *state, const mr_task_point *point, finding *found);
static bool is_same(const mr_task_point *a, const mr_task_point *b);
static mr_verdict judge_one(const mr_state *state, const mr_judgement *judgement,
                            const finding *found, bool beyond);
static mr_verdict judge_uncommitted(const mr_state *state, const mr_judgement *judgement,
                                    const finding *found);
static mr_verdict answer(const mr_judgement *judgement, const finding *found, mr_verdict verdict);
static mr_verdict doubt(const mr_state *state, const mr_judgement *judgement, const finding *found,
                        mr_verdict verdict);
static uint64_t epoch_kept(const mr_state *state, const mr_judgement *judgement);
static bool offsets_agree(const mr_judgement *judgement, const finding *found);
static mr_status refuse(const mr_state *state, const mr_judgement *judgement, const finding *found,
                        mr_verdict verdict, mr_diag *diag);
static const mr_task_point *newest(const finding *found);
static const char *name_of(mr_verdict verdict);
static const char *remedy_of(const mr_volume *volume, mr_verdict verdict);

mr_status mr_judge(mr_state *state, mr_judgement *judgement, bool beyond, mr_diag *diag)
{
    mr_status status = MR_OK;
    finding found;

    judgement->epoch = 0;
    for (uint32_t i = 0; i < judgement->point_count; i++) {
        find(state, &judgement->points[i], &found);
        if (found.exact != UINT32_MAX && found.point->epoch > judgement->epoch) {
            judgement->epoch = found.point->epoch;
        }
    }
    judgement->matched = judgement->epoch;
    judgement->epoch = epoch_kept(state, judgement);
    for (uint32_t i = 0; i < judgement->point_count; i++) {
        find(state, &judgement->points[i], &found);
        const mr_verdict judged = judge_one(state, judgement, &found, beyond);
        const mr_verdict verdict =
            doubt(state, judgement, &found, answer(judgement, &found, judged));
        judgement->points[i].verdict = verdict;
        if (mr_verdict_is_refusal(verdict) && status == MR_OK) {
            status = refuse(state, judgement, &found, verdict, diag);
        }
    }
    return status;
}

bool mr_judge_is_beyond(const mr_state *state, const mr_judgement *judgement)
{
    for (uint32_t i = 0; i < judgement->point_count; i++) {
        if (judgement->points[i].verdict == MR_VERDICT_BEHIND &&
            judgement->points[i].epoch > state->log.end.epoch) {
            return true;
        }
    }
    return false;
}

/* ---- Helpers ---- */

static void find(const mr_state *state, const mr_task_point *point, finding *found)
{
    *found = (finding){.point = point,
                       .history = mr_log_history(&state->log, point->task),
                       .exact = UINT32_MAX,
                       .same_epoch = UINT32_MAX};
    if (point->epoch == 0 || found->history == NULL) {
        return;
    }
    for (uint32_t i = found->history->moment_count; i > 0; i--) {
        const mr_task_point *stored = &mr_history_at(found->history, i - 1)->point;
        if (stored->epoch == point->epoch) {
            found->same_epoch = i - 1;
            if (is_same(stored, point)) {
                found->exact = i - 1;
            }
            return;
        }
    }
}

static bool is_same(const mr_task_point *a, const mr_task_point *b)
{
    return a->lineage == b->lineage && a->epoch == b->epoch && a->incarnation == b->incarnation &&
           a->digest == b->digest;
}

/* In the order of the table: inconsistent, Kafka went back, then from the top. */
static mr_verdict judge_one(const mr_state *state, const mr_judgement *judgement,
                            const finding *found, bool beyond)
{
    const mr_task_point *point = found->point;
    const uint64_t decided =
        judgement->epoch > state->log.end.acked ? judgement->epoch : state->log.end.acked;

    if (point->epoch == 0) {
        return judge_uncommitted(state, judgement, found);
    }
    if (found->exact != UINT32_MAX && !offsets_agree(judgement, found)) {
        return MR_VERDICT_DISAGREE;
    }
    const uint32_t count = found->history == NULL ? 0 : found->history->moment_count;
    if (found->same_epoch == UINT32_MAX && count > 0 &&
        point->epoch < state->volume.super.base_to &&
        mr_history_at(found->history, 0)->point.epoch > point->epoch &&
        mr_history_at(found->history, 0)->point.lineage == point->lineage) {
        return MR_VERDICT_TOO_OLD;
    }
    for (uint32_t i = 0; i < count; i++) {
        const mr_task_point *stored = &mr_history_at(found->history, i)->point;
        if (stored->epoch > point->epoch && stored->epoch <= decided &&
            stored->lineage == point->lineage) {
            return MR_VERDICT_REGRESSION;
        }
    }
    if (found->exact != UINT32_MAX) {
        return MR_VERDICT_NORMAL;
    }
    if (found->same_epoch == UINT32_MAX && (count == 0 || point->epoch > state->log.end.epoch)) {
        return beyond ? MR_VERDICT_DAMAGED : MR_VERDICT_BEHIND;
    }
    return MR_VERDICT_FOREIGN;
}

/*
 * Where tasks are kept or reset although no point matches, the newest decided epoch is the one to
 * roll to: a claim that followed an older one would cut what was decided, before it is decided.
 */
static uint64_t epoch_kept(const mr_state *state, const mr_judgement *judgement)
{
    const uint64_t decided =
        judgement->epoch > state->log.end.acked ? judgement->epoch : state->log.end.acked;
    uint64_t epoch = judgement->epoch;

    for (uint32_t i = 0; i < judgement->point_count; i++) {
        const mr_task_point *point = &judgement->points[i];
        if ((point->allowed & (MR_ALLOW_KEEP | MR_ALLOW_RESET)) == 0) {
            continue;
        }
        const mr_moment *newest =
            mr_history_newest(mr_log_history(&state->log, point->task), decided);
        if (newest != NULL && newest->point.epoch > epoch) {
            epoch = newest->point.epoch;
        }
    }
    return epoch;
}

/* What the answers that were given make of a refusal. */
static mr_verdict answer(const mr_judgement *judgement, const finding *found, mr_verdict verdict)
{
    const uint32_t allowed = found->point->allowed;

    switch (verdict) {
    case MR_VERDICT_OFFSETS_MISSING:
        if ((allowed & MR_ALLOW_KEEP) != 0) {
            return MR_VERDICT_KEPT;
        }
        break;
    case MR_VERDICT_REGRESSION:
        /* Only if the whole store goes back: one transaction commits all of its tasks. */
        if ((allowed & MR_ALLOW_BACK) != 0 && found->exact != UINT32_MAX &&
            &mr_history_newest(found->history, judgement->epoch)->point ==
                &mr_history_at(found->history, found->exact)->point) {
            return MR_VERDICT_FOLLOWED;
        }
        break;
    case MR_VERDICT_BEHIND:
    case MR_VERDICT_FOREIGN:
    case MR_VERDICT_TOO_OLD:
        break;
    case MR_VERDICT_NORMAL:
    case MR_VERDICT_GENESIS:
    case MR_VERDICT_DAMAGED:
    case MR_VERDICT_DISAGREE:
    case MR_VERDICT_KEPT:
    case MR_VERDICT_RESET:
    case MR_VERDICT_FOLLOWED:
        return verdict;
    }
    return (allowed & MR_ALLOW_RESET) != 0 ? MR_VERDICT_RESET : verdict;
}

/*
 * Where a pair of superblocks is lost, what was read may be an older state than what lay here. Only
 * an epoch that Kafka names exactly shows that it is not; without one nothing is begun or kept, and
 * a state that is behind is no other directory, but this disk. Who wants it emptied needs no proof.
 */
static mr_verdict doubt(const mr_state *state, const mr_judgement *judgement, const finding *found,
                        mr_verdict verdict)
{
    const bool is_doubtful = verdict == MR_VERDICT_GENESIS || verdict == MR_VERDICT_KEPT ||
                             verdict == MR_VERDICT_OFFSETS_MISSING;

    if (!state->volume.is_pair_lost || (found->point->allowed & MR_ALLOW_RESET) != 0) {
        return verdict;
    }
    return verdict == MR_VERDICT_BEHIND || (is_doubtful && judgement->matched == 0)
               ? MR_VERDICT_DAMAGED
               : verdict;
}

bool mr_verdict_is_refusal(mr_verdict verdict)
{
    return verdict != MR_VERDICT_NORMAL && verdict != MR_VERDICT_GENESIS &&
           verdict != MR_VERDICT_KEPT && verdict != MR_VERDICT_RESET &&
           verdict != MR_VERDICT_FOLLOWED;
}

/* No commit: a beginning, if all the log has is a beginning nobody decided. */
static mr_verdict judge_uncommitted(const mr_state *state, const mr_judgement *judgement,
                                    const finding *found)
{
    const uint64_t decided =
        judgement->epoch > state->log.end.acked ? judgement->epoch : state->log.end.acked;

    if (found->history == NULL || found->history->moment_count == 0) {
        return MR_VERDICT_GENESIS;
    }
    return mr_history_at(found->history, 0)->point.epoch <= decided ? MR_VERDICT_OFFSETS_MISSING
                                                                    : MR_VERDICT_GENESIS;
}

bool mr_offset_is_of(const mr_delta_offset *stored, const mr_input_offset *input)
{
    const bool is_same =
        stored->topic != 0 ? stored->topic == input->topic : stored->input == input->input;
    return is_same && stored->partition == input->partition;
}

/*
 * Every input that the moment lists was committed at exactly its `to`, and one that it does not
 * list nowhere: it is new in the topology. What the topology has no more does not count.
 */
static bool offsets_agree(const mr_judgement *judgement, const finding *found)
{
    const mr_delta_offset *stored = mr_history_offsets(found->history, found->exact);
    const uint32_t count = mr_history_at(found->history, found->exact)->offset_count;

    for (uint32_t i = 0; i < judgement->offset_count; i++) {
        const mr_input_offset *offset = &judgement->offsets[i];
        if (offset->task != found->point->task) {
            continue;
        }
        uint32_t at = 0;
        while (at < count && !mr_offset_is_of(&stored[at], offset)) {
            at++;
        }
        if (offset->to != (at == count ? -1 : stored[at].to)) {
            return false;
        }
    }
    return true;
}

static mr_status refuse(const mr_state *state, const mr_judgement *judgement, const finding *found,
                        mr_verdict verdict, mr_diag *diag)
{
    const mr_task_point *point = found->point;
    const mr_task_point *stored = newest(found);
    char kafka[160];
    char local[200];
    char lost[MR_LOST_TEXT_BYTES];

    if (found->same_epoch != UINT32_MAX) {
        stored = &mr_history_at(found->history, found->same_epoch)->point;
    }
    if (point->epoch == 0) {
        (void)snprintf(kafka, sizeof(kafka), "nothing committed");
    } else {
        (void)snprintf(kafka, sizeof(kafka),
                       "epoch %llu (lineage %016llx, incarnation %016llx, digest %016llx)",
                       (unsigned long long)point->epoch, (unsigned long long)point->lineage,
                       (unsigned long long)point->incarnation, (unsigned long long)point->digest);
    }
    if (stored == NULL) {
        (void)snprintf(local, sizeof(local), "nothing of this task, newest epoch %llu",
                       (unsigned long long)state->log.end.epoch);
    } else {
        (void)snprintf(
            local, sizeof(local),
            "epoch %llu (lineage %016llx, incarnation %016llx, digest %016llx), acked %llu",
            (unsigned long long)stored->epoch, (unsigned long long)stored->lineage,
            (unsigned long long)stored->incarnation, (unsigned long long)stored->digest,
            (unsigned long long)(judgement->epoch > state->log.end.acked ? judgement->epoch
                                                                         : state->log.end.acked));
    }
    return mr_diag_set(
        diag, MR_ERR_REFUSED, 0, "%s: %s/shard-%u, task %u: Kafka has %s, the state has %s; %s%s",
        name_of(verdict), state->ring == NULL ? "(memory)" : state->volume.directory,
        state->options.shard, point->task, kafka, local, mr_volume_lost_text(&state->volume, lost),
        remedy_of(&state->volume, verdict));
}

static const mr_task_point *newest(const finding *found)
{
    return found->history == NULL || found->history->moment_count == 0
               ? NULL
               : &mr_history_at(found->history, found->history->moment_count - 1)->point;
}

static const char *name_of(mr_verdict verdict)
{
    static const char *const names[] = {
        [MR_VERDICT_NORMAL] = "normal",
        [MR_VERDICT_GENESIS] = "genesis",
        [MR_VERDICT_BEHIND] = "E_STATE_BEHIND",
        [MR_VERDICT_DAMAGED] = "E_STATE_DAMAGED",
        [MR_VERDICT_FOREIGN] = "E_STATE_FOREIGN",
        [MR_VERDICT_REGRESSION] = "E_OFFSET_REGRESSION",
        [MR_VERDICT_OFFSETS_MISSING] = "E_OFFSETS_MISSING",
        [MR_VERDICT_DISAGREE] = "E_RECORD_DISAGREE",
        [MR_VERDICT_KEPT] = "kept",
        [MR_VERDICT_RESET] = "reset",
        [MR_VERDICT_FOLLOWED] = "followed",
        [MR_VERDICT_TOO_OLD] = "E_STATE_TOO_OLD",
    };

    MR_ASSERT((size_t)verdict < MR_LENGTH(names));
    return names[verdict];
}

static const char *remedy_of(const mr_volume *volume, mr_verdict verdict)
{
    switch (verdict) {
    case MR_VERDICT_BEHIND:
        return "the directory is older than what was committed, or empty: put the right one back, "
               "or begin with empty state, from the committed offsets on: "
               "--adopt-offsets=reset-state";
    case MR_VERDICT_DAMAGED:
        if (volume->is_pair_lost) {
            return "restore the directory from a copy, or begin with empty state, from the "
                   "committed offsets on: --adopt-offsets=reset-state";
        }
        return "the log is damaged before epochs it still holds: restore the directory from a copy";
    case MR_VERDICT_FOREIGN:
        return "this directory belongs to another run of the application: put the right one back, "
               "or begin with empty state, from the committed offsets on: "
               "--adopt-offsets=reset-state";
    case MR_VERDICT_REGRESSION:
        return "the committed offsets went back behind results that were committed: restore them, "
               "or follow them with --accept-regression=all: outputs behind that epoch will repeat";
    case MR_VERDICT_OFFSETS_MISSING:
        return "the committed offsets are gone: restore them, or go on from those stored with the "
               "state (--adopt-offsets=keep-state), or begin anew (--adopt-offsets=reset-state)";
    case MR_VERDICT_DISAGREE:
        return "the committed offsets are not those of this epoch; restore them";
    case MR_VERDICT_TOO_OLD:
        return "the committed offsets went back to before the base, where the state cannot "
               "follow: restore them, or begin with empty state: --adopt-offsets=reset-state";
    case MR_VERDICT_NORMAL:
    case MR_VERDICT_GENESIS:
    case MR_VERDICT_KEPT:
    case MR_VERDICT_RESET:
    case MR_VERDICT_FOLLOWED:
        break;
    }
    return "";
}

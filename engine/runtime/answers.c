/*
 * answers.c - the one-time answers to a refused recovery: --adopt-offsets, --accept-regression and
 * --reset-offsets, each for all partitions or for those it names after an @.
 *
 * They hold until the first claim of a shard is committed: what they changed is then what Kafka
 * says, and a later surprise must be refused like any other. Thread: control for parsing, the
 * shard's for the rest.
 */
#include "engine/runtime/runtime_private.h"
#include <stdlib.h>
#include <string.h>

typedef struct flag_form {
    const char *flag, *form; /* As it is written. */
} flag_form;

static const char *scope_of(const char *text, size_t *word_size);
static bool is_word(const char *text, size_t size, const char *word);
static mr_status check_scope(const mr_plan *plan, const flag_form *form, const char *text,
                             const char *scope, mr_diag *diag);
static bool next_place(const char **scope, const char **topic, size_t *topic_size,
                       uint32_t *partition);
static mr_status malformed(const flag_form *form, const char *text, mr_diag *diag);

mr_status mr_answers_parse(const mr_plan *plan, const mr_answer_texts *texts, mr_answers *answers,
                           mr_diag *diag)
{
    static const flag_form adopt = {"--adopt-offsets", "keep-state or reset-state"};
    static const flag_form regression = {"--accept-regression", "all"};
    static const flag_form reset = {"--reset-offsets", "earliest or latest"};
    size_t size = 0;
    mr_status status = MR_OK;

    *answers = (mr_answers){.adopt = MR_ADOPT_NONE};
    if (texts->adopt_offsets != NULL) {
        answers->adopt_scope = scope_of(texts->adopt_offsets, &size);
        if (is_word(texts->adopt_offsets, size, "keep-state")) {
            answers->adopt = MR_ADOPT_KEEP_STATE;
        } else if (is_word(texts->adopt_offsets, size, "reset-state")) {
            answers->adopt = MR_ADOPT_RESET_STATE;
        } else {
            return malformed(&adopt, texts->adopt_offsets, diag);
        }
        status = check_scope(plan, &adopt, texts->adopt_offsets, answers->adopt_scope, diag);
    }
    if (status == MR_OK && texts->accept_regression != NULL) {
        answers->regression_scope = scope_of(texts->accept_regression, &size);
        answers->accepts_regression = true;
        if (!is_word(texts->accept_regression, size, "all") &&
            (size != 0 || answers->regression_scope == NULL)) {
            return malformed(&regression, texts->accept_regression, diag);
        }
        status = check_scope(plan, &regression, texts->accept_regression, answers->regression_scope,
                             diag);
    }
    if (status == MR_OK && texts->reset_offsets != NULL) {
        answers->reset_scope = scope_of(texts->reset_offsets, &size);
        if (is_word(texts->reset_offsets, size, "earliest")) {
            answers->reset_offsets = MR_START_EARLIEST;
        } else if (is_word(texts->reset_offsets, size, "latest")) {
            answers->reset_offsets = MR_START_LATEST;
        } else {
            return malformed(&reset, texts->reset_offsets, diag);
        }
        status = check_scope(plan, &reset, texts->reset_offsets, answers->reset_scope, diag);
    }
    return status;
}

uint32_t mr_answers_allow(const mr_answers *answers, const char *topic, uint32_t partition)
{
    uint32_t allowed = 0;

    if (answers->adopt != MR_ADOPT_NONE &&
        mr_answer_covers(answers->adopt_scope, topic, partition)) {
        allowed |= answers->adopt == MR_ADOPT_KEEP_STATE ? MR_ALLOW_KEEP : MR_ALLOW_RESET;
    }
    if (answers->accepts_regression &&
        mr_answer_covers(answers->regression_scope, topic, partition)) {
        allowed |= MR_ALLOW_BACK;
    }
    return allowed;
}

bool mr_answer_covers(const char *scope, const char *topic, uint32_t partition)
{
    const char *name = NULL;
    size_t name_size = 0;
    uint32_t number = 0;

    if (scope == NULL) {
        return true;
    }
    while (*scope != '\0') {
        const bool is_place = next_place(&scope, &name, &name_size, &number);
        MR_ASSERT(is_place); /* Checked when it was parsed. */
        if (number == partition && strlen(topic) == name_size &&
            memcmp(topic, name, name_size) == 0) {
            return true;
        }
    }
    return false;
}

/* ---- Helpers ---- */

/* What follows the @, NULL = all; the word in front of it has `word_size` bytes. */
static const char *scope_of(const char *text, size_t *word_size)
{
    *word_size = strcspn(text, "@");
    return text[*word_size] == '@' ? text + *word_size + 1 : NULL;
}

static bool is_word(const char *text, size_t size, const char *word)
{
    return strlen(word) == size && memcmp(text, word, size) == 0;
}

static mr_status check_scope(const mr_plan *plan, const flag_form *form, const char *text,
                             const char *scope, mr_diag *diag)
{
    const char *name = NULL;
    size_t size = 0;
    uint32_t partition = 0;

    if (scope == NULL) {
        return MR_OK;
    }
    if (*scope == '\0') {
        return malformed(form, text, diag);
    }
    while (*scope != '\0') {
        if (!next_place(&scope, &name, &size, &partition)) {
            return malformed(form, text, diag);
        }
        uint32_t topic = 0;
        while (topic < plan->topic_count && (plan->topics[topic].source == MR_NO_INDEX ||
                                             !is_word(name, size, plan->topics[topic].name))) {
            topic++;
        }
        if (topic == plan->topic_count) {
            return mr_diag_set(diag, MR_ERR_USAGE, 0, "%s %s: %.*s is no input topic of %s",
                               form->flag, text, (int)size, name, plan->app);
        }
    }
    return MR_OK;
}

/* Takes `topic:partition` and the comma behind it off the text. */
static bool next_place(const char **scope, const char **topic, size_t *topic_size,
                       uint32_t *partition)
{
    const char *at = *scope;
    char *end = NULL;

    *topic = at;
    *topic_size = strcspn(at, ":,");
    at += *topic_size;
    if (*topic_size == 0 || *at != ':' || at[1] < '0' || at[1] > '9') {
        return false;
    }
    const unsigned long number = strtoul(at + 1, &end, 10);
    if (number >= MR_PARTITIONS_MAX || (*end != '\0' && (*end != ',' || end[1] == '\0'))) {
        return false;
    }
    *partition = (uint32_t)number;
    *scope = *end == ',' ? end + 1 : end;
    return true;
}

static mr_status malformed(const flag_form *form, const char *text, mr_diag *diag)
{
    return mr_diag_set(diag, MR_ERR_USAGE, 0,
                       "%s %s: expected %s, and for some partitions only @TOPIC:PARTITION,... "
                       "behind it",
                       form->flag, text, form->form);
}

/*
 * cmd_run.c - `millrace run FILE`: checks flags and file, then hands over to the engine.
 */
#include "cli/cli.h"
#include "engine/base/assert.h"
#include "engine/base/decimal.h"
#include "engine/base/log.h"
#include "engine/engine.h"
#include <millrace/millrace.h>
#include <stdlib.h>
#include <string.h>

enum {
    PARTITIONS,
    ORDINAL,
    SHARDS,
    STATE_DIR,
    ALLOW_CLIENT_VERSION,
    TAKE_OVER,
    ADOPT_OFFSETS,
    ACCEPT_REGRESSION,
    RESET_OFFSETS,
    RETRY_POISON,
    LOG_FORMAT,
    LOG_LEVEL,
    PROGRESS,
    FLAGS_BUILT,
    SHARDS_MAX = 64,
    PARTITIONS_MAX = 10000
};

static const mr_flag flags[] = {
    [PARTITIONS] = {"--partitions", MR_FLAG_VALUE, "SET", "partitions to work on, e.g. 0-3,7"},
    [ORDINAL] = {"--ordinal", MR_FLAG_VALUE, "N/M", "partitions p with p mod M = N, e.g. 1/3"},
    [SHARDS] = {"--shards", MR_FLAG_VALUE, "N", "threads, one pinned to each core, at most 64"},
    [STATE_DIR] = {"--state-dir", MR_FLAG_VALUE, "DIR", "state lies in DIR/<app>/"},
    [ALLOW_CLIENT_VERSION] = {"--allow-client-version", MR_FLAG_PLAIN, NULL,
                              "run on a librdkafka known to be unsafe"},
    [TAKE_OVER] = {"--take-over", MR_FLAG_PLAIN, NULL,
                   "start although this directory's worker was fenced"},
    [ADOPT_OFFSETS] = {"--adopt-offsets", MR_FLAG_VALUE, "keep-state|reset-state",
                       "answer to refused offsets or state; behind @: TOPIC:PARTITION,..."},
    [ACCEPT_REGRESSION] = {"--accept-regression", MR_FLAG_VALUE, "all",
                           "follow offsets that went back; or @TOPIC:PARTITION,..."},
    [RESET_OFFSETS] = {"--reset-offsets", MR_FLAG_VALUE, "earliest|latest",
                       "go on where the log begins or ends; behind @: TOPIC:PARTITION,..."},
    [RETRY_POISON] = {"--retry-poison", MR_FLAG_PLAIN, NULL,
                      "answer to E_POISON: try the record again"},
    [LOG_FORMAT] = {"--log-format", MR_FLAG_VALUE, "logfmt|json", "form of the log"},
    [LOG_LEVEL] = {"--log-level", MR_FLAG_VALUE, "LEVEL", "error, warn, info or debug"},
    [PROGRESS] = {"--progress", MR_FLAG_PLAIN, NULL, "a line a second on standard error"},
    {"--group", MR_FLAG_REFUSED, NULL, NULL},
    {"--http", MR_FLAG_REFUSED, NULL, NULL},
    {"--http-token-file", MR_FLAG_REFUSED, NULL, NULL},
    {"--http-tap", MR_FLAG_REFUSED, NULL, NULL},
    {"--http-state", MR_FLAG_REFUSED, NULL, NULL},
    {"--ready-lag", MR_FLAG_REFUSED, NULL, NULL},
    {"--log-payloads", MR_FLAG_REFUSED, NULL, NULL},
    {"--dry-run", MR_FLAG_REFUSED, NULL, NULL},
    {"--limit", MR_FLAG_REFUSED, NULL, NULL},
    {"--accept", MR_FLAG_REFUSED, NULL, NULL},
    {"--fresh", MR_FLAG_REFUSED, NULL, NULL},
    {"--drop", MR_FLAG_REFUSED, NULL, NULL},
    {"--adopt-sink", MR_FLAG_REFUSED, NULL, NULL},
};

static bool read_options(const mr_args *args, mr_engine_options *options);
static bool read_partitions(const char *const *values, const char **partitions);
static bool ordinal_valid(const char *text);
static bool read_shards(const char *text, uint32_t *shard_count);
static bool read_word(const char *flag, const char *text, const char *const *words, uint32_t count,
                      int *value);
static bool partitions_valid(const char *set);
static const char *reader_of_stdin(const mr_plan *plan);

int mr_cmd_run(int argc, char **argv)
{
    mr_engine_options options = {0};
    mr_engine_tables tables;
    mr_args args;
    mr_loaded loaded;
    int status;

    if (!mr_args_parse("run", flags, MR_LENGTH(flags), argc, argv, &args, &status)) {
        return status;
    }
    if (args.name_count != 1) {
        (void)fprintf(stderr, "millrace run: name one FILE\n");
        return MR_EXIT_USAGE;
    }
    if (!read_options(&args, &options)) {
        return MR_EXIT_USAGE;
    }
    if (!mr_load_file(args.names[0], mr_engine_catalogue(&tables), &loaded)) {
        return MR_EXIT_CONFIG;
    }
    mr_report report = mr_report_to(stderr, &args);
    mr_report_all(&report, loaded.topology);
    options.file = args.names[0];
    options.plan = mr_topology_plan(loaded.topology);
    const char *reader = strcmp(options.file, "-") == 0 ? reader_of_stdin(options.plan) : NULL;
    if (reader != NULL) { /* It would see an empty input, in silence. */
        (void)fprintf(stderr,
                      "millrace run: source \"%s\" reads standard input, which held the topology; "
                      "name the topology's file\n",
                      reader);
        status = MR_EXIT_USAGE;
    } else {
        status = options.plan != NULL ? mr_engine_run(&options) : MR_EXIT_CONFIG;
    }
    mr_load_release(&loaded);
    return status;
}

static bool read_options(const mr_args *args, mr_engine_options *options)
{
    static const char *const formats[] = {"logfmt", "json"};
    static const char *const levels[] = {"error", "warn", "info", "debug"};
    const char *const *values = args->values;
    const char *directory = getenv("STATE_DIRECTORY");

    *options = (mr_engine_options){.log_format = MR_LOG_LOGFMT, .log_level = MR_LOG_INFO};
    if (args->quiet || args->verbose) {
        options->log_level = args->quiet ? MR_LOG_ERROR : MR_LOG_DEBUG;
    }
    options->state_directory = directory != NULL && directory[0] != '\0' ? directory : ".millrace";
    if (values[STATE_DIR] != NULL) {
        options->state_directory = values[STATE_DIR];
    }
    if (options->state_directory[0] == '\0') {
        (void)fprintf(stderr, "millrace run: --state-dir needs the name of a directory\n");
        return false;
    }
    options->allow_client_version = values[ALLOW_CLIENT_VERSION] != NULL;
    options->take_over = values[TAKE_OVER] != NULL;
    options->adopt_offsets = values[ADOPT_OFFSETS];
    options->accept_regression = values[ACCEPT_REGRESSION];
    options->reset_offsets = values[RESET_OFFSETS];
    options->retry_poison = values[RETRY_POISON] != NULL;
    options->progress = values[PROGRESS] != NULL;
    return read_partitions(values, &options->partitions) &&
           read_shards(values[SHARDS], &options->shard_count) &&
           read_word("--log-format", values[LOG_FORMAT], formats, MR_LENGTH(formats),
                     &options->log_format) &&
           read_word("--log-level", values[LOG_LEVEL], levels, MR_LENGTH(levels),
                     &options->log_level);
}

/* --partitions or --ordinal; NULL: all. */
static bool read_partitions(const char *const *values, const char **partitions)
{
    const char *set = values[PARTITIONS], *ordinal = values[ORDINAL];

    *partitions = set != NULL ? set : ordinal;
    if (set != NULL && ordinal != NULL) {
        (void)fprintf(stderr, "millrace run: --partitions and --ordinal both name the partitions; "
                              "give one of them\n");
        return false;
    }
    if (set != NULL && !partitions_valid(set)) {
        (void)fprintf(stderr,
                      "millrace run: --partitions is ascending numbers and ranges such as 0-3,7, "
                      "not \"%s\"\n",
                      set);
        return false;
    }
    if (ordinal != NULL && !ordinal_valid(ordinal)) {
        (void)fprintf(stderr,
                      "millrace run: --ordinal is N/M with N from 0 to M-1, such as 0/3, not "
                      "\"%s\"\n",
                      ordinal);
        return false;
    }
    return true;
}

/* `1/3`. */
static bool ordinal_valid(const char *text)
{
    int64_t ordinal = 0, count = 0;
    const size_t size = strspn(text, "0123456789");

    if (size == 0 || text[size] != '/' || mr_integer_parse(text, size, &ordinal) != 0) {
        return false;
    }
    const char *rest = text + size + 1;
    const size_t rest_size = strspn(rest, "0123456789");
    return rest_size > 0 && rest[rest_size] == '\0' &&
           mr_integer_parse(rest, rest_size, &count) == 0 && ordinal < count &&
           count < PARTITIONS_MAX;
}

static bool read_shards(const char *text, uint32_t *shard_count)
{
    int64_t number = 0;

    if (text == NULL) {
        *shard_count = 0;
        return true;
    }
    if (mr_integer_parse(text, strlen(text), &number) != 0 || number < 1 || number > SHARDS_MAX) {
        (void)fprintf(stderr, "millrace run: --shards is a number from 1 to %d, not \"%s\"\n",
                      (int)SHARDS_MAX, text);
        return false;
    }
    *shard_count = (uint32_t)number;
    return true;
}

static bool read_word(const char *flag, const char *text, const char *const *words, uint32_t count,
                      int *value)
{
    for (uint32_t i = 0; text != NULL && i < count; i++) {
        if (strcmp(text, words[i]) == 0) {
            *value = (int)i;
            return true;
        }
    }
    if (text != NULL) {
        (void)fprintf(stderr, "millrace run: %s has no value \"%s\"\n", flag, text);
    }
    return text == NULL;
}

/* `0-3,7`: ascending, below PARTITIONS_MAX. */
static bool partitions_valid(const char *set)
{
    int64_t last = -1;

    for (const char *at = set;; at++) {
        const size_t first_size = strspn(at, "0123456789");
        int64_t first = 0, end = 0;
        if (first_size == 0 || mr_integer_parse(at, first_size, &first) != 0) {
            return false;
        }
        at += first_size;
        end = first;
        if (*at == '-') {
            const size_t end_size = strspn(at + 1, "0123456789");
            if (end_size == 0 || mr_integer_parse(at + 1, end_size, &end) != 0) {
                return false;
            }
            at += 1 + end_size;
        }
        if (first <= last || end < first || end >= PARTITIONS_MAX) {
            return false;
        }
        last = end;
        if (*at != ',') {
            return *at == '\0';
        }
    }
}

/* The name of a source whose option `path` is `-`; NULL = none, or no plan. */
static const char *reader_of_stdin(const mr_plan *plan)
{
    for (uint32_t i = 0; plan != NULL && i < plan->node_count; i++) {
        const mr_plan_node *node = &plan->nodes[i];
        if (node->kind != MR_NODE_SOURCE) {
            continue;
        }
        for (uint32_t k = 0; k < node->source->head.option_count; k++) {
            const mr_option *option = &node->source->head.options[k];
            if (option->kind == MR_OPTION_TEXT && strcmp(option->name, "path") == 0) {
                const char *path =
                    *(const char *const *)(const void *)((uint8_t *)node->spec + option->offset);
                if (path != NULL && strcmp(path, "-") == 0) {
                    return node->name;
                }
            }
        }
    }
    return NULL;
}

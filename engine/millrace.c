/*
 * millrace.c - the composition root: the one engine file that knows every part.
 *
 * It gathers the tables of operators, connectors and formats into the catalogue a loader needs, and
 * turns options and a plan into a worker. Signals arrive through a descriptor, so no handler and no
 * global is needed: the first SIGTERM or SIGINT drains, a second one ends the process by its
 * default action. Thread: control.
 */
#define _GNU_SOURCE /* signal sets */
#include "engine/base/assert.h"
#include "engine/base/log.h"
#include "engine/base/memory.h"
#include "engine/base/secret.h"
#include "engine/engine.h"
#include "engine/runtime/runtime.h"
#include "io/connectors.h"
#include "io/files/files.h"
#include "io/format/format.h"
#include "operators/operators.h"
#include <millrace/millrace.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <unistd.h>

typedef struct mr_signals {
    sigset_t set;
    int descriptor;
    bool was_seen;
} mr_signals;

static bool open_signals(mr_signals *signals);
static bool signal_came(void *self);
static mr_status run_plan(const mr_engine_options *options, mr_log *log, mr_diag *diag);
static mr_status open_secrets(const mr_plan *plan, mr_secrets **secrets, mr_diag *diag);
static void forbid_cores(void);
static mr_status file_partitions(const mr_plan *plan, uint32_t *count, mr_diag *diag);
static void report(const mr_diag *diag);

const mr_catalogue *mr_engine_catalogue(mr_engine_tables *tables)
{
    MR_ASSERT(mr_format_count <= MR_ENGINE_FORMATS_MAX);
    for (uint32_t i = 0; i < mr_format_count; i++) {
        tables->formats[i] = (mr_format_entry){.name = mr_formats[i]->name,
                                               .refused = mr_formats[i]->refused,
                                               .type = mr_formats[i],
                                               .plan_read = mr_formats[i]->plan_read,
                                               .plan_write = mr_formats[i]->plan_write};
    }
    tables->catalogue = (mr_catalogue){.operators = mr_operators,
                                       .sources = mr_sources,
                                       .sinks = mr_sinks,
                                       .formats = tables->formats,
                                       .operator_count = mr_operator_count,
                                       .source_count = mr_source_count,
                                       .sink_count = mr_sink_count,
                                       .format_count = mr_format_count,
                                       .client_property = mr_kafka_property_test};
    return &tables->catalogue;
}

int mr_engine_run(const mr_engine_options *options)
{
    mr_diag diag = {.status = MR_OK};
    mr_memory_keep_freed();
    mr_log *log = mr_log_create(STDERR_FILENO, (mr_log_level)options->log_level,
                                (mr_log_format)options->log_format);
    if (log == NULL) {
        (void)fprintf(stderr, "millrace: no memory for the log\n");
        return 1;
    }
    forbid_cores();
    const mr_status status = run_plan(options, log, &diag);
    mr_log_destroy(log); /* What it held back comes first: the last line is the error. */
    if (status != MR_OK) {
        report(&diag);
    }
    if (status == MR_ERR_USAGE) {
        return 2;
    }
    return status == MR_OK ? 0 : mr_status_class(status) == MR_CLASS_USER ? 78 : 1;
}

static mr_status run_plan(const mr_engine_options *options, mr_log *log, mr_diag *diag)
{
    mr_signals signals = {.descriptor = -1};
    mr_worker_options worker = {.plan = options->plan,
                                .state_directory = options->state_directory,
                                .partitions = options->partitions,
                                .shard_count = options->shard_count,
                                .allow_client_version = options->allow_client_version,
                                .take_over = options->take_over,
                                .answers = {.adopt_offsets = options->adopt_offsets,
                                            .accept_regression = options->accept_regression,
                                            .reset_offsets = options->reset_offsets},
                                .retry_poison = options->retry_poison,
                                .progress = options->progress,
                                .row_json = mr_row_json,
                                .log = log,
                                .stop_requested = signal_came,
                                .stop_self = &signals};
    if (!open_signals(&signals)) {
        return mr_diag_set(diag, MR_ERR_MEMORY, 0, "no descriptor for signals");
    }
    mr_secrets *secrets = NULL;
    mr_status status = open_secrets(options->plan, &secrets, diag);
    worker.secrets = secrets;
    if (status == MR_OK && !options->plan->has_kafka) {
        status = file_partitions(options->plan, &worker.file_partitions, diag);
        worker.shard_count = 1; /* Standard input and output belong to one thread. */
    }
    if (status == MR_OK) {
        status = mr_worker_run(&worker, diag);
    }
    mr_secrets_close(secrets);
    close(signals.descriptor);
    return status;
}

static mr_status open_secrets(const mr_plan *plan, mr_secrets **secrets, mr_diag *diag)
{
    mr_secret_source sources[MR_SECRETS_MAX];

    MR_ASSERT(plan->secret_count <= MR_SECRETS_MAX);
    for (uint32_t i = 0; i < plan->secret_count; i++) {
        const mr_plan_secret *secret = &plan->secrets[i];
        sources[i] =
            (mr_secret_source){.name = secret->name, .file = secret->file, .env = secret->env};
    }
    return mr_secrets_open(mr_memory_system(), sources, plan->secret_count, secrets, diag);
}

/*
 * A core would hold passwords and payloads. Where cores are piped to a program the kernel asks for
 * the first, elsewhere the second is enough.
 */
static void forbid_cores(void)
{
    const struct rlimit none = {0};

    (void)prctl(PR_SET_DUMPABLE, 0);
    (void)setrlimit(RLIMIT_CORE, &none);
}

/* All file sources of a plan must have the same number of files: they are its partitions. */
static mr_status file_partitions(const mr_plan *plan, uint32_t *count, mr_diag *diag)
{
    *count = 0;
    for (uint32_t i = 0; i < plan->node_count; i++) {
        const mr_plan_node *node = &plan->nodes[i];
        uint32_t partitions = 0;
        if (node->kind != MR_NODE_SOURCE) {
            continue;
        }
        const mr_status status = mr_file_partitions(node, &partitions, diag);
        if (status != MR_OK) {
            return status;
        }
        if (*count != 0 && *count != partitions) {
            return mr_diag_set(diag, MR_ERR_CONFIG, 0,
                               "%s has %u files, another source has %u: sources of one topology "
                               "need equal partition counts",
                               node->name, partitions, *count);
        }
        *count = partitions;
    }
    return MR_OK;
}

/* The signals are blocked before any thread starts, so that every thread inherits that. */
static bool open_signals(mr_signals *signals)
{
    sigset_t never; /* A limit of file sizes is an error of a write, not the end. */

    sigemptyset(&never);
    sigaddset(&never, SIGXFSZ);
    (void)sigprocmask(SIG_BLOCK, &never, NULL);
    sigemptyset(&signals->set);
    sigaddset(&signals->set, SIGTERM);
    sigaddset(&signals->set, SIGINT);
    signals->descriptor = -1;
    if (sigprocmask(SIG_BLOCK, &signals->set, NULL) == 0) {
        signals->descriptor = signalfd(-1, &signals->set, SFD_NONBLOCK | SFD_CLOEXEC);
    }
    return signals->descriptor >= 0;
}

static bool signal_came(void *self)
{
    mr_signals *signals = self;
    struct signalfd_siginfo info;
    if (!signals->was_seen &&
        read(signals->descriptor, &info, sizeof(info)) == (ssize_t)sizeof(info)) {
        signals->was_seen = true;
        (void)sigprocmask(SIG_UNBLOCK, &signals->set, NULL); /* The next one ends us at once. */
    }
    return signals->was_seen;
}

/* The last line of a failing process: what, where, what to do. */
static void report(const mr_diag *diag)
{
    (void)fprintf(stderr, "millrace: error: %s\n", diag->text);
}

/*
 * cmd_state.c - `millrace state ls|inspect|verify|dump|digest DIR`: the state of a stopped worker.
 *
 * DIR is the directory that holds LOCK and shard-N.wal, that is <state dir>/<app>. Everything is
 * read-only under a shared lock; a running worker is refused. Results go to standard output, one
 * line each, with --format json one JSON object a line. A dump is JSON lines in any case: one for
 * the shard and its tasks, then one a record, key and value in hexadecimal. A table is known by a
 * number made of its names: with --topology FILE `ls` prints these too, `dump` the columns.
 */
#define _GNU_SOURCE
#include "cli/cli.h"
#include "cli/state_dump.h"
#include "engine/base/assert.h"
#include "engine/engine.h"
#include "engine/state/state.h"
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

enum { SHARDS_MAX = 1024, PATH_BYTES = 4096 };

enum flag_index { FLAG_EPOCH, FLAG_SHARD, FLAG_TOPOLOGY, FLAG_COUNT };

typedef struct request {
    const char *directory;
    mr_state_columns *columns; /* NULL: bytes only. */
    uint64_t epoch;            /* 0: the newest. */
    bool is_json;
} request;

typedef mr_status (*act)(mr_state *state, const request *asked, mr_diag *diag);

static mr_status act_ls(mr_state *state, const request *asked, mr_diag *diag);
static mr_status act_inspect(mr_state *state, const request *asked, mr_diag *diag);
static mr_status act_verify(mr_state *state, const request *asked, mr_diag *diag);
static mr_status act_dump(mr_state *state, const request *asked, mr_diag *diag);
static mr_status act_digest(mr_state *state, const request *asked, mr_diag *diag);
static void print_shard(const mr_state *state, const mr_state_summary *summary, uint64_t epoch);
static int run_with_columns(act action, request *asked, const char *topology, int64_t only_shard);
static int run_shards(act action, const request *asked, int64_t only_shard);
static mr_status run_shard(act action, const request *asked, uint32_t shard, mr_diag *diag);
static mr_status read_epoch(mr_state *state, const request *asked, mr_diag *diag);
static bool parse_number(const char *text, uint64_t *number);
static void print_delta(void *context, const mr_state_delta *delta);
static void print_hex(mr_view bytes);

static const mr_flag flags[FLAG_COUNT] = {
    [FLAG_EPOCH] = {"--epoch", MR_FLAG_VALUE, "N", "look at this epoch; default: the newest"},
    [FLAG_SHARD] = {"--shard", MR_FLAG_VALUE, "N", "only this shard; default: all"},
    [FLAG_TOPOLOGY] = {"--topology", MR_FLAG_VALUE, "FILE",
                       "ls: name tables, dump: columns, by this file"},
};

int mr_cmd_state(int argc, char **argv)
{
    static const struct {
        const char *name;
        act action;
    } actions[] = {{"ls", act_ls},
                   {"inspect", act_inspect},
                   {"verify", act_verify},
                   {"dump", act_dump},
                   {"digest", act_digest}};
    request asked = {0};
    uint64_t shard = 0;
    mr_args args;
    int status;

    if (!mr_args_parse("state", flags, FLAG_COUNT, argc, argv, &args, &status)) {
        return status;
    }
    if (args.name_count != 2) {
        (void)fprintf(stderr, "millrace state: needs one of ls, inspect, verify, dump, digest and "
                              "the state directory of an application\n");
        return MR_EXIT_USAGE;
    }
    asked.directory = args.names[1];
    asked.is_json = args.is_json;
    if ((args.values[FLAG_EPOCH] != NULL && !parse_number(args.values[FLAG_EPOCH], &asked.epoch)) ||
        (args.values[FLAG_SHARD] != NULL && !parse_number(args.values[FLAG_SHARD], &shard))) {
        (void)fprintf(stderr, "millrace state: --epoch and --shard take a number\n");
        return MR_EXIT_USAGE;
    }
    for (size_t i = 0; i < MR_LENGTH(actions); i++) {
        if (strcmp(args.names[0], actions[i].name) == 0) {
            return run_with_columns(actions[i].action, &asked, args.values[FLAG_TOPOLOGY],
                                    args.values[FLAG_SHARD] != NULL ? (int64_t)shard : -1);
        }
    }
    (void)fprintf(stderr, "millrace state: \"%s\" is none of ls, inspect, verify, dump, digest\n",
                  args.names[0]);
    return MR_EXIT_USAGE;
}

/* Loads the topology first, if one is named: its plan must live as long as the columns. */
static int run_with_columns(act action, request *asked, const char *topology, int64_t only_shard)
{
    mr_engine_tables tables;
    mr_loaded loaded = {0};
    if (topology == NULL) {
        return run_shards(action, asked, only_shard);
    }
    if (!mr_load_file(topology, mr_engine_catalogue(&tables), &loaded)) {
        return MR_EXIT_CONFIG;
    }
    const mr_plan *plan = mr_topology_plan(loaded.topology);
    if (plan == NULL) {
        (void)fprintf(stderr, "millrace state: %s has errors; see `millrace check`\n", topology);
        mr_load_release(&loaded);
        return MR_EXIT_CONFIG;
    }
    asked->columns = mr_state_columns_create(plan);
    const int status = run_shards(action, asked, only_shard);
    mr_state_columns_destroy(asked->columns);
    mr_load_release(&loaded);
    return status;
}

/* ---- Actions ---- */

static mr_status act_ls(mr_state *state, const request *asked, mr_diag *diag)
{
    mr_state_summary summary;

    const mr_status status = read_epoch(state, asked, diag);
    if (status != MR_OK) {
        return status;
    }
    mr_state_summarize(state, &summary);
    for (uint32_t i = 0; i < summary.task_count; i++) {
        mr_task_point point;
        mr_state_stored_task(state, i, &point);
        (void)printf(asked->is_json ? "{\"shard\":%u,\"task\":%u,\"epoch\":%" PRIu64
                                      ",\"lineage\":\"%016" PRIx64
                                      "\",\"incarnation\":\"%016" PRIx64 "\"}\n"
                                    : "shard %u  task %-5u epoch %-10" PRIu64 " lineage %016" PRIx64
                                      "  incarnation %016" PRIx64 "\n",
                     summary.shard, point.task, point.epoch, point.lineage, point.incarnation);
    }
    for (uint32_t i = 0; i < summary.table_count; i++) {
        mr_state_table table;
        mr_state_stored_table(state, i, &table);
        const char *name = mr_state_columns_name(asked->columns, table.table, table.layout);
        (void)printf(asked->is_json ? "{\"shard\":%u,\"task\":%u,\"table\":%u,\"keys\":%" PRIu64
                                      ",\"layout\":\"%016" PRIx64 "\"%s%s%s}\n"
                                    : "shard %u  task %-5u table %-10u keys %-12" PRIu64
                                      " layout %016" PRIx64 "%s%s%s\n",
                     summary.shard, table.task, table.table, table.key_count, table.layout,
                     name == NULL     ? ""
                     : asked->is_json ? ",\"name\":\""
                                      : "  ",
                     name != NULL ? name : "", name != NULL && asked->is_json ? "\"" : "");
    }
    return MR_OK;
}

static mr_status act_inspect(mr_state *state, const request *asked, mr_diag *diag)
{
    mr_state_summary summary;

    mr_state_summarize(state, &summary);
    (void)printf(asked->is_json ? "{\"shard\":%u,\"format\":\"%u.%u\",\"superblock\":%" PRIu64
                                  ",\"store\":\""
                                : "shard %u  format %u.%u  superblock %" PRIu64 "  store ",
                 summary.shard, summary.major, summary.minor, summary.superblock);
    print_hex((mr_view){.bytes = summary.store, .size_bytes = sizeof(summary.store)});
    (void)printf(asked->is_json
                     ? "\",\"part_bytes\":%u,\"wal_bytes\":%" PRIu64 ",\"wal_file_bytes\":%" PRIu64
                       ",\"deltas\":%" PRIu64 ",\"epoch\":%" PRIu64 ",\"acked\":%" PRIu64
                       ",\"base\":%" PRIu64 ",\"base_bytes\":%" PRIu64 "}\n"
                     : "  part %u B  log %" PRIu64 " of %" PRIu64 " B  deltas %" PRIu64
                       "  epoch %" PRIu64 "  acked %" PRIu64 "  base %" PRIu64 " (%" PRIu64 " B)\n",
                 summary.part_bytes, summary.wal_bytes, summary.wal_file_bytes, summary.delta_count,
                 summary.epoch, summary.acked, summary.base_epoch, summary.base_bytes);
    return mr_state_walk_log(state, print_delta, (void *)(uintptr_t)asked, diag);
}

static mr_status act_verify(mr_state *state, const request *asked, mr_diag *diag)
{
    mr_state_summary summary;

    const mr_status status = mr_state_verify(state, &summary, diag);
    if (status == MR_OK) {
        (void)printf(asked->is_json ? "{\"shard\":%u,\"verdict\":\"ok\",\"deltas\":%" PRIu64
                                      ",\"epoch\":%" PRIu64 ",\"acked\":%" PRIu64 ",\"dead\":%u}\n"
                                    : "shard %u: ok, %" PRIu64 " deltas up to epoch %" PRIu64
                                      ", known committed up to %" PRIu64 ", %u roll-backs\n",
                     summary.shard, summary.delta_count, summary.epoch, summary.acked,
                     summary.dead_count);
    }
    return status;
}

static mr_status act_dump(mr_state *state, const request *asked, mr_diag *diag)
{
    mr_state_summary summary;

    const mr_status status = read_epoch(state, asked, diag);
    if (status != MR_OK) {
        return status;
    }
    mr_state_summarize(state, &summary);
    print_shard(state, &summary, asked->epoch != 0 ? asked->epoch : summary.epoch);
    for (uint32_t i = 0; i < summary.table_count; i++) {
        uint64_t position[2] = {0};
        mr_state_table table;
        mr_table_row row;
        mr_state_stored_table(state, i, &table);
        while (mr_state_next_row(state, i, position, &row)) {
            const uint8_t *text = NULL;
            const uint32_t size =
                mr_state_columns_text(asked->columns, table.table, table.layout, &row, &text);
            (void)printf("{\"task\":%u,\"table\":%u,\"key\":\"", table.task, table.table);
            print_hex(row.key);
            (void)printf("\",\"value\":\"");
            print_hex(row.value);
            (void)printf(size > 0 ? "\",\"columns\":%.*s}\n" : "\"}\n", (int)size,
                         (const char *)text);
        }
    }
    return MR_OK;
}

/* The first line of a shard's dump: whose it is, and the point of each task. */
static void print_shard(const mr_state *state, const mr_state_summary *summary, uint64_t epoch)
{
    (void)printf("{\"store\":\"");
    print_hex((mr_view){.bytes = summary->store, .size_bytes = sizeof(summary->store)});
    (void)printf("\",\"shard\":%u,\"epoch\":%" PRIu64 ",\"tasks\":[", summary->shard, epoch);
    for (uint32_t i = 0; i < summary->task_count; i++) {
        mr_task_point point;
        mr_state_stored_task(state, i, &point);
        (void)printf("%s{\"task\":%u,\"lineage\":\"%016" PRIx64 "\",\"epoch\":%" PRIu64
                     ",\"incarnation\":\"%016" PRIx64 "\",\"digest\":\"%016" PRIx64
                     "\",\"offsets\":[",
                     i > 0 ? "," : "", point.task, point.lineage, point.epoch, point.incarnation,
                     point.digest);
        mr_input_offset offset;
        for (uint32_t n = 0; mr_state_stored_offset(state, i, n, &offset); n++) {
            (void)printf("%s{\"input\":%u,\"partition\":%u,\"to\":%" PRId64 "}", n > 0 ? "," : "",
                         offset.input, offset.partition, offset.to);
        }
        (void)printf("]}");
    }
    (void)printf("]}\n");
}

static mr_status act_digest(mr_state *state, const request *asked, mr_diag *diag)
{
    mr_state_summary summary;

    const mr_status status = read_epoch(state, asked, diag);
    if (status != MR_OK) {
        return status;
    }
    mr_state_summarize(state, &summary);
    for (uint32_t i = 0; i < summary.task_count; i++) {
        uint8_t digest[16];
        mr_task_point point;
        mr_state_stored_task(state, i, &point);
        mr_state_digest(state, point.task, digest);
        (void)printf(asked->is_json ? "{\"shard\":%u,\"task\":%u,\"digest\":\""
                                    : "shard %u  task %-5u ",
                     summary.shard, point.task);
        print_hex((mr_view){.bytes = digest, .size_bytes = sizeof(digest)});
        (void)printf(asked->is_json ? "\"}\n" : "\n");
    }
    return MR_OK;
}

/* ---- Helpers ---- */

static int run_shards(act action, const request *asked, int64_t only_shard)
{
    uint32_t done = 0;
    int exit_status = MR_EXIT_DONE;

    for (uint32_t shard = 0; shard < SHARDS_MAX; shard++) {
        char path[PATH_BYTES];
        struct stat stat_of;
        mr_diag diag;
        const int size = snprintf(path, sizeof(path), "%s/shard-%u.wal", asked->directory, shard);
        if (size < 0 || size >= PATH_BYTES) {
            (void)fprintf(stderr, "millrace state: the name of the directory is too long\n");
            return MR_EXIT_USAGE;
        }
        if (only_shard >= 0 ? shard != (uint64_t)only_shard : lstat(path, &stat_of) != 0) {
            continue;
        }
        done++;
        if (run_shard(action, asked, shard, &diag) != MR_OK) {
            (void)fflush(stdout);
            (void)fprintf(stderr, "millrace state: %s\n", diag.text);
            exit_status = MR_EXIT_FAILED;
        }
    }
    if (done == 0) {
        (void)fprintf(stderr,
                      "millrace state: E_STATE_MISSING: %s: holds no shard-N.wal; name the state "
                      "directory of one application, <state dir>/<app>\n",
                      asked->directory);
        return MR_EXIT_FAILED;
    }
    return exit_status;
}

static mr_status run_shard(act action, const request *asked, uint32_t shard, mr_diag *diag)
{
    const mr_state_options options = {
        .directory = asked->directory, .shard = shard, .memory = mr_memory_system()};
    mr_ring *ring = NULL;
    mr_state *state = NULL;
    char fallback[256];
    mr_io io;

    mr_status status = mr_io_open(MR_IO_READER, asked->directory, &io, fallback, diag);
    if (status == MR_OK) {
        status = mr_ring_open(&ring, &io, diag);
    }
    if (status == MR_OK) {
        status = mr_state_open_reader(&state, &options, ring, diag);
    }
    if (status == MR_OK) {
        status = action(state, asked, diag);
    }
    mr_state_close(state);
    mr_ring_close(ring);
    return status;
}

static mr_status read_epoch(mr_state *state, const request *asked, mr_diag *diag)
{
    mr_state_summary summary;

    mr_state_summarize(state, &summary);
    return mr_state_read_epoch(state, asked->epoch != 0 ? asked->epoch : summary.epoch, diag);
}

static bool parse_number(const char *text, uint64_t *number)
{
    char *end = NULL;

    if (text[0] < '0' || text[0] > '9') {
        return false;
    }
    errno = 0;
    *number = strtoull(text, &end, 10);
    return errno == 0 && *end == '\0';
}

static void print_delta(void *context, const mr_state_delta *delta)
{
    const request *asked = context;

    (void)printf(asked->is_json ? "{\"epoch\":%" PRIu64 ",\"follows\":%" PRIu64
                                  ",\"acked\":%" PRIu64 ",\"incarnation\":\"%016" PRIx64
                                  "\",\"offset\":%" PRIu64 ",\"bytes\":%" PRIu64
                                  ",\"tasks\":%u,\"records\":%" PRIu64 ",\"dead\":%s}\n"
                                : "epoch %-10" PRIu64 " follows %-10" PRIu64 " acked %-10" PRIu64
                                  " incarnation %016" PRIx64 "  at %-12" PRIu64 " bytes %-10" PRIu64
                                  " tasks %-5u records %-8" PRIu64 "%s\n",
                 delta->epoch, delta->follows, delta->acked, delta->incarnation, delta->offset,
                 delta->total_bytes, delta->task_count, delta->record_count,
                 asked->is_json ? (delta->is_dead ? "true" : "false")
                                : (delta->is_dead ? " dead" : ""));
}

static void print_hex(mr_view bytes)
{
    for (uint32_t i = 0; i < bytes.size_bytes; i++) {
        (void)printf("%02x", bytes.bytes[i]);
    }
}

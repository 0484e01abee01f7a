/*
 * cmd_check.c - `millrace check FILE...`: every mistake of every file, sorted by position.
 *
 * The messages are the result of this verb, so they go to standard output.
 */
#include "cli/cli.h"
#include "engine/base/assert.h"
#include "engine/engine.h"

enum { STRICT, CONNECT, FLAG_COUNT };

static const mr_flag flags[FLAG_COUNT] = {
    [STRICT] = {"--strict", MR_FLAG_PLAIN, NULL, "warnings count as errors"},
    [CONNECT] = {"--connect", MR_FLAG_REFUSED, NULL, NULL},
};

int mr_cmd_check(int argc, char **argv)
{
    mr_engine_tables tables;
    mr_args args;
    int status;
    bool unreadable = false;

    if (!mr_args_parse("check", flags, FLAG_COUNT, argc, argv, &args, &status)) {
        return status;
    }
    if (args.name_count == 0) {
        (void)fprintf(stderr, "millrace check: name at least one FILE\n");
        return MR_EXIT_USAGE;
    }
    const mr_catalogue *catalogue = mr_engine_catalogue(&tables);
    mr_report report = mr_report_to(stdout, &args);
    report.strict = args.values[STRICT] != NULL;
    for (uint32_t i = 0; i < args.name_count; i++) {
        mr_loaded loaded;
        if (!mr_load_file(args.names[i], catalogue, &loaded)) {
            unreadable = true;
            continue;
        }
        MR_ASSERT(loaded.topology != NULL);
        mr_report_all(&report, loaded.topology);
        mr_load_release(&loaded);
    }
    if (!args.quiet && !args.is_json) {
        (void)fflush(stdout);
        (void)fprintf(stderr, "%u file%s, %u error%s, %u warning%s\n", args.name_count,
                      args.name_count == 1 ? "" : "s", report.error_count,
                      report.error_count == 1 ? "" : "s", report.warning_count,
                      report.warning_count == 1 ? "" : "s");
    }
    return report.error_count > 0 || unreadable ? MR_EXIT_CONFIG : MR_EXIT_DONE;
}

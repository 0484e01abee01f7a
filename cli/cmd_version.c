/*
 * cmd_version.c - `millrace version`.
 */
#include "cli/cli.h"
#include <millrace/version.h>

int mr_cmd_version(int argc, char **argv)
{
    mr_args args;
    int status;

    if (!mr_args_parse("version", NULL, 0, argc, argv, &args, &status)) {
        return status;
    }
    if (args.name_count > 0) {
        (void)fprintf(stderr, "millrace version: takes no name\n");
        return MR_EXIT_USAGE;
    }
    if (args.is_json) {
        (void)printf(
            "{\"version\":\"%s\",\"language\":%d,\"state_format\":\"%d.%d\",\"profile\":\"%s\"}\n",
            MR_VERSION, (int)MR_LANGUAGE_VERSION, (int)MR_STATE_FORMAT_MAJOR,
            (int)MR_STATE_FORMAT_MINOR, MR_PROFILE_TEXT);
    } else {
        (void)printf("millrace %s, topology language %d, state format %d.%d, built as %s\n",
                     MR_VERSION, (int)MR_LANGUAGE_VERSION, (int)MR_STATE_FORMAT_MAJOR,
                     (int)MR_STATE_FORMAT_MINOR, MR_PROFILE_TEXT);
    }
    return MR_EXIT_DONE;
}

/*
 * cli.h - the command line: verbs, flags, loading of files, reports. Thread: control.
 *
 * Results go to standard output, messages to standard error; the status says what kind of end it
 * was. Each verb is one function in cmd_<verb>.c and one row of the table in verbs.c.
 */
#ifndef MR_CLI_CLI_H
#define MR_CLI_CLI_H

#include "engine/topology/topology.h"
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

enum { /* Exit statuses. */
       MR_EXIT_DONE = 0,
       MR_EXIT_FAILED = 1, /* At run time: broker, disk. */
       MR_EXIT_USAGE = 2,  /* Wrong use of the command line. */
       MR_EXIT_CONFIG = 78 /* The topology is wrong. */
};

/* ---- verbs.c ---- */

typedef struct mr_verb {
    const char *name;
    int (*run)(int argc, char **argv); /* argv[0] is the verb. NULL: not in this release. */
    const char *usage, *summary;
} mr_verb;

const mr_verb *mr_verb_find(const char *name);
/* Dispatches; returns the exit status. */
int mr_cli_main(int argc, char **argv);

int mr_cmd_check(int argc, char **argv);
int mr_cmd_explain(int argc, char **argv);
int mr_cmd_run(int argc, char **argv);
int mr_cmd_state(int argc, char **argv);
int mr_cmd_version(int argc, char **argv);

/* ---- args.c: flags of a verb ---- */

typedef enum mr_flag_kind { MR_FLAG_PLAIN, MR_FLAG_VALUE, MR_FLAG_REFUSED } mr_flag_kind;

typedef struct mr_flag {
    const char *name; /* With its dashes. */
    mr_flag_kind kind;
    const char *value_name, *summary; /* For --help. REFUSED: unused. */
} mr_flag;

enum { MR_FLAGS_MAX = 40 };

typedef enum mr_color { MR_COLOR_AUTO, MR_COLOR_NEVER, MR_COLOR_ALWAYS } mr_color;

typedef struct mr_args {
    const char *values[MR_FLAGS_MAX]; /* By flag: "" of a plain one that is there, NULL = absent. */
    char *const *names;               /* What is no flag; borrowed from argv. */
    uint32_t name_count;
    bool is_json, quiet, verbose; /* --format json, -q, -v: of all verbs, as --color. */
    mr_color color;
} mr_args;

/*
 * Parses flags of `verb` and those of all verbs; argv is reordered so that `names` follow each
 * other. Returns true to go on; false: `status` is the exit status, and all is said (--help too).
 */
bool mr_args_parse(const char *verb, const mr_flag *flags, uint32_t flag_count, int argc,
                   char **argv, mr_args *args, int *status);

/* ---- load.c ---- */

typedef struct mr_loaded { /* A file that was read; empty unless mr_load_file said true. */
    mr_topology *topology;
    struct mr_arena *arena; /* Owns the text. */
} mr_loaded;

/* Reads and loads; false after a message on standard error (unreadable, no memory). */
bool mr_load_file(const char *path, const mr_catalogue *catalogue, mr_loaded *loaded);
void mr_load_release(mr_loaded *loaded);

/* ---- report.c ---- */

typedef struct mr_report {
    FILE *stream;
    bool is_json, is_colored, strict; /* strict: warnings count, and are shown, as errors. */
    uint32_t error_count, warning_count;
} mr_report;

/* `stream` decides what `auto` means. */
mr_report mr_report_to(FILE *stream, const mr_args *args);
/* One message with its line and caret, or as one JSON object a line. */
void mr_report_message(mr_report *report, const mr_message *message);
/* A text in JSON's quotes. */
void mr_report_quoted(FILE *stream, const char *text);
/* All messages of a file. */
void mr_report_all(mr_report *report, const mr_topology *topology);

#endif

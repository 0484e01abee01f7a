/*
 * verbs.c - the table of verbs, and what is said when none of them is meant.
 */
#include "cli/cli.h"
#include "engine/base/assert.h"
#include <string.h>

static void print_help(FILE *stream);

static const mr_verb verbs[] = {
    {"run", mr_cmd_run, "FILE", "run a topology"},
    {"check", mr_cmd_check, "FILE...", "report every mistake of topology files"},
    {"explain", mr_cmd_explain, "FILE|CODE|OP", "print a plan, a diagnostic or an operator"},
    {"state", mr_cmd_state, "ls|verify|dump DIR", "look into the state of a stopped worker"},
    {"version", mr_cmd_version, "", "print the versions of program, language and state"},
    /* Of the manual, but not of this release. */
    {"test", NULL, "", NULL},
    {"graph", NULL, "", NULL},
    {"diff", NULL, "", NULL},
    {"fmt", NULL, "", NULL},
    {"init", NULL, "", NULL},
    {"eval", NULL, "", NULL},
    {"schema", NULL, "", NULL},
    {"operators", NULL, "", NULL},
    {"tap", NULL, "", NULL},
    {"top", NULL, "", NULL},
    {"dlq", NULL, "", NULL},
    {"txn", NULL, "", NULL},
    {"completion", NULL, "", NULL},
};

const mr_verb *mr_verb_find(const char *name)
{
    MR_ASSERT(name != NULL);
    for (size_t i = 0; i < MR_LENGTH(verbs); i++) {
        if (strcmp(verbs[i].name, name) == 0) {
            return &verbs[i];
        }
    }
    return NULL;
}

int mr_cli_main(int argc, char **argv)
{
    const char *word = argc > 1 ? argv[1] : NULL;

    if (word == NULL) {
        print_help(stderr);
        return MR_EXIT_USAGE;
    }
    if (strcmp(word, "--help") == 0 || strcmp(word, "-h") == 0 || strcmp(word, "help") == 0) {
        print_help(stdout);
        return MR_EXIT_DONE;
    }
    const mr_verb *verb = mr_verb_find(strcmp(word, "--version") == 0 ? "version" : word);
    if (verb == NULL) {
        (void)fprintf(stderr, "millrace: there is no verb \"%s\"; see `millrace --help`\n", word);
        return MR_EXIT_USAGE;
    }
    if (verb->run == NULL) {
        (void)fprintf(stderr, "millrace: \"%s\" is known, but not part of this release\n", word);
        return MR_EXIT_USAGE;
    }
    const int status = verb->run(argc - 1, argv + 1);
    if (fflush(stdout) != 0 && status == MR_EXIT_DONE) {
        (void)fprintf(stderr, "millrace: standard output cannot be written\n");
        return MR_EXIT_FAILED;
    }
    return status;
}

static void print_help(FILE *stream)
{
    (void)fprintf(stream, "millrace - streams from Kafka to Kafka, exactly once\n\n");
    for (size_t i = 0; i < MR_LENGTH(verbs); i++) {
        if (verbs[i].run != NULL) {
            (void)fprintf(stream, "  millrace %-8s %-20s %s\n", verbs[i].name, verbs[i].usage,
                          verbs[i].summary);
        }
    }
    (void)fprintf(stream,
                  "\n`millrace VERB --help` lists the flags of a verb. Exit status: 0 done, "
                  "1 failure at run\ntime, 2 wrong use, 78 the topology is wrong.\n");
}

/*
 * cmd_explain.c - `millrace explain FILE|CODE|OP`: a plan, the long text of a diagnostic or of a
 * failure, or the options of an operator. A word like M0302 or E_FENCED is a code, the name of an
 * operator is an operator, all else a file (write ./filter for a file of that name).
 */
#include "cli/cli.h"
#include "engine/base/assert.h"
#include "engine/base/diag_codes.h"
#include "engine/base/error_names.h"
#include "engine/engine.h"
#include <string.h>

enum { LIVE, FLAG_COUNT };

static const mr_flag flags[FLAG_COUNT] = {[LIVE] = {"--live", MR_FLAG_REFUSED, NULL, NULL}};

static bool is_code(const char *word);
static bool is_error_name(const char *word);
static int explain_code(const char *word, bool is_json);
static int explain_error_name(const char *word, bool is_json);
static void print_explanation(bool is_json, const char *name, const char *title, const char *text,
                              const char *example, const char *remedy);
static void print_example(const char *example);
static void print_pair(const char *name, const char *text);
static int explain_operator(const mr_operator_type *op);
static int explain_file(const char *path, const mr_catalogue *catalogue, const mr_args *args);
static const mr_operator_type *find_operator(const mr_catalogue *catalogue, const char *name);
static const char *kind_name(const mr_option *option);
static void print_line(void *self, const char *text);

int mr_cmd_explain(int argc, char **argv)
{
    mr_args args;
    int status;

    if (!mr_args_parse("explain", flags, FLAG_COUNT, argc, argv, &args, &status)) {
        return status;
    }
    if (args.name_count != 1) {
        (void)fprintf(stderr,
                      "millrace explain: name one FILE, CODE (M0302, E_FENCED) or operator\n");
        return MR_EXIT_USAGE;
    }
    mr_engine_tables tables;
    const mr_catalogue *catalogue = mr_engine_catalogue(&tables);
    const mr_operator_type *op = find_operator(catalogue, args.names[0]);
    if (is_code(args.names[0])) {
        return explain_code(args.names[0], args.is_json);
    }
    if (is_error_name(args.names[0])) {
        return explain_error_name(args.names[0], args.is_json);
    }
    return op != NULL ? explain_operator(op) : explain_file(args.names[0], catalogue, &args);
}

/* M and four digits. */
static bool is_code(const char *word)
{
    return strlen(word) == 5 && word[0] == 'M' && strspn(word + 1, "0123456789") == 4;
}

/* E_ and capitals. */
static bool is_error_name(const char *word)
{
    return strncmp(word, "E_", 2) == 0 &&
           strspn(word, "ABCDEFGHIJKLMNOPQRSTUVWXYZ_") == strlen(word);
}

static int explain_code(const char *word, bool is_json)
{
    uint32_t number = 0;

    for (const char *at = word + 1; *at != '\0'; at++) {
        number = number * 10 + (uint32_t)(*at - '0');
    }
    const mr_diag_code *code = mr_diag_code_find((uint16_t)number);
    if (code == NULL) {
        (void)fprintf(stderr, "millrace explain: there is no diagnostic %s\n", word);
        return MR_EXIT_USAGE;
    }
    print_explanation(is_json, word, code->title, code->text, code->example, NULL);
    return MR_EXIT_DONE;
}

static int explain_error_name(const char *word, bool is_json)
{
    const mr_error_name *name = mr_error_name_find(word);

    if (name == NULL) {
        uint32_t count = 0;
        const mr_error_name *all = mr_error_names(&count);
        (void)fprintf(stderr, "millrace explain: there is no failure %s; there are", word);
        for (uint32_t i = 0; i < count; i++) {
            (void)fprintf(stderr, "%s%s", i % 4 == 0 ? "\n  " : " ", all[i].name);
        }
        (void)fprintf(stderr, "\n");
        return MR_EXIT_USAGE;
    }
    print_explanation(is_json, word, name->title, name->text, name->example, name->remedy);
    return MR_EXIT_DONE;
}

/* `remedy` NULL: the example shows it. */
static void print_explanation(bool is_json, const char *name, const char *title, const char *text,
                              const char *example, const char *remedy)
{
    if (is_json) {
        (void)printf("{\"name\":\"%s\"", name); /* Letters, digits and _ only. */
        print_pair("title", title);
        print_pair("text", text);
        print_pair("example", example);
        if (remedy != NULL) {
            print_pair("remedy", remedy);
        }
        (void)printf("}\n");
        return;
    }
    (void)printf("%s: %s\n\n%s\nExample:\n", name, title, text);
    print_example(example);
    if (remedy != NULL) {
        (void)printf("\nWhat to do:\n%s", remedy);
    }
}

/* Its lines, set in. */
static void print_example(const char *example)
{
    for (const char *at = example; *at != '\0';) {
        const size_t size = strcspn(at, "\n");
        (void)printf("  %.*s\n", (int)size, at);
        at += size + (at[size] == '\n' ? 1 : 0);
    }
}

static void print_pair(const char *name, const char *text)
{
    (void)printf(",\"%s\":", name);
    mr_report_quoted(stdout, text);
}

static const mr_operator_type *find_operator(const mr_catalogue *catalogue, const char *name)
{
    for (uint32_t i = 0; i < catalogue->operator_count; i++) {
        if (strcmp(catalogue->operators[i]->name, name) == 0) {
            return catalogue->operators[i];
        }
    }
    return NULL;
}

static int explain_operator(const mr_operator_type *op)
{
    (void)printf("%s: %s\n\n", op->name, op->summary);
    for (uint32_t i = 0; i < op->option_count; i++) {
        const mr_option *option = &op->options[i];
        char about[128] = "";
        if ((option->flags & MR_OPTION_REQUIRED) != 0) {
            (void)snprintf(about, sizeof(about), ", required");
        } else if (option->fallback != NULL) {
            (void)snprintf(about, sizeof(about), ", default %s", option->fallback);
        }
        (void)printf("  %-12s %s%s\n", option->name, kind_name(option), about);
        if (option->kind == MR_OPTION_CHOICE) {
            (void)printf("  %-12s one of %s\n", "", option->choices);
        }
        if (option->summary != NULL) {
            (void)printf("  %-12s %s\n", "", option->summary);
        }
    }
    return MR_EXIT_DONE;
}

static const char *kind_name(const mr_option *option)
{
    static const char *const names[] = {
        [MR_OPTION_EXPR] = "expression",
        [MR_OPTION_CONDITION] = "boolean expression",
        [MR_OPTION_SELECT] = "map of column: expression",
        [MR_OPTION_FOLD] = "map of column: expression over aggregates",
        [MR_OPTION_COLUMNS] = "list of columns",
        [MR_OPTION_TEXT] = "text",
        [MR_OPTION_CHOICE] = "word",
        [MR_OPTION_BOOLEAN] = "true or false",
        [MR_OPTION_COUNT] = "whole number",
        [MR_OPTION_SIZE] = "size",
        [MR_OPTION_DURATION] = "duration",
        [MR_OPTION_REFUSED] = "not part of this release",
    };

    MR_ASSERT(option->kind < MR_LENGTH(names));
    return names[option->kind];
}

static int explain_file(const char *path, const mr_catalogue *catalogue, const mr_args *args)
{
    mr_loaded loaded;

    if (!mr_load_file(path, catalogue, &loaded)) {
        return MR_EXIT_CONFIG;
    }
    mr_report report = mr_report_to(stderr, args);
    mr_report_all(&report, loaded.topology);
    const mr_plan *plan = mr_topology_plan(loaded.topology);
    if (plan != NULL) {
        mr_plan_explain(plan, print_line, NULL);
    }
    mr_load_release(&loaded);
    return plan != NULL ? MR_EXIT_DONE : MR_EXIT_CONFIG;
}

static void print_line(void *self, const char *text)
{
    (void)self;
    (void)printf("%s\n", text);
}

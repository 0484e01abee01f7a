/*
 * args.c - flags of a verb: `--name VALUE`, `--name=VALUE`, `--name`; `--` ends them.
 *
 * A flag of the manual that this release does not have is refused by its name. Names of files keep
 * their order.
 */
#include "cli/cli.h"
#include "engine/base/assert.h"
#include <string.h>

enum { COMMON_COUNT = 2 };

static const mr_flag common[COMMON_COUNT] = {
    {"--format", MR_FLAG_VALUE, "text|json", "form of the output"},
    {"--color", MR_FLAG_VALUE, "auto|never|always", "colours; auto: on a terminal"},
};

typedef struct parse {
    const char *verb;
    const mr_flag *flags;
    uint32_t flag_count;
    const char *common_values[COMMON_COUNT];
    mr_args *args;
} parse;

static bool parse_flag(parse *p, int argc, char **argv, int *at);
static bool set_common(parse *p);
static const mr_flag *find(const mr_flag *flags, uint32_t count, const char *word, size_t size,
                           uint32_t *index);
static void print_help(const parse *p);
static void print_flags(const mr_flag *flags, uint32_t count);

bool mr_args_parse(const char *verb, const mr_flag *flags, uint32_t flag_count, int argc,
                   char **argv, mr_args *args, int *status)
{
    parse p = {.verb = verb, .flags = flags, .flag_count = flag_count, .args = args};
    bool only_names = false;
    int kept = 1;

    MR_ASSERT(argc >= 1 && flag_count <= MR_FLAGS_MAX);
    *args = (mr_args){.names = argv + 1};
    *status = MR_EXIT_USAGE;
    for (int i = 1; i < argc; i++) {
        const char *word = argv[i];
        if (only_names || word[0] != '-' || word[1] == '\0') {
            argv[kept++] = argv[i];
        } else if (strcmp(word, "--") == 0) {
            only_names = true;
        } else if (strcmp(word, "--help") == 0 || strcmp(word, "-h") == 0) {
            print_help(&p);
            *status = MR_EXIT_DONE;
            return false;
        } else if (!parse_flag(&p, argc, argv, &i)) {
            return false;
        }
    }
    args->name_count = (uint32_t)(kept - 1);
    return set_common(&p);
}

static bool parse_flag(parse *p, int argc, char **argv, int *at)
{
    const char *word = argv[*at];
    const size_t size = strcspn(word, "=");
    uint32_t index = 0;

    if (strcmp(word, "-q") == 0 || strcmp(word, "-v") == 0) {
        p->args->quiet = p->args->quiet || word[1] == 'q';
        p->args->verbose = p->args->verbose || word[1] == 'v';
        return true;
    }
    const bool is_own = find(p->flags, p->flag_count, word, size, &index) != NULL;
    const mr_flag *flag =
        is_own ? &p->flags[index] : find(common, COMMON_COUNT, word, size, &index);
    if (flag == NULL) {
        (void)fprintf(stderr, "millrace %s: there is no flag \"%.*s\"; see `millrace %s --help`\n",
                      p->verb, (int)size, word, p->verb);
        return false;
    }
    if (flag->kind == MR_FLAG_REFUSED) {
        (void)fprintf(stderr, "millrace %s: %s is known, but not part of this release\n", p->verb,
                      flag->name);
        return false;
    }
    const char *value = word[size] == '=' ? word + size + 1 : NULL;
    if (flag->kind == MR_FLAG_PLAIN && value != NULL) {
        (void)fprintf(stderr, "millrace %s: %s takes no value\n", p->verb, flag->name);
        return false;
    }
    if (flag->kind == MR_FLAG_VALUE && value == NULL) {
        if (*at + 1 == argc) {
            (void)fprintf(stderr, "millrace %s: %s needs a value: %s\n", p->verb, flag->name,
                          flag->value_name);
            return false;
        }
        *at += 1;
        value = argv[*at];
    }
    value = value != NULL ? value : "";
    if (is_own) {
        p->args->values[index] = value;
    } else {
        p->common_values[index] = value;
    }
    return true;
}

/* --format and --color */
static bool set_common(parse *p)
{
    static const char *const colors[] = {"auto", "never", "always"};
    const char *format = p->common_values[0], *color = p->common_values[1];
    bool known = color == NULL;

    if (format != NULL && strcmp(format, "text") != 0 && strcmp(format, "json") != 0) {
        (void)fprintf(stderr, "millrace %s: --format is text or json, not \"%s\"\n", p->verb,
                      format);
        return false;
    }
    p->args->is_json = format != NULL && format[0] == 'j';
    for (uint32_t i = 0; i < MR_LENGTH(colors) && !known; i++) {
        if (strcmp(color, colors[i]) == 0) {
            p->args->color = (mr_color)i;
            known = true;
        }
    }
    if (!known) {
        (void)fprintf(stderr, "millrace %s: --color is auto, never or always, not \"%s\"\n",
                      p->verb, color);
    }
    return known;
}

static const mr_flag *find(const mr_flag *flags, uint32_t count, const char *word, size_t size,
                           uint32_t *index)
{
    for (uint32_t i = 0; i < count; i++) {
        if (strlen(flags[i].name) == size && memcmp(flags[i].name, word, size) == 0) {
            *index = i;
            return &flags[i];
        }
    }
    return NULL;
}

static void print_help(const parse *p)
{
    const mr_verb *verb = mr_verb_find(p->verb);

    if (verb != NULL) {
        (void)printf("millrace %s %s [flags] - %s\n\n", verb->name, verb->usage, verb->summary);
    }
    print_flags(p->flags, p->flag_count);
    print_flags(common, COMMON_COUNT);
    (void)printf("  %-32s %s\n  %-32s %s\n", "-q", "say less", "-v", "say more");
}

static void print_flags(const mr_flag *flags, uint32_t count)
{
    char text[64];

    for (uint32_t i = 0; i < count; i++) {
        if (flags[i].kind == MR_FLAG_REFUSED) {
            continue;
        }
        (void)snprintf(text, sizeof(text), "%s %s", flags[i].name,
                       flags[i].value_name != NULL ? flags[i].value_name : "");
        (void)printf("  %-32s %s\n", text, flags[i].summary);
    }
}

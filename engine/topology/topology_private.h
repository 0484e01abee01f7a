/*
 * topology_private.h - what the files of this folder share while one document is loaded.
 *
 * The way is: yaml.c (text -> tree), model.c (tree -> items and settings), check.c (names, graph,
 * order), plan.c (items -> nodes, by plan_step.c, plan_source.c and plan_sink.c), prune.c (which
 * columns are needed), then the finished plan. Every function that meets a mistake writes a message
 * and lets its caller go on with what can still be checked. All memory is the topology's arena.
 * Thread: control.
 */
#ifndef MR_TOPOLOGY_PRIVATE_H
#define MR_TOPOLOGY_PRIVATE_H

#include "engine/base/arena.h"
#include "engine/base/diag_codes.h"
#include "engine/topology/topology.h"
#include <stdarg.h>

#define MR_ERROR_OUTPUT "errors" /* The name of a step's error output. */

enum {
    MR_YAML_DEPTH_MAX = 64,
    MR_YAML_WEIGHT_MAX = 100000, /* Nodes of the tree, each counted as often as it is used. */
    MR_YAML_ENTRIES_MAX = 4096,  /* Of one map or list. */
    MR_HEADERS_MAX = 32,         /* Different meta.header('x') of a document. */
    MR_ITEMS_MAX = MR_PLAN_NODES_MAX,
    MR_DLQS_MAX = 64,
    MR_HIDDEN_MAX = 64, /* Secrets in the file; with so many no line is shown. */
    MR_PROPERTIES_MAX = 128
};

/* ---- yaml.c: the document as a tree; an alias is the node of its anchor ---- */

typedef enum mr_yaml_kind { MR_YAML_SCALAR, MR_YAML_MAP, MR_YAML_LIST } mr_yaml_kind;
typedef enum mr_yaml_style {
    MR_YAML_PLAIN,
    MR_YAML_QUOTED,
    MR_YAML_LITERAL,
    MR_YAML_FOLDED
} mr_yaml_style;

struct mr_yaml;

typedef struct mr_yaml_pair {
    const struct mr_yaml *key, *value;
} mr_yaml_pair;

typedef struct mr_yaml {
    mr_yaml_kind kind;
    mr_yaml_style style;
    mr_place place;      /* What a caret underlines. */
    mr_place text_place; /* Of the first character of the text: behind a quote, below a `|`. */
    bool multi_line;     /* A plain or quoted scalar over several lines. */
    bool is_open;        /* Its end was not read yet: an alias to it would be a loop. */
    const char *text;    /* SCALAR: with a final NUL. */
    uint32_t size_bytes;
    const mr_yaml_pair *pairs;          /* MAP */
    const struct mr_yaml *const *items; /* LIST */
    uint32_t count;
    uint32_t weight, height; /* Nodes in it; levels below it; through aliases too. */
} mr_yaml;

struct mr_load;

/* The tree, or NULL: messages say why. */
const mr_yaml *mr_yaml_parse(struct mr_load *load);
/* The value of a key; NULL = absent, or `map` is no map. */
const mr_yaml *mr_yaml_get(const mr_yaml *map, const char *name);
/* Plain `null`, `~` or nothing. */
bool mr_yaml_is_null(const mr_yaml *node);

/* ---- The load and its messages: messages.c ---- */

typedef enum mr_item_kind { MR_ITEM_SOURCE, MR_ITEM_STEP, MR_ITEM_SINK } mr_item_kind;

typedef struct mr_item { /* A source, step or sink as written. */
    mr_item_kind kind;
    const char *name;
    mr_place place;     /* Of its key. */
    const mr_yaml *map; /* NULL: it is no map. */
    const mr_operator_type *op;
    const mr_source_type *source;
    const mr_sink_type *sink;
    const char *kind_name; /* The word of `op` or `kind`, for messages. */
    struct mr_item *input; /* Steps and sinks: what `from` names; NULL = unknown. */
    uint32_t input_output;
    bool is_used;    /* A sink hangs on it. */
    bool is_ordered; /* Its place in the order of planning is found. */
    bool is_broken;  /* Its output columns are unknown, after a message. */
    mr_plan_node *node;
} mr_item;

typedef struct mr_dlq_item {
    const char *name;
    mr_place place;
    const mr_yaml *topic, *create; /* NULL = absent. */
    uint64_t stop_records;         /* `stop_above`; 0 = absent. */
    int64_t stop_per_us;
    bool is_used;
    uint32_t index; /* In mr_plan.dlqs, once it is used. */
} mr_dlq_item;

typedef struct mr_secret_item {
    const char *name;
    mr_place place;
    const char *file, *env; /* One of them. */
    uint32_t index;         /* In mr_plan.secrets, once an option uses it. */
} mr_secret_item;

typedef struct mr_load {
    mr_arena *arena;
    const mr_topology_source *source;
    const mr_catalogue *catalogue;
    bool no_memory;
    mr_message *messages; /* Room for MR_TOPOLOGY_ERRORS_MAX + 1. */
    uint32_t message_count, error_count;
    const mr_yaml *root;
    mr_item *items; /* Sources, steps, sinks, each in file order. */
    uint32_t item_count;
    mr_item **order; /* The same items, each behind what it reads. */
    uint32_t order_count;
    const char *headers[MR_HEADERS_MAX]; /* Names in meta.header('x'). */
    uint32_t header_count;
    mr_dlq_item *dlq_items;
    uint32_t dlq_item_count;
    mr_secret_item *secret_items;
    uint32_t secret_item_count;
    mr_place hidden[MR_HIDDEN_MAX]; /* From here on messages do not show the line. */
    uint32_t hidden_count;
    const mr_yaml *kafka; /* The map `kafka:`, NULL = absent. */
    const mr_yaml *errors_default;
    const mr_yaml *poison_dlq; /* The value of errors.poison.dlq; NULL = absent. */
    bool delivery_given;
    mr_plan *plan; /* Being built. */
    mr_plan_node *nodes;
    mr_plan_topic *topics;
    mr_place *topic_places; /* Where each topic was named first. */
    mr_plan_dlq *dlqs;
} mr_load;

void mr_load_error(mr_load *load, mr_place place, uint16_t code, const char *hint,
                   const char *format, ...) MR_PRINTF(5, 6);
void mr_load_warning(mr_load *load, mr_place place, uint16_t code, const char *hint,
                     const char *format, ...) MR_PRINTF(5, 6);
/* A diag's story as an error; a part behind "\nhint: " is its hint. `place`: if it has none. */
void mr_load_diag(mr_load *load, const mr_diag *diag, mr_place place);
/* Sorts by position, drops equal ones, adds the lines. */
void mr_load_finish_messages(mr_load *load);
/* Messages do not show the line from here on: a secret stands there. */
void mr_load_hide(mr_load *load, mr_place place);
/* Zeroed; NULL (and load->no_memory) = the limit is reached. */
void *mr_load_take(mr_load *load, size_t count, size_t size_bytes);
/* Formats into the arena; "" when there is no memory. */
const char *mr_load_print(mr_load *load, const char *format, ...) MR_PRINTF(2, 3);

typedef struct mr_nearest { /* The best of several words at edit distance 1 or 2. */
    const char *word, *best;
    uint32_t distance;
} mr_nearest;
void mr_nearest_try(mr_nearest *nearest, const char *candidate);
/* `did you mean "x"?` or NULL. */
const char *mr_nearest_hint(mr_load *load, const mr_nearest *nearest);

/* ---- variables.c ---- */

/* Expands ${VAR} and $$ in a scalar that is no expression; NULL after a message. */
const char *mr_variables_expand(mr_load *load, const mr_yaml *scalar);

/* ---- value.c: scalars by type; false after a message ---- */

bool mr_value_text(mr_load *load, const mr_yaml *node, const char *what, const char **text);
bool mr_value_boolean(mr_load *load, const mr_yaml *node, const char *what, bool *value);
bool mr_value_count(mr_load *load, const mr_yaml *node, const char *what, uint64_t least,
                    uint64_t most, uint64_t *value);
bool mr_value_size(mr_load *load, const mr_yaml *node, const char *what, uint64_t *bytes);
bool mr_value_duration(mr_load *load, const mr_yaml *node, const char *what, int64_t *duration_us);
/* `choices` as "a|b"; a choice in `refused` ("c|d", may be NULL) is known but M0109. */
bool mr_value_choice(mr_load *load, const mr_yaml *node, const char *what, const char *choices,
                     const char *refused, uint32_t *index);
/* The text of an expression: style and variables are tested. */
bool mr_value_expr(mr_load *load, const mr_yaml *node, const char *what, const char **text);
bool mr_value_is_map(mr_load *load, const mr_yaml *node, const char *what);
bool mr_value_is_list(mr_load *load, const mr_yaml *node, const char *what);

/* What is said where a comma has cut an expression short. */
const char *mr_comma_hint(void);

/* ---- keys.c: which keys a map may have ---- */

enum {
    MR_KEY_KAFKA = 1,
    MR_KEY_REQUIRED = 2
}; /* Only of Kafka sources and sinks; must be there. */

typedef struct mr_key_rule {
    const char *name;
    const char *refused; /* Not NULL: of the language, but not of this release; why. */
    uint32_t flags;
} mr_key_rule;

typedef struct mr_key_set { /* What stands in one map. */
    const char *what;       /* `source "orders"`, for messages. */
    const mr_key_rule *rules;
    uint32_t rule_count;
    const mr_option *options; /* More keys, of an operator or connector. */
    uint32_t option_count;
    const char *not_kafka; /* Not NULL: the kind to which MR_KEY_KAFKA keys do not apply. */
    mr_place place;        /* Where missing keys are reported. */
} mr_key_set;

void mr_keys_test(mr_load *load, const mr_yaml *map, const mr_key_set *set);
bool mr_name_valid(const char *name, bool dashes);

/* ---- model.c, settings.c, check.c, routes.c ---- */

/* Items and settings of the tree. */
void mr_model_read(mr_load *load);
/* kafka, delivery, commit, state, memory; what is not in items. */
void mr_settings_read(mr_load *load);
/* "64KiB": in the largest unit that needs no fraction. Returns `text`, of MR_SIZE_TEXT_MAX bytes.
 */
enum { MR_SIZE_TEXT_MAX = 32 };
const char *mr_size_text(uint64_t bytes, char *text);
/* A top-level map with its keys tested; NULL = absent or wrong. */
const mr_yaml *mr_settings_section(mr_load *load, const char *name, const mr_key_rule *rules,
                                   uint32_t rule_count);
/* kafka_settings.c: `kafka:`. */
void mr_kafka_read(mr_load *load);
/* secrets.c: `secrets:`, before whatever uses one; and, at the end, those nobody uses. */
void mr_secrets_read(mr_load *load);
void mr_secrets_finish(mr_load *load);
/* `{ secret: NAME }`: its index in the plan. */
bool mr_value_secret(mr_load *load, const mr_yaml *node, const char *what, uint32_t *index);
/* Names, `from`, cycles, what is used; makes load->order. */
void mr_check_graph(mr_load *load);
/* dlqs and errors. */
void mr_routes_read(mr_load *load);
/* The route of a node with these MR_FALLIBLE_ classes; `what` can fail. */
void mr_routes_resolve(mr_load *load, const mr_item *item, uint32_t classes, const char *what);
/* Whether a step says `on_error: { output: ... }`, and so has the output `errors`. */
bool mr_routes_have_output(const mr_item *item);
/* Unused DLQs. */
void mr_routes_finish(mr_load *load);

/* ---- topics.c ---- */

/* The index of a topic in the plan, added when new; MR_NO_INDEX after a message. */
uint32_t mr_topic_add(mr_load *load, const mr_yaml *name, const char *what);
/* `create:` of a sink or DLQ. */
void mr_topic_create(mr_load *load, const mr_yaml *create, uint32_t topic);
/* Whether the document has `kafka:`; a message at `place` if not. */
bool mr_topic_kafka(mr_load *load, mr_place place, const char *what);

/* ---- plan.c and its helpers ---- */

typedef struct mr_plan_build { /* Behind mr_plan_node.build while planning. */
    mr_load *load;
    mr_item *item;
    uint32_t fallible; /* MR_FALLIBLE_ bits. */
    const char *what;  /* What can fail, the first one said. */
    bool failed;
} mr_plan_build;

/* Plans all items in order, then prunes; complete unless load->error_count. */
void mr_plan_make(mr_load *load);

/* numbers.c: fills in the numbers of tables and topics. */
void mr_numbers_make(mr_load *load);
void mr_plan_source(mr_load *load, mr_item *item);
void mr_plan_step(mr_load *load, mr_item *item);
void mr_plan_sink(mr_load *load, mr_item *item);
/* After pruning: the source's format reads only needed columns. */
void mr_plan_source_format(mr_load *load, mr_item *item);

/* What an expression option sees. */
struct mr_expr_scope;
/* Compiles the expression in `node`; NULL after a message. */
const mr_expr *mr_plan_expr(mr_load *load, const mr_item *item, const mr_schema *schema,
                            bool event_time, const mr_yaml *node, const char *what);
/* The same, of a wanted type. */
const mr_expr *mr_plan_typed_expr(mr_load *load, const mr_item *item, const mr_schema *schema,
                                  bool event_time, const mr_yaml *node, const char *what,
                                  mr_type type);
/* A list of visible column names; false after a message. */
bool mr_plan_columns(mr_load *load, const mr_schema *schema, const mr_yaml *node, const char *what,
                     uint32_t count_max, mr_columns *columns);
/* Parses option tables into `spec`; `schema` NULL: expressions are left out. False = mistakes. */
bool mr_options_parse(mr_load *load, const mr_item *item, const mr_schema *schema,
                      const mr_option *options, uint32_t option_count, void *spec);
/* The columns the options of a step read. */
void mr_options_columns(const mr_option *options, uint32_t option_count, const void *spec,
                        bool *needed);
/* The format of that name, not refused; NULL after a message. */
const mr_format_entry *mr_plan_format(mr_load *load, const mr_item *item, const char *fallback);
/* The columns of a source with its hidden ones; sets `fields` and `records`. NULL after a message.
 */
mr_schema *mr_fields_read(mr_load *load, const mr_item *item, bool is_kafka,
                          mr_source_common *common);
/* "text not null", "numeric(18,2)"; false = not a type, after a message at `node`. */
bool mr_field_type(mr_load *load, const mr_yaml *node, const char *text, mr_field *field);
/* Whether a field is written as `{ type: record, ... }`, with or without `not null`. */
bool mr_field_is_record(const mr_yaml *value, bool *nullable);

/* "a, b" */
const char *mr_column_list(mr_load *load, const mr_schema *schema, const uint16_t *columns,
                           uint32_t count);

/* Sets `needed` of every source column. */
void mr_prune_columns(mr_load *load);
/* Sets `wants_old` of every output. */
void mr_prune_old_halves(mr_load *load);

#endif

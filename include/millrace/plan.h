/*
 * plan.h - the immutable plan of a topology: nodes, edges, schemas, tables, topics, options.
 *
 * engine/topology builds it from a file; engine/runtime only reads it. All memory belongs to the
 * plan's arena and lives until mr_plan_destroy(). Nodes stand in plan order: every node after the
 * nodes it reads from. Thread: built by control, then read-only for all.
 */
#ifndef MILLRACE_PLAN_H
#define MILLRACE_PLAN_H

#include <millrace/batch.h>
#include <millrace/status.h>
#include <millrace/store.h>
#include <stdbool.h>
#include <stdint.h>

enum {
    MR_PLAN_NODES_MAX = 256,
    MR_PLAN_OUTPUTS_MAX = 8, /* Outputs of a node, the error output included. */
    MR_PLAN_TABLES_MAX = 4,  /* Tables of a node. */
    MR_PLAN_TOPICS_MAX = 256,
    MR_PLAN_SECRETS_MAX = 64,
    MR_NO_INDEX = 0xffffffffu
};

struct mr_operator_type;
struct mr_source_type;
struct mr_sink_type;
struct mr_arena;

typedef enum mr_node_kind { MR_NODE_SOURCE, MR_NODE_STEP, MR_NODE_SINK } mr_node_kind;

typedef enum mr_route_kind {
    MR_ROUTE_STOP,
    MR_ROUTE_DROP,
    MR_ROUTE_DLQ,
    MR_ROUTE_OUTPUT
} mr_route_kind;

/* Columns an error output has behind those of the step's input: error_code, error_message. */
enum { MR_ERROR_COLUMNS = 2 };

typedef struct mr_error_route { /* Where rejected rows of a node go. */
    mr_route_kind kind;
    uint32_t dlq;    /* DLQ: index in mr_plan.dlqs. */
    uint32_t output; /* OUTPUT: index of the error output, behind the operator's own. */
    bool is_needed;  /* Some row may be rejected; else the route is never taken. */
} mr_error_route;

typedef struct mr_plan_edge { /* A consumer of an output. */
    uint32_t node, port;
} mr_plan_edge;

typedef struct mr_plan_output {
    const char *name; /* "step", or "step.late". */
    const mr_schema *schema;
    const mr_plan_edge *consumers;
    uint32_t consumer_count;
    bool wants_old; /* Upsert: something downstream can drop a row, so OLD halves are needed. */
    bool borrows;   /* The node fills `out` by sharing columns only: no cells are allocated. */
} mr_plan_output;

typedef struct mr_plan_node {
    uint32_t index;
    mr_node_kind kind;
    const char *name;                    /* The user's word. */
    mr_place place;                      /* Of the item's key in the file. */
    const struct mr_operator_type *op;   /* STEP */
    const struct mr_source_type *source; /* SOURCE */
    const struct mr_sink_type *sink;     /* SINK */
    void *spec;             /* Of the type's spec_size; filled from its option table. */
    const void *common;     /* SOURCE: mr_source_common. SINK: mr_sink_common. STEP: NULL. */
    const mr_schema *input; /* STEP, SINK: the schema of what it reads. */
    uint32_t input_node, input_output;
    mr_plan_output outputs[MR_PLAN_OUTPUTS_MAX];
    uint32_t output_count;
    mr_table_spec tables[MR_PLAN_TABLES_MAX]; /* `task` is filled in by the runtime. */
    const char *table_names[MR_PLAN_TABLES_MAX];
    const mr_schema *table_keys[MR_PLAN_TABLES_MAX];   /* For dumps: the key's columns. */
    const mr_schema *table_values[MR_PLAN_TABLES_MAX]; /* For dumps: what describe() gives. */
    uint32_t table_count;
    mr_error_route on_error;
    struct mr_plan_build *build; /* While planning only; NULL in a finished plan. */
} mr_plan_node;

typedef struct mr_plan_topic {
    const char *name;
    uint32_t source;            /* Node that reads it, or MR_NO_INDEX. */
    uint32_t number;            /* Of its name alone; what stored state calls the input. */
    bool is_output;             /* A sink or DLQ writes it. */
    uint32_t create_partitions; /* `create:`; 0 = the topic must exist. */
    int32_t create_replication; /* -1 = the broker's default. */
} mr_plan_topic;

typedef struct mr_plan_dlq {
    const char *name;
    uint32_t topic;        /* Index in topics. */
    uint64_t stop_records; /* `stop_above`: more within stop_per_us stop the worker; 0 = none. */
    int64_t stop_per_us;
} mr_plan_dlq;

typedef struct mr_plan_property { /* A librdkafka property of `kafka.client:`. */
    const char *name, *value;
    mr_place place;
} mr_plan_property;

typedef struct mr_plan_secret { /* Where a secret lies: one of file and env. Never what it is. */
    const char *name, *file, *env;
    mr_place place;
} mr_plan_secret;

typedef struct mr_plan_size { /* A size, or a share of something. */
    uint64_t bytes;           /* 0 when percent is given. */
    uint32_t percent;
} mr_plan_size;

typedef enum mr_delivery { MR_EXACTLY_ONCE, MR_AT_LEAST_ONCE } mr_delivery;

typedef enum mr_plan_io { MR_PLAN_IO_AUTO, MR_PLAN_IO_URING, MR_PLAN_IO_THREADS } mr_plan_io;

typedef struct mr_plan {
    const char *file, *app;
    const mr_plan_node *nodes;
    uint32_t node_count;
    const mr_plan_topic *topics;
    uint32_t topic_count;
    const mr_plan_dlq *dlqs;
    uint32_t dlq_count;
    uint32_t table_count; /* Tables of one task; their numbers come from their names. */
    bool has_kafka;       /* False: no commit point; the run starts empty, at the beginning. */
    bool is_stateful, is_bounded;
    mr_delivery delivery;
    struct {            /* errors.poison */
        uint32_t after; /* Failures at the same offsets; 0 = not counted. */
        uint32_t dlq;   /* has_dlq: index in dlqs; else the worker stops. */
        bool has_dlq;
    } poison;
    const char *brokers; /* Comma-separated; NULL without kafka. */
    const char *client_id;
    const mr_plan_property *properties;
    uint32_t property_count;
    const mr_plan_secret *secrets; /* Those that something uses. */
    uint32_t secret_count;
    struct {
        bool is_on;
        const char *ca, *cert, *key; /* Paths; NULL = not given. */
        uint32_t key_password;       /* Index in secrets, MR_NO_INDEX = none. */
    } tls;
    struct {
        const char *mechanism, *username; /* mechanism NULL: no SASL. */
        uint32_t password;                /* Index in secrets. */
    } sasl;
    struct {
        int64_t interval_us, transaction_timeout_us;
        uint64_t dirty_state_bytes, output_bytes, records;
        bool output_given; /* Written by the user: must fit the arena; else it yields. */
    } commit;
    struct {
        mr_plan_io io;
        uint64_t wal_max_bytes, value_max_bytes;
        int64_t checkpoint_us; /* A base of the state at least so often, where the log grew. */
    } state;
    struct {
        mr_plan_size total, kafka;
    } memory;
    uint64_t fingerprint; /* Of names, types and table layouts; for logs. */
} mr_plan;

/* The following are for `plan` slots of operators, sources and sinks; engine/topology has them. */

/* Memory that lives as long as the plan. */
struct mr_arena *mr_plan_arena(mr_plan_node *node);

/* The schema of the single input. */
const mr_schema *mr_plan_input(const mr_plan_node *node);

/* Sets the schema of output `output`; `borrows` as in mr_plan_output. */
void mr_plan_set_output(mr_plan_node *node, uint32_t output, const mr_schema *schema, bool borrows);

/*
 * Declares a table of this node; the plan fills in its number. `key` and `value` describe the
 * record for dumps and the layout; `value` may be NULL.
 */
MR_MUST_USE mr_status mr_plan_add_table(mr_plan_node *node, const char *name,
                                        const mr_table_spec *spec, const mr_schema *key,
                                        const mr_schema *value, mr_diag *diag);

/* Declares that rows can be rejected here: class data needs a route (M0601), class range not. */
enum { MR_FALLIBLE_DATA = 1, MR_FALLIBLE_RANGE = 2 };
void mr_plan_fallible(mr_plan_node *node, uint32_t classes, const char *what);

/*
 * Reports one user error at the value of `option` (NULL: at the item); the load goes on to find
 * more and fails at its end. Returns MR_ERR_CONFIG. `hint` may be NULL: then it is what stands
 * behind "\nhint: " in the text, if that is there.
 */
MR_MUST_USE mr_status mr_plan_error(mr_plan_node *node, const char *option, uint16_t code,
                                    const char *hint, const char *format, ...) MR_PRINTF(5, 6);

#endif

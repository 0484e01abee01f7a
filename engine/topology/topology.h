/*
 * topology.h - from a topology file to an immutable plan.
 *
 * Loading reports every mistake of the file in one run, sorted by position. The tables of
 * operators, connectors and formats come as a catalogue, so this folder knows none of them.
 * Thread: control.
 */
#ifndef MR_TOPOLOGY_TOPOLOGY_H
#define MR_TOPOLOGY_TOPOLOGY_H

#include "engine/base/arena.h"
#include <millrace/operator.h>
#include <millrace/plan.h>
#include <millrace/sink.h>
#include <millrace/source.h>
#include <millrace/status.h>
#include <stdbool.h>
#include <stdint.h>

struct mr_format_type; /* io/format/format.h */

typedef struct mr_format_entry { /* One row of io/format's table, as the loader needs it. */
    const char *name;
    const char *refused; /* Not NULL: known, but refused with this reason. */
    const struct mr_format_type *type;
    /* Tests the columns of a source (`fields`) or sink (`schema`) for this format; makes the spec
     * in `arena`. `numbers_text`, `times`: the sink keys `numbers`, `times`. */
    mr_status (*plan_read)(mr_arena *arena, const mr_schema *schema, const mr_field_spec *fields,
                           const void **spec, mr_diag *diag);
    mr_status (*plan_write)(mr_arena *arena, const mr_schema *schema, const char *numbers,
                            const char *times, const void **spec, mr_diag *diag);
} mr_format_entry;

typedef struct mr_catalogue { /* Static tables, read from top to bottom. */
    const mr_operator_type *const *operators;
    const mr_source_type *const *sources;
    const mr_sink_type *const *sinks;
    const mr_format_entry *formats;
    uint32_t operator_count, source_count, sink_count, format_count;
    /* Whether the Kafka client takes this property of `kafka.client`; NULL = not asked.
     * MR_ERR_CONFIG with the client's words: code 102, no such property; 106, the value does not
     * fit. */
    mr_status (*client_property)(const char *name, const char *value, mr_diag *diag);
} mr_catalogue;

enum { MR_TOPOLOGY_BYTES_MAX = 1 << 20, MR_TOPOLOGY_ERRORS_MAX = 200 };

typedef struct mr_message { /* One mistake or warning, with its place. */
    bool is_warning;
    uint16_t code;
    mr_place place;
    const char *text, *hint; /* hint may be NULL */
    const char *line;        /* The source line, for the caret; NULL if there is none. */
} mr_message;

typedef struct mr_topology mr_topology; /* A loaded file: messages, and a plan if it is right. */

typedef struct mr_topology_source {
    const char *path; /* For messages; `-` is standard input. */
    const char *text; /* The document. */
    uint32_t size_bytes;
    /* Environment for ${VAR}; NULL result = unset. Read once while loading. */
    const char *(*variable)(void *self, const char *name);
    void *variable_self;
} mr_topology_source;

/*
 * Loads a document. MR_OK: mr_topology_plan() is complete (there may be warnings). MR_ERR_CONFIG:
 * see the messages; `topology` is set all the same. Other statuses: no memory, with `diag`.
 */
MR_MUST_USE mr_status mr_topology_load(const mr_topology_source *source,
                                       const mr_catalogue *catalogue, mr_topology **topology,
                                       mr_diag *diag);
const mr_plan *mr_topology_plan(const mr_topology *topology); /* NULL after an error. */
const mr_message *mr_topology_messages(const mr_topology *topology, uint32_t *count);
void mr_topology_destroy(mr_topology *topology); /* The plan dies too. NULL is allowed. */

/* The text of `millrace explain`, written line by line. */
void mr_plan_explain(const mr_plan *plan, void (*line)(void *self, const char *text), void *self);

#endif

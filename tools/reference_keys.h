/*
 * reference_keys.h - what the keys of a topology mean, for docs/options.md.
 *
 * The keys themselves are the loader's: reference.c sees its tables, and refuses a key that has no
 * row here, and a row here that no table has. A default that is written as a user would write it is
 * tried: a document with it must mean the same as one without. Keys of operators, and those of one
 * kind of source or sink, carry their meaning in their own option tables.
 */
#ifndef MR_TOOLS_REFERENCE_KEYS_H
#define MR_TOOLS_REFERENCE_KEYS_H

#include <stddef.h>

typedef struct reference_map { /* One map of a document. */
    const char *what; /* As the loader's messages call it in the document of reference.c. */
    const char *path; /* In front of its keys; NULL: its table of keys stands elsewhere. */
    const char *title, *about; /* `about` may be NULL */
} reference_map;

static const reference_map reference_maps[] = {
    {"the topology", "", "The document", "Keys that begin with `x-` are free, to carry anchors."},
    {"\"kafka\"", "kafka", "kafka", NULL},
    {"\"kafka.tls\"", "tls", "kafka.tls",
     "`tls: {}` trusts the system's authorities. All are paths."},
    {"\"kafka.sasl\"", "sasl", "kafka.sasl",
     "Without `tls` only for brokers of this host (M0722)."},
    {"secret \"pass\"", "secrets", "secrets.NAME",
     "Exactly one of the two. Read by `run`, once, if an option asks for it."},
    {"kafka.sasl.password", "secret", "Options that take a secret", NULL},
    {"\"commit\"", "commit", "commit",
     "An epoch closes, between two batches, at the first of these limits."},
    {"\"state\"", "state", "state", NULL},
    {"\"memory\"", "memory", "memory", NULL},
    {"\"errors\"", "errors", "errors", NULL},
    {"\"errors.poison\"", "errors.poison", "errors.poison", NULL},
    {"\"errors.default\"", "on_error", "on_error, errors.default",
     "Where rejected rows go. Exactly one ending."},
    {"dlq \"bad\"", "dlqs", "dlqs.NAME", NULL},
    {"\"stop_above\"", "stop_above", "dlqs.NAME.stop_above", NULL},
    {"\"create\"", "create", "create (of a sink or dlq)", NULL},
    {"source \"in\"", "sources", "sources.NAME",
     "Keys marked K, and `max_record` in this table, are of `kind: kafka` alone."},
    {"source \"lines\"", NULL, "sources.NAME, kind file", NULL},
    {"\"watermark\"", "watermark", "sources.NAME.watermark",
     "Nothing waits for event time in this release, so only the defaults may be written."},
    {"column \"n\"", "schema", "sources.NAME.schema.COLUMN (long form)",
     "The short form is the type alone: `amount: numeric(12,2) not null`."},
    {"record \"r\"", "record", "sources.NAME.schema.RECORD (type: record)",
     "Its fields are columns with dotted names."},
    {"step \"filtered\" (filter)", "steps", "steps.NAME", NULL},
    {"step \"filtered\" (filter)", NULL, "steps.NAME, op filter", NULL},
    {"step \"mapped\" (map)", NULL, "steps.NAME, op map", "Exactly one of the three."},
    {"step \"grouped\" (aggregate)", NULL, "steps.NAME, op aggregate", NULL},
    {"sink \"out\"", "sinks", "sinks.NAME", "Keys marked K are of `kind: kafka` alone."},
    {"sink \"written\"", NULL, "sinks.NAME, kind file", NULL},
    {"\"partitioner\"", "partitioner", "sinks.NAME.partitioner (as a map)", NULL},
};

typedef struct reference_key {
    const char *path, *name, *value;
    const char
        *fallback; /* As a user would write it; in brackets: words, not tried. NULL = none. */
    const char *meaning;
} reference_key;

static const reference_key reference_keys[] = {
    {"", "millrace", "`1`", NULL, "Version of the language."},
    {"", "app", "name", NULL,
     "Consumer group, prefix of transactional ids (`<app>-<worker set>-<shard>`), name of the "
     "state "
     "directory. Lower-case letters, digits, `_`, `-`; at most 63."},
    {"", "description", "text", NULL, "For readers."},
    {"", "kafka", "map", NULL, "Needed if anything reads or writes a topic."},
    {"", "delivery", "`exactly_once`, `at_least_once`", "exactly_once",
     "What readers may rely on. `at_least_once` must be written where a file sink, or no Kafka, "
     "makes "
     "it so; with Kafka the same transactions are used in both."},
    {"", "commit", "map", NULL, "When an epoch closes."},
    {"", "state", "map", NULL, "How state is kept on disk."},
    {"", "memory", "map", NULL, "Limits of the process."},
    {"", "errors", "map", NULL, "Routes of what has no `on_error`."},
    {"", "sources", "map of items", NULL, "At least one."},
    {"", "sinks", "map of items", NULL, "At least one."},
    {"", "steps", "map of items", NULL, "Each becomes one operator."},
    {"", "dlqs", "map of items", NULL, "Topics for dead letters."},
    {"", "secrets", "map of items", NULL, "Where passwords lie."},

    {"kafka", "brokers", "list of host:port", NULL, "Where to ask first."},
    {"kafka", "client_id", "text", "(the app)", "Name in the brokers' logs."},
    {"kafka", "tls", "map", NULL, "Speak TLS to the brokers."},
    {"kafka", "sasl", "map", NULL, "Say who we are."},
    {"kafka", "client", "map", NULL,
     "Other properties of librdkafka. Those that exactly-once rests on, and secrets, are refused "
     "(docs/exactly-once.md, section 9)."},

    {"tls", "ca", "path", "(the system's authorities)", "Authorities that brokers are tested by."},
    {"tls", "cert", "path", NULL, "Our certificate, with `key`."},
    {"tls", "key", "path", NULL, "Its private key."},
    {"tls", "key_password", "secret", NULL, "Of an encrypted key."},
    {"sasl", "mechanism", "`PLAIN`, `SCRAM-SHA-256`, `SCRAM-SHA-512`", "(required)", NULL},
    {"sasl", "username", "text", "(required)", NULL},
    {"sasl", "password", "secret", "(required)", NULL},
    {"secrets", "file", "path", NULL,
     "At most 16 KiB, and nobody else may read it; a newline at its end is dropped."},
    {"secrets", "env", "name of a variable", NULL, NULL},
    {"secrets", "description", "text", NULL, "For readers."},
    {"secret", "secret", "name of a secret", "(required)", NULL},

    {"commit", "interval", "duration, 1ms to 60s", "100ms", "So long after its first row."},
    {"commit", "dirty_state", "size, 4KiB to 56MiB", "8MiB",
     "So much state changed. The largest epoch is four times that."},
    {"commit", "output", "size, from 4KiB", "32MiB",
     "So much output waits; at most 80 % of an output arena, whatever is written."},
    {"commit", "records", "whole number", "200000", "So many input records."},
    {"commit", "transaction_timeout", "duration, 1s to 15m",
     "(10s, or 5 x interval if that is more)",
     "After it the brokers give up a transaction whose worker is silent; readers wait that long. "
     "At "
     "least 2 x interval."},
    {"commit", "slots", "`1`", "1",
     "Transactional producers of a shard; 2 is not in this release."},

    {"state", "durability", "`local`", "local",
     "This machine's disk; `changelog` is not in this release."},
    {"state", "io", "`auto`, `uring`, `threads`", "auto",
     "How blocks reach the disk. auto: io_uring if a real write, sync and read work with it, else "
     "threads; the environment's `MR_IO` goes over it. `aio` is not in this release."},
    {"state", "checkpoint", "duration, 1s to 24h", "5m",
     "A base at least so often, if the log holds a sixteenth of the state."},
    {"state", "wal_max", "size, from 4MiB", "4GiB",
     "The delta log of a shard. Its parts are a 64th of it, 1 to 64 MiB, fixed when it is made."},
    {"state", "value_max", "size, 64B to 1MiB", "1MiB",
     "The largest stored record; a row that would exceed it is an error of class range."},

    {"memory", "total", "size, or share of the machine's or the container's memory", "50%",
     "Ceiling of the process. If the parts do not fit, a start is refused with the table."},
    {"memory", "kafka", "size, or share of `total`", "25%",
     "Output arenas and the client's queues; at least 256 MiB."},

    {"errors", "default", "route", NULL,
     "For items without `on_error`; `output` is of steps alone. Needed unless every source, and "
     "every "
     "step that can fail for its data, has one of its own (M0601)."},
    {"errors", "poison", "map", NULL,
     "What becomes of a record that ends the worker each time. Exactly one of `stop` and `dlq`."},
    {"errors.poison", "after", "whole number, 1 to 100", "(3)",
     "So many failures at the same offsets before the record is looked for, and of that record "
     "alone before it is found guilty."},
    {"errors.poison", "stop", "true", "true", "The start ends with `E_POISON`."},
    {"errors.poison", "dlq", "name of a dlq", NULL, "The record goes there; the worker goes on."},

    {"on_error", "dlq", "name of a dlq", NULL, "A dead letter, in the transaction of its input."},
    {"on_error", "drop", "true", NULL, "Counted."},
    {"on_error", "stop", "true", NULL,
     "The worker stops at the record (`E_ROW_REJECTED`); nothing of its epoch is committed."},
    {"on_error", "output", "true", NULL, "Steps alone: rows of the stream `NAME.errors`."},

    {"dlqs", "topic", "text", NULL, "Several dlqs may share one."},
    {"dlqs", "create", "map", NULL, "Make the topic if it is missing."},
    {"dlqs", "stop_above", "map", NULL, "More letters than that stop the worker (`E_DLQ_LIMIT`)."},
    {"dlqs", "description", "text", NULL, "For readers."},
    {"stop_above", "records", "whole number", NULL, "So many are still allowed."},
    {"stop_above", "per", "duration, 1s to 7d", NULL, "Within that time, of each shard."},
    {"create", "partitions", "whole number, at most 10000", NULL, NULL},
    {"create", "replication", "whole number", "(the brokers')", NULL},
    {"create", "config", "map", NULL, "Must be empty: make such a topic by hand."},

    {"sources", "kind", "`kafka`, `file`", "kafka", NULL},
    {"sources", "topic", "text", NULL,
     "A topic is read by one source: Kafka keeps one offset of an app for each partition. At most "
     "10,000 partitions."},
    {"sources", "format", "`json`, `raw`", "(required)", NULL},
    {"sources", "schema", "map of column: field", "(required)", "Columns, in this order."},
    {"sources", "mode", "`append`", "append", "`upsert` is not in this release."},
    {"sources", "key", "list of columns", NULL,
     "By which the producer partitions. NULL there is a decode error. Steps that group need it."},
    {"sources", "key_format", "`text`, `json`, `int32`, `int64`, `raw`", "text",
     "How the record key is read, and hashed for `partitioner`."},
    {"sources", "partitioner", "`murmur2`, `opaque`", "murmur2",
     "murmur2: records whose key does not belong on their partition are counted, the first of each "
     "partition is logged; a key above 16 KiB is not tested. opaque: not tested."},
    {"sources", "event_time", "expression, timestamptz", "meta.timestamp",
     "NULL or failing is a decode error."},
    {"sources", "watermark", "map", NULL, "See below."},
    {"sources", "start", "`earliest`, `latest`, or a time", "earliest",
     "For partitions that were never committed."},
    {"sources", "bounded", "boolean", "(false; of a file true)",
     "Stop at the ends seen at the start. A file is never followed."},
    {"sources", "tombstones", "`error`, `drop`, `pass`", "error",
     "Null values. pass: all columns of the value are NULL."},
    {"sources", "on_error", "route", "(errors.default)", "Records that cannot be decoded."},
    {"sources", "description", "text", NULL, "For readers."},
    {"watermark", "lateness", "`0s`", "0s", NULL},
    {"watermark", "idle_after", "`1m`", "1m", NULL},
    {"watermark", "on_idle", "`leave`", "leave", NULL},
    {"schema", "type", "type, with or without `not null`", NULL, "See docs/topology.md."},
    {"schema", "path", "names with dots", "(the column's name)",
     "Of the member, from the outside in."},
    {"schema", "from", "`value`, `key`, `header`", "value", NULL},
    {"schema", "name", "text", "(the column's name)", "Of the header."},
    {"schema", "default", "value", NULL, "Where the member is missing or null."},
    {"schema", "format", "`iso`, `epoch_s`, `epoch_ms`, `epoch_us`", "iso", "Of a timestamptz."},
    {"schema", "fields", "map of column: field", NULL, "Of `type: record` alone, see below."},
    {"schema", "description", "text", NULL, "For readers."},
    {"record", "type", "`record`, with or without `not null`", "(required)", NULL},
    {"record", "path", "names with dots", "(the record's name)", NULL},
    {"record", "from", "`value`, `key`", "(that of the record around it)", NULL},
    {"record", "fields", "map of column: field", "(required)", NULL},
    {"record", "description", "text", NULL, "For readers."},

    {"steps", "op", "`filter`, `map`, `aggregate`", "(required)", NULL},
    {"steps", "from", "name, or `name.errors`", "(required)", "What it reads."},
    {"steps", "on_error", "route", "(errors.default)", "Rows that fail."},
    {"steps", "description", "text", NULL, "For readers."},

    {"sinks", "from", "name, or `name.errors`", "(required)", "What it writes."},
    {"sinks", "kind", "`kafka`, `file`", "kafka", NULL},
    {"sinks", "delivery", "`exactly_once`, `at_least_once`", "(the document's)",
     "A file sink needs `at_least_once`."},
    {"sinks", "topic", "text", NULL, NULL},
    {"sinks", "format", "`json`, `raw`", "json",
     "raw: one text, jsonb or bytea column beside those of the key."},
    {"sinks", "key", "list of columns", "(identity of an upsert stream, else its key)",
     "Of an upsert stream it must be the identity."},
    {"sinks", "key_format", "`text`, `json`, `int32`, `int64`, `raw`", "text", NULL},
    {"sinks", "partitioner", "`murmur2`, `same`, or a map", "(murmur2; without key same)",
     "murmur2: as Java's client. same: the number of the input's partition."},
    {"sinks", "timestamp", "expression, or `create`", "event_time",
     "create: the time of writing. NULL: event_time. A time up to 1970 is written as 1 ms after "
     "it."},
    {"sinks", "headers", "map of name: text expression", NULL, NULL},
    {"sinks", "numbers", "`number`, `string`", "number", "JSON: how numerics are written."},
    {"sinks", "times", "`iso`, `epoch_ms`, `epoch_us`", "iso", "JSON: how times are written."},
    {"sinks", "create", "map", NULL, "Make the topic if it is missing."},
    {"sinks", "on_error", "route", "(errors.default)",
     "Rows too large for the topic, keys that do not encode, expressions that fail."},
    {"sinks", "description", "text", NULL, "For readers."},
    {"partitioner", "expr", "expression, bigint", NULL,
     "Taken modulo the number of partitions; NULL is 22023."},
};

#endif

/*
 * diag_codes.c - the long text of every diagnostic, in one table sorted by code.
 *
 * The short text stands where the mistake is found; here is why it is one and what can be done.
 */
#include "engine/base/diag_codes.h"
#include "engine/base/assert.h"
#include <stddef.h>

static const mr_diag_code codes[] = {
    {101, "the document is not valid YAML 1.2",
     "The file cannot be read as one YAML 1.2 document in UTF-8. The place is where the parser "
     "gave\n"
     "up, which may be a line below the mistake: look at the indentation (spaces only), at quotes\n"
     "and brackets that are not closed, and at `: ` inside an unquoted value.\n"
     "Tags (`!x`) and a second document in the file are refused too.\n",
     "sources:\n"
     "  orders: { topic: \"orders }      # the quote is not closed: topic: \"orders\"\n"},
    {102, "unknown key",
     "The map has no key of this name, so it would have no effect. Nothing is ignored in silence,\n"
     "because an option that is misspelled would then be an option that is not set.\n"
     "Top-level keys that start with `x-` are free, e.g. to hold anchors.\n",
     "sources:\n"
     "  orders: { topc: orders }         # topic\n"},
    {103, "a name stands twice",
     "A map has the same key twice, or a list the same column. YAML readers differ in which one\n"
     "counts, so neither does. Remove one.\n",
     "sinks:\n"
     "  out: { from: a, topic: x, topic: y }   # which one? keep one\n"},
    {104, "a required key is missing",
     "The item cannot work without this key and there is no default that would be right for\n"
     "everyone. `millrace explain OP` lists the keys of an operator.\n",
     "sinks:\n"
     "  out: { topic: totals }           # add `from: totals`\n"},
    {105, "the wrong kind of value",
     "Where a map is needed stands a list or a text, or the other way round, or nothing at all.\n"
     "A map is `{ a: 1 }` or lines `a: 1`; a list is `[a, b]` or lines `- a`.\n",
     "commit: 1s                          # a map: commit: { interval: 1s }\n"},
    {106, "the value does not fit",
     "The key is right, its value is not: not a number of the allowed range, no duration "
     "(`250ms`,\n"
     "`30s`, `1h30m`, `7d`), no size (`64KiB`, `8MiB`), or none of the words that are allowed.\n",
     "commit: { interval: 1 minute }      # commit: { interval: 1m }\n"},
    {107, "a variable inside an expression",
     "`${VAR}` is expanded in topics, paths and settings, but not inside SQL expressions: what an\n"
     "expression means must be visible in the file and must not depend on the environment.\n",
     "where: country = '${COUNTRY}'       # write the value itself: country = 'CH'\n"},
    {108, "an expression in a folded text",
     "Expressions are written on one line, in quotes, or in a literal block (`|`). In a folded "
     "block\n"
     "(`>`) and in a plain text over several lines YAML joins the lines, and errors could no "
     "longer\n"
     "be shown at their place.\n",
     "where: >                            # `where: |` keeps the lines\n"
     "  amount > 0\n"
     "  and status = 'open'\n"},
    {109, "known, but not part of this release",
     "The topology language has this, but this release does not build it. It is refused by name\n"
     "rather than ignored, so that a topology never does something else than it says.\n",
     "commit: { slots: 2 }                # take it out, or write what there is: 1\n"},
    {110, "a variable cannot be expanded",
     "Forms: `${VAR}` (must be set), `${VAR:-default}` (used when unset or empty), and\n"
     "`${VAR:?message}` (an error when unset or empty). `$$` is a dollar sign.\n",
     "topic: ${TOPIC}                     # unset? `${TOPIC:-orders}` has a default\n"},
    {111, "merge keys are refused",
     "`<<` is not part of YAML 1.2. Anchors and aliases work for whole values: `a: &x { ... }` "
     "and\n"
     "then `b: *x`.\n",
     "orders: { <<: *common, topic: orders }   # repeat the keys, or alias whole values\n"},
    {112, "the document is too large",
     "Limits: 1 MiB, maps and lists nested 64 deep, 4,096 entries in one of them, 1,024\n"
     "anchors, 100,000 values when aliases are followed. They keep a hostile file from taking the "
     "machine.\n",
     "x-a: &a [1, 1, 1, 1, 1, 1, 1, 1]\n"
     "x-b: &b [*a, *a, *a, *a, *a, *a]     # and so on: shorten it\n"},
    {113, "not a name",
     "Names of sources, steps, sinks and dlqs start with a lower-case letter and go on with\n"
     "lower-case letters, digits and `_`, up to 63 in all; `app` may also have `-`. Column names "
     "are\n"
     "any text of up to 63 bytes that does not start with `meta.`.\n",
     "steps:\n"
     "  By-User: { op: filter }          # by_user\n"},
    {114, "another version of the language",
     "The first key of a topology, `millrace`, names the version of the topology language that "
     "the\n"
     "file is written in. This program reads version 1.\n",
     "millrace: 2                         # millrace: 1\n"},
    {115, "a client property that millrace owns",
     "What is promised about records rests on these properties of librdkafka (isolation, commits,\n"
     "transactional id, reset policy, partitioner, queue limits and the like), so millrace sets\n"
     "them itself and refuses an override.\n",
     "kafka: { client: { enable.auto.commit: true } }   # take it out\n"},
    {116, "an alias without an anchor",
     "`*name` stands for the value that was marked `&name` earlier in the file. There is no such\n"
     "anchor before it, or the alias lies inside the very value it names.\n",
     "sources: *all                       # mark it first: x-all: &all { ... }\n"},
    {118, "more mistakes than are shown",
     "After 200 messages the rest is left out. Correct the first ones: often others follow from\n"
     "them.\n",
     "                                    # correct what is shown, then check again\n"},
    {120, "the key does not apply to this kind",
     "The key belongs to sources or sinks of kind kafka: a file has no topic, record key, headers\n"
     "or partitions.\n",
     "lines: { kind: file, path: a.json, start: latest }   # take `start` out\n"},
    {121, "not a column type",
     "Types: boolean, bigint, double precision, numeric(p,s) with p up to 38, text, bytea,\n"
     "timestamptz, jsonb; aliases bool, int8, float8, decimal(p,s), varchar. Each may be followed "
     "by\n"
     "`not null`. Narrow types are refused with the type to use, as all whole numbers are bigint\n"
     "and all times have a zone.\n",
     "schema: { amount: integer }         # bigint, or \"numeric(12,2)\"\n"},
    {201, "a name is taken",
     "Sources, steps, sinks and dlqs share one namespace, because logs, counters and `from` name\n"
     "them without saying what they are.\n",
     "sources: { orders: ... }\n"
     "sinks: { orders: ... }              # name the sink orders_out\n"},
    {202, "there is nothing to read from",
     "`from` names a source, a step, or a further output of a step as `step.output`. Sinks have "
     "no\n"
     "output.\n",
     "sinks:\n"
     "  out: { from: totls, topic: t }   # from: totals\n"},
    {203, "nobody reads it (warning)",
     "No sink hangs on this source or step, directly or through others, so it is left out of the\n"
     "plan; or no route leads to this dlq; or no option uses this secret, which is then not "
     "read.\n",
     "steps:\n"
     "  big: { op: filter, from: a, where: x > 9 }   # add a sink `from: big`\n"},
    {204, "the graph has a circle",
     "A topology is a graph without circles: every step reads what stands before it. Rows can go\n"
     "round only through a Kafka topic, where each round is committed.\n",
     "a: { op: filter, from: b, where: x > 1 }\n"
     "b: { op: filter, from: a, where: x > 1 }   # from: a source\n"},
    {205, "no such operator", "`op` names the operator of a step: filter, map, aggregate.\n",
     "a: { op: filtr, from: orders }      # op: filter\n"},
    {206, "no such kind", "`kind` is kafka (the default) or file.\n",
     "orders: { kind: kafak }             # kind: kafka\n"},
    {207, "there is nothing to run", "A topology needs at least one source and one sink.\n",
     "sinks: {}                           # at least one, e.g. out: { from: a, topic: out }\n"},
    {208, "no such format", "`format` is json or raw.\n",
     "orders: { topic: orders, format: jsn }   # format: json\n"},
    {209, "a limit of the plan is exceeded",
     "A plan has at most 256 nodes and 256 topics, a schema 512 columns with the hidden ones, a "
     "key\n"
     "16 columns. Every queue and table of the engine is sized by these limits at start.\n",
     "by: [a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p, q]   # 17: at most 16\n"},
    {210, "a topic is read twice",
     "Kafka keeps one committed offset for each app, topic and partition, so an app reads a topic\n"
     "in one place. Let several steps read the same source.\n",
     "a: { topic: orders, ... }\n"
     "b: { topic: orders, ... }           # take b out; its steps read from a\n"},
    {211, "a topic is read and written (warning)",
     "Rows written by the sink are read again by the source. Without a step that ends it they go\n"
     "round for ever.\n",
     "sources: { a: { topic: orders, ... } }\n"
     "sinks: { b: { from: c, topic: orders } }   # topic: orders.clean\n"},
    {301, "the expression cannot be parsed",
     "Expressions are PostgreSQL's, without subqueries, OVER and parameters. The place is where\n"
     "PostgreSQL's parser gave up. Texts stand in single quotes; double quotes are for column "
     "names\n"
     "that are not all lower case or are reserved words, such as \"user\" or \"order\".\n",
     "where: amount > > 0                 # amount > 0\n"},
    {302, "no such column",
     "The input of the step has no column of this name. Names that are not all lower case need\n"
     "double quotes, as in SQL. `millrace explain FILE` prints the columns of every step.\n",
     "where: amout > 0                    # amount > 0\n"},
    {303, "no such function or operator",
     "The function or operator does not exist, or not for these types. There is no implicit\n"
     "conversion except from bigint to numeric to double precision, and from a quoted text to the\n"
     "type that is needed: write a cast, `x::bigint`.\n",
     "where: lowr(status) = 'open'        # lower(status)\n"},
    {304, "the types do not fit",
     "The expression has another type than the place needs: a condition must be boolean, "
     "event_time\n"
     "timestamptz, a header text. Write a cast, `x::text`, or a comparison.\n",
     "where: amount                       # amount <> 0\n"},
    {305, "not part of the expression language",
     "PostgreSQL knows this, the topology language does not, and will not: subqueries, OVER,\n"
     "parameters, set-returning functions, arrays and the like. An expression sees one row (in an\n"
     "aggregate one group) and nothing else.\n",
     "where: amount > (select 1)          # amount > 1\n"},
    {306, "an expression that is known, but not part of this release",
     "The topology language has this function, operator or type; this release does not build "
     "it.\n",
     "where: f(s) = 'a'                   # a function that this release has\n"},
    {307, "the result would not be repeatable",
     "`now()`, `random()` and their kin give another value when an aborted epoch is redone, so "
     "that\n"
     "committed output would depend on failures. Use `event_time` or `meta.timestamp`.\n",
     "set: { at: now() }                  # set: { at: event_time }\n"},
    {308, "a constant part of the expression fails",
     "This part has no column in it and fails whenever it is evaluated, as `1 / 0` does. It is\n"
     "refused when the file is read, not at the first record.\n",
     "where: amount > 1 / 0               # take the constant part out\n"},
    {309, "neither grouped nor aggregated",
     "A result column of an aggregate is a column of `by`, or made by an aggregate function "
     "(count,\n"
     "sum, min, max, avg): one group has many rows, so a plain column has no single value.\n",
     "by: [id]\n"
     "select: { id, city, n: count(*) }   # city: max(city), or by: [id, city]\n"},
    {310, "the result does not say what it is of",
     "A row of an upsert stream replaces the row before it of the same identity (the columns of "
     "`by`).\n"
     "`select`, `set` and `drop` must keep these columns, renamed if need be.\n",
     "by: [id]\n"
     "select: { n: count(*) }             # select: { id, n: count(*) }\n"},
    {401, "groups would be spread over partitions",
     "Equal groups must lie on one partition, so every column by which the stream is partitioned\n"
     "must stand in `by`. Otherwise two workers would each count a part of a group.\n",
     "source key: [user_id]\n"
     "by: [country]                       # by: [user_id, country]\n"},
    {403, "the stream has no key",
     "This operator keeps state for each key and needs a stream that is partitioned by one. Say "
     "on\n"
     "the source by which columns its producer partitions (`key`), and keep these columns in the\n"
     "steps between.\n",
     "orders: { topic: orders, ... }      # add `key: [order_id]`\n"},
    {404, "the operator cannot take an upsert stream",
     "In an upsert stream each row replaces the one before it for its identity. This operator "
     "takes\n"
     "rows as facts and would count replaced rows too.\n",
     "by_user: { op: aggregate, from: clicks, ... }\n"
     "by_n: { op: aggregate, from: by_user, ... }   # aggregate the facts: from: clicks\n"},
    {405, "the sink key is not the identity",
     "An upsert stream becomes one Kafka record for each changed identity, with a null value when\n"
     "it is deleted. The record key must be exactly the identity, or a compacted topic would keep\n"
     "the wrong rows.\n",
     "by: [user_id, day]\n"
     "sink key: [user_id]                 # key: [user_id, day]\n"},
    {407, "the format cannot carry these columns",
     "A format reads and writes certain types only: raw is one column of text or bytea (a sink "
     "also\n"
     "jsonb), and the key columns of a raw sink stand in the record key; json takes all types, "
     "but\n"
     "as a dot in a name is a record, no name can be a column and a record at once.\n",
     "format: raw\n"
     "schema: { a: text, b: text }        # one column, or format: json\n"},
    {409, "the key format does not fit the key",
     "`key_format: text` takes one column or, as a JSON array, several; `json` an object of the "
     "key\n"
     "columns; int32 and int64 one bigint column; raw one text or bytea column. Columns that come\n"
     "from the record key (`from: key`) are named in `key`, in their order.\n",
     "key: [user_id, day]\n"
     "key_format: int64                   # key_format: json\n"},
    {410, "a tombstone would break `not null`",
     "With `tombstones: pass` a record without a value becomes a row whose value columns are all\n"
     "NULL, which a `not null` column refuses.\n",
     "tombstones: pass\n"
     "schema: { name: text not null }     # name: text\n"},
    {411, "nothing to partition by",
     "`partitioner: murmur2` hashes the record key, and the sink has none.\n",
     "out: { from: a, topic: t, partitioner: murmur2 }   # add `key: [id]`\n"},
    {601, "it can fail and has no route",
     "Decoding can always fail, and so can steps that convert or divide. The file must say where "
     "such\n"
     "rows go: `on_error` on the item, or `errors: { default: ... }` for all. The endings are\n"
     "`dlq: NAME` (the original record, in the same transaction), `drop: true` (counted) and\n"
     "`stop: true` (the worker stops at the record); a step may also hand them on as a stream,\n"
     "`output: true`. `nullif(x, 0)` as divisor cannot fail.\n",
     "cents: { op: map, from: a, set: { n: amount::bigint } }\n"
     "                                    # add `on_error: { dlq: bad }`\n"},
    {602, "no such dlq",
     "`dlq: NAME` names an entry of the top-level map `dlqs`, which gives its topic.\n",
     "on_error: { dlq: ded }              # dlq: dead, as in `dlqs: { dead: ... }`\n"},
    {603, "not exactly one ending",
     "A route has exactly one of `dlq: NAME`, `drop: true`, `stop: true` and, on a step,\n"
     "`output: true`.\n",
     "on_error: { drop: true, stop: true }   # one of the two\n"},
    {604, "only a step has an error output",
     "With `output: true` the rows a step rejects are rows of the stream `step.errors`: the "
     "step's\n"
     "input columns, error_code and error_message. What a source rejects was never a row, what a\n"
     "sink rejects has nobody behind it, and `errors.default` stands for both.\n",
     "errors: { default: { output: true } }   # { dlq: NAME }; output: true on the steps\n"},
    {605, "nobody reads the error output",
     "The step hands its rejected rows on as `step.errors`, and no sink hangs on that stream, so\n"
     "they would be lost in silence.\n",
     "typed: { ..., on_error: { output: true } }   # add a sink `from: typed.errors`\n"},
    {606, "the error output would have a column twice",
     "`step.errors` has the step's input columns, error_code and error_message. The input has a\n"
     "column of such a name already, e.g. because it is an error output itself.\n",
     "from: typed.errors                  # rename in a map: set: { code: error_code } ...\n"},
    {701, "Kafka is used, but not described",
     "Sources and sinks without `kind` are topics of Kafka, and so are dlqs. The top-level map\n"
     "`kafka` says where its brokers are. For files write `kind: file`.\n",
     "sources: { a: { topic: a, ... } }   # add kafka: { brokers: [\"localhost:9092\"] }\n"},
    {702, "the sink cannot keep the promised delivery",
     "Everything is exactly_once unless the file says otherwise. A file takes part in no\n"
     "transaction: after a failure rows are written again. Say that this is wanted by\n"
     "`delivery: at_least_once` on the sink, or for the whole document.\n",
     "out: { from: a, kind: file, path: \"-\" }   # add `delivery: at_least_once`\n"},
    {703, "not a name of a topic",
     "Names of Kafka topics have letters, digits, dot, `_` and `-`, at most 249 of them, and are\n"
     "neither `.` nor `..`.\n",
     "topic: orders/new                   # topic: orders.new\n"},
    {720, "a secret stands in the file",
     "Topologies are shown, copied and kept in version control, so a password must not stand in\n"
     "one: `secrets` says where it lies, a file of the worker's user alone or a variable, and the\n"
     "option names it. Messages do not show what stands there, for the same reason.\n",
     "sasl: { ..., password: hunter2 }    # password: { secret: kafka_password }\n"
     "secrets: { kafka_password: { file: /etc/millrace/kafka_password } }\n"},
    {721, "no such secret", "`{ secret: NAME }` names an entry of the top-level map `secrets`.\n",
     "password: { secret: kafka_pasword } # kafka_password, as in `secrets`\n"},
    {722, "a password would go in the clear",
     "SASL proves who the worker is; without TLS whoever sees the network sees the password, or\n"
     "enough to guess it. To this machine alone (localhost, 127.x.x.x) that is nobody else. Write\n"
     "`tls: {}`, which trusts the system's authorities, or name the protocol if it is meant.\n",
     "brokers: [\"kafka:9092\"]\n"
     "sasl: { ... }                       # add tls: { ca: ca.pem }\n"},
};

const mr_diag_code *mr_diag_code_find(uint16_t code)
{
    for (size_t i = 0; i < MR_LENGTH(codes); i++) {
        if (codes[i].code == code) {
            return &codes[i];
        }
    }
    return NULL;
}

const mr_diag_code *mr_diag_codes(uint32_t *count)
{
    MR_ASSERT(count != NULL);
    *count = MR_LENGTH(codes);
    return codes;
}

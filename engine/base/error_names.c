/*
 * error_names.c - the long text of every named failure, in one table sorted by name.
 *
 * The message itself stands where the failure is found and says what, where and which; here is what
 * the name means in general and how to mend it.
 */
#include "engine/base/error_names.h"
#include "engine/base/assert.h"
#include <stddef.h>
#include <string.h>

static const mr_error_name names[] = {
    {"E_AUTHENTICATION", "the brokers do not accept the user or its password",
     "A broker has answered, and refused what `kafka.sasl` says: the mechanism, the user or the\n"
     "password. At the start nothing was read or written; later the worker goes on trying.\n",
     "E_AUTHENTICATION: kafka:9093: ... SASL authentication error: Authentication failed ...",
     "Look at mechanism and username, and at the file or variable of the secret: one final\n"
     "newline is taken off, nothing else. Secrets are read when the worker starts.\n"},
    {"E_AUTHORIZATION", "the brokers refuse the worker",
     "The brokers know the worker, but it may not do what it must: read a topic or the group,\n"
     "write a topic, or use its transactional id. It ends at a start; what has worked before and\n"
     "is withdrawn later is tried again, without end.\n",
     "E_AUTHORIZATION: Broker: Topic authorization failed",
     "Grant READ on the sources and the group `<app>`, WRITE on sinks and dlqs, and WRITE on\n"
     "transactional ids that begin with `<app>-`. Then start the worker again.\n"},
    {"E_CLIENT_VERSION", "librdkafka is too old, or known to be unsafe",
     "The exactly-once guarantee rests on the Kafka client. This version lacks what is needed, or\n"
     "has known faults against which the engine guards only as far as it can.\n",
     "E_CLIENT_VERSION: librdkafka 1.9.2 is too old: 2.0.2 or newer is needed",
     "Install a newer librdkafka; for one that is merely known to be faulty `run\n"
     "--allow-client-version` starts all the same (docs/exactly-once.md lists the faults).\n"},
    {"E_DLQ_LIMIT", "more dead letters than `stop_above` allows",
     "A dlq has `stop_above: { records, per }`, and within that time more rows were rejected\n"
     "to it. Nothing of the epoch that went beyond was committed, neither dead letters nor\n"
     "outputs, so that input is still there to be read again. A shard counts what it\n"
     "committed itself; the count begins anew when the worker starts.\n",
     "E_DLQ_LIMIT: dlq bad: more than 1000 dead letters within 60 s; the last one at ...",
     "Look at the dead letters (their headers name step and error): a bad release of a\n"
     "producer or of this file is the usual cause. Mend it and start again, or raise\n"
     "`stop_above`.\n"},
    {"E_FENCED", "another worker has taken over the same set of partitions",
     "A second worker with the same app and the same set of partitions has started; Kafka fences\n"
     "the older one. The state directory is marked, so that two supervisors cannot take the work\n"
     "from each other for ever.\n",
     "E_FENCED: the worker of p0_3 was fenced by another one with the same partitions",
     "Find the other worker and stop one of the two. The fenced one starts again only with\n"
     "`run --take-over`.\n"},
    {"E_GROUP_ACTIVE", "the consumer group has members",
     "The group named by `app` is used by a program that joined it. Its members would commit\n"
     "offsets for the same partitions, and each would undo what the other means.\n",
     "E_GROUP_ACTIVE: consumer group orders has 2 members: another program uses this name",
     "Stop the other program, or give this topology another `app`.\n"},
    {"E_MEMORY_BUDGET", "memory.total cannot hold the parts",
     "All memory is divided when a worker starts, and what is left over for the state is too\n"
     "little, or cannot be had from the machine.\n",
     "E_MEMORY_BUDGET: memory.total of 256 MiB is too small for 8 shards",
     "Raise `memory.total`, lower `memory.kafka`, or run with fewer `--shards`. The message\n"
     "has the table of the parts and the smallest total that works.\n"},
    {"E_OFFSETS_FOREIGN", "a committed offset was not written by millrace",
     "Every offset that millrace commits carries a record of the epoch it belongs to. This\n"
     "one has none, or a damaged one: the offsets were set by hand or by another tool, so\n"
     "nothing says which state belongs to them.\n",
     "E_OFFSETS_FOREIGN: orders-3@1200: its committed offset was not written by millrace",
     "Restore the offset that this application had committed; or go on from the one that was set:\n"
     "`run --adopt-offsets=keep-state` (effects may repeat or be missing), or with empty state\n"
     "`--adopt-offsets=reset-state`; behind an @ for some partitions only.\n"},
    {"E_OFFSETS_MISSING", "a committed offset is gone",
     "The state directory holds decided epochs, and Kafka knows no offset for them; or the worker\n"
     "itself committed one that Kafka no longer knows. The group was deleted (a deleted topic "
     "takes\n"
     "its offsets with it), or they have expired (`offsets.retention.minutes`). Starting at the\n"
     "beginning would count everything twice.\n",
     "E_OFFSETS_MISSING: orders-0: .../shard-0, task 0: Kafka has nothing committed, ...",
     "Restore the group's offsets; or go on with the state and the offsets stored with it:\n"
     "`run --adopt-offsets=keep-state` (the outputs of the last epoch may repeat); or begin anew:\n"
     "`--adopt-offsets=reset-state`. A topology without state has nothing to tell a lost offset\n"
     "from none: set it before the next start, which otherwise begins at `start:`.\n"},
    {"E_OFFSET_BEYOND_END", "the committed offset lies beyond the end of the log",
     "The topic ends before the offset that was committed: it was truncated, or deleted and\n"
     "created again. What stands in it now is not what was read.\n",
     "E_OFFSET_BEYOND_END: orders-3@1200: ... it ends at 17; restore the topic",
     "Restore the topic, or go on with `run --reset-offsets=earliest` or `=latest`; for a\n"
     "new topic with `--adopt-offsets=reset-state` too.\n"},
    {"E_OFFSET_LOST", "records were removed before they were read",
     "The log begins after the committed offset: retention has removed records that were never\n"
     "processed. Going on in silence would lose them unnoticed.\n",
     "E_OFFSET_LOST: orders-3@1200: retention has removed records ... starts at 1500",
     "The records are lost in Kafka. Go on with `run --reset-offsets=earliest` or `=latest`, and\n"
     "raise `retention.ms` of the topic above the longest time a worker may be away.\n"},
    {"E_OFFSET_REGRESSION", "Kafka's committed epoch is older than one known to be committed",
     "This disk has seen a commit that Kafka no longer knows: the offsets were set back, or the\n"
     "cluster lost acknowledged data. Outputs behind that point are already written.\n",
     "E_OFFSET_REGRESSION: shard 0: Kafka has epoch 48200, 48211 is known to be committed",
     "Restore the offsets of the group. If they went back for good, follow them with\n"
     "`run --accept-regression=all`: the state goes back too, outputs behind it will repeat.\n"},
    {"E_OUTPUT_REJECTED", "a topic refuses a record again and again",
     "The broker refused a record for a reason that does not pass, three times for the same topic\n"
     "without a commit between. Redoing the epoch would fail for ever.\n",
     "E_OUTPUT_REJECTED: topic totals refused a record three times: Broker: ...",
     "The message has the broker's words: usually the topic's `max.message.bytes` was lowered, or\n"
     "its configuration refuses the record. Change it and start again.\n"},
    {"E_OUTPUT_TOO_LARGE", "the output of one record does not fit",
     "One input record makes more output than an output arena holds: the batches were made\n"
     "smaller until it was alone, so it is named. Or the client refuses a record as too\n"
     "large for its topic (a limit that was lowered while the worker ran). Nothing of the\n"
     "epoch was committed.\n",
     "E_OUTPUT_TOO_LARGE: orders-3@1207: the output of a single record does not fit ...",
     "Raise `memory.kafka`, or the topic's `max.message.bytes`; or keep such records out by\n"
     "`max_record` of the source.\n"},
    {"E_PARTITIONS_CHANGED", "the inputs have another number of partitions than the state",
     "Partitions were added to an input, or it was made anew. Producers then send a key to "
     "another\n"
     "partition, but its state is kept with the old one: its groups would begin anew in silence.\n"
     "A topology without state takes new partitions up, from their beginning.\n",
     "E_PARTITIONS_CHANGED: topic orders has 6 partitions, the state belongs to 4: ...",
     "The state cannot follow. Process the topic anew under another `app`; or restore the topic\n"
     "with the partitions it had.\n"},
    {"E_POISON", "the worker fails with one certain record",
     "The worker died, or ended for a reason that may lie in the data, `errors.poison.after` "
     "times\n"
     "at the same offsets. It then tried fewer and fewer records, and in the end this record "
     "alone,\n"
     "as many times. Nothing of it is committed. Each further start stops here at once.\n",
     "E_POISON: orders-3@1207: failed 3 times with this record alone (the worker died); ...",
     "Look at the record and at what the worker said or left when it ended. Mend the cause and\n"
     "start with `run --retry-poison`, which forgets what was counted; or let such records go to "
     "a\n"
     "dlq: `errors: { poison: { dlq: NAME } }`. If many records in a row failed although a dlq is\n"
     "named, no more are sent there: the cause is hardly in the records.\n"},
    {"E_RECORD_DISAGREE", "the inputs of one task name different epochs",
     "All inputs of a task are committed in one transaction, so their records agree. Here they do\n"
     "not: some offsets were changed from outside.\n",
     "E_RECORD_DISAGREE: orders-3@1200: the inputs of this task name different epochs",
     "Restore the offsets of all inputs to those of one commit, or use another `app`.\n"},
    {"E_RECORD_NEWER", "the committed offset was written by a newer release",
     "The record beside the offset has a version this program cannot read.\n",
     "E_RECORD_NEWER: orders-3@1200: its committed offset was written by a newer release",
     "Run that release, or a newer one. There is no way back over a change of the format.\n"},
    {"E_RECORD_TOO_LARGE", "the broker takes no offset metadata of this size",
     "millrace keeps about 175 bytes beside each offset. The broker's\n"
     "`offset.metadata.max.bytes` is below that (its default is 4096).\n",
     "E_RECORD_TOO_LARGE: Broker: Offset metadata string too large",
     "Set `offset.metadata.max.bytes` of the brokers to at least 200.\n"},
    {"E_ROW_REJECTED", "a row was rejected, and its route says stop",
     "The row could not be decoded, or an expression failed for it, and the item's `on_error` (or\n"
     "`errors.default`, or the lack of both for overflow) says that the worker stops. Nothing of\n"
     "its epoch was committed: after a start the same row is met again.\n",
     "E_ROW_REJECTED: orders-3@1207: typed rejected the record: ... (22P02); give the item ...",
     "Mend the record's producer, or give the item `on_error: { dlq: NAME }`, `drop: true` or\n"
     "`output: true`.\n"},
    {"E_SECRET", "a secret cannot be read",
     "Secrets are read when a worker starts: a file that nobody but the worker's user may read,\n"
     "or a variable of its environment. It is absent, empty, above 16 KiB, holds a NUL, or others\n"
     "may read it. Its content is never shown.\n",
     "E_SECRET: <secret kafka_password>: others may read /etc/kafka.pw (mode 644): chmod 600 it",
     "Make the file and `chmod 600` it, owned by the worker's user (systemd: `LoadCredential=` "
     "and\n"
     "`${CREDENTIALS_DIRECTORY}`), or set the variable for the worker.\n"},
    {"E_SHARD_COUNT", "the state was made by other shards, or for other partitions",
     "State lies in files of shards, and which partition is whose follows from their number and,\n"
     "with more than one, from `--partitions`. With others the state of most partitions would be\n"
     "looked for in the wrong file.\n",
     "E_SHARD_COUNT: the state in /var/lib/millrace/orders belongs to 2 shards of the ...",
     "Start with `--shards` and `--partitions` as the message says (p0_3.7 is 0-3,7, and o1of3 is\n"
     "`--ordinal 1/3`); without `--shards` the stored number is used.\n"},
    {"E_STATE_BEHIND", "the state on this disk is older than what Kafka has committed",
     "Kafka's committed epoch is newer than any epoch in the state directory: an older copy was\n"
     "restored, another directory is mounted, or the work went on elsewhere. The state that\n"
     "belongs to the offsets is not here, and it cannot be guessed.\n",
     "E_STATE_BEHIND: /var/lib/millrace/orders/shard-0: epoch 48211 is not here",
     "Bring back the newest state directory. If it is lost, begin with empty state from the\n"
     "committed offsets on: `run --adopt-offsets=reset-state`; or with another `app` from\n"
     "`start:`.\n"},
    {"E_STATE_DAMAGED", "a block of the state does not verify",
     "A checksum of stored data is wrong, or a stored value is impossible: bit rot, a\n"
     "failing disk, or a file that was changed. Damaged state is never used.\n",
     "E_STATE_DAMAGED: /var/lib/millrace/orders/shard-0.wal@8192: the checksum is wrong",
     "Check the disk (SMART, the kernel's log). Restore the directory from a copy made while the\n"
     "worker was stopped. `millrace state verify DIR` lists what is damaged.\n"},
    {"E_STATE_DIRECTORY", "the folder of the state cannot be made or changed",
     "The folder given by `--state-dir` (or $STATE_DIRECTORY, or ./.millrace) cannot be made, or\n"
     "an entry of it cannot be removed.\n",
     "E_STATE_DIRECTORY: /var/lib/millrace/orders cannot be made: Permission denied",
     "Give a writable folder with `--state-dir`, or mend its owner and mode.\n"},
    {"E_STATE_FOREIGN", "this state belongs to something else",
     "Lineage, incarnation or digest differ from what Kafka's record says, or a file is another\n"
     "shard's: the directory is that of another app, or a copy that went its own way. (Another\n"
     "number of shards, or with several another set of partitions, is `E_SHARD_COUNT` before.)\n",
     "E_STATE_FOREIGN: /var/lib/millrace/orders/shard-0.data: belongs to shard 1",
     "Start with the directory of the last run. If that state is lost, begin with empty state:\n"
     "`run --adopt-offsets=reset-state`.\n"},
    {"E_STATE_FORMAT", "the state was written by another release",
     "The files have a format version that this program does not read.\n",
     "E_STATE_FORMAT: .../shard-0.data: written in state format 3.0 ..., this release reads 1.x",
     "Run the release that wrote it; `millrace version` prints the format a program writes. Older\n"
     "ones with the same first number are read.\n"},
    {"E_STATE_FULL", "the state does not fit its memory",
     "The tables of a shard have reached the memory the budget leaves them.\n",
     "E_STATE_FULL: the state of shard 0 does not fit its 512 MiB; largest table: totals",
     "Raise `memory.total`, or spread the partitions over more workers; fewer groups in the\n"
     "largest table (which the message names) need less.\n"},
    {"E_STATE_IO", "the disk or its driver failed",
     "Reading, writing or syncing failed, or the means to do it cannot be set up. After a failed\n"
     "sync nobody knows what is on the disk, so the epoch is dropped; a second failure stops the\n"
     "worker.\n",
     "E_STATE_IO: .../shard-0.wal: epoch 48211 could not be written: Input/output error",
     "Look at the kernel's log and the disk. For io_uring that is forbidden (containers) write\n"
     "`state: { io: threads }`; for limits of open files raise `ulimit -n`.\n"},
    {"E_STATE_LAYOUT", "a step's stored records have another form than the file describes",
     "The state of this step was written by another version of the topology: other groups, other\n"
     "aggregates or other types.\n",
     "E_STATE_LAYOUT: .../shard-0: totals.results, task 3: the stored records have ...",
     "Take back the change of the step, or give the changed step a new name: it starts empty.\n"},
    {"E_STATE_LOCKED", "another process uses the state directory",
     "A state directory belongs to one process at a time.\n",
     "E_STATE_LOCKED: .../shard-0.data: another process uses this state directory",
     "Stop the other worker, or give this one its own `--state-dir`. `millrace state verify` and\n"
     "`dump` need the worker stopped too.\n"},
    {"E_STATE_MISSING", "there is no state to look into",
     "`millrace state` was given a directory that is not there, or that holds no state. `run`\n"
     "makes what is missing; where Kafka has committed epochs with state it then says\n"
     "`E_STATE_BEHIND`.\n",
     "E_STATE_MISSING: /var/lib/millrace/orders: there is no such directory",
     "Mount the right disk, or name the directory of one application, `<state dir>/<app>`.\n"},
    {"E_STATE_NO_SPACE", "no room for the next epoch on disk",
     "The disk is full, or the delta log has reached `state.wal_max`. A worker that runs pauses "
     "its\n"
     "input on a full disk and goes on by itself when there is room; a start ends.\n",
     "E_STATE_NO_SPACE: .../shard-0.wal: no room for epoch 48211: state.wal_max is reached",
     "Free the disk, or raise `state.wal_max`. Nothing is lost: the epoch was not committed.\n"},
    {"E_STATE_TOO_OLD", "Kafka went back further than the state can follow",
     "The state can be put at the last eight committed epochs and at those after its base. "
     "Kafka's\n"
     "committed epoch is older than that: the offsets were set back by far, or the cluster lost\n"
     "acknowledged data.\n",
     "E_STATE_TOO_OLD: orders-3@1200: .../shard-0, task 3: Kafka has epoch 48200, ...",
     "Restore the offsets of the group, or an older copy of the directory that has this epoch; or\n"
     "begin with empty state from the committed offsets on: `run --adopt-offsets=reset-state`.\n"},
    {"E_STATE_UNSAFE", "somebody else could change the state",
     "The directory or a file of it is a link, belongs to another user, or may be written by\n"
     "others.\n",
     "E_STATE_UNSAFE: /srv/state: others may write to it (mode 777); chmod 700 it",
     "`chown` it to the worker's user and `chmod 700` it; use a real directory, not a link.\n"},
    {"E_TLS", "no TLS connection can be made",
     "Brokers were reached, and the handshake failed each time: their certificate is not signed "
     "by\n"
     "`kafka.tls.ca`, is for another host name, or has expired; they want a certificate of the\n"
     "client; or they do not speak TLS on this port.\n",
     "E_TLS: no broker of kafka:9093 can be spoken to over TLS: ... certificate verify failed ...",
     "Compare `kafka.tls` with the brokers' listener, e.g. by `openssl s_client -connect\n"
     "HOST:PORT`. Host names are always verified: brokers must be named as in the certificate.\n"},
    {"E_TOPIC_GONE", "a topic has vanished",
     "A topic that the worker reads or writes has been absent for longer than a change of the\n"
     "cluster explains: it was deleted.\n",
     "E_TOPIC_GONE: topic orders has been absent for 30 s: it was deleted",
     "Restore the topic with its records, or start with another `app`.\n"},
    {"E_TOPIC_MISSING", "a topic does not exist",
     "At start every topic of the plan must exist, or have `create:`.\n",
     "E_TOPIC_MISSING: topic totals does not exist on localhost:9092: create it",
     "Create it, correct its name, or write `create: { partitions: N }` on the sink or dlq.\n"},
    {"E_TOPIC_SHAPE", "partition counts do not fit",
     "Inputs that meet in one task must have equal partition counts, the count of a topic must\n"
     "not shrink below what the worker owns, and an output that exists must have the count its\n"
     "`create:` says.\n",
     "E_TOPIC_SHAPE: the inputs must have equal partition counts: orders has 8, refunds 12",
     "Give the topics equal counts, or split the topology into two apps; for an output correct\n"
     "the topic or its `create:`.\n"},
    {"E_TWO_OWNERS", "two different sets claim the same partition",
     "Another worker with an overlapping set of partitions has committed one of ours. Both may\n"
     "have committed before one noticed.\n",
     "E_TWO_OWNERS: orders-3: worker set p0_7 commits it too",
     "Stop one of the two, and give the workers of an app sets that do not overlap. The one that\n"
     "told it starts again only with `run --take-over`.\n"},
    {"E_TXN_TIMEOUT", "the broker refuses the transaction timeout",
     "`commit.transaction_timeout` is above the broker's `transaction.max.timeout.ms`.\n",
     "E_TXN_TIMEOUT: Broker: Invalid transaction timeout",
     "Lower `commit.transaction_timeout`, or raise `transaction.max.timeout.ms` of the brokers.\n"},
    {"E_UNREACHABLE", "no broker answers",
     "None of `kafka.brokers` could be asked when the worker started.\n",
     "E_UNREACHABLE: no broker of localhost:9092 answers: ...; is it running, and ...",
     "Check host and port, that the brokers run, that their advertised listeners can be reached\n"
     "from here, and that TLS or SASL is not demanded.\n"},
};

const mr_error_name *mr_error_name_find(const char *name)
{
    MR_ASSERT(name != NULL);
    for (size_t i = 0; i < MR_LENGTH(names); i++) {
        if (strcmp(names[i].name, name) == 0) {
            return &names[i];
        }
    }
    return NULL;
}

const mr_error_name *mr_error_names(uint32_t *count)
{
    MR_ASSERT(count != NULL);
    *count = MR_LENGTH(names);
    return names;
}

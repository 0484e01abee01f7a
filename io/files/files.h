/*
 * files.h - files as sources and sinks: a line is a record.
 *
 * Needs no service. There is no commit point in a file, so a run starts at the beginning and its
 * sinks repeat rows after a failure: `delivery: at_least_once`. Threads: mr_file_partitions and the
 * plan slots control, all else the owning shard's.
 */
#ifndef MR_FILES_FILES_H
#define MR_FILES_FILES_H

#include <millrace/plan.h>
#include <millrace/sink.h>
#include <millrace/source.h>
#include <millrace/status.h>
#include <stdint.h>

enum {
    MR_FILE_PARTITIONS_MAX = 1024,     /* Files of one source. */
    MR_FILE_RECORD_BYTES_MAX = 1 << 20 /* Upper limit of `max_record`. */
};

/* Partition i reads the i-th file of a sorted glob; `-` is standard input. */
extern const mr_source_type mr_source_file;
/* Appends; `-` is standard output. All partitions write the same file, whole batches at a time. */
extern const mr_sink_type mr_sink_file;

/*
 * How many files, so partitions, the source `node` has now. 0 for a source of another kind.
 * MR_ERR_CONFIG when there is none, or more than MR_FILE_PARTITIONS_MAX.
 */
MR_MUST_USE mr_status mr_file_partitions(const mr_plan_node *node, uint32_t *count, mr_diag *diag);

#endif

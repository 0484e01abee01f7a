/* connectors.c - the table of sources and sinks: a new one is one row here. */
#include "io/connectors.h"
#include "engine/base/assert.h"
#include "io/files/files.h"
#include "io/kafka/kafka.h"

const mr_source_type *const mr_sources[] = {&mr_source_kafka, &mr_source_file};
const uint32_t mr_source_count = MR_LENGTH(mr_sources);

const mr_sink_type *const mr_sinks[] = {&mr_sink_kafka, &mr_sink_file};
const uint32_t mr_sink_count = MR_LENGTH(mr_sinks);

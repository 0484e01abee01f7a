/* connectors.h - the sources and sinks of this build, by name. Thread: any; all is const. */
#ifndef MR_IO_CONNECTORS_H
#define MR_IO_CONNECTORS_H

#include <millrace/sink.h>
#include <millrace/source.h>
#include <stdint.h>

extern const mr_source_type *const mr_sources[];
extern const uint32_t mr_source_count;
extern const mr_sink_type *const mr_sinks[];
extern const uint32_t mr_sink_count;

#endif

/*
 * engine.h - the composition root's front door: the tables of everything a topology may name, and
 * the one call that runs a file. Thread: control.
 */
#ifndef MR_ENGINE_ENGINE_H
#define MR_ENGINE_ENGINE_H

#include "engine/topology/topology.h"

enum { MR_ENGINE_FORMATS_MAX = 16 };

typedef struct mr_engine_tables { /* The caller's. */
    mr_catalogue catalogue;
    mr_format_entry formats[MR_ENGINE_FORMATS_MAX];
} mr_engine_tables;

/* Operators, sources, sinks and formats of this build; returns &tables->catalogue. */
const mr_catalogue *mr_engine_catalogue(mr_engine_tables *tables);

#endif

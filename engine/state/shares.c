/*
 * shares.c - how memory_bytes is divided, and the two large pieces of it: pages and delta buffer.
 *
 * memory_bytes is all a store ever holds, so the pages (records, index, undo) get what the rest
 * leaves: the buffer of a delta, a base's chunks and manifest, the manifest of the installed base
 * while it is read, and what is remembered of tables, tasks and parts. Each share is a bound, so
 * the sum is never exceeded; two things may: a store that was written under larger limits, and a
 * reader, whose memory follows the log. Log and base are read through the delta's buffer once there
 * is one, and before there are pages through a window of at most a quarter of the whole.
 */
#include "engine/state/state_private.h"

enum {
    ARENA_PAGES_MIN = 64,
    READER_LOGS = 4,
    TABLES_DEFAULT = 16,
    INPUTS_DEFAULT = 4,
    DOUBLINGS = 4, /* An array that doubles in an arena takes up to so much of its last size. */
    ARENA_BLOCK_BYTES = 4 << 20,
    SMALL_BYTES = 256 << 10, /* Arenas' first blocks, the superblock, a part's block. */
    WINDOW_SHARE = 4,
    WINDOW_BYTES_MIN = 64 << 10,
    WINDOW_BYTES_MAX = 16 << 20
};

typedef struct sizes { /* What the shares depend on. */
    uint64_t tables, tasks, inputs, parts, part_bytes, last_bytes;
    uint64_t kept_offsets; /* Of the tasks that are stored and only kept. */
} sizes;

static sizes sizes_of(const mr_state_options *options);
static void add_unassigned(const mr_state *state, sizes *of);
static uint64_t delta_bytes(const mr_state_options *options, const sizes *of, uint64_t *crossings);
static uint64_t base_bytes(const mr_state_options *options, const sizes *of);
static uint64_t control_bytes(const sizes *of);
static uint64_t in_arena(uint64_t bytes);
static uint64_t round_block(uint64_t bytes);

uint64_t mr_state_overhead_bytes(const mr_state_options *options)
{
    const sizes of = sizes_of(options);
    uint64_t crossings = 0;
    const uint64_t files = options->directory == NULL
                               ? 0
                               : delta_bytes(options, &of, &crossings) + base_bytes(options, &of);

    return files + control_bytes(&of) + SMALL_BYTES;
}

mr_status mr_state_take_pages(mr_state *state, mr_diag *diag)
{
    const mr_memory *memory = &state->options.memory;
    uint64_t overhead = 0;

    if (state->is_read_only) { /* What the log can hold, and its index. */
        state->options.memory_bytes +=
            READER_LOGS * (state->volume.wal_bytes + state->volume.data_bytes);
    } else {
        sizes of = sizes_of(&state->options);
        add_unassigned(state, &of);
        uint64_t crossings = 0;
        if (state->ring != NULL) {
            of.part_bytes = state->volume.super.part_bytes;
            of.parts = state->volume.part_count_max;
            of.last_bytes = state->log.end.last_bytes;
            overhead =
                delta_bytes(&state->options, &of, &crossings) + base_bytes(&state->options, &of);
        }
        overhead += control_bytes(&of) + SMALL_BYTES;
    }
    const uint64_t left =
        state->options.memory_bytes > overhead ? state->options.memory_bytes - overhead : 0;
    const uint64_t page_count =
        left < MR_PAGE_BYTES ? 0 : (left - MR_PAGE_BYTES) / (MR_PAGE_BYTES + 1);
    if (page_count < ARENA_PAGES_MIN || page_count >= MR_NO_PAGE) {
        return mr_diag_set(
            diag, MR_ERR_CONFIG, 0,
            "E_MEMORY_BUDGET: %llu MiB for the state of shard %u are too little "
            "beside %llu MiB for its buffers, most of it for the largest epoch: raise "
            "memory.total or lower commit.dirty_state",
            (unsigned long long)(state->options.memory_bytes >> 20), state->options.shard,
            (unsigned long long)(overhead >> 20));
    }
    state->memory_bytes = page_count * (MR_PAGE_BYTES + 1) + MR_PAGE_BYTES;
    state->memory = memory->type->acquire(memory->self, state->memory_bytes, "state");
    if (state->memory == NULL) {
        return mr_state_no_memory(state->options.shard, "the records", diag);
    }
    uint8_t *base =
        state->memory + (MR_PAGE_BYTES - (uintptr_t)state->memory % MR_PAGE_BYTES) % MR_PAGE_BYTES;
    mr_pages_init(&state->pages, base, base + page_count * MR_PAGE_BYTES, (uint32_t)page_count);
    return MR_OK;
}

mr_status mr_state_prepare_memory(mr_state *state, mr_diag *diag)
{
    const mr_memory *memory = &state->options.memory;
    const sizes of = {.tables = state->table_count,
                      .tasks = state->options.task_count,
                      .part_bytes = state->volume.super.part_bytes,
                      .last_bytes = state->log.end.last_bytes};
    uint64_t crossings = 0;

    if (!mr_state_is_durable(state) || state->is_read_only) {
        return MR_OK;
    }
    if (state->buffer_memory != NULL) {
        if (of.last_bytes + MR_BLOCK_BYTES <= state->buffer_bytes) {
            return MR_OK;
        }
        memory->type->release(memory->self, state->buffer_memory, state->buffer_memory_bytes);
        state->buffer_memory = state->buffer = NULL;
    }
    const uint64_t bytes = delta_bytes(&state->options, &of, &crossings);
    const uint64_t buffer_bytes = bytes - (crossings + 1) * MR_BLOCK_BYTES;
    state->flight.piece_room = (uint32_t)(2 * crossings + buffer_bytes / MR_CHUNK_BYTES + 4);
    state->flight.pieces =
        mr_arena_take_array(state->arena, state->flight.piece_room, sizeof(*state->flight.pieces));
    if (state->flight.pieces != NULL) {
        state->buffer_memory = memory->type->acquire(memory->self, bytes, "delta buffer");
    }
    if (state->buffer_memory == NULL) {
        return mr_state_no_memory(state->options.shard, "the delta of an epoch", diag);
    }
    state->buffer_memory_bytes = bytes;
    state->buffer_bytes = buffer_bytes;
    state->part_block_room = (uint32_t)crossings;
    state->buffer =
        state->buffer_memory +
        (MR_BLOCK_BYTES - (uintptr_t)state->buffer_memory % MR_BLOCK_BYTES) % MR_BLOCK_BYTES;
    state->part_blocks = state->buffer + state->buffer_bytes;
    return MR_OK;
}

mr_status mr_state_no_memory(uint32_t shard, const char *what, mr_diag *diag)
{
    return mr_diag_set(diag, MR_ERR_MEMORY, 0,
                       "E_MEMORY_BUDGET: shard %u: no memory for %s: lower memory.total, or give "
                       "the machine more",
                       shard, what);
}

uint64_t mr_state_window_bytes(const mr_state *state)
{
    const uint64_t share =
        state->options.memory_bytes / WINDOW_SHARE / MR_BLOCK_BYTES * MR_BLOCK_BYTES;

    uint64_t most = state->buffer != NULL ? state->buffer_bytes - MR_BLOCK_BYTES : share;

    most = most < WINDOW_BYTES_MAX ? most : WINDOW_BYTES_MAX;
    return most > WINDOW_BYTES_MIN ? most : WINDOW_BYTES_MIN;
}

uint64_t mr_base_manifest_bytes(uint64_t task_count, uint64_t kept_offsets, uint64_t table_count,
                                uint64_t chunk_count)
{
    return round_block(sizeof(mr_base_header) + task_count * sizeof(mr_base_task) +
                       (MR_MANIFEST_OFFSETS + kept_offsets) * sizeof(mr_delta_offset) +
                       table_count * sizeof(mr_base_table) + chunk_count * 16);
}

uint32_t mr_base_chunk_bytes(uint64_t part_bytes)
{
    return part_bytes < MR_BASE_CHUNK_BYTES_MAX ? (uint32_t)part_bytes : MR_BASE_CHUNK_BYTES_MAX;
}

/* ---- Shares ---- */

static sizes sizes_of(const mr_state_options *options)
{
    sizes of = {.tables = options->table_count_max > 0 ? options->table_count_max : TABLES_DEFAULT,
                .tasks = options->task_count,
                .inputs = options->inputs_max > 0 ? options->inputs_max : INPUTS_DEFAULT,
                .part_bytes = mr_volume_part_bytes(options)};

    of.parts = options->wal_bytes_max / of.part_bytes;
    return of;
}

/* What is stored and only kept. Of the assigned tasks nothing is added, so that a store has as much
 * room for records behind a restart as before it. */
static void add_unassigned(const mr_state *state, sizes *of)
{
    for (uint32_t i = 0; i < state->log.table_count; i++) {
        of->tables += mr_state_task_index(state, state->log.tables[i].task) == UINT32_MAX;
    }
    of->tasks += mr_state_unassigned(state, NULL, 0);
    of->kept_offsets = mr_log_kept_offsets(state);
}

/* `crossings`: how many part blocks one delta may need. */
static uint64_t delta_bytes(const mr_state_options *options, const sizes *of, uint64_t *crossings)
{
    const uint64_t tables = sizeof(mr_delta_header) + of->tasks * sizeof(mr_delta_task) +
                            MR_OFFSETS_MAX * sizeof(mr_delta_offset) +
                            of->tables * sizeof(mr_section);
    uint64_t buffer = (options->epoch_bytes_max + tables) / MR_BLOCK_BYTES * MR_BLOCK_BYTES +
                      5 * (uint64_t)MR_BLOCK_BYTES;

    if (buffer < of->last_bytes + MR_BLOCK_BYTES) {
        buffer = of->last_bytes + MR_BLOCK_BYTES; /* Recovery writes it once more. */
    }
    *crossings = buffer / (of->part_bytes - MR_BLOCK_BYTES) + 2;
    return buffer + (*crossings + 1) * MR_BLOCK_BYTES;
}

/* What writes one and, while it is read, the manifest of the installed one. */
static uint64_t base_bytes(const mr_state_options *options, const sizes *of)
{
    const uint64_t chunk = mr_base_chunk_bytes(of->part_bytes);

    return MR_BASE_BUFFERS * chunk + UINT64_C(2) * MR_BLOCK_BYTES +
           2 * mr_base_manifest_bytes(of->tasks, of->kept_offsets, of->tables,
                                      options->memory_bytes / chunk + 2);
}

static uint64_t control_bytes(const sizes *of)
{
    const uint64_t offsets = DOUBLINGS * of->inputs * MR_HISTORY_MAX * sizeof(mr_delta_offset);
    const uint64_t log =
        of->tasks * (DOUBLINGS * sizeof(mr_history) + offsets) + of->tables * DOUBLINGS * 16;
    const uint64_t store = sizeof(mr_state) + of->tasks * 32 +
                           of->parts * (sizeof(mr_part) + sizeof(uint32_t)) +
                           of->tables * (sizeof(mr_table) + MR_BATCH_ROWS_MAX * sizeof(mr_row *) +
                                         DOUBLINGS * sizeof(mr_table *));

    return in_arena(log) + in_arena(store);
}

/* What an arena acquires for so much: its blocks double, and a quarter of one may stay unused. */
static uint64_t in_arena(uint64_t bytes)
{
    const uint64_t open = bytes < ARENA_BLOCK_BYTES ? bytes : ARENA_BLOCK_BYTES;

    return bytes + bytes / 2 + open;
}

static uint64_t round_block(uint64_t bytes)
{
    return (bytes + MR_BLOCK_BYTES - 1) / MR_BLOCK_BYTES * MR_BLOCK_BYTES;
}

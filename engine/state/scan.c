/*
 * scan.c - the log read from its start and verified delta by delta.
 *
 * A delta counts if header, seal and every chunk verify, it stands at its own position, and names
 * the seal before it; the chain ends at the first that fails. The log is read in windows of up to
 * 16 MiB with many requests in flight, part blocks left out, so that a whole delta stands in one
 * piece. A sum that fails is read once more before it is believed. What is impossible under good
 * sums is damage by name, never an assertion: disk content is input.
 */
#include "engine/state/state_private.h"
#include <errno.h>

enum { WINDOW_BYTES_FIRST = 1 << 20 };

typedef struct reader {
    mr_state *state;
    uint8_t *memory; /* As acquired; `window` is aligned in it. NULL: the delta's buffer is used. */
    uint8_t *window;
    uint64_t room, filled, used; /* Of the window: bytes read, bytes consumed. */
    uint64_t position;           /* WAL position of window[0]. */
    uint64_t left;               /* Bytes of the log behind window[filled]. */
} reader;

static mr_status reader_open(reader *in, mr_state *state, uint64_t position, mr_diag *diag);
static void reader_close(reader *in);
static mr_status reader_need(reader *in, uint64_t bytes, bool *is_there, mr_diag *diag);
static mr_status grow_window(reader *in, uint64_t bytes, mr_diag *diag);
static void keep_rest(reader *in, uint8_t *to);
static mr_status read_more(reader *in, mr_diag *diag);
static mr_status find_delta(reader *in, mr_log_end *end, mr_delta_view *delta, bool *found,
                            bool *suspect, mr_diag *diag);
static mr_status reader_again(reader *in, mr_diag *diag);
static bool header_is_sane(const mr_delta_header *header, const mr_volume *volume,
                           uint64_t position);
static bool header_sum_holds(const mr_volume *volume, const mr_delta_header *header);
static bool body_holds(const mr_volume *volume, const mr_delta_header *header);
static mr_status check_tables(const mr_state *state, const mr_delta_view *delta, mr_diag *diag);
static bool sections_fit(const mr_delta_view *delta);
static mr_status damaged(const mr_state *state, uint64_t position, const char *what, mr_diag *diag);

mr_status mr_scan_chain(mr_state *state, mr_delta_visit visit, void *context, mr_log_end *end,
                        mr_diag *diag)
{
    reader in;
    mr_delta_view delta;
    bool found = true;
    bool suspect = false;

    const mr_superblock *super = &state->volume.super;
    *end = (mr_log_end){.position = super->wal_position,
                        .epoch = super->base_to,
                        .epoch_max = super->base_to,
                        .acked = super->acked};
    memcpy(end->previous, super->wal_previous, sizeof(end->previous));
    mr_status status = reader_open(&in, state, end->position, diag);
    while (status == MR_OK && found) {
        status = find_delta(&in, end, &delta, &found, &suspect, diag);
        if (status == MR_OK && !found && suspect) {
            status = reader_again(&in, diag);
            if (status == MR_OK) {
                status = find_delta(&in, end, &delta, &found, &suspect, diag);
            }
        }
        if (status == MR_OK && found) {
            status = visit(state, context, &delta, diag);
        }
        if (status == MR_OK && found) {
            const mr_delta_header *header = delta.header;
            in.used += header->total_bytes;
            end->last_position = end->position;
            end->last_bytes = header->total_bytes;
            end->position = mr_wal_advance(&state->volume, end->position, header->total_bytes);
            memcpy(end->previous, delta.seal->checksum, sizeof(end->previous));
            end->epoch = header->epoch;
            end->epoch_max = header->epoch > end->epoch_max ? header->epoch : end->epoch_max;
            end->acked = header->acked > end->acked ? header->acked : end->acked;
            end->delta_count++;
        }
    }
    reader_close(&in);
    return status;
}

mr_status mr_scan_beyond(mr_state *state, uint64_t *epoch, uint64_t *position, mr_diag *diag)
{
    const mr_volume *volume = &state->volume;
    reader in;
    bool is_there = true;
    bool first = true;

    *epoch = 0;
    mr_status status = reader_open(&in, state, state->log.end.position, diag);
    while (status == MR_OK && *epoch == 0) {
        status = reader_need(&in, MR_BLOCK_BYTES, &is_there, diag);
        if (status != MR_OK || !is_there) {
            break;
        }
        const uint64_t at = mr_wal_advance(volume, in.position, in.used);
        const mr_delta_header *header =
            (const mr_delta_header *)(const void *)(in.window + in.used);
        if (!first && header_is_sane(header, volume, at) && header->epoch > state->log.end.epoch) {
            status = reader_need(&in, header->header_bytes, &is_there, diag);
            header = (const mr_delta_header *)(const void *)(in.window + in.used);
            if (status == MR_OK && is_there && header_sum_holds(volume, header)) {
                *epoch = header->epoch;
                *position = at;
            }
        }
        in.used += MR_BLOCK_BYTES;
        first = false;
    }
    reader_close(&in);
    return status;
}

bool mr_delta_walk(const mr_delta_view *delta, mr_record_visit visit, void *context)
{
    const uint8_t *at = delta->sections;
    const uint8_t *end = at + delta->header->section_bytes;

    while (at < end) {
        if ((uint64_t)(end - at) < sizeof(mr_section)) {
            return false;
        }
        const mr_section *section = (const mr_section *)(const void *)at;
        at += sizeof(*section);
        if (section->kind != MR_SECTION_RECORDS || section->flags != 0 ||
            section->bytes > (uint64_t)(end - at) || section->bytes % 8 != 0) {
            return false;
        }
        const uint8_t *section_end = at + section->bytes;
        for (uint32_t i = 0; i < section->count; i++) {
            if ((uint64_t)(section_end - at) < sizeof(mr_delta_record)) {
                return false;
            }
            const mr_delta_record *record = (const mr_delta_record *)(const void *)at;
            const uint64_t size =
                (sizeof(*record) + record->key_size + (uint64_t)record->value_size + 7) / 8 * 8;
            const bool is_tombstone = (record->flags & MR_RECORD_TOMBSTONE) != 0;
            if (size > (uint64_t)(section_end - at) || record->key_size > MR_KEY_BYTES_MAX ||
                (record->flags & ~MR_RECORD_TOMBSTONE) != 0 || record->reserved != 0 ||
                (is_tombstone && record->value_size != 0)) {
                return false;
            }
            const mr_view key = {.bytes = at + sizeof(*record), .size_bytes = record->key_size};
            const mr_view value = {.bytes = key.bytes + key.size_bytes,
                                   .size_bytes = record->value_size};
            if (visit != NULL && !visit(context, section, key, value, is_tombstone)) {
                return false;
            }
            at += size;
        }
        if (at != section_end) {
            return false;
        }
    }
    return true;
}

bool mr_delta_sections(const mr_delta_view *delta, mr_record_visit visit, void *context)
{
    const mr_view none = {.bytes = NULL};
    uint64_t at = 0;

    while (at < delta->header->section_bytes) {
        const mr_section *section = (const mr_section *)(const void *)(delta->sections + at);
        if (!visit(context, section, none, none, false)) {
            return false;
        }
        at += sizeof(*section) + section->bytes;
    }
    return true;
}

bool mr_scan_holds(const mr_volume *volume, const mr_delta_header *header, uint64_t position,
                   uint64_t total_bytes)
{
    return header_is_sane(header, volume, position) && header->total_bytes == total_bytes &&
           header_sum_holds(volume, header) && body_holds(volume, header);
}

/* ---- The window ---- */

static mr_status reader_open(reader *in, mr_state *state, uint64_t position, mr_diag *diag)
{
    const mr_volume *volume = &state->volume;
    const uint64_t part_bytes = volume->super.part_bytes;
    const uint64_t part = position / part_bytes;

    *in = (reader){.state = state, .position = position};
    const uint64_t parts = mr_parts_run(volume, part);
    if (parts > 0) {
        in->left = (parts - 1) * (part_bytes - MR_BLOCK_BYTES) + part_bytes - position % part_bytes;
    }
    const uint64_t most = mr_state_window_bytes(state);
    const uint64_t first = most < WINDOW_BYTES_FIRST ? most : WINDOW_BYTES_FIRST;
    const uint64_t room = in->left < first ? in->left : first;
    return grow_window(in, room > MR_BLOCK_BYTES ? room : MR_BLOCK_BYTES, diag);
}

static void reader_close(reader *in)
{
    const mr_memory *memory = &in->state->options.memory;

    if (in->memory != NULL) {
        memory->type->release(memory->self, in->memory, in->room + MR_BLOCK_BYTES);
    }
}

/* Makes `bytes` behind `used` stand in the window; `is_there` false: the log ends before. */
static mr_status reader_need(reader *in, uint64_t bytes, bool *is_there, mr_diag *diag)
{
    mr_status status = MR_OK;

    *is_there = true;
    if (in->filled - in->used >= bytes) {
        return MR_OK;
    }
    if (in->filled - in->used + in->left < bytes) {
        *is_there = false;
        return MR_OK;
    }
    const uint64_t most = mr_state_window_bytes(in->state);
    const uint64_t next = in->room * 4 > most ? most : in->room * 4;
    const uint64_t wanted = bytes > next ? bytes : next;
    if (in->room < wanted && in->used > 0) { /* The log goes on: larger windows pay. */
        status = grow_window(in, wanted, diag);
    } else if (in->room < bytes) {
        status = grow_window(in, bytes, diag);
    } else if (in->used > 0) {
        keep_rest(in, in->window);
    }
    return status == MR_OK ? read_more(in, diag) : status;
}

/* What was not consumed moves to the front of `to`. */
static void keep_rest(reader *in, uint8_t *to)
{
    memmove(to, in->window + in->used, in->filled - in->used);
    in->position = mr_wal_advance(&in->state->volume, in->position, in->used);
    in->filled -= in->used;
    in->used = 0;
}

static mr_status grow_window(reader *in, uint64_t bytes, mr_diag *diag)
{
    const mr_memory *memory = &in->state->options.memory;

    if (in->memory == NULL && in->state->buffer != NULL && bytes <= in->state->buffer_bytes) {
        if (in->window != NULL) {
            keep_rest(in, in->window);
        }
        in->window = in->state->buffer;
        in->room = bytes;
        return MR_OK;
    }
    uint8_t *grown = memory->type->acquire(memory->self, bytes + MR_BLOCK_BYTES, "log window");
    if (grown == NULL) {
        return mr_state_no_memory(in->state->options.shard, "a window of the log", diag);
    }
    uint8_t *window = grown + (MR_BLOCK_BYTES - (uintptr_t)grown % MR_BLOCK_BYTES) % MR_BLOCK_BYTES;
    if (in->window != NULL) {
        keep_rest(in, window);
    }
    if (in->memory != NULL) {
        memory->type->release(memory->self, in->memory, in->room + MR_BLOCK_BYTES);
    }
    in->memory = grown;
    in->window = window;
    in->room = bytes;
    return MR_OK;
}

static mr_status read_more(reader *in, mr_diag *diag)
{
    const uint64_t room = in->room - in->filled;
    const uint64_t size = room < in->left ? room : in->left;
    const uint64_t position = mr_wal_advance(&in->state->volume, in->position, in->filled);

    int32_t error = mr_scan_read(in->state, position, in->window + in->filled, size);
    if (error != 0) { /* Once more before it is believed. */
        error = mr_scan_read(in->state, position, in->window + in->filled, size);
    }
    if (error != 0) {
        return damaged(in->state, position, "cannot be read", diag);
    }
    in->filled += size;
    in->left -= size;
    return MR_OK;
}

/* Delta bytes from a position on, part by part; many requests are in flight within a part. */
int32_t mr_scan_read(mr_state *state, uint64_t position, uint8_t *bytes, uint64_t size_bytes)
{
    const mr_volume *volume = &state->volume;
    uint64_t done = 0;

    while (done < size_bytes) {
        const uint64_t at = mr_wal_advance(volume, position, done);
        const uint64_t in_part = volume->super.part_bytes - at % volume->super.part_bytes;
        const uint64_t rest = size_bytes - done;
        const mr_transfer read = {.op = MR_IO_READ,
                                  .file = volume->wal_file,
                                  .offset = mr_wal_file_offset(volume, at),
                                  .bytes = bytes + done,
                                  .size_bytes = rest < in_part ? rest : in_part};
        const int32_t error = mr_wal_transfer(state, &read);
        if (error != 0) {
            return error;
        }
        done += read.size_bytes;
    }
    return 0;
}

/* Throws away what is in the window behind `used` and reads it anew. */
static mr_status reader_again(reader *in, mr_diag *diag)
{
    in->left += in->filled - in->used;
    in->position = mr_wal_advance(&in->state->volume, in->position, in->used);
    in->filled = in->used = 0;
    return read_more(in, diag);
}

/* ---- One delta ---- */

/* `suspect`: a header is there, but not all of it holds. */
static mr_status find_delta(reader *in, mr_log_end *end, mr_delta_view *delta, bool *found,
                            bool *suspect, mr_diag *diag)
{
    mr_state *state = in->state;
    const mr_volume *volume = &state->volume;
    bool is_there = false;

    *found = *suspect = false;
    mr_status status = reader_need(in, MR_BLOCK_BYTES, &is_there, diag);
    if (status != MR_OK || !is_there) {
        return status;
    }
    const mr_delta_header *header = (const mr_delta_header *)(const void *)(in->window + in->used);
    if (!header_is_sane(header, volume, end->position)) {
        return MR_OK;
    }
    *suspect = true;
    const uint64_t total = header->total_bytes;
    status = reader_need(in, total, &is_there, diag);
    if (status != MR_OK || !is_there) {
        return status;
    }
    header = (const mr_delta_header *)(const void *)(in->window + in->used);
    if (header->total_bytes != total || !header_sum_holds(volume, header)) {
        return MR_OK;
    }
    if (header->major != MR_FORMAT_MAJOR ||
        (header->incompatible & ~(uint32_t)MR_FEATURE_NAMED) != 0) {
        return mr_diag_set(diag, MR_ERR_REFUSED, 0,
                           "E_STATE_FORMAT: %s/shard-%u.wal: epoch %llu is written in state format "
                           "%u.%u (features %08x), this release reads %u.x; run the release that "
                           "wrote it",
                           volume->directory, state->options.shard,
                           (unsigned long long)header->epoch, header->major, header->minor,
                           header->incompatible, MR_FORMAT_MAJOR);
    }
    if (memcmp(header->previous, end->previous, sizeof(end->previous)) != 0 ||
        header->epoch <= end->epoch) {
        return MR_OK; /* Of a former life of this place. */
    }
    if (!body_holds(volume, header)) {
        end->epoch_max = header->epoch > end->epoch_max ? header->epoch : end->epoch_max;
        return MR_OK;
    }
    const uint8_t *bytes = (const uint8_t *)header;
    *delta =
        (mr_delta_view){.header = header,
                        .tasks = (const mr_delta_task *)(const void *)(header + 1),
                        .sections = bytes + header->header_bytes,
                        .position = end->position,
                        .seal = (const mr_seal *)(const void *)(bytes + total - MR_BLOCK_BYTES)};
    delta->offsets = (const mr_delta_offset *)(const void *)(delta->tasks + header->task_count);
    *found = true;
    return check_tables(state, delta, diag);
}

/* Numbers that let the rest be read safely; no sum is tested yet. */
static bool header_is_sane(const mr_delta_header *header, const mr_volume *volume,
                           uint64_t position)
{
    const uint64_t tables = sizeof(*header) + header->task_count * sizeof(mr_delta_task) +
                            header->offset_count * sizeof(mr_delta_offset);

    return memcmp(header->magic, "MRDELTA1", sizeof(header->magic)) == 0 &&
           memcmp(header->store, volume->super.store, sizeof(header->store)) == 0 &&
           header->position == position && header->shard == volume->super.shard &&
           header->header_bytes % MR_BLOCK_BYTES == 0 && header->header_bytes >= tables &&
           header->total_bytes % MR_BLOCK_BYTES == 0 &&
           header->total_bytes <= MR_DELTA_BYTES_MAX + MR_BLOCK_BYTES &&
           header->total_bytes >= header->header_bytes + (uint64_t)MR_BLOCK_BYTES &&
           header->section_bytes <= header->total_bytes - header->header_bytes - MR_BLOCK_BYTES &&
           header->chunk_bytes == MR_CHUNK_BYTES;
}

static bool header_sum_holds(const mr_volume *volume, const mr_delta_header *header)
{
    mr_delta_header *writable = (mr_delta_header *)(uintptr_t)header;
    uint8_t stored[16];
    uint8_t computed[16];

    memcpy(stored, header->checksum, sizeof(stored));
    memset(writable->checksum, 0, sizeof(stored)); /* The window is ours; put back at once. */
    mr_hash128(header, header->header_bytes, mr_wal_seed(volume, header->position), computed);
    memcpy(writable->checksum, stored, sizeof(stored));
    return memcmp(stored, computed, sizeof(stored)) == 0;
}

/* Seal and chunks. */
static bool body_holds(const mr_volume *volume, const mr_delta_header *header)
{
    const uint8_t *delta = (const uint8_t *)header;
    const uint64_t body = header->total_bytes - MR_BLOCK_BYTES;
    const uint64_t chunks = (body + MR_CHUNK_BYTES - 1) / MR_CHUNK_BYTES;
    mr_seal seal;
    uint8_t checksum[16];

    memcpy(&seal, delta + body, sizeof(seal));
    memset(seal.checksum, 0, sizeof(seal.checksum));
    const uint64_t position = mr_wal_advance(volume, header->position, body);
    mr_hash128(&seal, sizeof(seal), mr_wal_seed(volume, position), checksum);
    const mr_seal *stored = (const mr_seal *)(const void *)(delta + body);
    if (memcmp(checksum, stored->checksum, sizeof(checksum)) != 0 ||
        memcmp(seal.magic, "MRSEAL01", sizeof(seal.magic)) != 0 ||
        memcmp(seal.store, header->store, sizeof(seal.store)) != 0 ||
        memcmp(seal.header_checksum, header->checksum, sizeof(seal.header_checksum)) != 0 ||
        seal.epoch != header->epoch || seal.incarnation != header->incarnation ||
        seal.total_bytes != header->total_bytes || seal.position != header->position ||
        seal.chunk_count != chunks) {
        return false;
    }
    for (uint64_t i = 0; i < chunks; i++) {
        const uint64_t from = i * MR_CHUNK_BYTES;
        const uint64_t size = body - from < MR_CHUNK_BYTES ? body - from : MR_CHUNK_BYTES;
        const uint64_t at = mr_wal_advance(volume, header->position, from);
        if (mr_hash64(delta + from, size, mr_wal_seed(volume, at)) != seal.chunk_sums[i]) {
            return false;
        }
    }
    return true;
}

/* Good sums over impossible values: damage made before the sums, or a mistake of ours. */
static mr_status check_tables(const mr_state *state, const mr_delta_view *delta, mr_diag *diag)
{
    const mr_delta_header *header = delta->header;
    uint64_t at = header->header_bytes;
    uint32_t offset = 0;

    for (uint32_t i = 0; i < header->task_count; i++) {
        const mr_delta_task *task = &delta->tasks[i];
        const uint32_t from = offset;
        while (offset < header->offset_count && delta->offsets[offset].task == task->task) {
            offset++;
        }
        if (task->section_from != at ||
            task->section_bytes > header->header_bytes + header->section_bytes - at ||
            (i > 0 && task->task <= delta->tasks[i - 1].task) ||
            task->digest != mr_delta_task_digest(task, delta->offsets + from, offset - from,
                                                 (const uint8_t *)header + at)) {
            return damaged(state, delta->position, "holds an impossible task entry", diag);
        }
        at += task->section_bytes;
    }
    if (at != header->header_bytes + header->section_bytes || offset != header->offset_count ||
        header->flags != 0 || header->follows >= header->epoch ||
        header->follows < state->volume.super.base_to) {
        return damaged(state, delta->position, "holds an impossible header", diag);
    }
    if (!mr_delta_walk(delta, NULL, NULL) || !sections_fit(delta)) {
        return damaged(state, delta->position, "holds an impossible section", diag);
    }
    return MR_OK;
}

/* Each entry's share of the sections is whole, and theirs; they were walked before. */
static bool sections_fit(const mr_delta_view *delta)
{
    uint64_t at = 0;

    for (uint32_t i = 0; i < delta->header->task_count; i++) {
        const mr_delta_task *task = &delta->tasks[i];
        const uint64_t end = at + task->section_bytes;
        uint32_t count = 0;
        for (; at < end; count++) {
            const mr_section *section = (const mr_section *)(const void *)(delta->sections + at);
            if (section->task != task->task) {
                return false;
            }
            at += sizeof(*section) + section->bytes;
        }
        if (at != end || count != task->section_count) {
            return false;
        }
    }
    return true;
}

static mr_status damaged(const mr_state *state, uint64_t position, const char *what, mr_diag *diag)
{
    return mr_diag_set(diag, MR_ERR_CORRUPT, 0,
                       "E_STATE_DAMAGED: %s/shard-%u.wal@%llu: %s; restore the directory from a "
                       "copy",
                       state->volume.directory, state->options.shard,
                       (unsigned long long)mr_wal_file_offset(&state->volume, position), what);
}

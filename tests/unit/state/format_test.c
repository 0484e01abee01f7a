/*
 * format_test.c - a directory of format 1.0, written here byte by byte as FORMAT.md says, by code
 * that shares nothing with the store but the hash.
 *
 * It must open to exactly what was written, stay readable by the release that wrote it as long as
 * there is no base, and be of this format, with bit 0, from the first base on. What 1.0 could not
 * hold is damage.
 */
#include "engine/base/assert.h"
#include "tests/unit/state/rig.h"

enum { BLOCK = 4096, PART = 16 << 10, PARTS = 5, SLOTS = 4 };

#define LINEAGE UINT64_C(1000)

typedef struct writer {
    uint8_t wal[PARTS * PART], data[SLOTS * BLOCK];
    uint64_t position; /* Of the next delta. */
    uint64_t epoch;
    uint8_t previous[16];
    uint64_t previous_epochs[RIG_TASKS];
    rig_past past;  /* Of the newest epoch. */
    uint32_t stray; /* The task that sections name instead of their own; 0: their own. */
} writer;

typedef struct put { /* A record: key number, and a size; UINT32_MAX deletes. */
    uint32_t task, table, key, size;
} put;

static const uint8_t store_id[16] = {9, 8, 7, 6, 5, 4, 3, 2, 1, 9, 8, 7, 6, 5, 4, 3};

static void put16(uint8_t *bytes, uint64_t at, uint16_t value)
{
    memcpy(bytes + at, &value, sizeof(value));
}

static void put32(uint8_t *bytes, uint64_t at, uint32_t value)
{
    memcpy(bytes + at, &value, sizeof(value));
}

static void put64(uint8_t *bytes, uint64_t at, uint64_t value)
{
    memcpy(bytes + at, &value, sizeof(value));
}

static uint64_t seed_at(uint64_t position)
{
    uint64_t low = 0;
    memcpy(&low, store_id, sizeof(low));
    return low ^ position;
}

/* "A sum's own field counts as zero": it is, until now. */
static void put_sum(uint8_t *bytes, uint64_t size, uint64_t position, uint64_t field)
{
    uint8_t sum[16];
    mr_hash128(bytes, size, seed_at(position), sum);
    memcpy(bytes + field, sum, sizeof(sum));
}

static void write_superblocks(writer *w, uint32_t minor)
{
    for (uint32_t copy = 0; copy < 2; copy++) { /* Sequence 1: slots 0 and 1. */
        uint8_t *block = w->data + (size_t)copy * BLOCK;
        memset(block, 0, BLOCK);
        memcpy(block, "MRSUPER1", 8);
        put16(block, 8, 1);
        put16(block, 10, (uint16_t)minor);
        memcpy(block + 16, store_id, sizeof(store_id));
        put64(block, 32, 77); /* hash_seed */
        put64(block, 40, 1);  /* sequence */
        put32(block, 48, copy);
        put32(block, 60, PART);
        put64(block, 88, PART + BLOCK); /* wal_position: part 1, offset 4,096 */
        put_sum(block, BLOCK, (uint64_t)copy * BLOCK, 152);
    }
}

static void write_part(writer *w, uint64_t number)
{
    uint8_t *block = w->wal + (number - 1) * PART; /* 1.0: parts in order, each at its place. */

    memset(block, 0, BLOCK);
    memcpy(block, "MRWALP01", 8);
    memcpy(block + 8, store_id, sizeof(store_id));
    put64(block, 24, number);
    put64(block, 32, PART);
    put_sum(block, BLOCK, number * PART, 40);
}

/* Copies a delta to the log, block by block, around the blocks of parts. Returns where it ends. */
static uint64_t place(writer *w, const uint8_t *delta, uint64_t size)
{
    uint64_t position = w->position;

    for (uint64_t at = 0; at < size; at += BLOCK) {
        if (position % PART == BLOCK) {
            write_part(w, position / PART);
        }
        assert_true(position / PART <= PARTS);
        memcpy(w->wal + (position / PART - 1) * PART + position % PART, delta + at, BLOCK);
        position += BLOCK;
        position += position % PART == 0 ? BLOCK : 0;
    }
    return position;
}

static uint64_t position_behind(uint64_t position, uint64_t bytes)
{
    for (uint64_t at = 0; at < bytes; at += BLOCK) {
        position += BLOCK;
        position += position % PART == 0 ? BLOCK : 0;
    }
    return position;
}

/* The records of one task as sections; returns their end. */
static uint64_t write_sections(writer *w, uint8_t *delta, uint64_t at, uint32_t task,
                               const put *puts, uint32_t count, uint32_t *sections)
{
    for (uint32_t table = 0; table < RIG_TABLES; table++) {
        const uint64_t head = at;
        uint32_t records = 0;
        at += 32;
        for (uint32_t i = 0; i < count; i++) {
            if (puts[i].task != task || puts[i].table != table) {
                continue;
            }
            uint8_t key[64];
            const uint32_t key_size = rig_key(puts[i].key, key);
            const bool is_deleted = puts[i].size == UINT32_MAX;
            const uint32_t size = is_deleted ? 0 : puts[i].size;
            rig_cell *cell = &w->past.model.cells[task][table][puts[i].key];
            *cell = (rig_cell){.is_there = !is_deleted, .size = size, .content = w->epoch * 99 + i};
            put32(delta, at, size);
            put16(delta, at + 4, (uint16_t)key_size);
            delta[at + 6] = is_deleted;
            memcpy(delta + at + 8, key, key_size);
            uint8_t value[RIG_VALUE_MAX + 8];
            rig_content(cell->content, size, value);
            memcpy(delta + at + 8 + key_size, value, size);
            at += (8 + key_size + (uint64_t)size + 7) / 8 * 8;
            records++;
        }
        if (records == 0) {
            at = head;
            continue;
        }
        put32(delta, head, w->stray != 0 ? w->stray : rig_tasks[task]);
        put32(delta, head + 4, table);
        put16(delta, head + 8, 1);
        put32(delta, head + 12, records);
        put64(delta, head + 16, at - head - 32);
        put64(delta, head + 24, 100 + table); /* layout, as the rig declares it */
        (*sections)++;
    }
    return at;
}

static void write_task(writer *w, uint8_t *delta, uint32_t task, uint32_t sections, uint64_t from,
                       uint64_t to)
{
    const uint64_t entry = 144 + task * UINT64_C(64);
    const uint64_t offset = 144 + RIG_TASKS * UINT64_C(64) + task * UINT64_C(32);
    mr_task_point *point = &w->past.points[task];

    put32(delta, entry, rig_tasks[task]);
    put32(delta, entry + 4, sections);
    put64(delta, entry + 8, LINEAGE + task);
    put64(delta, entry + 16, w->previous_epochs[task]);
    put64(delta, entry + 24, from);
    put64(delta, entry + 32, to - from);
    put64(delta, entry + 40, 0); /* watermark_us */
    put32(delta, offset, rig_tasks[task]);
    put32(delta, offset + 8, rig_tasks[task]);
    put64(delta, offset + 16, (w->epoch - 1) * 10);
    put64(delta, offset + 24, w->epoch * 10);
    uint64_t digest = mr_hash64(delta + entry, 64, 0);
    digest = mr_hash64(delta + offset, 32, digest);
    digest = mr_hash64(delta + from, to - from, digest);
    put64(delta, entry + 48, digest);
    *point = (mr_task_point){.task = rig_tasks[task],
                             .lineage = LINEAGE + task,
                             .epoch = w->epoch,
                             .incarnation = 5,
                             .digest = digest};
    w->past.offsets[task] = (mr_input_offset){
        .task = rig_tasks[task], .partition = rig_tasks[task], .to = (int64_t)w->epoch * 10};
    w->previous_epochs[task] = w->epoch;
}

static void write_seal(const writer *w, uint8_t *delta, uint64_t body)
{
    uint8_t *seal = delta + body;

    memcpy(seal, "MRSEAL01", 8);
    memcpy(seal + 8, store_id, sizeof(store_id));
    put64(seal, 24, 5); /* incarnation */
    put64(seal, 32, w->epoch);
    put64(seal, 40, body + BLOCK);
    put64(seal, 48, w->position);
    put32(seal, 56, 1); /* chunk_count: less than a MiB */
    memcpy(seal + 64, delta + 128, 16);
    put64(seal, 96, mr_hash64(delta, body, seed_at(w->position)));
    put_sum(seal, BLOCK, position_behind(w->position, body), 80);
}

static void write_delta(writer *w, const put *puts, uint32_t count)
{
    static uint8_t delta[PARTS * PART];
    uint64_t at = BLOCK; /* One block of header, tasks and offsets. */

    memset(delta, 0, sizeof(delta));
    w->epoch++;
    memcpy(delta, "MRDELTA1", 8);
    put16(delta, 8, 1); /* 1.0 */
    memcpy(delta + 16, store_id, sizeof(store_id));
    put64(delta, 32, 5); /* incarnation */
    put64(delta, 40, w->epoch);
    put64(delta, 48, w->epoch - 1);                    /* follows */
    put64(delta, 56, w->epoch > 1 ? w->epoch - 1 : 0); /* acked */
    memcpy(delta + 64, w->previous, sizeof(w->previous));
    put64(delta, 80, w->position);
    for (uint32_t task = 0; task < RIG_TASKS; task++) {
        const uint64_t from = at;
        uint32_t sections = 0;
        at = write_sections(w, delta, at, task, puts, count, &sections);
        write_task(w, delta, task, sections, from, at);
    }
    const uint64_t body = (at + BLOCK - 1) / BLOCK * BLOCK;
    put64(delta, 88, body + BLOCK); /* total_bytes */
    put64(delta, 96, at - BLOCK);   /* section_bytes */
    put32(delta, 104, BLOCK);       /* header_bytes */
    put32(delta, 108, RIG_TASKS);
    put32(delta, 112, RIG_TASKS); /* offset_count */
    put32(delta, 116, 1 << 20);   /* chunk_bytes */
    put_sum(delta, BLOCK, w->position, 128);
    write_seal(w, delta, body);
    memcpy(w->previous, delta + body + 80, sizeof(w->previous));
    w->position = place(w, delta, body + BLOCK);
    w->past.epoch = w->epoch;
}

/* An empty beginning, inserts, and an epoch that deletes, replaces and crosses a part. */
static writer *write_all(void)
{
    static const put second[] = {{0, 0, 1, 100}, {0, 0, 2, 0}, {0, 1, 3, 700}, {1, 1, 4, 33}};
    static const put third[] = {{0, 0, 1, UINT32_MAX}, {0, 1, 3, 9000}, {1, 0, 5, 8}};
    writer *w = calloc(1, sizeof(*w));

    assert_non_null(w);
    w->position = PART + BLOCK;
    write_superblocks(w, 0);
    write_delta(w, NULL, 0);
    write_delta(w, second, MR_LENGTH(second));
    write_delta(w, third, MR_LENGTH(third));
    assert_true(w->position > UINT64_C(2) * PART);
    return w;
}

static void make_file(mr_sim_disk *disk, const char *path, const uint8_t *bytes, uint64_t size)
{
    const mr_io io = mr_sim_disk_io(disk);
    mr_diag diag;
    uint64_t there = 0;
    int descriptor = -1;

    assert_int_equal(
        io.files->open(io.files_self, path, MR_FILE_CREATE, &descriptor, &there, &diag), MR_OK);
    assert_int_equal(io.files->zero_fill(io.files_self, descriptor, 0, size), MR_OK);
    io.files->close(io.files_self, descriptor);
    memcpy(mr_sim_disk_file(disk, path, &there), bytes, size);
    assert_int_equal(there, size);
}

static mr_sim_disk *make_disk(const writer *w)
{
    mr_sim_disk *disk = mr_sim_disk_create(1);

    make_file(disk, "dir/LOCK", w->data, BLOCK);
    make_file(disk, "dir/shard-0.wal", w->wal, sizeof(w->wal));
    make_file(disk, "dir/shard-0.data", w->data, sizeof(w->data));
    return disk;
}

static uint64_t number_at(mr_sim_disk *disk, const char *path, uint64_t at, uint32_t size)
{
    uint64_t bytes = 0;
    uint64_t number = 0;
    const uint8_t *file = mr_sim_disk_file(disk, path, &bytes);

    assert_true(file != NULL && at + size <= bytes);
    memcpy(&number, file + at, size);
    return number;
}

static void test_a_directory_of_1_0_is_read_as_it_is(void **state)
{
    writer *w = write_all();
    mr_sim_disk *disk = make_disk(w);
    rig *r = rig_create_small(disk, 1);

    (void)state;
    if (rig_open(r) != MR_OK || rig_roll(r, &w->past) != MR_OK) {
        fail_msg("%s", r->diag.text);
    }
    rig_check(r, &w->past.model);
    assert_int_equal(mr_state_epoch(r->state), w->epoch + 1);
    /* Without a base the older release can go on: superblock and places of parts are as they were.
     */
    for (uint32_t i = 0; i < 6; i++) {
        rig_work(r, 8);
        (void)rig_commit(r);
    }
    const rig_model model = r->model;
    const rig_past committed = r->pasts[r->past_count - 1];
    rig_close(r);
    uint64_t size = 0;
    assert_memory_equal(mr_sim_disk_file(disk, "dir/shard-0.data", &size), w->data,
                        (size_t)2 * BLOCK);
    assert_non_null(mr_sim_disk_file(disk, "dir/shard-0.wal", &size));
    for (uint64_t part = 0; part < size / PART; part++) {
        const uint64_t number = number_at(disk, "dir/shard-0.wal", part * PART + 24, 8);
        assert_true(number == part + 1 || number == 0);
    }
    assert_int_equal(rig_open(r), MR_OK);
    assert_int_equal(rig_roll(r, &committed), MR_OK);
    rig_check(r, &model);
    rig_free(r);
    mr_sim_disk_destroy(disk);
    free(w);
}

/* Every sum is right, and a section names a task that its epoch, or its entry, does not: damage. */
static void test_a_section_of_another_task_is_damage(void **state)
{
    static const put puts[] = {{0, 0, 1, 100}};
    const uint32_t strays[] = {99, rig_tasks[1]};

    (void)state;
    for (uint32_t i = 0; i < MR_LENGTH(strays); i++) {
        writer *w = write_all();
        w->stray = strays[i];
        write_delta(w, puts, MR_LENGTH(puts));
        mr_sim_disk *disk = make_disk(w);
        rig *r = rig_create(disk, 1);
        mr_status status = rig_open(r);
        status = status == MR_OK ? rig_roll(r, &w->past) : status;
        assert_int_equal(status, MR_ERR_CORRUPT);
        assert_non_null(strstr(r->diag.text, "E_STATE_DAMAGED: dir/shard-0.wal@"));
        rig_free(r);
        mr_sim_disk_destroy(disk);
        free(w);
    }
}

static void test_the_first_base_makes_it_this_format(void **state)
{
    writer *w = write_all();
    mr_sim_disk *disk = make_disk(w);
    rig *r = rig_create_small(disk, 2);
    const rig_past *committed = &w->past;
    mr_state_stats stats = {.base_count = 0};

    (void)state;
    r->options.wal_bytes_max = 256 << 10;
    assert_int_equal(rig_open(r), MR_OK);
    assert_int_equal(rig_roll(r, &w->past), MR_OK);
    for (uint32_t i = 0; i < 200 && stats.base_count == 0; i++) {
        rig_work(r, 10);
        const rig_past *past = rig_commit(r);
        rig_decide(r, past, &committed);
        rig_turn(r);
        assert_true(rig_heed(r, &committed));
        mr_state_read_stats(r->state, &stats);
    }
    assert_int_equal(stats.base_count, 1);
    rig_close(r);
    /* Sequence 2: slots 2 and 3. Those of 1.0 stay beside them. */
    assert_int_equal(number_at(disk, "dir/shard-0.data", 2 * BLOCK + 8, 2), 1);
    assert_int_equal(number_at(disk, "dir/shard-0.data", 2 * BLOCK + 10, 2), 2);
    assert_int_equal(number_at(disk, "dir/shard-0.data", 2 * BLOCK + 40, 8), 2);
    assert_int_equal(number_at(disk, "dir/shard-0.data", 2 * BLOCK + 56, 4), 1);
    assert_int_equal(number_at(disk, "dir/shard-0.data", 10, 2), 0);
    assert_int_equal(rig_open(r), MR_OK);
    assert_int_equal(rig_roll(r, committed), MR_OK);
    rig_check(r, &committed->model);
    rig_free(r);
    mr_sim_disk_destroy(disk);
    free(w);
}

/* The reader too, at each epoch. */
static void test_inspection_reads_1_0(void **state)
{
    writer *w = write_all();
    mr_sim_disk *disk = make_disk(w);
    rig *r = rig_create_small(disk, 3);
    mr_state *reader = NULL;
    mr_state_summary summary;

    (void)state;
    const mr_io io = mr_sim_disk_io(disk);
    assert_int_equal(mr_ring_open(&r->ring, &io, &r->diag), MR_OK);
    assert_int_equal(mr_state_open_reader(&reader, &r->options, r->ring, &r->diag), MR_OK);
    assert_int_equal(mr_state_verify(reader, &summary, &r->diag), MR_OK);
    assert_int_equal(summary.major, 1);
    assert_int_equal(summary.minor, 0);
    assert_int_equal(summary.delta_count, 3);
    assert_int_equal(summary.base_epoch, 0);
    for (uint64_t epoch = 1; epoch <= w->epoch; epoch++) {
        assert_int_equal(mr_state_read_epoch(reader, epoch, &r->diag), MR_OK);
    }
    mr_state_close(reader);
    rig_free(r);
    mr_sim_disk_destroy(disk);
    free(w);
}

/* A superblock without a base that says more than 1.0 had: refused by name. */
static void test_what_a_store_without_a_base_cannot_say(void **state)
{
    static const uint64_t fields[][3] = {
        /* Offset, size, value; then the sum is made to fit. */
        {8, 2, 2}, {56, 4, 2}, {12, 4, 1}, {64, 8, 3}, {88, 8, PART + 8192}, {60, 4, 5000},
    };
    static const char *const names[] = {"E_STATE_FORMAT",  "E_STATE_FORMAT",  "E_STATE_FOREIGN",
                                        "E_STATE_DAMAGED", "E_STATE_DAMAGED", "E_STATE_DAMAGED"};

    (void)state;
    for (size_t i = 0; i < MR_LENGTH(fields); i++) {
        writer *w = write_all();
        for (uint32_t copy = 0; copy < 2; copy++) {
            uint8_t *block = w->data + (size_t)copy * BLOCK;
            memcpy(block + fields[i][0], &fields[i][2], fields[i][1]);
            memset(block + 152, 0, 16);
            put_sum(block, BLOCK, (uint64_t)copy * BLOCK, 152);
        }
        mr_sim_disk *disk = make_disk(w);
        rig *r = rig_create_small(disk, 4);
        assert_int_equal(rig_open(r), MR_ERR_REFUSED);
        if (strstr(r->diag.text, names[i]) == NULL) {
            fail_msg("%zu: %s", i, r->diag.text);
        }
        rig_free(r);
        mr_sim_disk_destroy(disk);
        free(w);
    }
}

/* ---- Every byte of a block of every kind ---- */

enum { DENSE_BYTES = 640, SPARSE_STEP = 7 };

/* Turns a bit in the bytes of one block, each for itself. A byte that is needed and not under a sum
 * would be believed; `is_needed`: every one must be refused by name. Returns how many were. */
static uint32_t turn_bits(mr_sim_disk *disk, const rig *from, const rig_past *committed,
                          const char *path, uint64_t block, bool is_needed)
{
    uint32_t refused = 0;

    for (uint32_t at = 0; at < BLOCK; at += at < DENSE_BYTES ? 1 : SPARSE_STEP) {
        mr_sim_disk *copy = mr_sim_disk_clone(disk, at);
        uint64_t size = 0;
        mr_sim_disk_file(copy, path, &size)[block + at] ^= (uint8_t)(1u << (at % 8));
        rig *r = rig_create_small(copy, 1);
        r->options = from->options;
        const bool is_open = rig_open(r) == MR_OK && rig_roll(r, committed) == MR_OK;
        if (is_open) {
            rig_check(r, &committed->model);
            if (is_needed) {
                fail_msg("%s@%llu: a turned bit is not noticed", path,
                         (unsigned long long)(block + at));
            }
        } else {
            assert_non_null(strstr(r->diag.text, "E_STATE_"));
            refused++;
        }
        rig_free(r);
        mr_sim_disk_destroy(copy);
    }
    return refused;
}

/* The newest delta behind the base that lies in one piece of the file; its header's block. */
static uint64_t find_delta(mr_sim_disk *disk, uint64_t above, uint64_t *total)
{
    uint64_t size = 0;
    uint64_t found = 0;
    uint64_t newest = above;
    const uint8_t *wal = mr_sim_disk_file(disk, "dir/shard-0.wal", &size);

    for (uint64_t at = 0; at < size; at += BLOCK) {
        if (memcmp(wal + at, "MRDELTA1", 8) != 0) {
            continue;
        }
        const uint64_t epoch = number_at(disk, "dir/shard-0.wal", at + 40, 8);
        const uint64_t bytes = number_at(disk, "dir/shard-0.wal", at + 88, 8);
        if (epoch > newest && bytes >= UINT64_C(3) * BLOCK && at + bytes <= size &&
            memcmp(wal + at + bytes - BLOCK, "MRSEAL01", 8) == 0 &&
            at / PART == (at + bytes - BLOCK) / PART) {
            newest = epoch;
            found = at;
            *total = bytes;
        }
    }
    assert_true(found > 0);
    return found;
}

static void test_every_byte_is_under_a_sum(void **state)
{
    static const char wal[] = "dir/shard-0.wal";
    static const char data[] = "dir/shard-0.data";
    mr_sim_disk *disk = mr_sim_disk_create(3);
    const rig_past *committed = NULL;
    rig *r = rig_with_base(disk, &committed);
    uint64_t total = 0;

    (void)state;
    for (uint32_t i = 0; i < 6; i++) { /* Epochs behind the base. */
        if (i == 0) {
            assert_int_equal(rig_open(r), MR_OK);
            assert_int_equal(rig_roll(r, committed), MR_OK);
        }
        rig_work(r, 6);
        rig_decide(r, rig_commit(r), &committed);
    }
    rig_close(r);
    const uint64_t first = number_at(disk, data, 40, 8);
    const uint64_t second = number_at(disk, data, 2 * BLOCK + 40, 8);
    const uint64_t super = first > second ? 0 : 2 * BLOCK;
    const uint64_t manifest = number_at(disk, data, super + 112, 8) * BLOCK;
    const uint64_t stream = number_at(disk, data, manifest + 32, 8);
    const uint64_t delta = find_delta(disk, number_at(disk, data, super + 72, 8), &total);

    (void)turn_bits(disk, r, committed, wal, delta, true);
    (void)turn_bits(disk, r, committed, wal, delta + BLOCK, true);
    (void)turn_bits(disk, r, committed, wal, delta + total - BLOCK, true);
    (void)turn_bits(disk, r, committed, wal, delta / PART * PART, true); /* Its part's block. */
    (void)turn_bits(disk, r, committed, data, manifest, true);
    (void)turn_bits(disk, r, committed, data, stream, true);
    /* The other copy of the pair has the same. */
    assert_int_equal(turn_bits(disk, r, committed, data, super, false), 0);
    assert_int_equal(turn_bits(disk, r, committed, data, super + BLOCK, false), 0);
    rig_free(r);
    mr_sim_disk_destroy(disk);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_directory_of_1_0_is_read_as_it_is),
        cmocka_unit_test(test_a_section_of_another_task_is_damage),
        cmocka_unit_test(test_the_first_base_makes_it_this_format),
        cmocka_unit_test(test_inspection_reads_1_0),
        cmocka_unit_test(test_what_a_store_without_a_base_cannot_say),
        cmocka_unit_test(test_every_byte_is_under_a_sum),
    };

    rig_keep_memory();
    return cmocka_run_group_tests(tests, NULL, NULL);
}

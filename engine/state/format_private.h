/*
 * format_private.h - every stored struct, as FORMAT.md describes it. Little-endian; the machines we
 * run on are too, which a static assertion holds. Thread: any.
 */
#ifndef MR_STATE_FORMAT_PRIVATE_H
#define MR_STATE_FORMAT_PRIVATE_H

#include <millrace/version.h>
#include <stdint.h>

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "stored numbers are used in place");

enum {
    MR_BLOCK_BYTES = 4096,
    MR_CHUNK_BYTES = 1 << 20,
    MR_FORMAT_MAJOR = MR_STATE_FORMAT_MAJOR,
    MR_FORMAT_MINOR = MR_STATE_FORMAT_MINOR,
    MR_FEATURE_BASE = 1, /* Incompatible bit: a base is installed, log parts stand anywhere. */
    MR_FEATURES_KNOWN = MR_FEATURE_BASE,
    MR_FEATURE_NAMED = 2, /* Of a delta: tables and inputs are numbered by their names. */
    MR_DELTA_BYTES_MAX = 256 << 20,
    MR_SUPERBLOCK_COPIES = 4, /* Odd sequences use 0 and 1, even ones 2 and 3. */
    MR_SECTION_RECORDS = 1,
    MR_RECORD_TOMBSTONE = 1
};

typedef struct mr_superblock {   /* A 4-KiB block; zero behind. */
    uint8_t magic[8];            /*   0  "MRSUPER1"                                         */
    uint16_t major, minor;       /*   8                                                     */
    uint32_t shard;              /*  12                                                     */
    uint8_t store[16];           /*  16  uuid                                               */
    uint64_t hash_seed;          /*  32                                                     */
    uint64_t sequence;           /*  40  1, 2, ...; the highest valid one counts            */
    uint32_t copy;               /*  48  its slot                                           */
    uint32_t compatible;         /*  52  unknown bit: ignore                                */
    uint32_t incompatible;       /*  56  unknown bit: refuse                                */
    uint32_t part_bytes;         /*  60  of a WAL part                                      */
    uint64_t base_from, base_to; /* 64 epochs of the base, equal in this release; 0: none  */
    uint64_t acked;              /*  80                                                     */
    uint64_t wal_position;       /*  88  where replay begins                                */
    uint8_t wal_previous[16];    /*  96  seal checksum of the delta before it; 0: none      */
    uint64_t manifest_block;     /* 112  0: none                                            */
    uint64_t manifest_bytes;     /* 120                                                     */
    uint8_t manifest_sum[16];    /* 128                                                     */
    uint32_t extent_count;       /* 144                                                     */
    uint32_t task_count;         /* 148                                                     */
    uint8_t checksum[16];        /* 152  XXH3-128 of the block, this field zero             */
} mr_superblock;

typedef struct mr_wal_part { /* first block of every part, belongs to no delta          */
    uint8_t magic[8];        /*   0  "MRWALP01"                                         */
    uint8_t store[16];       /*   8                                                     */
    uint64_t sequence;       /*  24  1, 2, ... in order of use                          */
    uint64_t part_bytes;     /*  32                                                     */
    uint8_t checksum[16];    /*  40  of the 4,096-byte block, this field zero           */
} mr_wal_part;

typedef struct mr_delta_header { /* block 0; tasks, then offsets follow at byte 144     */
    uint8_t magic[8];            /*   0  "MRDELTA1"                                     */
    uint16_t major, minor;       /*   8                                                 */
    uint32_t shard;              /*  12                                                 */
    uint8_t store[16];           /*  16                                                 */
    uint64_t incarnation, epoch; /*  32                                                 */
    uint64_t follows;            /*  48  epoch this one builds on; those between are dead */
    uint64_t acked;              /*  56  newest epoch known committed, a hint           */
    uint8_t previous[16];        /*  64  seal checksum of the delta before it on disk   */
    uint64_t position;           /*  80  WAL position of this block                     */
    uint64_t total_bytes;        /*  88  header to seal inclusive                       */
    uint64_t section_bytes;      /*  96  exact; zero padding to a block follows         */
    uint32_t header_bytes;       /* 104  with tables, padded to blocks                  */
    uint32_t task_count;         /* 108                                                 */
    uint32_t offset_count;       /* 112  sorted by task                                 */
    uint32_t chunk_bytes;        /* 116  1,048,576                                      */
    uint32_t incompatible;       /* 120  unknown bit: refuse                            */
    uint32_t flags;              /* 124  none in this release                           */
    uint8_t checksum[16];        /* 128  XXH3-128 of header_bytes, this field zero      */
} mr_delta_header;

typedef struct mr_delta_task {    /* task_count times                                    */
    uint32_t task, section_count; /*  0                                                 */
    uint64_t lineage;             /*   8                                                 */
    uint64_t previous_epoch;      /*  16  the task's last epoch before this              */
    uint64_t section_from;        /*  24  from the header's first byte; contiguous       */
    uint64_t section_bytes;       /*  32                                                 */
    int64_t watermark_us;         /*  40                                                 */
    uint64_t digest;              /*  48  of entry, offsets and sections; see FORMAT.md  */
    uint64_t reserved;            /*  56                                                 */
} mr_delta_task;

typedef struct mr_delta_offset { /* offset_count times                                  */
    uint32_t task, input, partition;
    uint32_t topic; /* mr_input_offset.topic; 0 before 1.2 */
    int64_t from, to;
} mr_delta_offset;

typedef struct mr_section { /* packed from header_bytes on, 8-byte aligned              */
    uint32_t task, table;   /*  0                                                       */
    uint16_t kind;          /*  8  1 RECORDS                                            */
    uint16_t flags;         /* 10                                                       */
    uint32_t count;         /* 12                                                       */
    uint64_t bytes;         /* 16  body, multiple of 8                                  */
    uint64_t layout;        /* 24  mr_table_spec.layout                                 */
} mr_section;

typedef struct mr_delta_record { /* RECORDS: then key, value, pad to 8                  */
    uint32_t value_size;
    uint16_t key_size;
    uint8_t flags, reserved; /* bit 0: tombstone, value_size 0                          */
} mr_delta_record;

typedef struct mr_seal {         /* the last block                                      */
    uint8_t magic[8];            /*  0  "MRSEAL01"                                      */
    uint8_t store[16];           /*  8                                                  */
    uint64_t incarnation, epoch; /* 24                                                  */
    uint64_t total_bytes;        /* 40                                                  */
    uint64_t position;           /* 48  of the header                                   */
    uint32_t chunk_count;        /* 56  at most 256: a delta never exceeds 256 MiB      */
    uint32_t reserved;           /* 60                                                  */
    uint8_t header_checksum[16]; /* 64                                                  */
    uint8_t checksum[16];        /* 80  XXH3-128 of this block, this field zero         */
    uint64_t chunk_sums[500];    /* 96  XXH3-64 of each chunk; the seal block excluded  */
} mr_seal;

typedef struct mr_base_header { /* the manifest of a base; tables of it follow at 80    */
    uint8_t magic[8];           /*   0  "MRBASE01"                                      */
    uint8_t store[16];          /*   8                                                  */
    uint64_t epoch;             /*  24  of which this is the state, exactly             */
    uint64_t stream_from;       /*  32  byte offset of the records in the data file     */
    uint64_t stream_bytes;      /*  40  exact                                           */
    uint64_t record_count;      /*  48                                                  */
    uint32_t chunk_bytes;       /*  56  of each chunk of the stream but the last        */
    uint32_t chunk_count;       /*  60                                                  */
    uint32_t task_count;        /*  64                                                  */
    uint32_t offset_count;      /*  68                                                  */
    uint32_t table_count;       /*  72                                                  */
    uint32_t reserved;          /*  76                                                  */
} mr_base_header;

typedef struct mr_base_task {    /* task_count times: the newest epoch at or below the base */
    uint32_t task, offset_count; /*   0                                                  */
    uint64_t lineage, epoch;     /*   8                                                  */
    uint64_t incarnation;        /*  24                                                  */
    uint64_t digest;             /*  32                                                  */
    int64_t watermark_us;        /*  40                                                  */
} mr_base_task; /* then mr_delta_offset offset_count times, in the order of the tasks */

typedef struct mr_base_table { /* table_count times: where its records stand            */
    uint32_t task, table;      /*   0                                                   */
    uint64_t layout;           /*   8                                                   */
    uint64_t record_count;     /*  16                                                   */
    uint64_t bytes;            /*  24  of mr_delta_records, one table behind the other  */
} mr_base_table;               /* then 16 bytes a chunk: its XXH3-128 */

_Static_assert(sizeof(mr_base_header) == 80 && sizeof(mr_base_task) == 48, "disk");
_Static_assert(sizeof(mr_base_table) == 32, "disk");
_Static_assert(sizeof(mr_superblock) == 168, "disk");
_Static_assert(sizeof(mr_wal_part) == 56, "disk");
_Static_assert(sizeof(mr_delta_header) == 144 && sizeof(mr_delta_task) == 64, "disk");
_Static_assert(sizeof(mr_delta_offset) == 32, "disk");
_Static_assert(sizeof(mr_section) == 32 && sizeof(mr_delta_record) == 8, "disk");
_Static_assert(sizeof(mr_seal) == 4096, "disk");

#endif

/*
 * record_test.c - the metadata record: round trips, and that nothing but itself is read back.
 *
 * LINK: mr_kafka
 */
#include "engine/base/hash.h"
#include "io/kafka/kafka.h"
#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static mr_offset_record sample(void)
{
    return (mr_offset_record){.lineage = 0x0123456789abcdef,
                              .epoch = 0x2a,
                              .state_epoch = 0x29,
                              .incarnation = 0xfedcba9876543210,
                              .digest = 0,
                              .owner = "p0_3.12-7",
                              .topic_id = "000102030405060708090a0b0c0d0e0f"};
}

static void test_text_is_the_documented_one(void **state)
{
    (void)state;
    const mr_offset_record record = sample();
    char text[MR_RECORD_BYTES_MAX + 1];
    char expected[MR_RECORD_BYTES_MAX + 1];
    const char *body = "mr1;l=0123456789abcdef;e=2a;s=29;i=fedcba9876543210;d=0000000000000000;"
                       "w=p0_3.12-7;t=000102030405060708090a0b0c0d0e0f";
    snprintf(expected, sizeof(expected), "%s;c=%08" PRIx32, body,
             mr_hash_crc32c(body, strlen(body)));
    assert_int_equal(mr_offset_record_print(&record, text), strlen(expected));
    assert_string_equal(text, expected);
}

static void test_round_trip(void **state)
{
    (void)state;
    mr_offset_record found;
    char text[MR_RECORD_BYTES_MAX + 1];
    mr_offset_record record = sample();
    for (uint32_t i = 0; i < 63; i++) {
        record.epoch = UINT64_MAX / 2 >> i;
        record.state_epoch = record.epoch / 3;
        record.lineage = UINT64_C(1) << i;
        record.digest = ~record.lineage;
        const uint32_t size = mr_offset_record_print(&record, text);
        assert_int_equal(mr_offset_record_parse(text, size, &found), MR_RECORD_OK);
        assert_int_equal(found.epoch, record.epoch);
        assert_int_equal(found.state_epoch, record.state_epoch);
        assert_int_equal(found.lineage, record.lineage);
        assert_int_equal(found.digest, record.digest);
        assert_int_equal(found.incarnation, record.incarnation);
        assert_string_equal(found.owner, record.owner);
        assert_string_equal(found.topic_id, record.topic_id);
    }
}

static void test_the_longest_fits(void **state)
{
    (void)state;
    mr_offset_record found;
    char text[MR_RECORD_BYTES_MAX + 1];
    mr_offset_record record = sample();
    record.epoch = record.state_epoch = UINT64_MAX / 2;
    memset(record.owner, 'w', 40);
    memcpy(record.owner + 40, "-1234567", 9);
    const uint32_t size = mr_offset_record_print(&record, text);
    assert_true(size <= 195);
    assert_int_equal(mr_offset_record_parse(text, size, &found), MR_RECORD_OK);
}

static void test_every_truncation_is_foreign(void **state)
{
    (void)state;
    mr_offset_record found;
    char text[MR_RECORD_BYTES_MAX + 1];
    const mr_offset_record record = sample();
    const uint32_t size = mr_offset_record_print(&record, text);
    for (uint32_t cut = 0; cut < size; cut++) {
        assert_int_equal(mr_offset_record_parse(text, cut, &found), MR_RECORD_FOREIGN);
    }
    text[size] = ' ';
    assert_int_equal(mr_offset_record_parse(text, size + 1, &found), MR_RECORD_FOREIGN);
}

static void test_every_changed_byte_is_noticed(void **state)
{
    (void)state;
    mr_offset_record found;
    char text[MR_RECORD_BYTES_MAX + 1];
    const mr_offset_record record = sample();
    const uint32_t size = mr_offset_record_print(&record, text);
    for (uint32_t at = 0; at < size; at++) {
        const char kept = text[at];
        for (uint32_t bit = 0; bit < 8; bit++) {
            text[at] = (char)(kept ^ (1 << bit));
            const mr_record_result result = mr_offset_record_parse(text, size, &found);
            /* mr1 may become mr3: then it is a newer one. */
            assert_true(result == MR_RECORD_FOREIGN || (at == 2 && result == MR_RECORD_NEWER));
        }
        text[at] = kept;
    }
}

/* A right checksum does not make a wrong form right. */
static void expect(const char *body, mr_record_result wanted)
{
    mr_offset_record found;
    char text[400];
    snprintf(text, sizeof(text), "%s;c=%08" PRIx32, body, mr_hash_crc32c(body, strlen(body)));
    const mr_record_result result = mr_offset_record_parse(text, (uint32_t)strlen(text), &found);
    if (result != wanted) {
        fail_msg("%s: %d, not %d", body, (int)result, (int)wanted);
    }
}

static void test_form_is_strict(void **state)
{
    (void)state;
#define HEAD "mr1;l=0123456789abcdef;"
#define TAIL ";i=fedcba9876543210;d=0000000000000000;"
#define TOPIC ";t=000102030405060708090a0b0c0d0e0f"
    expect(HEAD "e=2a;s=29" TAIL "w=all-0" TOPIC, MR_RECORD_OK);
    expect(HEAD "e=1;s=0" TAIL "w=all-0" TOPIC, MR_RECORD_OK);
    expect(HEAD "e=0;s=0" TAIL "w=all-0" TOPIC, MR_RECORD_FOREIGN); /* epochs begin at 1 */
    expect(HEAD "e=7fffffffffffffff;s=1" TAIL "w=all-0" TOPIC, MR_RECORD_OK);
    expect(HEAD "e=8000000000000000;s=1" TAIL "w=all-0" TOPIC, MR_RECORD_FOREIGN);
    expect(HEAD "e=2a;s=2b" TAIL "w=all-0" TOPIC, MR_RECORD_FOREIGN);  /* s above e */
    expect(HEAD "e=2A;s=29" TAIL "w=all-0" TOPIC, MR_RECORD_FOREIGN);  /* upper case */
    expect(HEAD "e=02a;s=29" TAIL "w=all-0" TOPIC, MR_RECORD_FOREIGN); /* leading zero */
    expect(HEAD "e=;s=0" TAIL "w=all-0" TOPIC, MR_RECORD_FOREIGN);
    expect(HEAD "s=29;e=2a" TAIL "w=all-0" TOPIC, MR_RECORD_FOREIGN); /* order */
    expect(HEAD "e=11111111111111111;s=0" TAIL "w=all-0" TOPIC, MR_RECORD_FOREIGN);
    expect(HEAD "e=2a;s=29" TAIL "w=all0" TOPIC, MR_RECORD_FOREIGN); /* no shard */
    expect(HEAD "e=2a;s=29" TAIL "w=-0" TOPIC, MR_RECORD_FOREIGN);
    expect(HEAD "e=2a;s=29" TAIL "w=all-" TOPIC, MR_RECORD_FOREIGN);
    expect(HEAD "e=2a;s=29" TAIL "w=all-x" TOPIC, MR_RECORD_FOREIGN);
    expect(HEAD "e=2a;s=29" TAIL "w=a-b-0" TOPIC, MR_RECORD_FOREIGN);
    expect(HEAD "e=2a;s=29" TAIL "w=a b-0" TOPIC, MR_RECORD_FOREIGN);
    expect(HEAD "e=2a;s=29" TAIL "w=aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa-0" TOPIC,
           MR_RECORD_FOREIGN); /* 41 characters */
    expect(HEAD "e=2a;s=29" TAIL "w=all-0;t=000102030405060708090a0b0c0d0e0", MR_RECORD_FOREIGN);
    expect("mr2;what=ever", MR_RECORD_NEWER);
    expect("mr10;what=ever", MR_RECORD_NEWER);
    expect("mr1", MR_RECORD_FOREIGN);
    expect("mrx;l=0", MR_RECORD_FOREIGN);
#undef HEAD
#undef TAIL
#undef TOPIC
}

static void test_what_others_write_is_foreign(void **state)
{
    (void)state;
    mr_offset_record found;
    assert_int_equal(mr_offset_record_parse("", 0, &found), MR_RECORD_FOREIGN);
    assert_int_equal(mr_offset_record_parse("hello", 5, &found), MR_RECORD_FOREIGN);
    assert_int_equal(mr_offset_record_parse("mr", 2, &found), MR_RECORD_FOREIGN);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_text_is_the_documented_one),
        cmocka_unit_test(test_round_trip),
        cmocka_unit_test(test_the_longest_fits),
        cmocka_unit_test(test_every_truncation_is_foreign),
        cmocka_unit_test(test_every_changed_byte_is_noticed),
        cmocka_unit_test(test_form_is_strict),
        cmocka_unit_test(test_what_others_write_is_foreign),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

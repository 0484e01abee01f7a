/*
 * errors_test.c - the table of outcomes: what is repeated, what recovers, what stops by name.
 *
 * LINK: mr_kafka
 */
#include "io/kafka/kafka_private.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

enum { RETRIABLE = 1, FATAL = 2, ABORT = 4 };

static mr_verdict judge(mr_kafka_call call, rd_kafka_resp_err_t code, int flags, bool was_ready)
{
    const mr_fault fault = {.code = code,
                            .is_retriable = (flags & RETRIABLE) != 0,
                            .is_fatal = (flags & FATAL) != 0,
                            .requires_abort = (flags & ABORT) != 0};
    return mr_kafka_judge(call, &fault, was_ready);
}

static void test_retriable_is_the_same_call_again(void **state)
{
    (void)state;
    const mr_kafka_call calls[] = {MR_CALL_INIT, MR_CALL_OFFSETS, MR_CALL_COMMIT, MR_CALL_READ};
    for (size_t i = 0; i < MR_LENGTH(calls); i++) {
        const mr_verdict verdict =
            judge(calls[i], RD_KAFKA_RESP_ERR_CONCURRENT_TRANSACTIONS, RETRIABLE, true);
        assert_int_equal(mr_status_class(verdict.status), MR_CLASS_RETRY);
        assert_int_equal(
            mr_status_class(judge(calls[i], RD_KAFKA_RESP_ERR__TIMED_OUT, 0, true).status),
            MR_CLASS_RETRY);
    }
}

static void test_fatal_is_never_repeated(void **state)
{
    (void)state;
    for (int call = MR_CALL_INIT; call <= MR_CALL_EVENT; call++) {
        const mr_verdict verdict =
            judge((mr_kafka_call)call, RD_KAFKA_RESP_ERR__TRANSPORT, RETRIABLE | FATAL, true);
        assert_int_equal(mr_status_class(verdict.status), MR_CLASS_ABORT_EPOCH);
    }
}

static void test_a_commit_without_flags_is_unknown(void **state)
{
    (void)state;
    const rd_kafka_resp_err_t codes[] = {RD_KAFKA_RESP_ERR__TRANSPORT, RD_KAFKA_RESP_ERR__STATE,
                                         RD_KAFKA_RESP_ERR__FENCED,
                                         RD_KAFKA_RESP_ERR_INVALID_TXN_STATE};
    for (size_t i = 0; i < MR_LENGTH(codes); i++) {
        assert_int_equal(judge(MR_CALL_COMMIT, codes[i], 0, true).status, MR_ERR_OUTCOME_UNKNOWN);
    }
    assert_int_equal(judge(MR_CALL_COMMIT, RD_KAFKA_RESP_ERR__INCONSISTENT, ABORT, true).status,
                     MR_ERR_TXN_ABORTED);
}

static void test_codes_librdkafka_would_repeat(void **state)
{
    (void)state;
    const rd_kafka_resp_err_t codes[] = {RD_KAFKA_RESP_ERR_INVALID_PRODUCER_ID_MAPPING,
                                         RD_KAFKA_RESP_ERR_UNKNOWN_PRODUCER_ID,
                                         RD_KAFKA_RESP_ERR_INVALID_TXN_STATE};
    for (size_t i = 0; i < MR_LENGTH(codes); i++) {
        assert_int_equal(judge(MR_CALL_OFFSETS, codes[i], RETRIABLE, true).status,
                         MR_ERR_TXN_ABORTED);
    }
}

static void test_fences_are_marked(void **state)
{
    (void)state;
    const rd_kafka_resp_err_t codes[] = {RD_KAFKA_RESP_ERR__FENCED,
                                         RD_KAFKA_RESP_ERR_PRODUCER_FENCED,
                                         RD_KAFKA_RESP_ERR_INVALID_PRODUCER_EPOCH};
    for (size_t i = 0; i < MR_LENGTH(codes); i++) {
        for (int call = MR_CALL_INIT; call <= MR_CALL_EVENT; call++) {
            const mr_verdict verdict = judge((mr_kafka_call)call, codes[i], FATAL, true);
            assert_true(verdict.is_fence);
            assert_int_equal(mr_status_class(verdict.status), MR_CLASS_ABORT_EPOCH);
        }
    }
}

static void test_rights_are_fatal_at_first_only(void **state)
{
    (void)state;
    const rd_kafka_resp_err_t code = RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED;
    mr_verdict verdict = judge(MR_CALL_READ, code, 0, false);
    assert_int_equal(verdict.status, MR_ERR_REFUSED);
    assert_string_equal(verdict.name, "E_AUTHORIZATION");
    verdict = judge(MR_CALL_READ, code, 0, true);
    assert_int_equal(mr_status_class(verdict.status), MR_CLASS_ABORT_EPOCH);
    const rd_kafka_resp_err_t wrong[] = {RD_KAFKA_RESP_ERR__AUTHENTICATION,
                                         RD_KAFKA_RESP_ERR_SASL_AUTHENTICATION_FAILED};
    for (size_t i = 0; i < MR_LENGTH(wrong); i++) {
        verdict = judge(MR_CALL_EVENT, wrong[i], 0, false);
        assert_int_equal(verdict.status, MR_ERR_REFUSED);
        assert_string_equal(verdict.name, "E_AUTHENTICATION");
        verdict = judge(MR_CALL_EVENT, wrong[i], 0, true);
        assert_int_equal(mr_status_class(verdict.status), MR_CLASS_ABORT_EPOCH);
    }
}

/* A broker that goes away in a handshake is away, as one that closes a connection. */
static void test_a_failed_handshake_is_absence(void **state)
{
    (void)state;
    assert_int_equal(judge(MR_CALL_EVENT, RD_KAFKA_RESP_ERR__SSL, 0, true).status, MR_OK);
    assert_int_equal(mr_status_class(judge(MR_CALL_READ, RD_KAFKA_RESP_ERR__SSL, 0, false).status),
                     MR_CLASS_RETRY);
}

static void test_names(void **state)
{
    (void)state;
    mr_verdict verdict =
        judge(MR_CALL_INIT, RD_KAFKA_RESP_ERR_INVALID_TRANSACTION_TIMEOUT, FATAL, false);
    assert_int_equal(mr_status_class(verdict.status), MR_CLASS_USER);
    assert_string_equal(verdict.name, "E_TXN_TIMEOUT");
    verdict = judge(MR_CALL_OFFSETS, RD_KAFKA_RESP_ERR_OFFSET_METADATA_TOO_LARGE, ABORT, true);
    assert_int_equal(mr_status_class(verdict.status), MR_CLASS_USER);
    assert_string_equal(verdict.name, "E_RECORD_TOO_LARGE");
    verdict = judge(MR_CALL_PRODUCE, RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE, 0, true);
    assert_int_equal(mr_status_class(verdict.status), MR_CLASS_FATAL);
    assert_string_equal(verdict.name, "E_OUTPUT_TOO_LARGE");
    assert_int_equal(judge(MR_CALL_PRODUCE, RD_KAFKA_RESP_ERR__QUEUE_FULL, 0, true).status,
                     MR_ERR_FULL);
}

static void test_an_absent_broker_is_no_failure_of_reading(void **state)
{
    (void)state;
    assert_int_equal(judge(MR_CALL_CONSUME, RD_KAFKA_RESP_ERR__TRANSPORT, 0, true).status, MR_OK);
    assert_int_equal(judge(MR_CALL_EVENT, RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN, 0, true).status,
                     MR_OK);
    /* But what may hide a gap is one. */
    const rd_kafka_resp_err_t codes[] = {
        RD_KAFKA_RESP_ERR__BAD_MSG, RD_KAFKA_RESP_ERR__AUTO_OFFSET_RESET,
        RD_KAFKA_RESP_ERR_OFFSET_OUT_OF_RANGE, RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART,
        RD_KAFKA_RESP_ERR__UNKNOWN_PARTITION};
    for (size_t i = 0; i < MR_LENGTH(codes); i++) {
        assert_int_equal(judge(MR_CALL_CONSUME, codes[i], 0, true).status, MR_ERR_TXN_ABORTED);
    }
}

static void test_a_failed_delivery_is_a_failure(void **state)
{
    (void)state;
    const rd_kafka_resp_err_t codes[] = {
        RD_KAFKA_RESP_ERR__MSG_TIMED_OUT, RD_KAFKA_RESP_ERR__TRANSPORT,
        RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE, RD_KAFKA_RESP_ERR_NOT_ENOUGH_REPLICAS};
    for (size_t i = 0; i < MR_LENGTH(codes); i++) {
        assert_int_equal(judge(MR_CALL_DELIVERY, codes[i], 0, true).status, MR_ERR_TXN_ABORTED);
    }
}

static void test_the_story_has_cause_and_remedy(void **state)
{
    (void)state;
    mr_diag diag;
    const mr_fault fault = {.code = RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED};
    const mr_verdict verdict = mr_kafka_judge(MR_CALL_READ, &fault, false);
    assert_int_equal(mr_verdict_tell(&verdict, &fault, "topic t", "denied", &diag), MR_ERR_REFUSED);
    assert_int_equal(diag.status, MR_ERR_REFUSED);
    assert_non_null(strstr(diag.text, "E_AUTHORIZATION: topic t: denied (TOPIC_AUTHORIZATION_"));
    assert_non_null(strstr(diag.text, "; grant this user"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_retriable_is_the_same_call_again),
        cmocka_unit_test(test_fatal_is_never_repeated),
        cmocka_unit_test(test_a_commit_without_flags_is_unknown),
        cmocka_unit_test(test_codes_librdkafka_would_repeat),
        cmocka_unit_test(test_fences_are_marked),
        cmocka_unit_test(test_rights_are_fatal_at_first_only),
        cmocka_unit_test(test_a_failed_handshake_is_absence),
        cmocka_unit_test(test_names),
        cmocka_unit_test(test_an_absent_broker_is_no_failure_of_reading),
        cmocka_unit_test(test_a_failed_delivery_is_a_failure),
        cmocka_unit_test(test_the_story_has_cause_and_remedy),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

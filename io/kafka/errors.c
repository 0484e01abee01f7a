/*
 * errors.c - librdkafka's flags and codes become a class of ours, in one function.
 *
 * The rule: retriable is the same call again; everything else is a recovery, because a dead
 * producer is replaced, never mended. Around the end of a transaction a failure is an unknown
 * outcome, never "aborted". Only what would come back after every recovery is fatal, and then by
 * name. The table is section 7 of docs/exactly-once.md. Thread: any.
 */
#include "io/kafka/kafka_private.h"

static bool is_fence(rd_kafka_resp_err_t code);
static bool is_authorization(rd_kafka_resp_err_t code);
static bool is_authentication(rd_kafka_resp_err_t code);
static bool is_dead_producer(rd_kafka_resp_err_t code);
static bool is_retried(mr_kafka_call call, const mr_fault *fault);
static mr_verdict judge_named(mr_kafka_call call, rd_kafka_resp_err_t code);

mr_fault mr_fault_of(const rd_kafka_error_t *error)
{
    MR_ASSERT(error != NULL);
    return (mr_fault){.code = rd_kafka_error_code(error),
                      .is_fatal = rd_kafka_error_is_fatal(error) != 0,
                      .is_retriable = rd_kafka_error_is_retriable(error) != 0,
                      .requires_abort = rd_kafka_error_txn_requires_abort(error) != 0};
}

mr_fault mr_fault_of_code(rd_kafka_resp_err_t code)
{
    return (mr_fault){.code = code, .is_fatal = code == RD_KAFKA_RESP_ERR__FATAL};
}

mr_verdict mr_kafka_judge(mr_kafka_call call, const mr_fault *fault, bool was_ready)
{
    if (fault->code == RD_KAFKA_RESP_ERR_NO_ERROR) {
        return (mr_verdict){.status = MR_OK};
    }
    mr_verdict verdict = judge_named(call, fault->code);
    if (verdict.status != MR_OK) {
        return verdict;
    }
    if (is_authentication(fault->code)) {
        verdict = (mr_verdict){.status = was_ready ? MR_ERR_TXN_ABORTED : MR_ERR_REFUSED,
                               .name = "E_AUTHENTICATION",
                               .remedy = "look at kafka.sasl: mechanism, username, and what the "
                                         "secret of the password holds"};
        return verdict;
    }
    if (is_authorization(fault->code)) {
        verdict = (mr_verdict){.status = was_ready ? MR_ERR_TXN_ABORTED : MR_ERR_REFUSED,
                               .name = "E_AUTHORIZATION",
                               .remedy = "grant this user read on the inputs and the group, write "
                                         "on the outputs and the transactional id"};
        return verdict;
    }
    if (is_fence(fault->code)) {
        return (mr_verdict){.status = call == MR_CALL_COMMIT ? MR_ERR_OUTCOME_UNKNOWN
                                                             : MR_ERR_TXN_ABORTED,
                            .is_fence = true};
    }
    if (!fault->is_fatal && !is_dead_producer(fault->code) && is_retried(call, fault)) {
        return (mr_verdict){.status = MR_ERR_UNREACHABLE};
    }
    if ((call == MR_CALL_CONSUME || call == MR_CALL_EVENT) && !fault->is_fatal &&
        mr_kafka_is_absence(fault->code)) {
        return (mr_verdict){.status = MR_OK};
    }
    if (call == MR_CALL_COMMIT && !fault->requires_abort) {
        return (mr_verdict){.status = MR_ERR_OUTCOME_UNKNOWN};
    }
    return (mr_verdict){.status = MR_ERR_TXN_ABORTED};
}

mr_status mr_verdict_tell(const mr_verdict *verdict, const mr_fault *fault, const char *what,
                          const char *words, mr_diag *diag)
{
    MR_ASSERT(verdict->status != MR_OK);
    return mr_diag_set(
        diag, verdict->status, 0, "%s%s%s: %s (%s)%s%s", verdict->name != NULL ? verdict->name : "",
        verdict->name != NULL ? ": " : "", what, words, rd_kafka_err2name(fault->code),
        verdict->remedy != NULL ? "; " : "", verdict->remedy != NULL ? verdict->remedy : "");
}

bool mr_kafka_is_absence(rd_kafka_resp_err_t code)
{
    switch (code) {
    case RD_KAFKA_RESP_ERR__TRANSPORT:
    case RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN:
    case RD_KAFKA_RESP_ERR__RESOLVE:
    case RD_KAFKA_RESP_ERR__SSL: /* A broker that goes away in a handshake looks the same. */
    case RD_KAFKA_RESP_ERR__TIMED_OUT:
    case RD_KAFKA_RESP_ERR__TIMED_OUT_QUEUE:
    case RD_KAFKA_RESP_ERR__WAIT_COORD:
    case RD_KAFKA_RESP_ERR__WAIT_CACHE:
    case RD_KAFKA_RESP_ERR__IN_PROGRESS:
    case RD_KAFKA_RESP_ERR__NODE_UPDATE:
    case RD_KAFKA_RESP_ERR_REQUEST_TIMED_OUT:
    case RD_KAFKA_RESP_ERR_COORDINATOR_NOT_AVAILABLE:
    case RD_KAFKA_RESP_ERR_COORDINATOR_LOAD_IN_PROGRESS:
    case RD_KAFKA_RESP_ERR_NOT_COORDINATOR:
    case RD_KAFKA_RESP_ERR_LEADER_NOT_AVAILABLE:
    case RD_KAFKA_RESP_ERR_NOT_LEADER_FOR_PARTITION:
    case RD_KAFKA_RESP_ERR_BROKER_NOT_AVAILABLE:
    case RD_KAFKA_RESP_ERR_REPLICA_NOT_AVAILABLE:
    case RD_KAFKA_RESP_ERR_NETWORK_EXCEPTION:
    case RD_KAFKA_RESP_ERR_FENCED_LEADER_EPOCH:
    case RD_KAFKA_RESP_ERR_UNKNOWN_LEADER_EPOCH:
    case RD_KAFKA_RESP_ERR_OFFSET_NOT_AVAILABLE:
    case RD_KAFKA_RESP_ERR_UNSTABLE_OFFSET_COMMIT:
    case RD_KAFKA_RESP_ERR_KAFKA_STORAGE_ERROR:
        return true;
    default:
        return false;
    }
}

/* ---- Helpers ---- */

/* Codes whose meaning depends on the call alone, whatever the flags say. */
static mr_verdict judge_named(mr_kafka_call call, rd_kafka_resp_err_t code)
{
    if (call == MR_CALL_INIT && code == RD_KAFKA_RESP_ERR_INVALID_TRANSACTION_TIMEOUT) {
        return (mr_verdict){.status = MR_ERR_CONFIG,
                            .name = "E_TXN_TIMEOUT",
                            .remedy = "commit.transaction_timeout is above the brokers' "
                                      "transaction.max.timeout.ms: lower the one or raise the "
                                      "other"};
    }
    if (call == MR_CALL_OFFSETS && code == RD_KAFKA_RESP_ERR_OFFSET_METADATA_TOO_LARGE) {
        return (mr_verdict){.status = MR_ERR_CONFIG,
                            .name = "E_RECORD_TOO_LARGE",
                            .remedy = "raise the brokers' offset.metadata.max.bytes to 200 or "
                                      "more"};
    }
    if (call == MR_CALL_PRODUCE && code == RD_KAFKA_RESP_ERR__QUEUE_FULL) {
        return (mr_verdict){.status = MR_ERR_FULL};
    }
    if (call == MR_CALL_PRODUCE && code == RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE) {
        return (mr_verdict){.status = MR_ERR_LIMIT,
                            .name = "E_OUTPUT_TOO_LARGE",
                            .remedy = "raise max.message.bytes of the output topic"};
    }
    return (mr_verdict){.status = MR_OK};
}

static bool is_fence(rd_kafka_resp_err_t code)
{
    return code == RD_KAFKA_RESP_ERR__FENCED || code == RD_KAFKA_RESP_ERR_PRODUCER_FENCED ||
           code == RD_KAFKA_RESP_ERR_INVALID_PRODUCER_EPOCH ||
           code == RD_KAFKA_RESP_ERR_FENCED_INSTANCE_ID;
}

static bool is_authorization(rd_kafka_resp_err_t code)
{
    switch (code) {
    case RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED:
    case RD_KAFKA_RESP_ERR_GROUP_AUTHORIZATION_FAILED:
    case RD_KAFKA_RESP_ERR_CLUSTER_AUTHORIZATION_FAILED:
    case RD_KAFKA_RESP_ERR_TRANSACTIONAL_ID_AUTHORIZATION_FAILED:
        return true;
    default:
        return false;
    }
}

static bool is_authentication(rd_kafka_resp_err_t code)
{
    return code == RD_KAFKA_RESP_ERR_SASL_AUTHENTICATION_FAILED ||
           code == RD_KAFKA_RESP_ERR__AUTHENTICATION;
}

/* Codes with which librdkafka would go on by itself, and should not. */
static bool is_dead_producer(rd_kafka_resp_err_t code)
{
    return code == RD_KAFKA_RESP_ERR_INVALID_PRODUCER_ID_MAPPING ||
           code == RD_KAFKA_RESP_ERR_UNKNOWN_PRODUCER_ID ||
           code == RD_KAFKA_RESP_ERR_INVALID_TXN_STATE;
}

static bool is_retried(mr_kafka_call call, const mr_fault *fault)
{
    switch (call) {
    case MR_CALL_INIT:
    case MR_CALL_READ:
        return fault->is_retriable || mr_kafka_is_absence(fault->code) ||
               fault->code == RD_KAFKA_RESP_ERR_CONCURRENT_TRANSACTIONS;
    case MR_CALL_OFFSETS:
    case MR_CALL_COMMIT:
        return !fault->requires_abort &&
               (fault->is_retriable || fault->code == RD_KAFKA_RESP_ERR__TIMED_OUT);
    case MR_CALL_BEGIN:
    case MR_CALL_PRODUCE:
    case MR_CALL_DELIVERY:
    case MR_CALL_CONSUME:
    case MR_CALL_EVENT:
        return false;
    }
    return false;
}

/*
 * taint.c - notices when a request of a transaction failed although the transaction went well.
 *
 * To every broker we are a client of the old transaction protocol: a request that was given up may
 * still arrive, in the middle of the next transaction of the same producer epoch, and end it half
 * done (KAFKA-17754). librdkafka retries in silence; only an interceptor shows it. So a failed
 * response of the five transaction requests taints the slot, and a tainted slot is renewed after
 * its commit: the new producer epoch gets the stray refused. Threads: librdkafka's broker threads;
 * nothing of librdkafka may be called here.
 */
#include "io/kafka/kafka_private.h"
#include <stdlib.h>
#include <string.h>

enum { /* ApiKeys of the Kafka protocol. */
       API_PRODUCE = 0,
       API_ADD_PARTITIONS_TO_TXN = 24,
       API_ADD_OFFSETS_TO_TXN = 25,
       API_END_TXN = 26,
       API_TXN_OFFSET_COMMIT = 28
};

static rd_kafka_resp_err_t on_new(rd_kafka_t *rk, const rd_kafka_conf_t *conf, void *opaque,
                                  char *words, size_t words_size);
static rd_kafka_resp_err_t on_response(rd_kafka_t *rk, int socket, const char *broker,
                                       int32_t broker_id, int16_t api_key, int16_t api_version,
                                       int32_t correlation_id, size_t size, int64_t rtt_us,
                                       rd_kafka_resp_err_t code, void *opaque);
#if MR_CRASH_POINTS
static rd_kafka_resp_err_t on_request(rd_kafka_t *rk, int socket, const char *broker,
                                      int32_t broker_id, int16_t api_key, int16_t api_version,
                                      int32_t correlation_id, size_t size, void *opaque);
#endif

rd_kafka_resp_err_t mr_taint_install(rd_kafka_conf_t *conf, _Atomic bool *taint)
{
    MR_ASSERT(taint != NULL);
    return rd_kafka_conf_interceptor_add_on_new(conf, "millrace", on_new, taint);
}

static rd_kafka_resp_err_t on_new(rd_kafka_t *rk, const rd_kafka_conf_t *conf, void *opaque,
                                  char *words, size_t words_size)
{
    (void)conf;
    (void)words;
    (void)words_size;
#if MR_CRASH_POINTS
    const rd_kafka_resp_err_t code =
        rd_kafka_interceptor_add_on_request_sent(rk, "millrace", on_request, opaque);
    if (code != RD_KAFKA_RESP_ERR_NO_ERROR) {
        return code;
    }
    const char *bug = getenv("MR_BUG");
    if (bug != NULL && strcmp(bug, "no_taint") == 0) {
        return RD_KAFKA_RESP_ERR_NO_ERROR; /* A test shows what the rule is for. */
    }
#endif
    return rd_kafka_interceptor_add_on_response_received(rk, "millrace", on_response, opaque);
}

static rd_kafka_resp_err_t on_response(rd_kafka_t *rk, int socket, const char *broker,
                                       int32_t broker_id, int16_t api_key, int16_t api_version,
                                       int32_t correlation_id, size_t size, int64_t rtt_us,
                                       rd_kafka_resp_err_t code, void *opaque)
{
    _Atomic bool *taint = opaque;

    (void)rk;
    (void)socket;
    (void)broker;
    (void)broker_id;
    (void)api_version;
    (void)correlation_id;
    (void)size;
    (void)rtt_us;
    if (code == RD_KAFKA_RESP_ERR_NO_ERROR) {
        return RD_KAFKA_RESP_ERR_NO_ERROR;
    }
    switch (api_key) {
    case API_PRODUCE:
    case API_ADD_PARTITIONS_TO_TXN:
    case API_ADD_OFFSETS_TO_TXN:
    case API_END_TXN:
    case API_TXN_OFFSET_COMMIT:
        atomic_store_explicit(taint, true, memory_order_release);
        break;
    default:
        break;
    }
    return RD_KAFKA_RESP_ERR_NO_ERROR;
}

#if MR_CRASH_POINTS
static rd_kafka_resp_err_t on_request(rd_kafka_t *rk, int socket, const char *broker,
                                      int32_t broker_id, int16_t api_key, int16_t api_version,
                                      int32_t correlation_id, size_t size, void *opaque)
{
    (void)rk;
    (void)socket;
    (void)broker;
    (void)broker_id;
    (void)api_version;
    (void)correlation_id;
    (void)size;
    (void)opaque;
    if (api_key == API_END_TXN) {
        mr_crash_pass(MR_K8);
    }
    return RD_KAFKA_RESP_ERR_NO_ERROR;
}
#endif

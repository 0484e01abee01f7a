/*
 * settings.c - what a document says beside its items: delivery, commit, state, memory. Defaults are
 * those of the language.
 */
#include "engine/base/assert.h"
#include "engine/base/decimal.h"
#include "engine/topology/topology_private.h"
#include <stdio.h>
#include <string.h>

enum {
    INTERVAL_US_MAX = 60000000,
    TRANSACTION_TIMEOUT_US_MIN = 10000000,
    TRANSACTION_TIMEOUT_US_MAX = 900000000, /* The brokers' default limit. */
    DIRTY_STATE_BYTES_MAX = 56 << 20,
    CHECKPOINT_US = 300000000,
    CHECKPOINT_US_MIN = 1000000,
    VALUE_BYTES_MAX = 1 << 20
};

#define CHECKPOINT_US_MAX (INT64_C(86400) * 1000000)

static void read_delivery(mr_load *load);
static void read_commit(mr_load *load);
static void read_commit_times(mr_load *load, const mr_yaml *map);
static void read_state(mr_load *load);
static void read_memory(mr_load *load);
static void read_share(mr_load *load, const mr_yaml *node, const char *what, mr_plan_size *size);
static void test_size(mr_load *load, const mr_yaml *node, const char *what, uint64_t least,
                      uint64_t most, uint64_t *bytes);

void mr_settings_read(mr_load *load)
{
    MR_ASSERT(load->root != NULL && load->plan != NULL);
    mr_kafka_read(load);
    read_delivery(load);
    read_commit(load);
    read_state(load);
    read_memory(load);
}

const mr_yaml *mr_settings_section(mr_load *load, const char *name, const mr_key_rule *rules,
                                   uint32_t rule_count)
{
    const mr_yaml *map = mr_yaml_get(load->root, name);

    if (map == NULL || !mr_value_is_map(load, map, name)) {
        return NULL;
    }
    const mr_key_set set = {.what = mr_load_print(load, "\"%s\"", name),
                            .rules = rules,
                            .rule_count = rule_count,
                            .place = map->place};
    mr_keys_test(load, map, &set);
    return map;
}

static void read_delivery(mr_load *load)
{
    const mr_yaml *node = mr_yaml_get(load->root, "delivery");
    uint32_t choice = 0;

    load->plan->delivery = MR_EXACTLY_ONCE;
    if (node != NULL &&
        mr_value_choice(load, node, "delivery", "exactly_once|at_least_once", NULL, &choice)) {
        load->plan->delivery = choice == 0 ? MR_EXACTLY_ONCE : MR_AT_LEAST_ONCE;
        load->delivery_given = true;
    }
}

static void read_commit(mr_load *load)
{
    static const mr_key_rule rules[] = {
        {"interval", NULL, 0}, {"dirty_state", NULL, 0},         {"output", NULL, 0},
        {"records", NULL, 0},  {"transaction_timeout", NULL, 0}, {"slots", NULL, 0},
    };
    const mr_yaml *map = mr_settings_section(load, "commit", rules, MR_LENGTH(rules));
    mr_plan *plan = load->plan;
    const mr_yaml *node;
    uint64_t slots = 1;

    plan->commit.dirty_state_bytes = (uint64_t)8 << 20;
    plan->commit.output_bytes = (uint64_t)32 << 20;
    plan->commit.records = 200000;
    read_commit_times(load, map);
    node = mr_yaml_get(map, "dirty_state");
    test_size(load, node, "commit.dirty_state", 4096, DIRTY_STATE_BYTES_MAX,
              &plan->commit.dirty_state_bytes);
    node = mr_yaml_get(map, "output");
    test_size(load, node, "commit.output", 4096, (uint64_t)1 << 40, &plan->commit.output_bytes);
    plan->commit.output_given = node != NULL;
    node = mr_yaml_get(map, "records");
    if (node != NULL) {
        (void)mr_value_count(load, node, "commit.records", 1, UINT32_MAX, &plan->commit.records);
    }
    node = mr_yaml_get(map, "slots");
    if (node != NULL && mr_value_count(load, node, "commit.slots", 1, 2, &slots) && slots != 1) {
        mr_load_error(load, node->place, 109, "leave it out, or write `slots: 1`",
                      "commit.slots 2 is known, but not part of this release");
    }
}

static void read_commit_times(mr_load *load, const mr_yaml *map)
{
    mr_plan *plan = load->plan;
    const mr_yaml *interval = mr_yaml_get(map, "interval");
    const mr_yaml *timeout = mr_yaml_get(map, "transaction_timeout");
    int64_t value_us;

    plan->commit.interval_us = 100000;
    if (interval != NULL && mr_value_duration(load, interval, "commit.interval", &value_us)) {
        if (value_us < 1000 || value_us > INTERVAL_US_MAX) {
            mr_load_error(load, interval->place, 106, NULL,
                          "commit.interval must be from 1ms to 60s");
        } else {
            plan->commit.interval_us = value_us;
        }
    }
    plan->commit.transaction_timeout_us = 5 * plan->commit.interval_us;
    if (plan->commit.transaction_timeout_us < TRANSACTION_TIMEOUT_US_MIN) {
        plan->commit.transaction_timeout_us = TRANSACTION_TIMEOUT_US_MIN;
    }
    if (timeout != NULL &&
        mr_value_duration(load, timeout, "commit.transaction_timeout", &value_us)) {
        if (value_us < 2 * plan->commit.interval_us || value_us < 1000000 ||
            value_us > TRANSACTION_TIMEOUT_US_MAX) {
            mr_load_error(load, timeout->place, 106, NULL,
                          "commit.transaction_timeout must be at least 1s and twice "
                          "commit.interval, and at most 15m");
        } else {
            plan->commit.transaction_timeout_us = value_us;
        }
    }
}

static void read_state(mr_load *load)
{
    static const mr_key_rule rules[] = {
        {"durability", NULL, 0}, {"io", NULL, 0},
        {"checkpoint", NULL, 0}, {"wal_max", NULL, 0},
        {"value_max", NULL, 0},  {"topics", "no internal topics are made", 0},
    };
    const mr_yaml *map = mr_settings_section(load, "state", rules, MR_LENGTH(rules));
    mr_plan *plan = load->plan;
    const mr_yaml *node = mr_yaml_get(map, "durability");
    uint32_t choice = 0;
    int64_t value_us = 0;

    plan->state.io = MR_PLAN_IO_AUTO;
    plan->state.wal_max_bytes = (uint64_t)4 << 30;
    plan->state.checkpoint_us = CHECKPOINT_US;
    plan->state.value_max_bytes = (uint64_t)1 << 20;
    if (node != NULL) {
        (void)mr_value_choice(load, node, "state.durability", "local", "changelog", &choice);
    }
    node = mr_yaml_get(map, "io");
    if (node != NULL &&
        mr_value_choice(load, node, "state.io", "auto|uring|threads", "aio", &choice)) {
        MR_ASSERT(choice <= MR_PLAN_IO_THREADS);
        plan->state.io = (mr_plan_io)choice;
    }
    node = mr_yaml_get(map, "checkpoint");
    if (node != NULL && mr_value_duration(load, node, "state.checkpoint", &value_us)) {
        if (value_us < CHECKPOINT_US_MIN || value_us > CHECKPOINT_US_MAX) {
            mr_load_error(load, node->place, 106, NULL,
                          "state.checkpoint must be at least 1s and at most 24h");
        } else {
            plan->state.checkpoint_us = value_us;
        }
    }
    test_size(load, mr_yaml_get(map, "wal_max"), "state.wal_max", (uint64_t)4 << 20,
              (uint64_t)1 << 50, &plan->state.wal_max_bytes);
    test_size(load, mr_yaml_get(map, "value_max"), "state.value_max", 64, VALUE_BYTES_MAX,
              &plan->state.value_max_bytes);
}

static void read_memory(mr_load *load)
{
    static const mr_key_rule rules[] = {{"total", NULL, 0}, {"kafka", NULL, 0}};
    const mr_yaml *map = mr_settings_section(load, "memory", rules, MR_LENGTH(rules));

    load->plan->memory.total.percent = 50;
    load->plan->memory.kafka.percent = 25;
    read_share(load, mr_yaml_get(map, "total"), "memory.total", &load->plan->memory.total);
    read_share(load, mr_yaml_get(map, "kafka"), "memory.kafka", &load->plan->memory.kafka);
}

/* `50%` or a size. */
static void read_share(mr_load *load, const mr_yaml *node, const char *what, mr_plan_size *size)
{
    const char *text;
    int64_t percent = 0;
    uint64_t bytes = 0;

    if (node == NULL || !mr_value_text(load, node, what, &text)) {
        return;
    }
    const size_t length = strlen(text);
    if (length > 1 && text[length - 1] == '%') {
        if (mr_integer_parse(text, length - 1, &percent) != 0 || percent < 1 || percent > 95) {
            mr_load_error(load, node->place, 106, NULL, "%s must be from 1%% to 95%%, not \"%s\"",
                          what, text);
            return;
        }
        *size = (mr_plan_size){.percent = (uint32_t)percent};
        return;
    }
    if (mr_value_size(load, node, what, &bytes)) {
        if (bytes == 0) {
            mr_load_error(load, node->place, 106, NULL, "%s must be above 0", what);
            return;
        }
        *size = (mr_plan_size){.bytes = bytes};
    }
}

const char *mr_size_text(uint64_t bytes, char *text)
{
    static const char *const units[] = {"", "KiB", "MiB", "GiB", "TiB"};
    uint32_t unit = 0;

    while (unit + 1 < MR_LENGTH(units) && bytes > 0 && bytes % 1024 == 0) {
        bytes /= 1024;
        unit++;
    }
    (void)snprintf(text, MR_SIZE_TEXT_MAX, "%llu%s", (unsigned long long)bytes, units[unit]);
    return text;
}

static void test_size(mr_load *load, const mr_yaml *node, const char *what, uint64_t least,
                      uint64_t most, uint64_t *bytes)
{
    char text[2][MR_SIZE_TEXT_MAX];
    uint64_t value = 0;

    if (node == NULL || !mr_value_size(load, node, what, &value)) {
        return;
    }
    if (value < least || value > most) {
        mr_load_error(load, node->place, 106, NULL, "%s must be from %s to %s", what,
                      mr_size_text(least, text[0]), mr_size_text(most, text[1]));
        return;
    }
    *bytes = value;
}

/*
 * topics.c - the Kafka topics of a plan: each once, however many items name it.
 */
#include "engine/base/assert.h"
#include "engine/topology/topology_private.h"
#include <string.h>

enum { TOPIC_BYTES_MAX = 249, PARTITIONS_MAX = 10000, REPLICATION_MAX = 32767 };

static bool topic_valid(const char *name);

bool mr_topic_kafka(mr_load *load, mr_place place, const char *what)
{
    if (load->kafka == NULL) {
        mr_load_error(load, place, 701, "add `kafka: { brokers: [localhost:9092] }`",
                      "%s needs Kafka, and the topology has no \"kafka\"", what);
        return false;
    }
    load->plan->has_kafka = true;
    return true;
}

uint32_t mr_topic_add(mr_load *load, const mr_yaml *node, const char *what)
{
    mr_plan *plan = load->plan;
    const char *name;

    if (!mr_value_text(load, node, what, &name)) {
        return MR_NO_INDEX;
    }
    if (!topic_valid(name)) {
        mr_load_error(load, node->place, 703,
                      "letters, digits, dot, _ and -; at most 249; not only dots",
                      "\"%s\" is no name for a topic", name);
        return MR_NO_INDEX;
    }
    for (uint32_t i = 0; i < plan->topic_count; i++) {
        if (strcmp(load->topics[i].name, name) == 0) {
            return i;
        }
    }
    if (plan->topic_count == MR_PLAN_TOPICS_MAX) {
        mr_load_error(load, node->place, 209, NULL, "a topology uses at most %u topics",
                      (unsigned)MR_PLAN_TOPICS_MAX);
        return MR_NO_INDEX;
    }
    MR_ASSERT(load->topics != NULL);
    load->topics[plan->topic_count] =
        (mr_plan_topic){.name = name, .source = MR_NO_INDEX, .create_replication = -1};
    load->topic_places[plan->topic_count] = node->place;
    return plan->topic_count++;
}

void mr_topic_create(mr_load *load, const mr_yaml *create, uint32_t topic)
{
    static const mr_key_rule rules[] = {
        {"partitions", NULL, MR_KEY_REQUIRED}, {"replication", NULL, 0}, {"config", NULL, 0}};
    uint64_t partitions = 0, replication = 0;

    if (create == NULL || !mr_value_is_map(load, create, "create")) {
        return;
    }
    const mr_key_set set = {.what = "\"create\"",
                            .rules = rules,
                            .rule_count = MR_LENGTH(rules),
                            .place = create->place};
    mr_keys_test(load, create, &set);
    const mr_yaml *node = mr_yaml_get(create, "partitions");
    if (node != NULL) {
        (void)mr_value_count(load, node, "create.partitions", 1, PARTITIONS_MAX, &partitions);
    }
    node = mr_yaml_get(create, "config");
    if (node != NULL && mr_value_is_map(load, node, "create.config") && node->count > 0) {
        mr_load_error(load, node->place, 109, "create the topic by hand, with its configuration",
                      "create.config is known, but not part of this release");
    }
    node = mr_yaml_get(create, "replication");
    if (node != NULL) {
        (void)mr_value_count(load, node, "create.replication", 1, REPLICATION_MAX, &replication);
    }
    if (topic != MR_NO_INDEX) {
        load->topics[topic].create_partitions = (uint32_t)partitions;
        load->topics[topic].create_replication = replication > 0 ? (int32_t)replication : -1;
    }
}

static bool topic_valid(const char *name)
{
    const size_t size = strlen(name);

    return size > 0 && size <= TOPIC_BYTES_MAX && strcmp(name, ".") != 0 &&
           strcmp(name, "..") != 0 &&
           strspn(name, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-") ==
               size;
}

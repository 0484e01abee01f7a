/*
 * kafka_tool - what tests, demo and scripts ask of a Kafka cluster, in one small program.
 *
 * The command-line tools of Kafka start a JVM for each call, about a second each; this one answers
 * in milliseconds and needs nothing but librdkafka. It is a developer's tool: it gives up at the
 * first error, with one line on stderr and status 1 (2: wrong use), and is no part of the engine.
 *
 * The cluster is the one of the environment variable MR_KAFKA (host:port). Lines of `produce` and
 * `read` separate fields by a tab. A field of exactly \N is null. Other fields are bytes as they
 * stand; with --escaped the sequences \\ \t \n \r and \xHH stand for bytes.
 */
#define _GNU_SOURCE
#include "tools/kafka_tool/tool.h"
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static const char usage_text[] =
    "usage: kafka_tool COMMAND ...   (cluster: MR_KAFKA=host:port)\n"
    "  ready                                    a topic made, a transaction with an offset done\n"
    "  create TOPIC PARTITIONS [KEY=VALUE...]   topic with its settings\n"
    "  delete TOPIC...                          absent topics are no error\n"
    "  alter TOPIC KEY=VALUE                    one setting of a topic; the others go to default\n"
    "  produce TOPIC [--partition N | --murmur2] [--escaped] [--time] [--header K=V]...\n"
    "          [--transaction ID [--abort | --leave-open]]\n"
    "                                           lines KEY\\tVALUE from stdin; --time: TIME_MS\\t "
    "first;\n"
    "                                           \\N is null; default partitioner: murmur2\n"
    "  read TOPIC [--partition N] [--uncommitted] [--count N] [--escaped]\n"
    "                                           PARTITION\\tOFFSET\\tTIME_MS\\tKEY\\tVALUE, up to "
    "the end\n"
    "  ends TOPIC [--uncommitted]               PARTITION\\tFIRST\\tEND of each partition\n"
    "  partitions TOPIC COUNT                   so many from now on; more than there are\n"
    "  truncate TOPIC PARTITION OFFSET          the log starts at OFFSET from now on\n"
    "  commit GROUP TOPIC PARTITION OFFSET [METADATA]\n"
    "  offsets GROUP TOPIC                      PARTITION\\tOFFSET\\tMETADATA, OFFSET - if none\n"
    "  delete-group GROUP                       an absent group is no error\n"
    "  forget GROUP TOPIC PARTITION             one committed offset is gone, as if expired\n";

static int run_ready(int count, char **words);

static const struct command {
    const char *name;
    int word_count_min; /* After the name. */
    int (*run)(int count, char **words);
} commands[] = {
    {"ready", 0, run_ready},
    {"create", 2, mr_tool_create},
    {"delete", 1, mr_tool_delete},
    {"alter", 2, mr_tool_alter},
    {"produce", 1, mr_tool_produce},
    {"read", 1, mr_tool_read},
    {"ends", 1, mr_tool_ends},
    {"commit", 4, mr_tool_commit},
    {"partitions", 2, mr_tool_partitions},
    {"truncate", 3, mr_tool_truncate},
    {"offsets", 2, mr_tool_offsets},
    {"delete-group", 1, mr_tool_delete_group},
    {"forget", 3, mr_tool_forget},
};

int main(int argc, char **argv)
{
    for (size_t i = 0; argc > 1 && i < sizeof commands / sizeof commands[0]; i++) {
        if (strcmp(argv[1], commands[i].name) == 0 && argc - 2 >= commands[i].word_count_min) {
            return commands[i].run(argc - 2, argv + 2);
        }
    }
    fputs(usage_text, stderr);
    return 2;
}

/*
 * A broker that accepts connections is not yet of use: its coordinators load, its internal topics
 * may be missing. One transaction with an offset takes every path an engine takes at its start.
 */
static int run_ready(int count, char **words)
{
    char name[64];
    char id[80];
    const int64_t start_ms = mr_tool_now_ms();
    (void)count;
    (void)words;
    snprintf(name, sizeof name, "t.ready.%ld", (long)getpid());
    snprintf(id, sizeof id, "%s.writer", name);
    rd_kafka_t *producer = mr_tool_transaction_producer_create(id, NULL);
    mr_tool_topic_create(producer, name, 1, 0, NULL);
    rd_kafka_topic_partition_list_t *offsets = rd_kafka_topic_partition_list_new(1);
    rd_kafka_topic_partition_list_add(offsets, name, 0)->offset = 0;
    rd_kafka_consumer_group_metadata_t *group = rd_kafka_consumer_group_metadata_new(name);
    mr_tool_partition_count_of(producer, name);
    mr_tool_check_error(rd_kafka_begin_transaction(producer), "begin_transaction");
    mr_tool_check(rd_kafka_producev(producer, RD_KAFKA_V_TOPIC(name), RD_KAFKA_V_VALUE("x", 1),
                                    RD_KAFKA_V_MSGFLAGS(RD_KAFKA_MSG_F_COPY), RD_KAFKA_V_END),
                  "produce");
    mr_tool_check_error(
        rd_kafka_send_offsets_to_transaction(producer, offsets, group, ANSWER_MS_MAX),
        "send_offsets_to_transaction");
    mr_tool_check_error(rd_kafka_commit_transaction(producer, ANSWER_MS_MAX), "commit_transaction");
    mr_tool_topic_delete(producer, name);
    rd_kafka_consumer_group_metadata_destroy(group);
    rd_kafka_topic_partition_list_destroy(offsets);
    rd_kafka_destroy(producer);
    printf("ready after %lld ms\n", (long long)(mr_tool_now_ms() - start_ms));
    return 0;
}

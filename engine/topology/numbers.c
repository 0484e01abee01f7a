/*
 * numbers.c - what a table and an input are called in stored state: numbers made of their names.
 *
 * A number depends on the one name alone, so that steps and sources can be added, removed and moved
 * without touching what is stored of the others. Two names with one number are refused when the
 * plan is made; with 32 bits and some dozens of names that is one chance in millions.
 */
#include "engine/base/assert.h"
#include "engine/base/hash.h"
#include "engine/topology/topology_private.h"
#include <string.h>

static uint32_t number_of(const char *step, const char *table);
static void number_table(mr_load *load, mr_plan_node *node, uint32_t table);
static void number_topic(mr_load *load, uint32_t topic);

void mr_numbers_make(mr_load *load)
{
    mr_plan *plan = load->plan;

    plan->table_count = 0;
    for (uint32_t i = 0; i < plan->node_count; i++) {
        for (uint32_t t = 0; t < load->nodes[i].table_count; t++) {
            number_table(load, &load->nodes[i], t);
            plan->table_count++;
        }
    }
    for (uint32_t i = 0; i < plan->topic_count; i++) {
        number_topic(load, i);
    }
}

/* Not compared with itself and what follows, which has no number yet. */
static void number_table(mr_load *load, mr_plan_node *node, uint32_t table)
{
    const uint32_t number = number_of(node->name, node->table_names[table]);

    for (mr_plan_node *other = load->nodes; other <= node; other++) {
        const uint32_t count = other == node ? table : other->table_count;
        for (uint32_t t = 0; t < count; t++) {
            if (other->tables[t].table == number) {
                mr_load_error(load, node->place, 209, "give one of the steps another name",
                              "the state of \"%s\" and of \"%s\" would have the same number",
                              other->name, node->name);
            }
        }
    }
    node->tables[table].table = number;
}

static void number_topic(mr_load *load, uint32_t topic)
{
    mr_plan_topic *added = &load->topics[topic];

    added->number = number_of(added->name, "");
    for (uint32_t i = 0; i < topic; i++) {
        if (load->topics[i].number == added->number) {
            mr_load_error(load, load->topic_places[topic], 209, "read another topic",
                          "the topics \"%s\" and \"%s\" would have the same number",
                          load->topics[i].name, added->name);
        }
    }
}

/* Neither 0, which stands for none in files, nor MR_NO_INDEX. */
static uint32_t number_of(const char *step, const char *table)
{
    const uint64_t hash =
        mr_hash64(table, (uint32_t)strlen(table), mr_hash64(step, (uint32_t)strlen(step), 0));

    return (uint32_t)(1 + hash % (MR_NO_INDEX - 1));
}

/*
 * private.h - a load around one text, for tests of single files of engine/topology.
 */
#ifndef MR_TESTS_TOPOLOGY_PRIVATE_H
#define MR_TESTS_TOPOLOGY_PRIVATE_H

#include "engine/topology/topology_private.h"
#include "tests/unit/topology/fake.h"

typedef struct fixture {
    mr_load load;
    mr_plan plan;
    mr_topology_source source;
} fixture;

static inline void fixture_open_bytes(fixture *f, const char *text, uint32_t size_bytes)
{
    *f = (fixture){
        .source = {
            .path = "t.yaml", .text = text, .size_bytes = size_bytes, .variable = fake_variable}};
    f->plan.file = "t.yaml";
    f->load.arena = mr_arena_create(mr_memory_system(), (size_t)64 << 20, "test");
    f->load.source = &f->source;
    f->load.catalogue = &fake_catalogue;
    f->load.plan = &f->plan;
    assert_non_null(f->load.arena);
    f->load.messages = mr_load_take(&f->load, MR_TOPOLOGY_ERRORS_MAX + 2, sizeof(mr_message));
    assert_non_null(f->load.messages);
}

static inline void fixture_open(fixture *f, const char *text)
{
    fixture_open_bytes(f, text, (uint32_t)strlen(text));
}

/* Opens and parses; the root, or NULL. */
static inline const mr_yaml *fixture_parse(fixture *f, const char *text)
{
    fixture_open(f, text);
    f->load.root = mr_yaml_parse(&f->load);
    return f->load.root;
}

static inline void fixture_close(fixture *f)
{
    mr_arena_destroy(f->load.arena);
}

/* The only message has this code and this place. */
static inline void fixture_expect(const fixture *f, uint16_t code, uint32_t line, uint32_t column)
{
    assert_int_equal(f->load.message_count, 1);
    assert_int_equal(f->load.messages[0].code, code);
    assert_int_equal(f->load.messages[0].place.line, line);
    assert_int_equal(f->load.messages[0].place.column, column);
}

/* The text does not parse: one message of this code and place. */
static inline void fixture_refused(const char *text, uint16_t code, uint32_t line, uint32_t column)
{
    fixture f;

    assert_null(fixture_parse(&f, text));
    fixture_expect(&f, code, line, column);
    fixture_close(&f);
}

#endif

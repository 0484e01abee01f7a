/*
 * json_shim.cpp - simdjson's first stage with a C face: where the structure of a JSON text lies.
 *
 * Only this stage is taken from simdjson, for two reasons. It chooses its instruction set when the
 * program runs, while the On-Demand front end is fixed when it is compiled, to the lowest
 * processor of the distribution. And On-Demand does not test values that it skips, while here every
 * record is tested as a whole (json.c). Nothing here throws.
 */
#include "engine/base/assert.h"
#include "engine/base/json_private.h"
#include <memory>
#include <new>
#include <simdjson.h>

struct mr_json_index {
    std::unique_ptr<simdjson::internal::dom_parser_implementation> parser;
};

mr_json_index *mr_json_index_open(uint32_t size_bytes_max)
{
    MR_ASSERT(size_bytes_max > 0);
    std::unique_ptr<mr_json_index> index(new (std::nothrow) mr_json_index());
    if (!index) {
        return nullptr;
    }
    const size_t depth_max = 1; /* Of stage 2, which is never run. */
    const simdjson::error_code error =
        simdjson::get_active_implementation()->create_dom_parser_implementation(
            size_bytes_max, depth_max, index->parser);
    return error == simdjson::SUCCESS ? index.release() : nullptr;
}

void mr_json_index_close(mr_json_index *index)
{
    delete index;
}

mr_json_index_result mr_json_index_run(mr_json_index *index, const uint8_t *bytes,
                                       uint32_t size_bytes, const uint32_t **positions,
                                       uint32_t *count)
{
    MR_ASSERT(index != nullptr && size_bytes <= index->parser->capacity());
    switch (index->parser->stage1(bytes, size_bytes, simdjson::stage1_mode::regular)) {
    case simdjson::SUCCESS:
        *positions = index->parser->structural_indexes.get();
        *count = index->parser->n_structural_indexes;
        return MR_JSON_INDEX_OK;
    case simdjson::UTF8_ERROR:
        return MR_JSON_INDEX_UTF8;
    default:
        return MR_JSON_INDEX_SYNTAX;
    }
}

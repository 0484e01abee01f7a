/*
 * double_shim.cpp - std::to_chars and std::from_chars with a C face. Nothing here throws or
 * allocates.
 */
#include "engine/base/assert.h"
#include "engine/base/double_private.h"
#include <charconv>
#include <cstdlib>
#include <system_error>

uint32_t mr_double_digits(double value, char out[32])
{
    const std::to_chars_result result =
        std::to_chars(out, out + 32, value, std::chars_format::scientific);
    MR_ASSERT(result.ec == std::errc());
    return static_cast<uint32_t>(result.ptr - out);
}

int mr_double_scan(const char *text, size_t size_bytes, double *value)
{
    const std::from_chars_result result = std::from_chars(text, text + size_bytes, *value);
    if (result.ec == std::errc::result_out_of_range) {
        return 2;
    }
    MR_ASSERT(result.ec == std::errc() && result.ptr == text + size_bytes);
    return 0;
}

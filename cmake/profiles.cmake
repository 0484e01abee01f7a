# Flags of the four profiles. They are spelled out here, not left to CMAKE_BUILD_TYPE, because the
# profile also decides what is compiled: crash points and slow checks exist in test builds only, and
# the tidy test refuses a release object that holds one.
set(MR_PROFILE "dev" CACHE STRING "dev, release, asan-ubsan or tsan")
set_property(CACHE MR_PROFILE PROPERTY STRINGS dev release asan-ubsan tsan)
set(MR_MARCH "" CACHE STRING "value of -march; empty: the baseline of the architecture")

if(CMAKE_BUILD_TYPE)
    message(FATAL_ERROR "CMAKE_BUILD_TYPE is not used here: choose -DMR_PROFILE=dev|release|...")
endif()

add_library(mr_flags INTERFACE)

set(c_warnings -Wstrict-prototypes -Wmissing-prototypes)
if(CMAKE_C_COMPILER_ID STREQUAL "Clang")
    # In clang's -Wconversion, not in gcc's; MR_ASSERT(!"what never happens") is our idiom.
    list(APPEND c_warnings -Wno-string-conversion)
endif()
target_compile_options(mr_flags INTERFACE
    -Werror -Wall -Wextra -Wconversion -Wshadow -Wundef -Wvla -Wformat=2 -Werror=format-security
    "$<$<COMPILE_LANGUAGE:C>:${c_warnings}>"
    -fno-strict-aliasing) # Records are read in place from pages and fetches.

set(test_hooks 1)
set(sanitize "")
if(MR_PROFILE STREQUAL "dev")
    target_compile_options(mr_flags INTERFACE -O2 -g)
elseif(MR_PROFILE STREQUAL "release")
    set(test_hooks 0)
    if(CMAKE_SYSTEM_PROCESSOR MATCHES "^(x86_64|AMD64)$")
        set(branch_protection -fcf-protection=full)
    else()
        set(branch_protection -mbranch-protection=standard)
    endif()
    target_compile_options(mr_flags INTERFACE
        -O2 -g -D_FORTIFY_SOURCE=3 -fstack-protector-strong -fstack-clash-protection
        -ftrivial-auto-var-init=zero -fPIE ${branch_protection})
    target_link_options(mr_flags INTERFACE -pie -Wl,-z,relro,-z,now,-z,noexecstack)
elseif(MR_PROFILE STREQUAL "asan-ubsan")
    set(sanitize -fsanitize=address,undefined -fno-sanitize-recover=all)
elseif(MR_PROFILE STREQUAL "tsan")
    # A copy that gcc expands in place is not instrumented; a call is intercepted.
    set(sanitize -fsanitize=thread -fno-builtin-memcpy -fno-builtin-memmove -fno-builtin-memset)
else()
    message(FATAL_ERROR "MR_PROFILE is '${MR_PROFILE}'; it must be dev, release, asan-ubsan or tsan")
endif()

if(sanitize)
    target_compile_options(mr_flags INTERFACE -O1 -g -fno-omit-frame-pointer ${sanitize})
    target_link_options(mr_flags INTERFACE ${sanitize})
endif()
if(MR_MARCH)
    target_compile_options(mr_flags INTERFACE "-march=${MR_MARCH}")
endif()

# Always defined, because -Wundef makes a missing macro an error.
target_compile_definitions(mr_flags INTERFACE
    MR_CRASH_POINTS=${test_hooks} MR_SLOW_CHECKS=${test_hooks}
    MR_VERSION_TEXT="${PROJECT_VERSION}" MR_PROFILE_TEXT="${MR_PROFILE}")
target_include_directories(mr_flags INTERFACE
    "${PROJECT_SOURCE_DIR}" "${PROJECT_SOURCE_DIR}/include")

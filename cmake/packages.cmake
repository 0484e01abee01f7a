# Libraries from the distribution. `./dev setup` installs them; tools/packages.txt lists them.
find_package(PkgConfig REQUIRED)
find_package(Threads REQUIRED)
# The distribution's Python, as `./dev setup` installs it, whatever else is first on PATH.
find_program(MR_PYTHON python3 PATHS /usr/bin NO_DEFAULT_PATH REQUIRED)

foreach(package rdkafka liburing libfyaml libxxhash simdjson libprotobuf-c libcrypto cmocka)
    string(REPLACE "-" "_" prefix "${package}")
    pkg_check_modules(${prefix} REQUIRED IMPORTED_TARGET ${package})
endforeach()

# Debian ships libpg_query without a pkg-config file.
find_library(MR_PG_QUERY_LIBRARY pg_query REQUIRED)
find_path(MR_PG_QUERY_INCLUDE pg_query/pg_query.pb-c.h REQUIRED)

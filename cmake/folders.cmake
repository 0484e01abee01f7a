# The folders and what each links against. It follows the include table of tests/tidy/includes.txt;
# the tidy test checks the includes, this file only has to let the linker find things.
#
# mr_<name>: one static library, from every source of one folder, not of the folders below it.

# mr_folder(NAME FOLDER [THIRD_PARTY...]) - the library of a folder, if it has sources yet.
function(mr_folder name folder)
    file(GLOB sources CONFIGURE_DEPENDS "${PROJECT_SOURCE_DIR}/${folder}/*.c"
         "${PROJECT_SOURCE_DIR}/${folder}/*.cpp")
    list(FILTER sources EXCLUDE REGEX "/cli/main\\.c$")
    if(sources)
        add_library(${name} STATIC ${sources})
        target_link_libraries(${name} PUBLIC mr_flags Threads::Threads m ${ARGN})
    endif()
endfunction()

# mr_links(NAME LIBRARY...) - links a folder's library with those of other folders that exist.
function(mr_links name)
    if(NOT TARGET ${name})
        return()
    endif()
    foreach(library ${ARGN})
        if(TARGET ${library})
            target_link_libraries(${name} PUBLIC ${library})
        endif()
    endforeach()
endfunction()

mr_folder(mr_base engine/base PkgConfig::libxxhash PkgConfig::simdjson PkgConfig::libcrypto)
mr_folder(mr_batch engine/batch)
mr_folder(mr_expr engine/expr "${MR_PG_QUERY_LIBRARY}" PkgConfig::libprotobuf_c)
mr_folder(mr_topology engine/topology PkgConfig::libfyaml)
mr_folder(mr_ring io/ring PkgConfig::liburing)
mr_folder(mr_state engine/state)
mr_folder(mr_format io/format)
mr_folder(mr_kafka io/kafka PkgConfig::rdkafka)
mr_folder(mr_runtime engine/runtime)
mr_folder(mr_operators operators)
mr_folder(mr_files io/files)
mr_folder(mr_cli cli)

# The composition root: the two files that know every part.
file(GLOB root_sources CONFIGURE_DEPENDS "${PROJECT_SOURCE_DIR}/engine/*.c"
     "${PROJECT_SOURCE_DIR}/io/*.c")
if(root_sources)
    add_library(mr_engine STATIC ${root_sources})
    target_link_libraries(mr_engine PUBLIC mr_flags)
endif()

mr_links(mr_batch mr_base)
mr_links(mr_expr mr_batch mr_base)
mr_links(mr_topology mr_expr mr_batch mr_base)
mr_links(mr_ring mr_base)
mr_links(mr_state mr_ring mr_batch mr_base)
mr_links(mr_format mr_expr mr_batch mr_base)
mr_links(mr_kafka mr_expr mr_format mr_batch mr_base)
mr_links(mr_runtime mr_state mr_ring mr_kafka mr_batch mr_base)
mr_links(mr_operators mr_expr mr_format mr_batch mr_base)
mr_links(mr_files mr_format mr_ring mr_batch mr_base)

# Public functions are implemented by the layer that owns the thing: what operators and connectors
# call through public headers lies in runtime, state and topology. So the whole comes last.
set(mr_every_library mr_operators mr_files mr_kafka mr_runtime mr_topology mr_state mr_ring
    mr_format mr_expr mr_batch mr_base)
mr_links(mr_engine ${mr_every_library} mr_runtime mr_topology mr_state)
mr_links(mr_cli mr_engine)

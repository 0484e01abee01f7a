# Programs: millrace itself, the developer tools, the benchmarks' and the demo's helpers.

# mr_directive(OUT FILE NAME) - the words after "NAME:" at the head of a line of a file's comments.
# With it a test or a tool says by itself what it needs; nothing central has to be edited.
function(mr_directive out file name)
    file(STRINGS "${file}" lines REGEX "^[ /#]*\\*?[ ]*${name}:")
    string(REGEX REPLACE "^[ /#]*\\*?[ ]*${name}:" "" words "${lines}")
    string(REGEX REPLACE "\\*/" "" words "${words}")
    separate_arguments(words UNIX_COMMAND "${words}")
    set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS "${file}")
    set(${out} ${words} PARENT_SCOPE)
endfunction()

# mr_program(NAME FILE [LIBRARY...]) - one program from one file, plus what its LINK: line names.
function(mr_program name file)
    mr_directive(links "${file}" LINK)
    add_executable(${name} "${file}")
    target_link_libraries(${name} PRIVATE mr_flags)
    foreach(library ${links} ${ARGN})
        target_link_libraries(${name} PRIVATE ${library})
    endforeach()
endfunction()

if(EXISTS "${PROJECT_SOURCE_DIR}/cli/main.c")
    mr_program(millrace "${PROJECT_SOURCE_DIR}/cli/main.c")
    if(TARGET mr_cli)
        target_link_libraries(millrace PRIVATE mr_cli)
    endif()
    if(TARGET mr_engine)
        target_link_libraries(millrace PRIVATE mr_engine)
    endif()
    set_target_properties(millrace PROPERTIES RUNTIME_OUTPUT_DIRECTORY "${CMAKE_BINARY_DIR}")
endif()

# mr_programs(PREFIX FOLDER) - tools/x.c is the program x, bench/**/x.c bench_x, demo/x.c demo_x.
# A folder with a main.c is one program of all its files, named after the folder.
function(mr_programs prefix folder)
    file(GLOB_RECURSE files CONFIGURE_DEPENDS "${PROJECT_SOURCE_DIR}/${folder}/*.c")
    foreach(file ${files})
        get_filename_component(stem "${file}" NAME_WE)
        get_filename_component(place "${file}" DIRECTORY)
        if(EXISTS "${place}/main.c" AND NOT stem STREQUAL "main")
            continue()
        endif()
        set(parts)
        if(stem STREQUAL "main")
            get_filename_component(stem "${place}" NAME)
            file(GLOB parts CONFIGURE_DEPENDS "${place}/*.c")
            list(REMOVE_ITEM parts "${file}")
        endif()
        mr_program(${prefix}${stem} "${file}" PkgConfig::rdkafka Threads::Threads m)
        target_sources(${prefix}${stem} PRIVATE ${parts})
        set_target_properties(${prefix}${stem} PROPERTIES
            RUNTIME_OUTPUT_DIRECTORY "${CMAKE_BINARY_DIR}")
    endforeach()
endfunction()

mr_programs("" tools)
mr_programs(bench_ bench)
mr_programs(demo_ demo)

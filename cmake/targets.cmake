# How the project's own targets are made: one library a folder, programs, tests.

# Two precompiled headers, each carried by an object file of its own and reused by every target: one with what nearly
# all sources include, one with LibTorch beside it.
set(common_headers <algorithm> <chrono> <cmath> <filesystem> <fmt/format.h> <fmt/ranges.h> <functional> <map> <memory>
  <nlohmann/json.hpp> <optional> <span> <string> <string_view> <unordered_map> <vector>)
file(WRITE ${CMAKE_BINARY_DIR}/generated/pch.cpp "// Carries the common precompiled header.\n")
file(WRITE ${CMAKE_BINARY_DIR}/generated/torch_pch.cpp "// Carries the precompiled header of LibTorch.\n")
add_library(shelfcast_pch OBJECT ${CMAKE_BINARY_DIR}/generated/pch.cpp)
target_link_libraries(shelfcast_pch PRIVATE shelfcast_settings fmt::fmt nlohmann_json::nlohmann_json)
target_precompile_headers(shelfcast_pch PRIVATE ${common_headers})
add_library(shelfcast_torch_pch OBJECT ${CMAKE_BINARY_DIR}/generated/torch_pch.cpp)
target_link_libraries(shelfcast_torch_pch PRIVATE shelfcast_settings shelfcast_torch_libraries fmt::fmt
  nlohmann_json::nlohmann_json)
target_precompile_headers(shelfcast_torch_pch PRIVATE ${common_headers} <torch/types.h>)

function(shelfcast_use_common_headers target)
  target_link_libraries(${target} PRIVATE fmt::fmt nlohmann_json::nlohmann_json)
  if(NOT CMAKE_DISABLE_PRECOMPILE_HEADERS)
    target_precompile_headers(${target} REUSE_FROM shelfcast_pch)
  endif()
endfunction()

# A target that includes LibTorch headers in its own sources.
function(shelfcast_use_torch target)
  target_link_libraries(${target} PUBLIC shelfcast_torch_libraries PRIVATE fmt::fmt nlohmann_json::nlohmann_json)
  if(NOT CMAKE_DISABLE_PRECOMPILE_HEADERS)
    target_precompile_headers(${target} REUSE_FROM shelfcast_torch_pch)
  endif()
endfunction()

# shelfcast_add_library(NAME [TORCH] SOURCES a.cpp ... [LIBS public ...] [PRIVATE_LIBS ...])
#
# Makes shelfcast_NAME and its alias shelfcast::NAME. LIBS are those whose headers our own headers include (or that
# users need anyway). Without SOURCES it is an interface library.
function(shelfcast_add_library name)
  cmake_parse_arguments(PARSE_ARGV 1 arg "TORCH" "" "SOURCES;LIBS;PRIVATE_LIBS")
  if(arg_UNPARSED_ARGUMENTS)
    message(FATAL_ERROR "shelfcast_add_library(${name}): unknown arguments ${arg_UNPARSED_ARGUMENTS}")
  endif()
  set(target shelfcast_${name})
  if(arg_SOURCES)
    add_library(${target} STATIC ${arg_SOURCES})
    target_link_libraries(${target} PRIVATE shelfcast_settings ${arg_PRIVATE_LIBS} PUBLIC ${arg_LIBS})
    if(arg_TORCH)
      shelfcast_use_torch(${target})
    else()
      shelfcast_use_common_headers(${target})
    endif()
  else()
    add_library(${target} INTERFACE)
    target_link_libraries(${target} INTERFACE ${arg_LIBS} ${arg_PRIVATE_LIBS})
    if(arg_TORCH)
      target_link_libraries(${target} INTERFACE shelfcast_torch_libraries)
    endif()
  endif()
  add_library(shelfcast::${name} ALIAS ${target})
endfunction()

# shelfcast_add_program(NAME [TORCH] [LOCAL] [FOLDER libexec] SOURCES main.cpp ... LIBS ...): a program in bin/, or in FOLDER,
# of the build and, unless LOCAL, of an installation.
function(shelfcast_add_program name)
  cmake_parse_arguments(PARSE_ARGV 1 arg "TORCH;LOCAL" "FOLDER" "SOURCES;LIBS")
  if(NOT arg_FOLDER)
    set(arg_FOLDER bin)
  endif()
  add_executable(${name} ${arg_SOURCES})
  target_link_libraries(${name} PRIVATE shelfcast_settings ${arg_LIBS})
  if(arg_TORCH)
    shelfcast_use_torch(${name})
  endif()
  set_target_properties(${name} PROPERTIES INSTALL_RPATH "$ORIGIN/../lib/shelfcast"
    RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/${arg_FOLDER})
  if(NOT arg_LOCAL)
    install(TARGETS ${name} RUNTIME_DEPENDENCY_SET shelfcast_libraries RUNTIME DESTINATION ${arg_FOLDER})
  endif()
endfunction()

# shelfcast_add_test(NAME [TORCH] SOURCES a_test.cpp ... [LIBS ...] [NEEDS program targets ...] [LABELS slow]
#                    [TIMEOUT seconds] [CORES n] [RANKS 1 2 3] [GPUS])
#
# Makes the program NAME_tests. Each TEST in it is one ctest test, found when ctest runs; each suite where the program
# carries LibTorch, which takes half a second to load (such a program skips no test: its suite would pass); with RANKS the whole program
# is one ctest test for each number of MPI ranks instead. NEEDS are programs the tests start (their folder is
# SHELFCAST_BIN_DIR in the sources). LABELS slow keeps tests out of the quick run. CORES is what one test keeps busy.
# GPUS lets tests see a machine's: the others are about the CPU, on any number of ranks, whatever there is.
function(shelfcast_add_test name)
  cmake_parse_arguments(PARSE_ARGV 1 arg "TORCH;GPUS" "TIMEOUT;CORES" "SOURCES;LIBS;NEEDS;LABELS;RANKS")
  if(arg_UNPARSED_ARGUMENTS)
    message(FATAL_ERROR "shelfcast_add_test(${name}): unknown arguments ${arg_UNPARSED_ARGUMENTS}")
  endif()
  if(NOT arg_SOURCES)
    return()
  endif()
  if(NOT arg_TIMEOUT)
    set(arg_TIMEOUT 120)
  endif()
  if(NOT arg_CORES)
    set(arg_CORES 1)
  endif()
  set(program ${name}_tests)
  add_executable(${program} ${arg_SOURCES})
  set_target_properties(${program} PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/tests)
  if(arg_RANKS)
    target_link_libraries(${program} PRIVATE GTest::gtest GTest::gmock MPI::MPI_C)  # brings its own main
  else()
    target_link_libraries(${program} PRIVATE GTest::gtest_main GTest::gmock)
  endif()
  target_link_libraries(${program} PRIVATE shelfcast_settings ${arg_LIBS})
  target_compile_options(${program} PRIVATE $<$<CONFIG:Release>:-O1>)  # two thirds of the time that -O3 takes
  target_compile_definitions(${program} PRIVATE
    SHELFCAST_SOURCE_DIR="${CMAKE_SOURCE_DIR}" SHELFCAST_BIN_DIR="${CMAKE_BINARY_DIR}/bin")
  if(arg_TORCH)
    shelfcast_use_torch(${program})
  else()
    shelfcast_use_common_headers(${program})
  endif()
  foreach(needed IN LISTS arg_NEEDS)
    if(TARGET ${needed})
      add_dependencies(${program} ${needed})
    endif()
  endforeach()

  set(labels ${name} ${arg_LABELS})
  # Two-core machines run tests beside each other: one thread each inside OpenMP unless a test asks for more.
  set(environment OMP_NUM_THREADS=1 OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1
    OMPI_MCA_rmaps_base_oversubscribe=1)
  if(NOT arg_GPUS)
    list(APPEND environment CUDA_VISIBLE_DEVICES=)
  endif()
  if(arg_RANKS)
    foreach(ranks IN LISTS arg_RANKS)
      add_test(NAME ${name}.ranks_${ranks}
        COMMAND ${MPIEXEC_EXECUTABLE} --oversubscribe ${MPIEXEC_NUMPROC_FLAG} ${ranks} $<TARGET_FILE:${program}>)
      set(labels_here ${labels})
      if(ranks GREATER 2)
        list(APPEND labels_here slow)  # waits of ranks that share two cores
      endif()
      set_tests_properties(${name}.ranks_${ranks} PROPERTIES LABELS "${labels_here}" TIMEOUT ${arg_TIMEOUT}
        ENVIRONMENT "${environment}" PROCESSORS ${ranks})
    endforeach()
  elseif(arg_TORCH)
    math(EXPR timeout "5 * ${arg_TIMEOUT}")
    set(list ${CMAKE_CURRENT_BINARY_DIR}/${program}_suites.cmake)
    file(GENERATE OUTPUT ${CMAKE_CURRENT_BINARY_DIR}/${program}_list.cmake CONTENT
      "set(PROGRAM \"$<TARGET_FILE:${program}>\")
set(PREFIX ${name})
set(LABELS \"${labels}\")
set(TIMEOUT ${timeout})
set(CORES ${arg_CORES})
set(ENVIRONMENT \"${environment}\")
set(LIST \"${list}\")
include(\"${CMAKE_SOURCE_DIR}/cmake/test_suites.cmake\")
")
    set_property(DIRECTORY APPEND PROPERTY TEST_INCLUDE_FILES ${CMAKE_CURRENT_BINARY_DIR}/${program}_list.cmake)
  else()
    # Properties travel through a generated script in which a list would fall apart.
    string(REPLACE ";" "\\;" labels "${labels}")
    string(REPLACE ";" "\\;" environment "${environment}")
    gtest_discover_tests(${program} TEST_PREFIX ${name}. DISCOVERY_MODE PRE_TEST DISCOVERY_TIMEOUT 60
      PROPERTIES LABELS "${labels}" TIMEOUT ${arg_TIMEOUT} PROCESSORS ${arg_CORES} ENVIRONMENT "${environment}")
  endif()
endfunction()

# shelfcast_define_build_id(TARGET source.cpp): SHELFCAST_BUILD_ID in that source, always that of the current commit.
function(shelfcast_define_build_id target source)
  set(options ${CMAKE_BINARY_DIR}/generated/build_id.options)
  set(command ${CMAKE_COMMAND} -D SOURCE=${CMAKE_SOURCE_DIR} -D VERSION=${PROJECT_VERSION} -D OUT=${options}
    -P ${CMAKE_SOURCE_DIR}/cmake/build_id.cmake)
  execute_process(COMMAND ${command})
  add_custom_target(shelfcast_build_id COMMAND ${command} BYPRODUCTS ${options} COMMENT "")
  add_dependencies(${target} shelfcast_build_id)
  set_source_files_properties(${source} PROPERTIES COMPILE_OPTIONS "@${options}" OBJECT_DEPENDS ${options})
endfunction()

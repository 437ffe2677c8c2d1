# Compiler, linker and folder settings that hold for every target.

if(NOT CMAKE_BUILD_TYPE)
  set(CMAKE_BUILD_TYPE Release CACHE STRING "" FORCE)
endif()
set(CMAKE_CXX_STANDARD 20)
set(CMAKE_CXX_STANDARD_REQUIRED ON)
set(CMAKE_CXX_EXTENSIONS OFF)
set(CMAKE_POSITION_INDEPENDENT_CODE ON)
set(CMAKE_CXX_COMPILE_OPTIONS_PIE -fPIC)  # programs too: one precompiled header serves libraries and programs
set(CMAKE_EXPORT_COMPILE_COMMANDS ON)
set(CMAKE_RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/bin)

# Line numbers suffice for a backtrace; full debug information triples the link of a LibTorch program.
set(CMAKE_CXX_FLAGS_RELWITHDEBINFO "-O2 -g1 -D_GLIBCXX_ASSERTIONS")
set(CMAKE_CXX_FLAGS_RELEASE "-O3 -DNDEBUG")

# Programs find their libraries where they were linked; installed ones first in their own lib/shelfcast.
set(CMAKE_INSTALL_RPATH_USE_LINK_PATH ON)

# Flags of our own targets; targets.cmake applies them, so that outside code never sees them.
add_library(shelfcast_settings INTERFACE)
target_compile_options(shelfcast_settings INTERFACE
  -Wall -Wextra -Wpedantic -Wshadow -Wnon-virtual-dtor -Woverloaded-virtual
  $<$<BOOL:${SHELFCAST_WERROR}>:-Werror>)
# gcc 12 sees overlapping copies in "text" + std::string at -O3 (gcc bug 105651, mended in 13).
if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU" AND CMAKE_CXX_COMPILER_VERSION VERSION_LESS 13)
  target_compile_options(shelfcast_settings INTERFACE -Wno-restrict)
endif()
target_include_directories(shelfcast_settings INTERFACE ${CMAKE_SOURCE_DIR})

# Instrumented code makes gcc 12 warn of what is not there: sanitizer builds do not take warnings for errors.
if(SHELFCAST_SANITIZE STREQUAL "address")
  # Half the time of a build at -O2 with all checks: the address sanitizer sees null pointers by itself.
  add_compile_options(-O1 -fsanitize=address,undefined -fno-sanitize=null,vptr -fno-sanitize-recover=undefined
    -fno-omit-frame-pointer)
  add_link_options(-fsanitize=address,undefined)
elseif(SHELFCAST_SANITIZE STREQUAL "thread")
  add_compile_options(-fsanitize=thread -fno-omit-frame-pointer)
  add_link_options(-fsanitize=thread)
elseif(SHELFCAST_SANITIZE STREQUAL "fuzzer")
  add_compile_options(-fsanitize=fuzzer-no-link,address,undefined -fno-sanitize-recover=undefined)
  add_link_options(-fsanitize=address,undefined)
elseif(NOT SHELFCAST_SANITIZE STREQUAL "")
  message(FATAL_ERROR "SHELFCAST_SANITIZE=${SHELFCAST_SANITIZE} is unknown - use address, thread, fuzzer or nothing")
endif()

find_program(MOLD_PROGRAM mold)
if(MOLD_PROGRAM AND CMAKE_CXX_COMPILER_ID STREQUAL "GNU" AND CMAKE_CXX_COMPILER_VERSION VERSION_GREATER_EQUAL 12.1)
  add_link_options(-fuse-ld=mold)
endif()

# ccache refuses precompiled headers unless told that their time stamps do not matter; with a base folder a second
# clone of the same sources hits, too.
find_program(CCACHE_PROGRAM ccache)
if(CCACHE_PROGRAM AND NOT CMAKE_CXX_COMPILER_LAUNCHER)
  set(CMAKE_CXX_COMPILER_LAUNCHER
    ${CMAKE_COMMAND} -E env
    CCACHE_SLOPPINESS=pch_defines,time_macros,include_file_mtime,include_file_ctime
    CCACHE_BASEDIR=${CMAKE_SOURCE_DIR} CCACHE_NOHASHDIR=1
    ${CCACHE_PROGRAM})
  if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU" AND NOT CMAKE_DISABLE_PRECOMPILE_HEADERS)
    add_compile_options($<$<COMPILE_LANGUAGE:CXX>:-fpch-preprocess>)
  endif()
endif()

# Read by ctest: one ctest test for each suite of a GoogleTest program. Takes PROGRAM, PREFIX, LABELS, TIMEOUT, CORES, ENVIRONMENT and
# LIST, the file that remembers them until the program is built anew.
if(NOT EXISTS ${PROGRAM})
  add_test(${PREFIX}.NOT_BUILT ${PROGRAM})
  return()
endif()
if(NOT EXISTS ${LIST} OR ${PROGRAM} IS_NEWER_THAN ${LIST})
  execute_process(COMMAND ${PROGRAM} --gtest_list_tests
    OUTPUT_VARIABLE listed ERROR_VARIABLE complaint RESULT_VARIABLE failed TIMEOUT 60)
  if(failed)
    message(FATAL_ERROR "${PROGRAM} does not list its tests (${failed}): ${listed}${complaint}")
  endif()
  # Suites begin a line and end with a dot, which a comment may follow.
  string(REGEX MATCHALL "(^|\n)[^ \n]+\\.( |\n)" suites "${listed}")
  if(NOT suites)
    message(FATAL_ERROR "${PROGRAM} has no tests")
  endif()
  set(script "")
  foreach(suite IN LISTS suites)
    string(REGEX REPLACE "[ \n]|\\.[ \n]*$" "" suite "${suite}")
    string(APPEND script "add_test([==[${PREFIX}.${suite}]==] [==[${PROGRAM}]==] [==[--gtest_filter=${suite}.*]==])\n"
      "set_tests_properties([==[${PREFIX}.${suite}]==] PROPERTIES LABELS \"${LABELS}\" TIMEOUT ${TIMEOUT} PROCESSORS ${CORES} ENVIRONMENT \"${ENVIRONMENT}\")\n")
  endforeach()
  file(WRITE ${LIST} "${script}")
endif()
include(${LIST})

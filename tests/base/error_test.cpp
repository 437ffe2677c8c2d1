#include "base/error.h"

#include <gtest/gtest.h>

#include <cerrno>

namespace shelfcast {
namespace {

TEST(Error, message_is_problem_why_advice) {
  EXPECT_STREQ(Error(ErrorKind::input, "no such file", "x.csv", "check --from").what(),
               "no such file (x.csv) - check --from");
}

TEST(Error, empty_parts_are_left_out) {
  EXPECT_STREQ(Error(ErrorKind::input, "bad").what(), "bad");
  EXPECT_STREQ(Error(ErrorKind::input, "bad", "", "mend it").what(), "bad - mend it");
  EXPECT_STREQ(Error(ErrorKind::input, "bad", "torn").what(), "bad (torn)");
}

TEST(Error, io_error_ends_with_the_words_of_the_system) {
  const Error error = io_error("cannot write a.bin", ENOSPC);
  EXPECT_EQ(error.kind(), ErrorKind::io);
  EXPECT_EQ(error.why(), "No space left on device");
  EXPECT_NE(error.advice().find("free some space"), std::string::npos);
}

TEST(Error, failed_assertions_name_condition_and_line) {
  try {
    SHELFCAST_ASSERT(1 + 1 == 3);
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::internal);
    EXPECT_NE(error.problem().find("1 + 1 == 3"), std::string::npos);
    EXPECT_NE(error.why().find("error_test.cpp:"), std::string::npos);
  }
}

TEST(NearestName, finds_likely_misspellings) {
  const std::vector<std::string> keys = {"batch", "micro_batch", "steps", "threads"};
  EXPECT_EQ(nearest_name("bacth", keys), "batch");
  EXPECT_EQ(nearest_name("micro_btch", keys), "micro_batch");
  EXPECT_EQ(nearest_name("step", keys), "steps");
  EXPECT_EQ(nearest_name("steps", keys), "steps");
}

TEST(NearestName, finds_what_was_cut_short_or_carries_more) {
  const std::vector<std::string> keys = {"output_patch_embedding.hidden_layer", "output_patch_embedding",
                                         "q"};
  EXPECT_EQ(nearest_name("output_patch", keys), "output_patch_embedding");
  EXPECT_EQ(nearest_name("my_output_patch_embedding", keys), "output_patch_embedding");
  EXPECT_EQ(nearest_name("qqq", keys), "q");  // two letters off
  EXPECT_EQ(nearest_name("esp", {"responses"}), "");
}

TEST(NearestName, is_silent_when_nothing_is_near) {
  EXPECT_EQ(nearest_name("learning_rate", {"batch", "steps"}), "");
  EXPECT_EQ(nearest_name("anything", {}), "");
}

}  // namespace
}  // namespace shelfcast

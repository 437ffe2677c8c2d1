#include "trainer/error_text.h"

#include <ATen/ops/empty.h>
#include <ATen/ops/matmul.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>
#include <new>

#include "base/error.h"

namespace shelfcast::trainer {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::StartsWith;

std::string text_of(const std::function<void()>& action) {
  try {
    action();
  } catch (const std::exception& error) {
    return error_text(error);
  }
  return "nothing was thrown";
}

TEST(ErrorText, our_own_errors_stand_as_they_are) {
  EXPECT_EQ(text_of([] { throw input_error("a", "b", "c"); }), "a (b) - c");
}

TEST(ErrorText, says_that_memory_is_out_whoever_asked_for_it) {
  EXPECT_THAT(text_of([] { throw std::bad_alloc(); }), StartsWith("out of memory"));
  // More than any address space holds.
  EXPECT_THAT(text_of([] { (void)at::empty({std::int64_t{1} << 60}, at::kFloat); }),
              AllOf(StartsWith("out of memory"), Not(HasSubstr("frame #"))));
}

TEST(ErrorText, leaves_out_where_a_librarys_functions_lie) {
  EXPECT_THAT(text_of([] {
                (void)at::matmul(at::empty({2, 3}), at::empty({2, 3}));
              }),
              AllOf(HasSubstr("shapes"), Not(HasSubstr("frame #")), Not(HasSubstr("\n"))));
}

}  // namespace
}  // namespace shelfcast::trainer

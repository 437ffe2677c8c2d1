#include "base/progress.h"

#include <gtest/gtest.h>

#include "base/log.h"
#include "base/memory.h"

namespace shelfcast {
namespace {

using ::testing::internal::CaptureStderr;
using ::testing::internal::GetCapturedStderr;

TEST(Progress, prints_plain_lines_seldom_where_there_is_no_terminal) {
  CaptureStderr();
  {
    Progress progress("train", 1000, "step");
    for (int step = 1; step <= 500; ++step) progress.update(step, "loss 0.5");
  }
  const std::string text = GetCapturedStderr();
  // Updates within the first ten seconds print nothing; the end always does.
  EXPECT_EQ(std::count(text.begin(), text.end(), '\n'), 1);
  EXPECT_NE(text.find("train: 500/1000 steps (50 %), took "), std::string::npos) << text;
  EXPECT_NE(text.find(", loss 0.5\n"), std::string::npos);
  EXPECT_EQ(text.find('\r'), std::string::npos);
}

TEST(Progress, finishing_twice_prints_once) {
  CaptureStderr();
  Progress progress("scan", 3, "series");
  progress.update(3);
  progress.finish();
  progress.finish();
  const std::string text = GetCapturedStderr();
  EXPECT_EQ(text.find("scan: 3/3 series (100 %)"), 0u) << text;
  EXPECT_EQ(std::count(text.begin(), text.end(), '\n'), 1);
}

TEST(Progress, unknown_totals_are_counted_only) {
  CaptureStderr();
  Progress("read", 0, "row").update(7);
  EXPECT_EQ(GetCapturedStderr().find("read: 7 rows, took"), 0u);
}

TEST(Progress, other_ranks_are_silent) {
  const log::ThreadIdentity identity({1, 2, ""});
  CaptureStderr();
  Progress("train", 10, "step").update(10);
  EXPECT_EQ(GetCapturedStderr(), "");
}

TEST(FormatDuration, uses_two_units) {
  EXPECT_EQ(format_duration(0), "0.0 s");
  EXPECT_EQ(format_duration(9.94), "9.9 s");
  EXPECT_EQ(format_duration(20.4), "20 s");
  EXPECT_EQ(format_duration(59.6), "1 min 00 s");
  EXPECT_EQ(format_duration(200), "3 min 20 s");
  EXPECT_EQ(format_duration(3900), "1 h 05 min");
  EXPECT_EQ(format_duration(86400 * 2 + 3 * 3600), "2 d 03 h");
  EXPECT_EQ(format_duration(-1), "0.0 s");
}

TEST(FormatBytes, uses_decimal_units) {
  EXPECT_EQ(format_bytes(0), "0 B");
  EXPECT_EQ(format_bytes(999), "999 B");
  EXPECT_EQ(format_bytes(340'000), "340 kB");
  EXPECT_EQ(format_bytes(1.2e9), "1.2 GB");
  EXPECT_EQ(format_bytes(999.9e6), "1.0 GB");
  EXPECT_EQ(format_bytes(2e18), "2000 PB");
}

TEST(MemoryUse, peak_follows_what_was_touched) {
  const MemoryUse before = memory_use();
  ASSERT_GT(before.resident_bytes, 0);
  std::string touched(200'000'000, 'x');
  EXPECT_EQ(touched[100'000'000], 'x');
  const MemoryUse after = memory_use();
  EXPECT_GE(after.peak_bytes, before.resident_bytes + 190'000'000);
  EXPECT_GE(after.peak_bytes, after.resident_bytes);
}

TEST(MemoryUse, other_processes_memory_is_not_counted) {
  const MemoryUse before = memory_use();
  constexpr std::int64_t kOthers = 1'000'000;
  count_others_memory(kOthers);
  const MemoryUse without = memory_use();
  count_others_memory(-kOthers);
  EXPECT_NEAR(static_cast<double>(before.peak_bytes - without.peak_bytes), kOthers, 2e5);
  EXPECT_NEAR(static_cast<double>(before.resident_bytes - without.resident_bytes), kOthers, 2e5);
}

}  // namespace
}  // namespace shelfcast

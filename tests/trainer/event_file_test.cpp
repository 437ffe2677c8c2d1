#include "trainer/run/event_file.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <limits>
#include <nlohmann/json.hpp>

#include "base/error.h"
#include "base/files.h"
#include "tests/support/temporary_folder.h"
#include "trainer/run/metrics_log.h"

namespace shelfcast::trainer {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::StartsWith;

TEST(EventFile, has_the_bytes_that_tensorboard_writes) {
  const testing::TemporaryFolder folder;
  EventFile file(folder.path(), 301, 1700000000.25);
  file.write(1700000001.5, 310, {{"train/loss", 0.5F}, {"train/learning_rate", 1e-3F}});
  file.write(1700000002.0, std::int64_t{1} << 40,
             {{"validation/loss", std::numeric_limits<float>::quiet_NaN()}});
  file.write(1700000003.0, 0, {{"train/loss", -3.25F}});
  EXPECT_EQ(read_file(file.path()),
            read_file(std::filesystem::path(SHELFCAST_SOURCE_DIR) / "tests/golden/events.tfevents"));
  EXPECT_THAT(file.path().filename().string(), StartsWith("events.out.tfevents.1700000000."));
}

TEST(EventFile, says_which_file_cannot_be_written) {
  EXPECT_THROW(EventFile("/nowhere/at/all", 1, 1.0), Error);
}

TEST(Crc32c, has_its_published_check_value) {
  EXPECT_EQ(crc32c("123456789"), 0xE3069283U);
  EXPECT_EQ(crc32c(""), 0U);
  EXPECT_EQ(crc32c(std::string(32, '\0')), 0x8A9136AAU);  // RFC 3720, B.4
}

TEST(MetricsLog, keeps_lines_up_to_the_step_and_a_validation_of_it_unless_that_is_pending) {
  const testing::TemporaryFolder folder;
  const std::string before = R"({"step":0,"validation_loss":3.0})"
                             "\n",
                    validated = R"({"step":5,"validation_loss":2.0})"
                                "\n",
                    trained = R"({"loss":1.0,"step":5})"
                              "\n";
  const auto kept = [&](MetricsLog::Kept wanted) {
    write_file_atomically(folder / "m.jsonl", before + trained + validated +
                                                  R"({"step":6})"
                                                  "\n"
                                                  R"({"step":"five"})"
                                                  "\n"
                                                  R"({"st)");
    MetricsLog log(folder / "m.jsonl", wanted);
    log.make_durable();
    return read_file(folder / "m.jsonl");
  };
  EXPECT_EQ(kept({.step = -1}), "");
  EXPECT_EQ(kept({.step = 5}), before + trained + validated);
  EXPECT_EQ(kept({.step = 5, .validation = false}), before + trained);
}

TEST(MetricsLog, sends_the_numbers_of_its_lines_to_the_event_file) {
  const testing::TemporaryFolder folder;
  MetricsLog log(folder / "metrics.jsonl", {});
  log.write_events(folder.path(), 0);
  log.write({{"step", 10}, {"loss", 0.25}, {"seconds", {{"load", 1}}}, {"time", 5.0}});
  log.write({{"step", 20}, {"validation_loss", 0.5}});
  std::string bytes;
  for (const auto& entry : std::filesystem::directory_iterator(folder.path()))
    if (entry.path().filename().string().starts_with("events.")) bytes += read_file(entry.path());
  EXPECT_THAT(bytes, HasSubstr("train/loss"));
  EXPECT_THAT(bytes, HasSubstr("validation/loss"));
  for (const char* other : {"train/step", "train/time", "seconds"}) EXPECT_THAT(bytes, Not(HasSubstr(other)));
}

}  // namespace
}  // namespace shelfcast::trainer

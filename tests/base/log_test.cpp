#include "base/log.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <sstream>
#include <thread>
#include <vector>

#include "base/error.h"
#include "base/files.h"
#include "tests/support/temporary_folder.h"

namespace shelfcast {
namespace {

using testing::TemporaryFolder;
using ::testing::internal::CaptureStderr;
using ::testing::internal::CaptureStdout;
using ::testing::internal::GetCapturedStderr;
using ::testing::internal::GetCapturedStdout;

std::vector<nlohmann::json> lines_of(const std::filesystem::path& path) {
  std::vector<nlohmann::json> lines;
  std::istringstream text(read_file(path));
  for (std::string line; std::getline(text, line);) lines.push_back(nlohmann::json::parse(line));
  return lines;
}

TEST(Log, only_rank_0_prints_what_all_ranks_do) {
  CaptureStdout();
  for (const int rank : {0, 1, 2}) {
    const log::ThreadIdentity identity({rank, 3, "n17"});
    log::all("epoch {} begins", 4);
  }
  EXPECT_EQ(GetCapturedStdout(), "epoch 4 begins\n");
}

TEST(Log, what_one_rank_does_carries_rank_and_host) {
  CaptureStdout();
  const log::ThreadIdentity identity({2, 3, "n17"});
  log::this_rank("slow disk");
  EXPECT_EQ(GetCapturedStdout(), "[rank 2 on n17] slow disk\n");
}

TEST(Log, warnings_and_errors_go_to_stderr_with_a_place_only_among_several) {
  CaptureStderr();
  {
    const log::ThreadIdentity identity({0, 1, "n17"});
    log::warn("{} left", "little");
  }
  {
    const log::ThreadIdentity identity({1, 2, "n17"});
    log::error("gone");
  }
  EXPECT_EQ(GetCapturedStderr(), "warning: little left\n[rank 1 on n17] error: gone\n");
}

TEST(Log, thread_identities_nest_and_end) {
  const int outside = log::identity().rank;
  {
    const log::ThreadIdentity outer({5, 8, ""});
    {
      const log::ThreadIdentity inner({6, 8, ""});
      EXPECT_EQ(log::identity().rank, 6);
    }
    EXPECT_EQ(log::identity().rank, 5);
  }
  EXPECT_EQ(log::identity().rank, outside);
}

TEST(LogFile, holds_every_line_of_the_rank_as_json) {
  const TemporaryFolder folder;
  log::open_file(folder / "rank-1.jsonl");
  CaptureStdout();
  CaptureStderr();
  {
    const log::ThreadIdentity identity({1, 2, "n17"});
    log::all("not printed");
    log::this_rank("printed \"so\"\nin two lines");
    log::warn("broken bytes \xff");
  }
  GetCapturedStdout();
  GetCapturedStderr();
  log::close_file();
  log::all("after the end");
  const auto lines = lines_of(folder / "rank-1.jsonl");
  ASSERT_EQ(lines.size(), 3u);
  EXPECT_EQ(lines[0].at("message"), "not printed");
  EXPECT_EQ(lines[0].at("level"), "info");
  EXPECT_EQ(lines[1].at("message"), "printed \"so\"\nin two lines");
  EXPECT_EQ(lines[2].at("level"), "warning");
  EXPECT_EQ(lines[2].at("rank"), 1);
  EXPECT_EQ(lines[2].at("host"), "n17");
  EXPECT_EQ(lines[2].at("time").get<std::string>().size(), std::string("2026-01-31T08:15:30.123Z").size());
}

TEST(LogFile, appends_and_keeps_lines_of_threads_whole) {
  const TemporaryFolder folder;
  for (int run = 0; run < 2; ++run) {
    log::open_file(folder / "log.jsonl");
    CaptureStdout();
    {
      std::vector<std::jthread> threads;
      for (int rank = 0; rank < 4; ++rank)
        threads.emplace_back([rank] {
          const log::ThreadIdentity identity({rank, 4, ""});
          for (int i = 0; i < 50; ++i) log::all(std::string(200, 'x'));
        });
    }
    GetCapturedStdout();
    log::close_file();
  }
  EXPECT_EQ(lines_of(folder / "log.jsonl").size(), 400u);
}

TEST(LogFile, one_that_cannot_be_opened_is_an_error) {
  const TemporaryFolder folder;
  EXPECT_THROW(log::open_file(folder / "no/log.jsonl"), Error);
}

TEST(LogFile, a_full_disk_is_said_once_and_does_not_stop_the_program) {
  log::open_file("/dev/full");
  CaptureStdout();
  CaptureStderr();
  log::all("one");
  log::all("two");
  log::close_file();
  EXPECT_EQ(GetCapturedStdout(), "one\ntwo\n");
  const std::string complaint = GetCapturedStderr();
  EXPECT_NE(complaint.find("No space left"), std::string::npos);
  EXPECT_EQ(std::count(complaint.begin(), complaint.end(), '\n'), 1);
}

}  // namespace
}  // namespace shelfcast

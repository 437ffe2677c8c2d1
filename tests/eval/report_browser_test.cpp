// The report in headless Chromium: it loads without a complaint on the console and its marks are drawn.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdio>
#include <cstdlib>

#include "base/files.h"
#include "eval/backtest.h"
#include "tests/eval/small_panel.h"
#include "tests/support/temporary_folder.h"

namespace shelfcast::eval {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

bool has_chromium() { return std::system("command -v chromium >/dev/null 2>&1") == 0; }

// Output of chromium, the console's messages among it.
std::string browse(const std::string& options, const std::filesystem::path& profile,
                   const std::filesystem::path& page) {
  const std::string command =
      "timeout 90 chromium --headless --no-sandbox --disable-gpu --no-first-run --enable-logging=stderr "
      "--user-data-dir='" +
      profile.string() + "' " + options + " 'file://" + page.string() + "' 2>&1";
  std::FILE* pipe = ::popen(command.c_str(), "r");
  std::string output;
  for (int c = std::fgetc(pipe); c != EOF; c = std::fgetc(pipe)) output += static_cast<char>(c);
  ::pclose(pipe);
  return output;
}

std::size_t count(const std::string& text, const std::string& part) {
  std::size_t n = 0;
  for (std::size_t at = text.find(part); at != std::string::npos; at = text.find(part, at + 1)) ++n;
  return n;
}

TEST(ReportInBrowser, draws_its_marks_without_console_errors) {
  if (!has_chromium()) GTEST_SKIP() << "no chromium here";
  const testing::TemporaryFolder folder;
  write_panel(make_small_panel(), folder / "small.corpus");
  BacktestConfig config;
  config.origins = 2;
  config.stride = config.horizon = 7;
  SeasonalQuantiles model(7, 3);
  const auto single = parallel::make_single();
  const auto spec = data::make_features(small_config(28, 7), data::Corpus(folder / "small.corpus"), 30);
  const BacktestResult result = run_backtest(config, folder / "small.corpus", spec, {&model}, 40, *single);
  write_backtest(result, folder.path(), {"small", {{"build", "test"}}});
  const std::filesystem::path page = folder / "backtest" / "report.html";

  const std::string dom = browse("--dump-dom", folder / "profile", page);
  EXPECT_THAT(dom, Not(HasSubstr("CONSOLE")));
  EXPECT_GE(count(dom, "<svg"), 5 + result.fans.size());
  EXPECT_GT(count(dom, "<path"), 40U);
  EXPECT_GT(count(dom, "<rect"), 10U);
  EXPECT_GT(count(dom, "<circle"), 20U);

  const std::filesystem::path picture = folder / "report.png";
  browse("--hide-scrollbars --window-size=1200,4000 --screenshot='" + picture.string() + "'",
         folder / "profile", page);
  ASSERT_TRUE(std::filesystem::exists(picture));
  EXPECT_GT(std::filesystem::file_size(picture), 50'000U);
  if (const char* keep = std::getenv("SHELFCAST_KEEP_SCREENSHOT")) {
    std::filesystem::copy_file(picture, keep, std::filesystem::copy_options::overwrite_existing);
    std::filesystem::copy_file(page, std::string(keep) + ".html",
                               std::filesystem::copy_options::overwrite_existing);
  }
}

}  // namespace
}  // namespace shelfcast::eval

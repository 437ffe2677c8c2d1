// The report in headless Chromium: it loads without a complaint on the console and its marks are drawn.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdio>
#include <cstdlib>

#include "base/files.h"
#include "tests/eval/report_fixture.h"

namespace shelfcast::eval {
namespace {

using ::testing::AnyOf;
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

TEST(ReportInBrowser, draws_every_plot_without_console_errors) {
  if (!has_chromium()) GTEST_SKIP() << "no chromium here";
  const testing::TemporaryFolder folder;
  for (const auto& [name, seasons] : {std::pair("three", 3), std::pair("one", 1)})
    write_run(folder.path(), name, seasons);
  write_report({folder / "three", folder / "one"}, folder / "report");
  const std::filesystem::path page = folder / "report" / "report.html";
  const std::size_t plots = count(read_file(page), " data-plot=");
  EXPECT_GT(plots, 10U);

  const std::string dom = browse("--virtual-time-budget=20000 --dump-dom", folder / "profile", page);
  EXPECT_THAT(dom, Not(HasSubstr("CONSOLE")));
  EXPECT_THAT(dom, HasSubstr("data-drawn=\"" + std::to_string(plots) + "\""));
  // Every plot has a drawing, and marks of its kind.
  for (std::size_t i = 1; i <= plots; ++i) {
    const std::size_t at = dom.find("id=\"plot-" + std::to_string(i) + "\"");
    ASSERT_NE(at, std::string::npos) << i;
    const std::string plot = dom.substr(at, dom.find("</svg>", at) - at);
    EXPECT_THAT(plot, HasSubstr("<svg")) << i;
    EXPECT_THAT(plot, AnyOf(HasSubstr("mark-line role-mark"), HasSubstr("mark-rect role-mark"),
                            HasSubstr("mark-symbol role-mark")))
        << i;
    EXPECT_THAT(plot, Not(HasSubstr("NaN"))) << i;
  }
  EXPECT_GE(count(dom, "mark-area role-mark"), 4U * 8U);  // four pairs of quantiles in each fan

  const std::filesystem::path picture = folder / "report.png";
  browse("--hide-scrollbars --window-size=1200,8000 --screenshot='" + picture.string() + "'",
         folder / "profile", page);
  ASSERT_TRUE(std::filesystem::exists(picture));
  EXPECT_GT(std::filesystem::file_size(picture), 100'000U);
  if (const char* keep = std::getenv("SHELFCAST_KEEP_SCREENSHOT")) {
    std::filesystem::copy_file(picture, keep, std::filesystem::copy_options::overwrite_existing);
    std::filesystem::copy_file(page, std::string(keep) + ".html",
                               std::filesystem::copy_options::overwrite_existing);
  }
}

TEST(ReportInBrowser, draws_every_plot_of_one_step_ahead) {
  if (!has_chromium()) GTEST_SKIP() << "no chromium here";
  const testing::TemporaryFolder folder;
  BacktestConfig config = report_config();
  config.horizon = 1;
  write_run(folder.path(), "one", 3, config);
  write_report({folder / "one"}, folder / "report");
  const std::filesystem::path page = folder / "report" / "report.html";
  const std::string dom = browse("--virtual-time-budget=20000 --dump-dom", folder / "profile", page);
  EXPECT_THAT(dom, Not(HasSubstr("CONSOLE")));
  EXPECT_THAT(dom, HasSubstr(fmt::format("data-drawn=\"{}\"", count(read_file(page), " data-plot="))));
}

}  // namespace
}  // namespace shelfcast::eval

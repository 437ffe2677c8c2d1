// `shelfcast report` and `shelfcast compare`: a program of its own without LibTorch, so that a report is
// there at once.
#include <fmt/format.h>

#include <cstdio>

#include "base/error.h"
#include "eval/report/report.h"
#include "trainer/run_program.h"

namespace {

using namespace shelfcast;

void run(const trainer::ReportCommand& command) {
  eval::write_report({command.runs.begin(), command.runs.end()}, command.out, command.published);
  std::printf("report: %s\n", (std::filesystem::path(command.out) / "report.html").c_str());
}

std::string line_of(const eval::Comparison& c) {
  std::string line = fmt::format("{:<27} {:<7}", c.category.empty() ? "all series" : c.category, c.metric);
  if (!c.difference) return line + "n = 0\n";
  line += fmt::format("{:>+9.2f} %", 100 * *c.difference);
  line += c.low && c.high
              ? fmt::format("  ({:+.2f} to {:+.2f} % over {} series)", 100 * *c.low, 100 * *c.high, c.series)
              : fmt::format("  ({} series: no interval)", c.series);
  line += c.dates ? fmt::format("  DM {:+.2f}, p = {:.2g} over {} dates", c.dates->statistic, c.dates->p,
                                c.dates->dates)
                  : std::string("  (too few dates for a test over them)");
  return line + fmt::format("  {}\n", to_string(c.verdict));
}

void run(const trainer::CompareCommand& command) {
  const eval::RunComparison comparison = eval::compare_runs(command.first, command.second);
  std::string text = fmt::format("Errors of {} relative to those of {} (below 0: smaller).\n",
                                 comparison.first, comparison.second);
  for (const auto* comparisons : {&comparison.overall, &comparison.by_category})
    for (const eval::Comparison& c : *comparisons) text += line_of(c);
  std::fputs(text.c_str(), stdout);
}

}  // namespace

// Exit codes: 0 done, 1 failed (message on stderr), 2 wrong command line.
int main(int argc, char** argv) {
  return trainer::run_program(argc, argv, [](const trainer::Command& command) {
    if (const auto* report = std::get_if<trainer::ReportCommand>(&command))
      run(*report);
    else
      run(std::get<trainer::CompareCommand>(command));
    return 0;
  });
}

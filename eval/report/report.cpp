#include "eval/report/report.h"

#include <fmt/format.h>

#include "base/error.h"
#include "base/files.h"
#include "eval/report/page.h"
#include "eval/report/sections.h"
#include "eval/report/text.h"

namespace shelfcast::eval {

std::string report_html(const ReportData& data) {
  Page page;
  const std::string head =
      fmt::format("<p class=\"kicker\">Shelfcast report</p><h1>{}</h1>\n", escape_html(data.title)) +
      verdict_section(data) + tiles_section(data);
  std::string body = main_table_section(data) + comparison_section(data, page) +
                     heat_map_section(data, page) + horizon_section(data, page) + hierarchy_section(data) +
                     orders_section(data) + class_section(data) + combination_section(data) +
                     groups_section(data, page);
  body += calibration_section(data, page) + fans_section(data, page) + worst_section(data);
  body += training_section(data, page) + resources_section(data) + cards_section(data) +
          reproduction_section(data) + notes_section(data);
  return page.html("Report: " + data.title, head, body);
}

void write_report(const std::vector<std::filesystem::path>& runs, const std::filesystem::path& folder,
                  const std::filesystem::path& published) {
  const ReportData data = gather_report(runs, published);
  std::error_code failed;
  std::filesystem::create_directories(folder, failed);
  if (failed) throw io_error(fmt::format("cannot make {}", folder.string()), failed.value());
  write_file_atomically(folder / "report.md", report_markdown(data));
  write_file_atomically(folder / "report.tex", report_latex(data));
  write_file_atomically(folder / "report.csv", report_csv(data));
  write_file_atomically(folder / "report.json", report_json(data).dump(1) + "\n");
  write_file_atomically(folder / "report.html", report_html(data));
}

}  // namespace shelfcast::eval

// Reports on runs: one HTML page that needs nothing beside itself, and the same numbers for papers and
// programs.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "eval/report/report_data.h"

namespace shelfcast::eval {

std::string report_html(const ReportData& data);
// The summary and the main tables.
std::string report_markdown(const ReportData& data);
// The main table as a tabular for LaTeX (booktabs): best in bold, an asterisk where the difference from the
// strongest baseline is significant.
std::string report_latex(const ReportData& data);
// model,kind,metric,value,n,best,verdict, long form; the verdict is against the strongest baseline.
std::string report_csv(const ReportData& data);
nlohmann::ordered_json report_json(const ReportData& data);

// Reads the runs and writes FOLDER/{report.html, report.md, report.tex, report.csv, report.json}, each whole
// or not at all. Throws as gather_report(), Error(io).
void write_report(const std::vector<std::filesystem::path>& runs, const std::filesystem::path& folder,
                  const std::filesystem::path& published = {});

}  // namespace shelfcast::eval

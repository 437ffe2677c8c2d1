// What trainings and backtests took, as a table for every form of the report.
#pragma once

#include <string>
#include <vector>

#include "eval/report/report_data.h"

namespace shelfcast::eval {

// A row a run, and one for each training behind a run that is not its own: of the members of an ensemble. All
// rows have as many cells as the header; "–" where nothing is known.
struct ResourceTable {
  std::vector<std::string> header;
  std::vector<std::vector<std::string>> rows;
};
ResourceTable resource_table(const ReportData& data);

}  // namespace shelfcast::eval

// Whether the best model wins, and by how much, in words.
#pragma once

#include <string>
#include <vector>

#include "eval/report/report_data.h"

namespace shelfcast::eval {

struct Summary {
  Verdict verdict = Verdict::unclear;
  std::string headline;                // one sentence
  std::vector<std::string> sentences;  // the difference in each metric, and what other runs did
};
// A win is only called a win when every comparison with the baselines is one.
Summary summarise(const ReportData& data);

}  // namespace shelfcast::eval

// The parts of the report that tell the numbers, each as HTML; empty where the result has nothing for them.
#pragma once

#include <string>

#include "eval/result.h"

namespace shelfcast::eval {

// Whether the first model wins, in one sentence, and by how much against the strongest baseline of each
// metric.
std::string verdict_section(const BacktestResult& result);
// The few figures everybody asks for first.
std::string tiles_section(const BacktestResult& result);
std::string main_table_section(const BacktestResult& result);
std::string comparison_section(const BacktestResult& result);
std::string horizon_section(const BacktestResult& result);
std::string groups_section(const BacktestResult& result);
std::string calibration_section(const BacktestResult& result);
std::string notes_section(const BacktestResult& result);

}  // namespace shelfcast::eval

// The backtest's report: one HTML page that needs nothing beside itself.
#pragma once

#include <string>

#include "eval/result.h"

namespace shelfcast::eval {

// Self-contained (no network, no scripts, SVG inline), for light and dark screens and for print.
std::string report_html(const BacktestResult& result, const ReportMetadata& metadata);

}  // namespace shelfcast::eval

// The parts of the HTML report; empty where the data have nothing for them.
#pragma once

#include <string>

#include "eval/report/page.h"
#include "eval/report/report_data.h"

namespace shelfcast::eval {

// What was found (result_sections.cpp).
std::string verdict_section(const ReportData& data);
// The few figures everybody asks for first.
std::string tiles_section(const ReportData& data);
std::string main_table_section(const ReportData& data);
std::string comparison_section(const ReportData& data, Page& page);
std::string hierarchy_section(const ReportData& data);
std::string orders_section(const ReportData& data);

// Where it was found (group_sections.cpp).
std::string heat_map_section(const ReportData& data, Page& page);
std::string horizon_section(const ReportData& data, Page& page);
std::string groups_section(const ReportData& data, Page& page);

// Low, normal and high demand (class_section.cpp).
std::string class_section(const ReportData& data);

// What combinations are made of (combination_section.cpp).
std::string combination_section(const ReportData& data);

// Single series and quantiles (series_sections.cpp).
std::string fans_section(const ReportData& data, Page& page);
std::string worst_section(const ReportData& data);
std::string calibration_section(const ReportData& data, Page& page);

// How it came about (run_sections.cpp).
std::string training_section(const ReportData& data, Page& page);
std::string resources_section(const ReportData& data);
std::string cards_section(const ReportData& data);
std::string reproduction_section(const ReportData& data);
std::string notes_section(const ReportData& data);

// <td> with a score as text, or n = 0; and the legend of plotted forecasters.
std::string score_cell(const Score& score);
std::string legend(const BacktestResult& result);
// The levels of a group by falling demand, at most `most`.
std::vector<std::string> largest_levels(const BacktestResult& result, const std::string& group,
                                        std::size_t most);
// The groups in the order they were asked for, without "horizon", "hierarchy", "classes" and "orders".
std::vector<std::string> group_names(const BacktestResult& result);

}  // namespace shelfcast::eval

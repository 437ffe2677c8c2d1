// The Kaggle form of M5 (Walmart): a wide sales table, a calendar and weekly prices.
#pragma once

#include <filesystem>
#include <vector>

#include "data/ingest/panel.h"

namespace shelfcast::data {

struct M5Files {
  std::vector<std::filesystem::path> sales;  // one file, or one a store
  std::filesystem::path calendar, prices;
};

// `path` is the folder that holds sales_*, calendar.* and sell_prices.* (CSV or Parquet), or one sales file
// in it. Where Kaggle's sales_train_validation and sales_train_evaluation are both there, the latter is
// taken, which holds the former. Throws Error(input) naming what is missing.
M5Files find_m5_files(const std::filesystem::path& path);

// Daily series per item and store. The axis starts with the first d_ column and goes on to the calendar's
// end; demand ends with the last d_ column. Days before an item's first price in a store are not observed.
// Throws Error(input).
Panel read_m5(const M5Files& files);

}  // namespace shelfcast::data

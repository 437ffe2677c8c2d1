// A backtest read back from the files it was written to.
#pragma once

#include <filesystem>
#include <map>
#include <string>

#include "eval/result.h"

namespace shelfcast::eval {

struct BacktestFiles {
  BacktestResult result;  // without series errors and losses: read_losses() has these
  RunMetadata metadata;
  std::map<std::string, std::string> digests;  // of the files beside; those of an earlier version: none
};

// Reads RUN/backtest/{result.json, fans.json, run.json}. Throws Error(input) for a folder without a finished
// backtest, Error(data) naming the file that is damaged, of another backtest or of another version.
BacktestFiles read_backtest(const std::filesystem::path& run_folder);

// Of all series in file order and all dates.
struct ModelLosses {
  std::vector<std::string> series, categories;
  std::vector<std::size_t> category_of;  // [series]
  std::vector<SeriesErrors> errors;      // [series]
  LossRecord losses;
};

// Reads what RUN/backtest/{series.csv, dates.csv, wrmsse.csv} say of one model on the backtest's series.
// Throws Error(data) naming the file that is damaged, and the line, or that is of another backtest.
ModelLosses read_losses(const std::filesystem::path& run_folder, const std::string& model,
                        const BacktestFiles& backtest);

}  // namespace shelfcast::eval

// The file that describes a periodic retrain: what is trained, on what, and who may replace whom
// (docs/retrain.md).
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

namespace shelfcast::trainer {

// New sales that are appended to the corpus first, as `shelfcast ingest --append` does.
struct NewDays {
  std::string from;  // file or folder of tables; empty = somebody else appends
  std::string format, frequency;
  std::filesystem::path map;
  std::int64_t series_limit = 0;  // 0 = all
};

enum class StartFrom { champion, scratch };
enum class Significance {
  better,     // the interval of the difference lies below 0
  not_worse,  // it does not lie above 0
  none,       // it does not matter
};

// When a challenger replaces the champion.
struct PromotionRule {
  std::string metric = "mae";  // mae or mse
  double min_gain = 0;         // of the champion's error: more than this share must be gained
  Significance significance = Significance::better;
  std::optional<double> most_loss;  // share of error that no category the champion knew may lose
};

struct RetrainFile {
  std::filesystem::path file;    // the description itself
  std::filesystem::path recipe;  // relative paths: from the folder of `file`
  std::string dir;               // where everything is kept; default retrain/<file name>
  NewDays new_days;
  StartFrom start = StartFrom::champion;
  std::vector<std::string> set;       // overrides of the recipe
  std::vector<std::string> warm_set;  // more of them where a challenger begins with the champion
  PromotionRule promote;
  std::int64_t keep = 3;  // bundles, and the runs they came from
  std::string launcher;   // words before `shelfcast train` and `shelfcast backtest`
};

// Throws Error(input) "file:line: ..." for unknown keys (with the nearest name), wrong types and what makes
// no sense.
RetrainFile parse_retrain(const std::string& yaml, const std::filesystem::path& file);
RetrainFile read_retrain(const std::filesystem::path& file);

}  // namespace shelfcast::trainer

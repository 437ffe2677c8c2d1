// Training on a corpus with product texts and a small published encoder beside it.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "tests/support/paths.h"
#include "tests/trainer/training_fixture.h"
#include "trainer/commands/commands.h"

namespace shelfcast::trainer {

inline const std::vector<std::string> kTexts = {"WHITE HANGING HEART T-LIGHT HOLDER",
                                                "Café crème 250g, 12-pack", "",
                                                "Jalapeño Tortilla Chips (party size)"};

// Item 0 sells four times as much as its series would: what its text is good for.
inline float by_item(std::int64_t series, std::int64_t, float demand) {
  return series % 4 == 0 ? 4 * demand : demand;
}

class Texts : public Training {
 protected:
  explicit Texts(const SmallCorpusOptions& corpus = {.series = 12,
                                                     .steps = 160,
                                                     .all_missing_series = true,
                                                     .change = by_item,
                                                     .texts = kTexts})
      : Training(corpus) {
    fs::create_directories(encoder());
    for (const char* file : {"config.json", "model.safetensors", "vocab.txt", "tokenizer_config.json"})
      fs::copy_file(shelfcast::testing::golden_dir() / "bert/uncased" / file, encoder() / file);
  }
  fs::path encoder() const { return folder_ / "encoder"; }
  fs::path corpus() const { return folder_ / "small.corpus"; }
  Recipe text_recipe(const std::string& run, std::vector<std::string> overrides = {}) const {
    overrides.insert(overrides.begin(), {"data.text=true", "model.text=" + encoder().string()});
    return recipe(run, overrides);
  }
  std::vector<fs::path> cache_files() const {
    std::vector<fs::path> files;
    for (const auto& entry : fs::directory_iterator(folder_ / "small.corpus.texts"))
      files.push_back(entry.path());
    return files;
  }
  void backtest(const std::string& run) const {
    parallel::Launch launch(nullptr, nullptr);
    BacktestCommand command;
    command.model = (folder_ / run).string();
    trainer::run(command, launch);
  }
  // A table of recent sales: a row for each of these series and days, with these columns beside.
  fs::path sales(const std::string& columns,
                 const std::vector<std::pair<std::string, std::string>>& series) const {
    std::string csv = "series,date,value" + columns + "\n";
    for (const auto& [name, cells] : series)
      for (int day = 1; day <= 28; ++day)
        csv += fmt::format("{},2022-07-{:02},{}{}\n", name, day, day % 7, cells);
    write_file_atomically(folder_ / "sales.csv", csv);
    return folder_ / "sales.csv";
  }
  // The forecasts' rows, without the names of series.
  std::map<std::string, std::string> forecast(const std::string& run, const fs::path& table) const {
    parallel::Launch launch(nullptr, nullptr);
    const fs::path out = folder_ / "forecast.csv";
    ForecastCommand command;
    command.model = (folder_ / run).string();
    command.sales = table.string();
    command.out = out.string();
    trainer::run(command, launch);
    std::ifstream file(out);
    std::map<std::string, std::string> rows;
    for (std::string line; std::getline(file, line);)
      rows[line.substr(0, line.find(','))] += line.substr(line.find(','));
    return rows;
  }
};

}  // namespace shelfcast::trainer

// How well runs forecast items that were launched after they were trained:
//   bench_new_items RUN...
// For each run, pinball loss (mean over levels, in units of demand) on series whose first sale lies after
// training and validation, by the days since that first sale at which the forecast is made.
//   bench_new_items --encoder FOLDER CORPUS...
// makes the folder of a small text encoder without weights, whose vocabulary is the words of the corpora's
// texts.
#include <fmt/format.h>

#include <cmath>
#include <memory>
#include <set>

#include "base/files.h"
#include "data/loader.h"
#include "data/text/unicode.h"
#include "parallel/communicator.h"
#include "trainer/model_forecaster.h"
#include "trainer/trained_run.h"

namespace shelfcast {
namespace {

constexpr std::array<std::int64_t, 5> kAges = {0, 3, 7, 14, 28};  // days

// Step of each series' first observed demand; -1 = none.
std::vector<std::int64_t> first_steps(const data::Corpus& corpus) {
  std::vector<std::int64_t> first;
  for (std::int64_t series = 0; series < corpus.info().series; ++series) {
    data::PanelBlock block;
    corpus.read(series, 1, 0, corpus.info().demand_end, {}, block);
    std::int64_t step = 0;
    while (step < corpus.info().demand_end && std::isnan(block.demand[static_cast<std::size_t>(step)]))
      ++step;
    first.push_back(step == corpus.info().demand_end ? -1 : step);
  }
  return first;
}

struct Sum {
  double loss = 0, steps = 0;
};

Sum pinball(const data::Batch& batch, const eval::ForecastValues& values, std::int64_t horizon) {
  Sum sum;
  const auto levels = static_cast<std::int64_t>(values.levels.size());
  for (std::int64_t b = 0; b < batch.windows; ++b)
    for (std::int64_t h = 0; h < horizon; ++h) {
      const float y = batch.target_bh[static_cast<std::size_t>(b * horizon + h)];
      if (std::isnan(y) || batch.weight_b[static_cast<std::size_t>(b)] == 0) continue;
      for (std::int64_t q = 0; q < levels; ++q) {
        const double level = values.levels[static_cast<std::size_t>(q)],
                     error =
                         y - values.quantiles_bqh[static_cast<std::size_t>((b * levels + q) * horizon + h)];
        sum.loss += std::max(level * error, (level - 1) * error) / static_cast<double>(levels);
      }
      ++sum.steps;
    }
  return sum;
}

void judge(const std::string& folder) {
  const trainer::TrainedRun run = trainer::open_run(folder);
  const data::Corpus corpus(run.recipe.data.source());
  const auto alone = parallel::make_single();
  trainer::ModelForecaster forecaster(
      run.name(), *run.model, run.features,
      trainer::read_series_texts(corpus, run.features.text, run.recipe.model, *alone));
  const std::int64_t unseen = corpus.info().axis.step_at_or_before(*run.recipe.data.validate_until);
  const std::vector<std::int64_t> first = first_steps(corpus);
  fmt::print("{:<24}", run.name());
  Sum all;
  for (const std::int64_t age : kAges) {
    std::vector<data::Window> windows;
    for (std::size_t s = 0; s < first.size(); ++s)
      if (first[s] >= unseen && first[s] + age + run.features.horizon <= corpus.info().demand_end)
        windows.push_back({static_cast<std::int64_t>(s), first[s] + age});
    data::EvaluationReader reader(run.recipe.data.source(), run.features, windows, 64);
    Sum of_age;
    data::Batch batch;
    eval::ForecastValues values;
    for (std::int64_t k = 0; k < reader.batches(); ++k) {
      reader.read(k, batch);
      forecaster.forecast(batch, values);
      const Sum sum = pinball(batch, values, run.features.horizon);
      of_age.loss += sum.loss, of_age.steps += sum.steps;
    }
    all.loss += of_age.loss, all.steps += of_age.steps;
    fmt::print("  {:>3} d {:.4f}", age, of_age.loss / of_age.steps);
  }
  fmt::print("  all {:.4f}  n {}\n", all.loss / all.steps, all.steps);
}

// The words that BERT's tokenizer looks up: in lower case, without accents; ideographs and punctuation alone.
void add_words(const std::string& text, std::set<std::string>& words) {
  using data::CharacterClass;
  std::string word;
  const auto end_word = [&] {
    if (!word.empty()) words.insert(data::normalize(word, data::Accents::strip));
    word.clear();
  };
  for (std::size_t at = 0; at < text.size();) {
    const char32_t code = data::next_code_point(text, at);
    const CharacterClass kind = data::classify(code);
    if (kind != CharacterClass::letter) end_word();
    if (kind != CharacterClass::space) data::append_lower(word, code);
    if (kind != CharacterClass::letter) end_word();
  }
  end_word();
}

void make_encoder(const std::string& folder, std::span<char* const> corpora) {
  std::set<std::string> words;
  for (const std::string corpus : corpora)
    for (const data::Document& document : data::Corpus(corpus).documents()) add_words(document.text, words);
  std::string vocabulary = "[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\n";
  for (const std::string& word : words) vocabulary += word + "\n";
  std::filesystem::create_directories(folder);
  write_file_atomically(folder + "/vocab.txt", vocabulary);
  constexpr const char* kConfig = R"({{"model_type": "bert", "vocab_size": {}, "hidden_size": 64,
  "num_hidden_layers": 1, "num_attention_heads": 4, "intermediate_size": 128,
  "max_position_embeddings": 128, "type_vocab_size": 2, "hidden_act": "gelu",
  "layer_norm_eps": 1e-12, "initializer_range": 0.02}}
)";
  write_file_atomically(folder + "/config.json", fmt::format(kConfig, words.size() + 5));
}

}  // namespace
}  // namespace shelfcast

int main(int argc, char** argv) {
  try {
    if (argc > 3 && std::string_view(argv[1]) == "--encoder") {
      shelfcast::make_encoder(argv[2], {argv + 3, argv + argc});
      return 0;
    }
    for (int i = 1; i < argc; ++i) shelfcast::judge(argv[i]);
  } catch (const std::exception& error) {
    fmt::print(stderr, "{}\n", error.what());
    return 1;
  }
}

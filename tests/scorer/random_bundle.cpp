#include "tests/scorer/random_bundle.h"

#include "tests/support/paths.h"

namespace shelfcast::scorer::testing {
namespace {

constexpr std::int64_t kSeries = 9;

RandomInputs make_inputs(const ModelConfig& config) {
  RandomInputs inputs(config, kSeries);
  const std::int64_t span = config.context + config.horizon;
  for (std::int64_t b = 1; b < kSeries; ++b)
    std::copy_n(inputs.known_codes.begin() + span, span, inputs.known_codes.begin() + (b * 2 + 1) * span);
  return inputs;
}

}  // namespace

RandomBundle::RandomBundle(const std::function<void(BundleContents&)>& change, const ModelConfig& config)
    : inputs_(make_inputs(config)) {
  RandomModel(config).save(scratch_.path() / "model");
  contents_.name = "run-7";
  contents_.created_by = "shelfcast test";
  contents_.axis.start = *parse_date("2026-02-20");
  contents_.first_step = 10;
  contents_.model = scratch_.path() / "model";
  if (config.text_width > 0) contents_.text = shelfcast::testing::golden_dir() / "bert/uncased";
  contents_.features = R"({"statics": [
      {"name": "department", "vocabulary": ["d0", "d1", "d2", "d3", "d4"]}, {"name": "brand", "vocabulary": ["b0", "b1"]}],
    "static_numbers": [{"name": "size", "mean": 10.0, "std": 4.0}, {"name": "distance", "mean": 0.0, "std": 2.0}],
    "known_numeric": [{"name": "price", "per": "series"}, {"name": "weather", "per": "store"}],
    "known_categorical": [{"name": "promo", "per": "series"}, {"name": "event", "per": "all"}]})";
  for (std::int64_t b = 0; b < kSeries; ++b) {
    const std::string store = b % 2 == 0 ? "店A" : "店B", number = std::to_string(b);
    const std::string item = b == 5 ? "item \"\"5\"\"" : b == 6 ? "item, 6" : "item " + number;
    contents_.names.series.push_back(store + "/" + item);
    contents_.names.store.push_back(store);
    contents_.names.item.push_back(item);
  }
  contents_.context_bt = inputs_.context;
  contents_.past_bnt = inputs_.past;
  contents_.known_bnu = inputs_.known;
  contents_.past_codes_bct = inputs_.past_codes;
  contents_.known_codes_bcu = inputs_.known_codes;
  contents_.statics_bs = inputs_.statics;
  contents_.static_numbers_bn = inputs_.static_numbers;
  contents_.text_kw = inputs_.text;
  contents_.text_row_b = inputs_.text_row;
  contents_.copula.correlation = Correlation::identity(static_cast<int>(config.horizon));
  contents_.copula.correlation(0, 1) = contents_.copula.correlation(1, 0) = 0.3;
  auto levels = Recalibration::kLevels;
  levels[8] = 0.52;
  contents_.copula.recalibration.set(3, {levels.begin(), levels.end()});
  // The forward itself is compared with LibTorch elsewhere; here the cases are our own.
  const DemandModel model(contents_.model, ops_for(Isa::baseline));
  contents_.golden.series = {4, 5};
  const Forecasts golden = forecast(model, inputs_.view, contents_.golden.series, 1);
  contents_.golden.quantiles_gqh = golden.quantiles_bqh;
  contents_.golden.mean_gh = golden.mean_bh;
  if (change) change(contents_);
  write_bundle(folder(), contents_);
}

}  // namespace shelfcast::scorer::testing

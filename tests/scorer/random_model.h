// Small demand models with random weights, their files, their inputs, and the plainest possible forward:
// double loops written from docs/model.md alone.
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include "scorer/forward/demand_model.h"

namespace shelfcast::scorer::testing {

struct RandomModel {
  ModelConfig config;
  std::map<std::string, std::vector<std::int64_t>> shapes;  // "tower.<name>", "fusion.<...>", "heads.<...>"
  std::map<std::string, std::vector<float>> tensors;

  explicit RandomModel(ModelConfig model, std::uint64_t seed = 1);
  // The folder that DemandModel reads; made if need be.
  void save(const std::filesystem::path& folder) const;
};

// A sound configuration of odd sizes: 3 heads of 5 in a width of 12, two encoder layers, patch 4, context 22,
// horizon 6, all kinds of columns.
ModelConfig small_config();

// The same with a Chronos-2 tower: heads of 6, two states of 4 steps for the horizon of 6.
ModelConfig small_chronos2_config();

// Inputs with demand like sales; series 0 is all missing, series 1 constant, series 2 begins late, series 3
// has a gap of two patches, the others have single holes. Four texts; every third series has none.
struct RandomInputs {
  std::vector<float> context, past, known, static_numbers, text;
  std::vector<std::int32_t> past_codes, known_codes, statics, text_row;
  ModelInputs view;

  RandomInputs(const ModelConfig& config, std::int64_t series, std::uint64_t seed = 2);
};

struct ReferenceForecast {
  std::vector<double> quantiles_qh, mean_h;
  double scale = 1.0;
};

// One series, in double.
ReferenceForecast reference_forecast(const RandomModel& model, const ModelInputs& inputs,
                                     std::int64_t series);

// A fresh folder below the system's temporary folder, removed with the object.
class ScratchFolder {
 public:
  ScratchFolder();
  ~ScratchFolder();
  ScratchFolder(const ScratchFolder&) = delete;
  ScratchFolder& operator=(const ScratchFolder&) = delete;
  const std::filesystem::path& path() const { return path_; }

 private:
  std::filesystem::path path_;
};

// The instruction sets this machine can test.
std::vector<Isa> isas_here();

}  // namespace shelfcast::scorer::testing

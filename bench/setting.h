// What benchmarks share: demand without covariates, 512 steps back and 64 ahead, and corpora of noise.
#pragma once

#include <algorithm>
#include <filesystem>
#include <string>
#include <vector>

#include "base/random.h"
#include "data/batch.h"
#include "data/corpus_writer.h"
#include "data/features.h"

namespace shelfcast::bench {

constexpr std::int64_t kContext = 512, kHorizon = 64;

inline data::FeatureSpec demand_alone() {
  data::FeatureSpec spec;
  spec.context = kContext;
  spec.horizon = kHorizon;
  return spec;
}

// A corpus of `series` series by `steps` days of demand that `draw` makes of a stream.
template <typename Draw>
void make_corpus(const std::filesystem::path& path, std::int64_t series, std::int64_t steps,
                 const Draw& draw) {
  data::CorpusInfo info;
  info.axis.start = *parse_date("2011-01-29");
  info.steps = steps;
  data::SeriesTable table;
  for (std::int64_t i = 0; i < series; ++i) table.names.push_back("series " + std::to_string(i));
  data::CorpusWriter writer(path, info, table);
  RandomStream random(1);
  std::vector<float> row(static_cast<std::size_t>(steps));
  for (std::int64_t i = 0; i < series; ++i) {
    for (float& value : row) value = static_cast<float>(draw(random));
    writer.append(1, row, {});
  }
  writer.finish();
}

inline auto poisson_demand(RandomStream& random) { return random.poisson(4.0); }

// `windows` windows of demand alone, all of weight 1.
inline data::Batch noise_batch(std::int64_t windows) {
  data::Batch batch;
  batch.resize(demand_alone(), windows);
  RandomStream random(3);
  for (float& value : batch.context_bt) value = static_cast<float>(poisson_demand(random));
  for (float& value : batch.target_bh) value = static_cast<float>(poisson_demand(random));
  std::fill(batch.weight_b.begin(), batch.weight_b.end(), 1.0F);
  return batch;
}

}  // namespace shelfcast::bench

// A synthetic corpus: the market streamed to disk, block by block, with the truth beside it.
#pragma once

#include <filesystem>
#include <functional>

#include "data/corpus_writer.h"
#include "data/synth/market.h"

namespace shelfcast::data {

// What a corpus of this market says about itself, and its series: store-major, items in order.
CorpusInfo market_info(const MarketConfig& config, const std::string& name);
SeriesTable market_series(const MarketConfig& config);

// Writes the corpus: demand = sales; covariates price, promo, event (known), stock, stockout (past); truth
// demand_uncensored, expected, promo_uplift, elasticity and word_factor. Memory is that of one block of
// series, besides the tables of names, whatever the number of stores. `progress` is told the series done so
// far. Throws Error(input) for an impossible configuration or a folder that exists, Error(io); leaves nothing
// half-written.
void write_market(const MarketConfig& config, const std::filesystem::path& folder,
                  const LayoutOptions& layout = {}, const std::function<void(std::int64_t)>& progress = {});

}  // namespace shelfcast::data

// Series that a bundle does not know yet: new items, forecast from their facts and the words that describe
// them.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <vector>

#include "scorer/bundle.h"

namespace shelfcast::scorer {

class NewItems {
 public:
  // None.
  NewItems() = default;
  // Reads a table with the columns `series` (or `store` and `item`) and, each optional, `text` where the
  // model reads texts, the model's statics by name, and `like`: a series of the bundle whose prices,
  // promotions and other columns known ahead the new one shares. Without `like` it shares what is known for
  // its whole store, its item or another of its facts, where the bundle knows a series with the same one.
  // Texts are encoded on `threads` threads. Throws Error(input) naming file, line and remedy, Error(data)
  // when the bundle's text model is not what it was where it was exported.
  NewItems(const std::filesystem::path& table, const Bundle& bundle, int threads);

  NewItems(NewItems&&) = default;
  NewItems& operator=(NewItems&&) = default;

  const SeriesNames& names() const { return names_; }
  const ModelInputs& inputs() const { return inputs_; }
  // Series with a fact that the model has not seen, and series without a text; it has a bucket for both.
  std::int64_t unknown_facts() const { return unknown_facts_; }
  std::int64_t without_text() const { return without_text_; }

 private:
  friend class NewItemsReader;

  SeriesNames names_;
  std::int64_t unknown_facts_ = 0, without_text_ = 0;
  // What inputs_ points into; one array a column.
  std::vector<float> context_, static_numbers_, text_;
  std::vector<std::int32_t> statics_, text_row_;
  std::vector<std::vector<float>> past_, known_;
  std::vector<std::vector<std::int32_t>> past_codes_, known_codes_;
  ModelInputs inputs_;
};

// The bundle's names, then those of the new items.
SeriesNames all_names(const Bundle& bundle, const NewItems& items);

// Forecasts of series `which` of all_names(), in that order, as forecast() of forecaster.h.
Forecasts forecast(const Bundle& bundle, const NewItems& items, const std::vector<std::int64_t>& which,
                   int threads, const std::function<void(std::int64_t)>& progress = {});

}  // namespace shelfcast::scorer

// Windows cut from the panel and laid out for the model: plain arrays, no torch.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "data/features.h"

namespace shelfcast::data {

// One training or evaluation window: the forecast's first step is `origin`, its context ends just before it.
struct Window {
  std::int64_t series = 0;
  std::int64_t origin = 0;
};

// Legend of the shape suffixes: b windows, t context steps, h horizon steps, u context then horizon steps,
// n numeric columns, c categorical columns, s statics. Row-major.
struct Batch {
  std::int64_t windows = 0;
  std::vector<Window> window_b;              // series = -1 for a padding row (weight 0)
  std::vector<std::int64_t> sample_b;        // global sample number: keys dropout and augmentation
  std::vector<float> context_bt;             // demand, NaN = not observed
  std::vector<float> past_bnt;               // scaled, NaN = missing
  std::vector<std::int32_t> past_codes_bct;  // 0 = unknown or missing
  std::vector<float> known_bnu;              // scaled, NaN = missing
  std::vector<std::int32_t> known_codes_bcu;
  std::vector<std::int32_t> statics_bs;
  std::vector<float> static_numbers_bn;  // two for each of spec.static_numbers
  std::vector<float> target_bh;          // NaN = not observed (or beyond the corpus' end)
  std::vector<float> bound_bh;      // sales where a stock-out cut them (the target is NaN), else NaN; empty
                                    // without spec.censored
  std::vector<float> inventory_bu;  // stock on hand in units, NaN = not observed; empty without
                                    // spec.inventory
  std::vector<float> weight_b;      // 1, or 0 for padding

  // Sizes every array for `count` windows of `spec`; a padding row is missing in all columns and weighs 0.
  void resize(const FeatureSpec& spec, std::int64_t count);
  // Makes row `row` a padding row again, for batches that are used over and over.
  void pad(const FeatureSpec& spec, std::int64_t row);
};

// Cuts windows out of blocks that hold their series. Pure; may be called from several threads on different
// rows.
class WindowAssembler {
 public:
  // `statics[s]`: one model code per series of the corpus for spec.statics[s] (row-major [s][series]).
  // `static_numbers[n]`: the number of each series for spec.static_numbers[n], NaN = missing. `axis` gives
  // the calendar columns their dates.
  WindowAssembler(FeatureSpec spec, TimeAxis axis, std::vector<std::vector<std::int32_t>> statics,
                  std::vector<std::vector<float>> static_numbers);

  // For a corpus: which covariates read() must deliver, in the order assemble() expects them in
  // PanelBlock::columns.
  const std::vector<std::string>& columns() const { return columns_; }
  const FeatureSpec& spec() const { return spec_; }

  // Fills row `row` of `batch` with `window`. Steps outside the block or the corpus are missing. Steps at or
  // after the origin are never read for the context or for past columns, only for targets. A context shorter
  // than spec.context is padded with NaN on the left.
  void assemble(const PanelBlock& block, Window window, std::int64_t sample, std::int64_t row,
                Batch& batch) const;

 private:
  friend WindowAssembler make_assembler(const FeatureSpec& spec, const Corpus& corpus);

  // Where a model column comes from and what becomes of its values.
  struct Source {
    int block_column = -1;  // index into PanelBlock::columns; -1: a calendar column
    std::string name;
    Scaler scaler;
    float inverse_std = 1.0F;
    // model code = recode[corpus code + 1]; entry 0 is for missing.
    std::vector<std::int32_t> recode;
    std::vector<float> calendar;  // value per step from calendar_first_
  };

  Source make_source(const FeatureColumn& column);
  std::vector<Source> make_sources(const std::vector<FeatureColumn>& columns);
  int column_index(const std::string& name);
  // Sales that a stock-out cut are not demand: they become NaN in `to` and, where `bound` is given, stand
  // there.
  void fill_demand(const PanelBlock& block, std::int64_t series, std::int64_t first, std::int64_t count,
                   float* to, float* bound = nullptr) const;
  // `context`: how many of the `count` steps are context (a log ratio is centred on them).
  void fill_numbers(const Source& source, const PanelBlock& block, std::int64_t series, std::int64_t first,
                    std::int64_t count, std::int64_t context, float* to) const;
  void fill_codes(const Source& source, const PanelBlock& block, std::int64_t series, std::int64_t first,
                  std::int64_t count, std::int32_t* to) const;
  float calendar_at(const Source& source, std::int64_t step) const;

  FeatureSpec spec_;
  TimeAxis axis_;
  std::vector<std::vector<std::int32_t>> statics_;
  std::vector<std::vector<float>> static_numbers_;
  std::vector<std::string> columns_;
  std::vector<Source> past_numeric_, past_categorical_, known_numeric_, known_categorical_;
  int censored_ = -1, inventory_ = -1;  // their indices in PanelBlock::columns
  std::int64_t calendar_first_ = 0;
};

// The assembler of a corpus: maps its statics' codes to the spec's vocabularies.
WindowAssembler make_assembler(const FeatureSpec& spec, const Corpus& corpus);

}  // namespace shelfcast::data

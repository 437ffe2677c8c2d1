// Writing a bundle from plain arrays.
#pragma once

#include <cstdint>
#include <filesystem>
#include <span>
#include <string>

#include "scorer/bundle.h"

namespace shelfcast::scorer {

// What an export brings. Arrays are those of data::Batch for one window per series whose origin is the step
// after the last day: b series, t context steps, u context then horizon steps, n numeric columns, c
// categorical columns, s statics, k distinct texts of width w.
struct BundleContents {
  std::string name, created_by;
  TimeAxis axis;                // of the corpus
  std::int64_t first_step = 0;  // of the forecast, on that axis
  DemandKind demand = DemandKind::counts;
  std::vector<FutureGap> future_gaps;
  std::int64_t unobserved_series = 0;
  std::filesystem::path model;  // folder as models::DemandModel::save leaves it
  std::filesystem::path text;   // published folder of the text model; empty when the model reads no text
  std::string features;         // text of features.json
  SeriesNames names;
  std::span<const float> context_bt, past_bnt, known_bnu;
  std::span<const std::int32_t> past_codes_bct, known_codes_bcu, statics_bs;
  std::span<const float> static_numbers_bn = {};  // two for each fact that is a number
  std::span<const float> text_kw;                 // empty when the model reads no text
  std::span<const std::int32_t> text_row_b;       // the series' text, -1 = none
  CopulaParameters copula;
  GoldenCases golden;
  std::vector<std::string> golden_texts;  // some texts, and their rows of text_kw
  std::vector<std::int64_t> golden_text_rows;
};

// Writes the bundle beside `folder`, opens it as a reader would (golden cases included) and puts it in place.
// Throws Error(input) when `folder` exists or arrays do not fit the model, Error(data) when the scorer does
// not reproduce the golden cases, Error(io). Leaves nothing half-written behind.
void write_bundle(const std::filesystem::path& folder, const BundleContents& contents);

}  // namespace shelfcast::scorer

// A small bundle on disk with random weights, for tests of everything after the forward.
#pragma once

#include <functional>

#include "scorer/bundle_writer.h"
#include "tests/scorer/random_model.h"

namespace shelfcast::scorer::testing {

// 9 series of `config` in stores "店A" and "店B", items "item 0" ... with a quote and a comma among the
// names, first day 2026-03-02, daily; the second categorical column is the same for all series.
class RandomBundle {
 public:
  // `change` may alter the contents before they are written.
  explicit RandomBundle(const std::function<void(BundleContents&)>& change = {},
                        const ModelConfig& config = small_config());
  std::filesystem::path folder() const { return scratch_.path() / "bundle"; }
  const std::filesystem::path& scratch() const { return scratch_.path(); }
  const BundleContents& contents() const { return contents_; }
  const RandomInputs& inputs() const { return inputs_; }

 private:
  ScratchFolder scratch_;
  RandomInputs inputs_;
  BundleContents contents_;
};

}  // namespace shelfcast::scorer::testing

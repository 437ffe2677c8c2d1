// Dropout whose masks are a pure function of (seed, step, sample, site, element): the same window is dropped
// alike in any batch, on any rank and any number of threads. The bits: models/kernels/kernels.h.
#pragma once

#include <torch/types.h>

#include <functional>
#include <string_view>
#include <vector>

#include "models/dropout_keys.h"
#include "models/kernels/kernels.h"

namespace shelfcast::models {

// One site of one forward: a draw for each window.
struct SiteDropout {
  std::vector<std::uint64_t> keys_b;
  std::uint32_t threshold = 0;
  float scale = 1.0F;
  std::vector<KeyStep> path{};  // from window_keys() to keys_b

  bool active() const { return threshold != 0; }
  DropoutDraw draw(std::int64_t window) const {
    return {keys_b[static_cast<std::size_t>(window)], threshold, scale};
  }
  // Each part of a window (an attention head) draws by itself; order: all parts of a window, then the next
  // window.
  SiteDropout split(std::int64_t parts) const;
  // The draws number first, first + stride ...
  SiteDropout pick(std::int64_t first, std::int64_t stride, std::int64_t count) const;
  // uint8 [draws, elements], 1 = kept: the same on every device, and made there.
  at::Tensor keep_mask(std::int64_t elements, at::Device device = at::kCPU) const;
};

// The dropout of one forward.
class Dropout {
 public:
  // Evaluation: nothing is dropped.
  Dropout() = default;
  // Training when `keys` is given. The rate is rounded to 1/65536.
  Dropout(const DropoutKeys* keys, double rate);

  SiteDropout site(std::string_view name) const;
  // Of a forward that reads `members` rows for each window, one after another: the first draws as the window
  // would alone.
  Dropout of_members(std::int64_t members) const;

 private:
  std::vector<std::uint64_t> keys_b_;
  std::uint32_t threshold_ = 0;
  std::vector<KeyStep> path_;
};

// In all of these x [rows, width] holds equally many consecutive rows of each window. Differentiable.
at::Tensor dropout(const at::Tensor& x, const SiteDropout& site);
// residual + dropout(x).
at::Tensor add_dropout(const at::Tensor& residual, const at::Tensor& x, const SiteDropout& site);
// dropout(relu(x)), in place of x, float32 or bfloat16, which must be a fresh result that its maker does not
// need for its own gradient.
at::Tensor relu_dropout_(at::Tensor x, const SiteDropout& site);

// Whether the kernels take this tensor; others (GPU, double) go through LibTorch's operators.
bool fits_kernels(const at::Tensor& x);

// Writes keep, uint8 [draws, elements], on a device from the keys of the draws, int64 [draws] there.
using DeviceKeepMask =
    std::function<void(const at::Tensor& keys, std::uint32_t threshold, const at::Tensor& keep)>;

// From now on masks on CUDA devices are made by this one. Before anything is computed there.
void set_device_keep_mask(DeviceKeepMask make);

// What keep_mask() does on devices that have no kernel: its Philox4x32-10 as some 120 operations on whole
// tensors.
at::Tensor keep_mask_of_tensors(const SiteDropout& site, std::int64_t elements, at::Device device);

// By `make`, on any device that it takes.
at::Tensor keep_mask_by(const DeviceKeepMask& make, const SiteDropout& site, std::int64_t elements,
                        at::Device device);

}  // namespace shelfcast::models

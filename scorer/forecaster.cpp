#include "scorer/forecaster.h"

#include <algorithm>
#include <atomic>
#include <exception>
#include <mutex>
#include <numeric>
#include <thread>

#include "base/error.h"

namespace shelfcast::scorer {
namespace {

constexpr std::int64_t kBlock = 32;  // series a thread takes at a time

void check_column(const Rows<std::int32_t>& column, std::int64_t series, std::int64_t length,
                  std::int64_t cardinality, const std::string& name) {
  for (std::int64_t b = 0; b < (column.stride == 0 ? 1 : series); ++b)
    for (std::int64_t t = 0; t < length; ++t)
      if (const std::int32_t code = column.row(b)[t]; code < 0 || code >= cardinality)
        throw data_error(fmt::format("{} of series {} holds code {}", name, b, code),
                         fmt::format("the model knows 0 to {}", cardinality - 1), "export the bundle again");
}

// Rows [first, first + count) of `out`.
void forecast_block(const DemandModel& model, const ModelInputs& inputs,
                    const std::vector<std::int64_t>& which, std::int64_t first, std::int64_t count,
                    ForwardScratch& scratch, Forecasts& out) {
  std::vector<std::int64_t> series(static_cast<std::size_t>(count));
  if (which.empty()) {
    std::iota(series.begin(), series.end(), first);
  } else {
    std::copy_n(which.begin() + first, count, series.begin());
  }
  model.forecast(inputs, series, scratch,
                 {out.quantiles_bqh.data() + first * out.levels * out.horizon,
                  out.mean_bh.data() + first * out.horizon, out.scale_b.data() + first});
}

// Threads take blocks until none is left or one of them fails.
class Work {
 public:
  Work(const DemandModel& model, const ModelInputs& inputs, const std::vector<std::int64_t>& which,
       Forecasts& out)
      : model_(model), inputs_(inputs), which_(which), out_(out) {}

  // Takes blocks; `each` is called after every block of this thread.
  void run(const std::function<void(std::int64_t)>& each) {
    try {
      ForwardScratch scratch;
      for (std::int64_t first; !failed_ && (first = next_.fetch_add(kBlock)) < out_.series;) {
        const std::int64_t count = std::min(kBlock, out_.series - first);
        forecast_block(model_, inputs_, which_, first, count, scratch, out_);
        done_ += count;
        if (each) each(done_);
      }
    } catch (...) {
      const std::lock_guard lock(mutex_);
      if (!failed_.exchange(true)) error_ = std::current_exception();
    }
  }
  void rethrow() const {
    if (error_) std::rethrow_exception(error_);
  }

 private:
  const DemandModel& model_;
  const ModelInputs& inputs_;
  const std::vector<std::int64_t>& which_;
  Forecasts& out_;
  std::atomic<std::int64_t> next_{0}, done_{0};
  std::atomic<bool> failed_{false};
  std::mutex mutex_;
  std::exception_ptr error_;
};

}  // namespace

void check_codes(const ModelInputs& inputs, const ModelConfig& config) {
  for (std::size_t c = 0; c < inputs.past_codes.size(); ++c)
    check_column(inputs.past_codes[c], inputs.series, config.context, config.past_cardinalities[c],
                 fmt::format("past categorical column {}", c));
  for (std::size_t c = 0; c < inputs.known_codes.size(); ++c)
    check_column(inputs.known_codes[c], inputs.series, config.context + config.horizon,
                 config.known_cardinalities[c], fmt::format("known categorical column {}", c));
  for (std::size_t s = 0; s < config.static_cardinalities.size(); ++s)
    for (std::int64_t b = 0; b < inputs.series; ++b)
      if (const std::int32_t code = inputs.statics.row(b)[s];
          code < 0 || code >= config.static_cardinalities[s])
        throw data_error(fmt::format("static {} of series {} has code {}", s, b, code),
                         fmt::format("the model knows 0 to {}", config.static_cardinalities[s] - 1),
                         "export the bundle again");
  for (std::int64_t b = 0; config.text_width > 0 && b < inputs.series; ++b)
    if (const std::int32_t row = inputs.text_row.row(b)[0]; row < -1 || row >= inputs.texts)
      throw data_error(fmt::format("series {} has text {}", b, row),
                       fmt::format("there are {} texts", inputs.texts), "export the bundle again");
}

Forecasts forecast(const DemandModel& model, const ModelInputs& inputs,
                   const std::vector<std::int64_t>& which, int threads,
                   const std::function<void(std::int64_t)>& progress) {
  Forecasts out;
  out.series = which.empty() ? inputs.series : std::ssize(which);
  out.levels = std::ssize(model.config().quantiles);
  out.horizon = model.config().horizon;
  out.quantiles_bqh.resize(static_cast<std::size_t>(out.series * out.levels * out.horizon));
  out.mean_bh.resize(static_cast<std::size_t>(out.series * out.horizon));
  out.scale_b.resize(static_cast<std::size_t>(out.series));
  Work work(model, inputs, which, out);
  const std::int64_t blocks = (out.series + kBlock - 1) / kBlock;
  {
    std::vector<std::jthread> helpers;
    for (std::int64_t i = 1; i < std::min<std::int64_t>(threads, blocks); ++i)
      helpers.emplace_back([&] { work.run({}); });
    work.run(progress);
  }
  work.rethrow();
  return out;
}

}  // namespace shelfcast::scorer

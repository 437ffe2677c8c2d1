#include "trainer/validation.h"

#include <ATen/core/grad_mode.h>

#include "base/activity.h"
#include "base/error.h"
#include "trainer/model_inputs.h"

namespace shelfcast::trainer {

Validation::Validation(const data::CorpusSource& corpus, const DataPlan& plan, SeriesTexts texts,
                       std::int64_t batch)
    : spec_(plan.features),
      classes_(plan.classes),
      texts_(std::move(texts)),
      windows_(static_cast<std::int64_t>(plan.validation.size())) {
  if (windows_ > 0)
    reader_ = std::make_unique<data::EvaluationReader>(corpus, plan.features, plan.validation, batch);
}

Validation::~Validation() = default;

std::optional<double> Validation::loss(const models::DemandModel& model,
                                       const std::function<bool()>& stop_requested,
                                       parallel::Communicator& communicator) {
  const at::NoGradGuard no_grad;
  const std::int64_t batches = reader_->batches();
  const SeriesTexts texts = texts_.now(reader_->windows(), communicator);
  std::vector<double> sums(static_cast<std::size_t>(2 * batches),
                           0.0);  // loss and valid targets of each batch
  // In rounds of one batch a rank, so that all can leave after the same one.
  for (std::int64_t first = 0; first < batches; first += communicator.size()) {
    const std::int64_t k = first + communicator.rank();
    if (k < batches) {
      reader_->read(k, batch_);
      const models::Forecast forecast = model.forward(make_inputs(batch_, spec_, texts), nullptr);
      // In one scale whatever the tower trains in, so that losses of runs can be compared.
      const models::LossSums batch_sums =
          models::loss_sums(forecast.linear(), make_targets(batch_, spec_, classes_), model.config());
      sums[static_cast<std::size_t>(2 * k)] = batch_sums.loss.item<double>();
      sums[static_cast<std::size_t>(2 * k + 1)] = batch_sums.valid_targets.item<double>();
    }
    activity::note_progress();
    double stop = stop_requested() ? 1.0 : 0.0;
    communicator.all_reduce(std::span(&stop, 1), parallel::ReduceOp::max, "stop during validation");
    if (stop > 0) return std::nullopt;
  }
  // Every slot is non-zero on one rank only, so this sum is exact.
  communicator.all_reduce(std::span<double>(sums), parallel::ReduceOp::sum, "validation loss");
  double loss = 0, valid = 0;
  for (std::size_t k = 0; k < sums.size(); k += 2) {
    loss += sums[k];
    valid += sums[k + 1];
  }
  if (valid == 0)
    throw data_error("no demand is observed on the validation days", "every target there is missing",
                     "move data.train_until and data.validate_until to days with data");
  return loss / valid;
}

}  // namespace shelfcast::trainer

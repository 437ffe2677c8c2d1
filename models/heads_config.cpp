#include "models/heads_config.h"

#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>

#include "base/error.h"

namespace shelfcast::models {
namespace {

void validate_counts(const ModelConfig& model) {
  const LossConfig& loss = model.loss;
  const bool counts = model.counts != ModelConfig::Counts::none;
  if (counts && !model.mean_head)
    throw input_error("model.heads.counts is a distribution about the mean", "model.heads.mean is false",
                      "set it to true");
  if (counts && loss.counts == 0.0)
    throw input_error("model.heads.counts is not trained", "model.loss.counts is 0", "set it to 1");
  if (!counts && loss.counts > 0.0)
    throw input_error("model.loss.counts weighs a head that is off", "model.heads.counts is none",
                      "set it to negative_binomial or zero_inflated, or model.loss.counts to 0");
  if (!counts && model.written == ModelConfig::WrittenQuantiles::counts)
    throw input_error("model.heads.written is counts", "model.heads.counts is none",
                      "set it to negative_binomial or zero_inflated");
}

void validate_classes(const std::vector<double>& classes, const LossConfig& loss) {
  if (classes.empty()) {
    if (loss.classes > 0.0)
      throw input_error("model.loss.class weighs a head that is off", "model.heads.classes is empty",
                        "set it to two shares such as [0.25, 0.75], or the weight to 0");
    if (loss.balance_classes || !loss.class_weights.empty() || loss.label_smoothing != 0.0)
      throw input_error("model.loss has class_weights or label_smoothing of a head that is off",
                        "model.heads.classes is empty", "set it to two shares such as [0.25, 0.75]");
    return;
  }
  require_levels(classes, "model.heads.classes");
  if (classes.size() != kDemandClasses - 1)
    throw input_error(fmt::format("model.heads.classes is [{}]", fmt::join(classes, ", ")),
                      "two shares part low, normal and high demand", "write [0.25, 0.75], say");
  if (loss.classes == 0.0)
    throw input_error("model.heads.classes is not trained", "model.loss.class is 0",
                      "set it to 1, say, or the head to []");
  const auto& weights = loss.class_weights;
  const auto bad = [](double weight) { return !(weight >= 0.0 && std::isfinite(weight)); };
  if (!weights.empty() &&
      (weights.size() != kDemandClasses || std::any_of(weights.begin(), weights.end(), bad) ||
       std::all_of(weights.begin(), weights.end(), [](double w) { return w == 0.0; })))
    throw input_error(fmt::format("model.loss.class_weights is [{}]", fmt::join(weights, ", ")),
                      "it weighs low, normal and high demand by three numbers of at least 0, not all 0",
                      "write balanced, or [] for classes that count alike");
  if (!(loss.label_smoothing >= 0.0 && loss.label_smoothing < 1.0))
    throw input_error(fmt::format("model.loss.label_smoothing is {}", loss.label_smoothing),
                      "it is a share of the target, at least 0 and below 1", "0.1 is usual");
}

// A head that is on or off, and the weight of its loss.
void validate_switch(const char* head, bool on, double weight, const char* usual) {
  if (on && weight == 0.0)
    throw input_error(fmt::format("model.heads.{} is not trained", head),
                      fmt::format("model.loss.{} is 0", head), fmt::format("set it to {}, say", usual));
  if (!on && weight > 0.0)
    throw input_error(fmt::format("model.loss.{} weighs a head that is off", head),
                      fmt::format("model.heads.{} is false", head), "set it to true, or the weight to 0");
}

}  // namespace

void validate_heads(const ModelConfig& model) {
  const LossConfig& loss = model.loss;
  for (const double weight :
       {loss.quantile, loss.mean, loss.counts, loss.cumulated, loss.classes, loss.inventory, loss.masked})
    if (!(weight >= 0.0)) throw input_error("a weight of model.loss is negative");
  if (!(loss.huber_delta > 0.0)) throw input_error("model.loss.huber_delta is not positive");
  if (!(loss.tweedie_power > 1.0 && loss.tweedie_power < 2.0))
    throw input_error(fmt::format("model.loss.tweedie_power is {}", loss.tweedie_power),
                      "a Tweedie distribution with zeros and sizes has one between 1 and 2", "1.5 is usual");
  validate_counts(model);
  if (!model.mean_head &&
      ((loss.mean != LossConfig().mean && loss.mean != 0.0) || loss.mean_loss != LossConfig::MeanLoss::mse))
    throw input_error("model.loss has a weight or a mean_loss of a head that is off",
                      "model.heads.mean is false", "set it to true, or leave them out");
  validate_switch("cumulated", model.cumulated, loss.cumulated, "1");
  validate_switch("masked", model.masked, loss.masked, "0.3");
  validate_switch("inventory", model.inventory, loss.inventory, "0.5");
  validate_classes(model.classes, loss);
  if (loss.quantile == 0.0 && loss.counts == 0.0 && loss.cumulated == 0.0 && loss.classes == 0.0 &&
      loss.inventory == 0.0 && (loss.mean == 0.0 || !model.mean_head))
    throw input_error("model.loss leaves nothing to train", "the weights of all heads there are are 0");
}

}  // namespace shelfcast::models

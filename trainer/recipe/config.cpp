#include "trainer/recipe/config.h"

#include <fmt/ranges.h>

#include <algorithm>
#include <vector>

#include "base/error.h"

namespace shelfcast::trainer {
namespace {

void require_at_least(std::int64_t value, std::int64_t least, const char* field) {
  if (value < least)
    throw input_error(fmt::format("{} must be at least {}", field, least), fmt::format("it is {}", value));
}

// The tune.method that makes such an adapter.
std::string method_of(const models::AdapterConfig& config) {
  if (const auto* lora = std::get_if<models::LoraConfig>(&config)) return lora->budget ? "adalora" : "lora";
  return std::holds_alternative<models::BottleneckConfig>(config) ? "adapter" : "prefix";
}

}  // namespace

std::optional<models::AdapterConfig> TuneConfig::adapter_config() const {
  const auto with_shared_keys = [&](auto own) {
    own.dropout = lora.dropout;
    own.modules_to_save = lora.modules_to_save;
    return own;
  };
  if (method == "adapter") return with_shared_keys(bottleneck);
  if (method == "prefix") return with_shared_keys(prefix);
  if (method != "lora" && method != "adalora") return std::nullopt;
  models::LoraConfig own = lora;
  if (method == "adalora") own.budget = budget;
  return own;
}

void TuneConfig::set_adapter_config(const models::AdapterConfig& config) {
  if (method_of(config) != method)
    throw input_error(fmt::format("tune.adapter: {} holds an adapter of another method", adapter),
                      fmt::format("tune.method is {}", method),
                      fmt::format("set tune.method: {}", method_of(config)));
  if (const auto* own = std::get_if<models::LoraConfig>(&config)) {
    lora = *own;
    budget = own->budget.value_or(budget);
    lora.budget.reset();
  }
  if (const auto* own = std::get_if<models::BottleneckConfig>(&config)) bottleneck = *own;
  if (const auto* own = std::get_if<models::PrefixConfig>(&config)) prefix = *own;
  lora.dropout = models::dropout_of(config);
  lora.modules_to_save = models::modules_to_save_of(config);
}

void TuneConfig::validate() const {
  const std::vector<std::string> methods = {"all", "top", "heads", "lora", "adalora", "adapter", "prefix"};
  if (std::find(methods.begin(), methods.end(), method) == methods.end())
    throw input_error(fmt::format("tune.method: unknown method \"{}\"", method), "",
                      fmt::format("use one of {}", fmt::join(methods, ", ")));
  lora.validate();
  bottleneck.validate();
  prefix.validate();
  budget.validate();
  if (const auto own = adapter_config()) std::visit([](const auto& config) { config.validate(); }, *own);
  if (!adapter.empty() && !adapter_config())
    throw input_error("tune.adapter names an adapter", fmt::format("tune.method is {}", method),
                      "set tune.method: lora, adalora, adapter or prefix, or leave tune.adapter out");
  require_at_least(layers, 1, "tune.layers");
  require_at_least(text_layers, 1, "tune.text_layers");
  if (!(text_rate > 0))
    throw input_error("tune.text_rate must be positive", fmt::format("it is {}", text_rate));
  if (!(layer_decay > 0 && layer_decay <= 1))
    throw input_error("tune.layer_decay must be above 0 and at most 1", fmt::format("it is {}", layer_decay));
}

void OptimizerConfig::validate() const {
  if (name != "adamw" && name != "sgd" && name != "adafactor")
    throw input_error(fmt::format("train.optimizer.name: unknown optimizer \"{}\"", name), "",
                      "use adamw, sgd or adafactor");
  if (!(lr > 0)) throw input_error("train.optimizer.lr must be positive", fmt::format("it is {}", lr));
  if (!(weight_decay >= 0))
    throw input_error("train.optimizer.weight_decay must not be negative",
                      fmt::format("it is {}", weight_decay));
  for (const double beta : {beta1, beta2})
    if (!(beta >= 0 && beta < 1))
      throw input_error("train.optimizer.beta1 and beta2 must be in [0, 1)", fmt::format("one is {}", beta));
  if (!(eps > 0)) throw input_error("train.optimizer.eps must be positive", fmt::format("it is {}", eps));
  if (!(momentum >= 0 && momentum < 1))
    throw input_error("train.optimizer.momentum must be in [0, 1)", fmt::format("it is {}", momentum));
  for (const auto& [value, field] :
       {std::pair(moment_decay, "moment_decay"), std::pair(clip_threshold, "clip_threshold")})
    if (!(value > 0))
      throw input_error(fmt::format("train.optimizer.{} must be positive", field),
                        fmt::format("it is {}", value));
}

void GuardConfig::validate() const {
  if (!(spike == 0 || spike > 1))
    throw input_error("train.guard.spike must be 0 (off) or above 1", fmt::format("it is {}", spike));
  require_at_least(most, 0, "train.guard.most");
}

void EwcConfig::validate() const {
  if (!(strength >= 0))
    throw input_error("train.ewc.strength must not be negative", fmt::format("it is {}", strength));
  require_at_least(windows, 1, "train.ewc.windows");
}

void AugmentConfig::validate() const {
  if (!(share >= 0 && share <= 1))
    throw input_error("train.augment.share must be in [0, 1]", fmt::format("it is {}", share));
  for (const auto& [value, field] :
       {std::pair(jitter, "jitter"), std::pair(scale, "scale"), std::pair(mix, "mix")})
    if (!(value >= 0))
      throw input_error(fmt::format("train.augment.{} must not be negative", field),
                        fmt::format("it is {}", value));
  if (!(warp >= 0 && warp < 1))
    throw input_error("train.augment.warp must be at least 0 and below 1", fmt::format("it is {}", warp));
  if (!(tokens >= 0 && tokens < 1))
    throw input_error("train.augment.tokens must be at least 0 and below 1", fmt::format("it is {}", tokens));
}

std::int64_t AdversarialConfig::forwards() const {
  switch (method) {
    case Method::none:
      return 1;
    case Method::fgm:
      return 2;
    case Method::pgd:
      break;
  }
  return 1 + steps;
}

void AdversarialConfig::validate() const {
  for (const auto& [value, field] :
       {std::pair(epsilon, "epsilon"), std::pair(weight, "weight"), std::pair(step_size, "step_size")})
    if (!(value > 0))
      throw input_error(fmt::format("train.adversarial.{} must be positive", field),
                        fmt::format("it is {}", value), "train.adversarial.method: none leaves it out");
  require_at_least(steps, 1, "train.adversarial.steps");
}

void TrainConfig::validate() const {
  require_at_least(steps, 1, "train.steps");
  require_at_least(batch, 1, "train.batch");
  require_at_least(micro_batch, 1, "train.micro_batch");
  require_at_least(threads, 1, "train.threads");
  if (!(masked >= 0 && masked < 1))
    throw input_error("train.masked must be at least 0 and below 1", fmt::format("it is {}", masked));
  if (!(new_items >= 0 && new_items < 1))
    throw input_error("train.new_items must be at least 0 and below 1", fmt::format("it is {}", new_items));
  require_at_least(validate_every, 1, "train.validate_every");
  require_at_least(validate_windows, 1, "train.validate_windows");
  require_at_least(checkpoint_every, 1, "train.checkpoint_every");
  require_at_least(keep_last, 2, "train.keep_last");
  require_at_least(early_stop, 0, "train.early_stop");
  require_at_least(log_every, 1, "train.log_every");
  if (precision != "fp32" && precision != "bf16")
    throw input_error(fmt::format("train.precision: \"{}\" is not available", precision), "",
                      "use fp32 or bf16");
  if (!(clip >= 0)) throw input_error("train.clip must not be negative", fmt::format("it is {}", clip));
  if (!(ema >= 0 && ema < 1))
    throw input_error("train.ema must be in [0, 1)", fmt::format("it is {}", ema),
                      "0.999 is usual, 0 is off");
  augment.validate();
  adversarial.validate();
  optimizer.validate();
  schedule.validate();
  guard.validate();
  ewc.validate();
}

parallel::WorldConfig ParallelConfig::world() const {
  return {.backend = parallel::parse_backend(backend),
          .device = parallel::parse_device(device),
          .share_gpus = share_gpus,
          .deadlines = {start_deadline, step_deadline}};
}

void ParallelConfig::validate() const {
  world().validate();
  if (bucket_mb != kTuned) require_at_least(bucket_mb, 1, "parallel.bucket_mb");
  for (const auto& [value, field] :
       {std::pair(start_deadline, "start_deadline"), std::pair(step_deadline, "step_deadline"),
        std::pair(file_deadline, "file_deadline"), std::pair(heartbeat, "heartbeat"),
        std::pair(warn_after, "warn_after")})
    if (value.count() <= 0)
      throw input_error(fmt::format("parallel.{} must be longer than nothing", field),
                        fmt::format("it is {} ms", value.count()), "write a duration such as 30s");
  if (zero < 0 || zero > 2)
    throw input_error(
        fmt::format("parallel.zero: stage {} is not available", zero), "",
        "use 0 (every rank holds gradients and the optimizer's state), 1 (each holds a share of "
        "the state) or 2 (and of the gradients)");
  if (zero == 0 && zero_within == ZeroWithin::node)
    throw input_error("parallel.zero_within is node, but parallel.zero is 0", "nothing is shared out",
                      "set parallel.zero: 1 or 2, or leave zero_within out");
  if (node_ranks != kHosts) require_at_least(node_ranks, 1, "parallel.node_ranks");
  if (node_ranks != kHosts && !hierarchical && zero_within == ZeroWithin::run)
    throw input_error(
        fmt::format("parallel.node_ranks is {}, but parallel.hierarchical is false", node_ranks),
        "nodes matter to hierarchical sums and to parallel.zero_within: node alone",
        "set one of them, or leave node_ranks out");
}

void ParallelConfig::check_ranks(std::int64_t ranks) const {
  if (zero_within == ZeroWithin::node && node_ranks != kHosts && ranks % node_ranks != 0)
    throw input_error(
        fmt::format("{} ranks are not whole nodes of {}", ranks, node_ranks),
        "with parallel.zero_within=node each node shares out the same, so all have parallel.node_ranks ranks",
        "start a multiple of them, or set parallel.node_ranks to a number that divides them");
}

}  // namespace shelfcast::trainer

#include "models/heads.h"

#include <cmath>

#include "base/count_distribution.h"
#include "models/transfer.h"

namespace shelfcast::models {

namespace {

double inverse_root(std::int64_t n) { return 1.0 / std::sqrt(static_cast<double>(n)); }

constexpr double kNever = -100.0;       // logit of what cannot be
constexpr double kForecastScale = 0.1;  // layers that make forecasts start ten times smaller

// Mean over `dim` of what was observed, 0 (the window's mean) where nothing was.
at::Tensor observed_mean(const at::Tensor& scaled, const at::Tensor& mask, at::IntArrayRef dim) {
  return (scaled * mask).sum(dim) / mask.sum(dim).clamp_min(1.0);
}

// What the last seasons say of each step: the mean of the same step of the season, of all of them, and of the
// last season alone, in the window's scale: [b, 3, h].
at::Tensor recent_means(const Normalised& demand, std::int64_t season, std::int64_t seasons,
                        std::int64_t steps) {
  const std::int64_t length = season * seasons, from = demand.scaled_bt.size(1) - length;
  const at::Tensor tail_bns = demand.scaled_bt.narrow(1, from, length).view({-1, seasons, season});
  const at::Tensor mask_bns =
      demand.observed_bt.narrow(1, from, length).to(tail_bns.scalar_type()).view({-1, seasons, season});
  const at::Tensor step_h = at::arange(steps, demand.scaled_bt.options().dtype(at::kLong)).remainder(season);
  const at::Tensor same_bh = observed_mean(tail_bns, mask_bns, {1}).index_select(1, step_h);
  const at::Tensor all_b = observed_mean(tail_bns, mask_bns, {1, 2});
  const at::Tensor last_b =
      observed_mean(tail_bns.select(1, seasons - 1), mask_bns.select(1, seasons - 1), {1});
  return at::stack({same_bh, all_b.unsqueeze(1).expand_as(same_bh), last_b.unsqueeze(1).expand_as(same_bh)},
                   1);
}

// At first a class is as likely as it is in a series' past.
std::vector<double> first_class_logits(const std::vector<double>& shares) {
  return {std::log(shares[0]), std::log(shares[1] - shares[0]), std::log(1.0 - shares[1])};
}

// sqrt(1), sqrt(2), ... of as many steps as `like` has in its last dimension.
at::Tensor root_steps(const at::Tensor& like) {
  return (at::arange(like.size(-1), like.options()) + 1.0).sqrt();
}

// What states say of their steps: [b, s, x] -> [b, h, x], or [b, 1, x] where one speaks of all.
at::Tensor of_steps(const at::Tensor& states_bsx, std::int64_t each, std::int64_t steps) {
  if (states_bsx.size(1) == 1) return states_bsx;
  const std::int64_t windows = states_bsx.size(0), count = states_bsx.size(1), width = states_bsx.size(2);
  return states_bsx.unsqueeze(2).expand({windows, count, each, width}).flatten(1, 2).narrow(1, 0, steps);
}

}  // namespace

Heads::Heads(const DemandModelConfig& config, Start start, ParameterMaker& make)
    : config_(config), tower_rows_(config.tower_rows()) {
  const std::int64_t d = config.tower.d_model, hidden = config.model.known_hidden,
                     inputs = config.known_head_inputs();
  const std::int64_t results = static_cast<std::int64_t>(tower_rows_.size()) +
                               (config.model.mean_head ? 1 : 0) + config.model.count_parameters() +
                               (config.model.cumulated ? std::ssize(config.model.quantiles) : 0) +
                               config.model.class_count() + (config.model.inventory ? 1 : 0);
  const double last = start == Start::at_pretrained ? 0.0 : kForecastScale;
  known_state_ = make.normal("heads.known.state.weight", {hidden, d}, inverse_root(d));
  known_input_ = make.normal("heads.known.input.weight", {hidden, inputs}, inverse_root(inputs));
  step_bias_ = make.constant("heads.known.step_bias", {config.horizon, hidden}, 0.0F);
  known_output_.weight =
      make.normal("heads.known.output.weight", {results, hidden}, last * inverse_root(hidden));
  known_output_.bias = make.constant("heads.known.output.bias", {results}, 0.0F);
  const auto by_step = [&](const std::string& name, std::int64_t of_step = 1) {
    return Linear{make.normal(name + ".weight", {of_step * config.horizon, d}, last * inverse_root(d)),
                  make.constant(name + ".bias", {of_step * config.horizon}, 0.0F)};
  };
  if (config.model.mean_head) mean_ = by_step("heads.mean");
  if (config.model.count_parameters() > 0) dispersion_ = by_step("heads.dispersion");
  if (config.model.count_parameters() > 1) zeros_ = by_step("heads.zeros");
  if (config.model.cumulated) cumulated_ = by_step("heads.cumulated", std::ssize(tower_rows_));
  if (config.model.class_count() > 0) classes_ = by_step("heads.class", config.model.class_count());
  if (config.model.inventory) inventory_ = by_step("heads.inventory");
  if (config.model.masked) {
    const std::int64_t patch = config.tower.input_patch_size;
    masked_ = {make.normal("heads.masked.weight", {patch, d}, last * inverse_root(d)),
               make.constant("heads.masked.bias", {patch}, 0.0F)};
  }
}

at::Tensor Heads::known(const at::Tensor& states, std::int64_t each, const at::Tensor& known_bxh,
                        const at::Tensor& closures_b2h, const Normalised& demand) const {
  const std::int64_t windows = demand.loc_b.size(0), steps = config_.horizon;
  const at::Tensor none_b = at::asinh(-demand.loc_b / demand.scale_b);
  const at::Tensor unit_b = at::asinh(demand.scale_b.reciprocal());
  const at::Tensor levels_b2h = at::stack({none_b, unit_b}, 1).unsqueeze(2).expand({windows, 2, steps});
  std::vector<at::Tensor> parts = {levels_b2h};
  if (known_bxh.defined()) parts.insert(parts.begin(), known_bxh);
  if (config_.recent_seasons() > 0) {
    parts.push_back(recent_means(demand, config_.model.season, config_.recent_seasons(), steps));
  }
  if (closures_b2h.defined()) parts.push_back(closures_b2h);
  const at::Tensor inputs_bzh = at::cat(parts, 1);
  const at::Tensor inputs = inputs_bzh.transpose(1, 2).reshape({windows * steps, inputs_bzh.size(1)});
  const at::Tensor from_inputs_bhk = at::mm(inputs, known_input_.t()).view({windows, steps, -1});
  const at::Tensor from_states_bsk =
      at::mm(states, known_state_.t()).view({windows, -1, config_.model.known_hidden});
  const at::Tensor hidden = at::relu(from_inputs_bhk + of_steps(from_states_bsk, each, steps) + step_bias_);
  return known_output_(hidden.flatten(0, 1)).view({windows, steps, -1}).transpose(1, 2);
}

at::Tensor Heads::by_step(const Linear& layer, std::int64_t results, const at::Tensor& states,
                          std::int64_t windows, std::int64_t each) const {
  const std::int64_t horizon = config_.horizon, width = states.size(1);
  if (states.size(0) == windows) return layer(states).view({windows, results, horizon});
  const at::Tensor states_bsd = states.view({windows, -1, states.size(1)});
  std::vector<at::Tensor> parts;
  for (std::int64_t first = 0; first < horizon; first += each) {
    const std::int64_t count = std::min(each, horizon - first);
    const auto rows = [&](const at::Tensor& all, at::IntArrayRef shape) {
      return all.view(shape).narrow(1, first, count).flatten(0, 1);
    };
    const Linear own{rows(layer.weight.values(), {results, horizon, width}),
                     rows(layer.bias, {results, horizon})};
    parts.push_back(own(states_bsd.select(1, first / each)).view({windows, results, count}));
  }
  return at::cat(parts, 2);
}

at::Tensor Heads::independent_sums(const Result& result) const {
  const at::Tensor step_bqh = result.quantiles_bqh.detach();
  const at::Tensor plain_bqh = config_.tower.use_arcsinh ? rounded_sinh(step_bqh) : step_bqh;
  const std::int64_t median = config_.median_index();
  const at::Tensor median_bh = plain_bqh.select(1, median);
  const at::Tensor mean_bh = config_.model.mean_head ? result.mean_bh.detach() : median_bh;
  // Variances of independent steps add up, and so, nearly, do squared distances to the median.
  const at::Tensor distance_bqh = (plain_bqh - median_bh.unsqueeze(1)).square().cumsum(2).sqrt();
  std::vector<double> side(config_.model.quantiles.size(), 1.0);
  std::fill_n(side.begin(), median, -1.0);
  const at::Tensor side_q1 = sent(side, step_bqh.options()).unsqueeze(1);
  return (mean_bh.cumsum(1).unsqueeze(1) + side_q1 * distance_bqh) / root_steps(step_bqh);
}

at::Tensor Heads::hidden_steps(const at::Tensor& states, std::int64_t steps) const {
  const std::int64_t patch = config_.tower.input_patch_size, patches = (steps + patch - 1) / patch;
  const at::Tensor all_bt = masked_(states).view({-1, patches * patch});
  return all_bt.narrow(1, patches * patch - steps, steps);
}

Heads::Result Heads::operator()(const at::Tensor& states, const at::Tensor& tower_bqh,
                                const at::Tensor& known_bxh, const at::Tensor& closed_bh,
                                const at::Tensor& closures_b2h, const Normalised& demand) const {
  const auto levels = static_cast<std::int64_t>(tower_rows_.size());
  at::Tensor quantiles = tower_bqh.narrow(2, 0, config_.horizon);
  if (levels != tower_bqh.size(1)) {
    quantiles = quantiles.index_select(1, sent(tower_rows_, quantiles.device()));
  }
  const std::int64_t windows = tower_bqh.size(0), each = tower_bqh.size(2) * windows / states.size(0);
  const at::Tensor added = known(states, each, known_bxh, closures_b2h, demand);
  const auto step_of = [&](const Linear& layer) {
    return by_step(layer, 1, states, windows, each).select(1, 0);
  };
  Result result;
  result.quantiles_bqh = quantiles + added.narrow(1, 0, levels);
  at::Tensor none_b11;  // no demand, in the window's scale
  if (closed_bh.defined()) {
    none_b11 = (-demand.loc_b / demand.scale_b).view({-1, 1, 1});
    result.quantiles_bqh =
        at::where(closed_bh.unsqueeze(1), config_.tower.use_arcsinh ? none_b11.asinh() : none_b11,
                  result.quantiles_bqh);
  }
  if (config_.model.mean_head) {
    const at::Tensor median = result.quantiles_bqh.select(1, config_.median_index()).detach();
    result.mean_bh = (config_.tower.use_arcsinh ? rounded_sinh(median) : median) + step_of(mean_) +
                     added.select(1, levels);
    if (closed_bh.defined()) result.mean_bh = at::where(closed_bh, none_b11.squeeze(2), result.mean_bh);
  }
  if (config_.model.count_parameters() > 0) {
    const at::Tensor raw_bh = step_of(dispersion_) + added.select(1, levels + 1);
    result.dispersion_bh = at::softplus(raw_bh + kFirstDispersion) + kLeastDispersion;
  }
  if (config_.model.count_parameters() > 1)
    result.zeros_bh = step_of(zeros_) + added.select(1, levels + 2) + kFirstZeros;
  // Those come last: sums, classes, stock on hand.
  const std::int64_t classes = config_.model.class_count(), held = config_.model.inventory ? 1 : 0;
  if (config_.model.cumulated) {
    const at::Tensor added_bqh = added.narrow(1, added.size(1) - held - classes - levels, levels);
    result.cumulated_bqh = independent_sums(result) + by_step(cumulated_, levels, states, windows, each) +
                           added_bqh.cumsum(2) / root_steps(added_bqh);
  }
  if (classes > 0)
    result.class_logits_bch =
        by_step(classes_, classes, states, windows, each) +
        added.narrow(1, added.size(1) - held - classes, classes) +
        sent(first_class_logits(config_.model.classes), added.options()).view({1, -1, 1});
  if (classes > 0 && closed_bh.defined())
    result.class_logits_bch =
        at::where(closed_bh.unsqueeze(1), sent({0.0, kNever, kNever}, added.options()).view({1, -1, 1}),
                  result.class_logits_bch);
  if (held > 0) result.inventory_bh = step_of(inventory_) + added.select(1, added.size(1) - 1);
  return result;
}

}  // namespace shelfcast::models

#include "models/context.h"

#include <fmt/format.h>

#include <cmath>
#include <limits>

namespace shelfcast::models {

namespace {

double inverse_root(std::int64_t n) { return 1.0 / std::sqrt(static_cast<double>(n)); }

// One embedding table a categorical column. Code 0 is a value that is missing or unknown: a row of zeros, so
// that it says nothing unless windows without the value train it.
std::vector<at::Tensor> tables(const std::string& name, const std::vector<std::int64_t>& cardinalities,
                               std::int64_t width, ParameterMaker& make) {
  std::vector<at::Tensor> result;
  for (std::size_t i = 0; i < cardinalities.size(); ++i) {
    result.push_back(make.normal(fmt::format("{}.{}.weight", name, i), {cardinalities[i], width}, 1.0,
                                 ParameterMaker::Decay::no));
    const at::NoGradGuard no_grad;
    result.back().select(0, 0).zero_();
  }
  return result;
}

// Zeros, the mean of a scaled column, where it is missing.
at::Tensor present(const at::Tensor& x) { return at::where(x.isnan(), at::zeros({}, x.options()), x); }

// Appends numeric columns [b, n, t], 0 where missing, and each categorical column's embedding [b, w, t].
void append_columns(const at::Tensor& numeric_bnt, std::int64_t numeric, const at::Tensor& codes_bct,
                    const std::vector<at::Tensor>& code_tables, std::vector<at::Tensor>& numeric_out,
                    std::vector<at::Tensor>& code_out) {
  if (numeric > 0) numeric_out.push_back(present(numeric_bnt));
  for (std::size_t i = 0; i < code_tables.size(); ++i) {
    const at::Tensor codes_bt = codes_bct.select(1, static_cast<std::int64_t>(i)).to(at::kLong);
    code_out.push_back(at::embedding(code_tables[i], codes_bt).transpose(1, 2));
  }
}

at::Tensor last_steps(const at::Tensor& x, std::int64_t steps) {
  return x.defined() && x.size(-1) > steps ? x.narrow(-1, x.size(-1) - steps, steps) : x;
}

}  // namespace

Context::Context(const DemandModelConfig& config, Start start, ParameterMaker& make)
    : config_(config),
      past_tables_(tables("fusion.past_code", config.past_cardinalities, config.model.code_width, make)),
      known_tables_(tables("fusion.known_code", config.known_cardinalities, config.model.code_width, make)) {
  const bool zero = start == Start::at_pretrained;
  const std::int64_t inputs = config.patch_columns() * config.tower.input_patch_size,
                     d = config.tower.d_model;
  if (inputs > 0) {
    const double deviation = zero ? 0.0 : inverse_root(inputs);
    patch_hidden_ = make.normal("fusion.patch.hidden.weight", {config.tower.d_ff, inputs}, deviation);
    patch_residual_ = make.normal("fusion.patch.residual.weight", {d, inputs}, deviation);
  }
  static_tables_ = tables("fusion.static", config.static_cardinalities, config.model.static_width, make);
  if (!static_tables_.empty()) {
    const std::int64_t width = config.model.static_width * static_cast<std::int64_t>(static_tables_.size());
    // A tenth: thousands of series must not start as far apart as their own demand makes them.
    static_shift_.weight =
        make.normal("fusion.static.shift.weight", {2 * d, width}, zero ? 0.0 : 0.1 * inverse_root(width));
    static_shift_.bias = make.constant("fusion.static.shift.bias", {2 * d}, 0.0F);
  }
  // Without biases, so that average facts and no text (zeros) add nothing.
  const std::int64_t numbers = 2 * config.static_numbers;
  if (numbers > 0)
    number_shift_.weight =
        make.normal("fusion.number.shift.weight", {2 * d, numbers}, zero ? 0.0 : 0.1 * inverse_root(numbers));
  if (config.text_width > 0)
    text_shift_.weight = make.normal("fusion.text.shift.weight", {2 * d, config.text_width},
                                     zero ? 0.0 : 0.1 * inverse_root(config.text_width));
  if (!config.model.level) return;
  // From zero: a level of one unit, which is the scale as published.
  if (!static_tables_.empty()) {
    const std::int64_t width = config.model.static_width * static_cast<std::int64_t>(static_tables_.size());
    static_level_ = make.normal("fusion.level.static.weight", {1, width}, 0.0);
  }
  if (numbers > 0) number_level_ = make.normal("fusion.level.number.weight", {1, numbers}, 0.0);
  if (config.text_width > 0)
    text_level_ = make.normal("fusion.level.text.weight", {1, config.text_width}, 0.0);
  level_bias_ = make.constant("fusion.level.bias", {1}, 0.0F);
}

ModelInputs Context::cut(const ModelInputs& inputs) const {
  const std::int64_t steps = config_.tower.context_length;
  ModelInputs result = inputs;
  result.context_bt = last_steps(inputs.context_bt, steps);
  result.past_bnt = last_steps(inputs.past_bnt, steps);
  result.past_codes_bct = last_steps(inputs.past_codes_bct, steps);
  result.inventory_bt = last_steps(inputs.inventory_bt, steps);
  result.known_bnu = last_steps(inputs.known_bnu, steps + config_.horizon);
  result.known_codes_bcu = last_steps(inputs.known_codes_bcu, steps + config_.horizon);
  return result;
}

at::Tensor Context::known_columns(const ModelInputs& inputs) const {
  std::vector<at::Tensor> columns;
  append_columns(inputs.known_bnu, config_.known_numeric, inputs.known_codes_bcu, known_tables_, columns,
                 columns);
  return columns.empty() ? at::Tensor() : at::cat(columns, 1);
}

at::Tensor Context::embedded_statics(const ModelInputs& inputs) const {
  if (static_tables_.empty()) return {};
  std::vector<at::Tensor> embedded;
  for (std::size_t i = 0; i < static_tables_.size(); ++i) {
    const at::Tensor codes_b = inputs.statics_bs.select(1, static_cast<std::int64_t>(i)).to(at::kLong);
    embedded.push_back(at::embedding(static_tables_[i], codes_b));
  }
  return at::cat(embedded, 1);
}

at::Tensor Context::shift(const ModelInputs& inputs) const {
  at::Tensor shift_b2d;
  const auto add = [&shift_b2d](const at::Tensor& part_b2d) {
    shift_b2d = shift_b2d.defined() ? shift_b2d + part_b2d : part_b2d;
  };
  if (!static_tables_.empty()) add(static_shift_(embedded_statics(inputs)));
  if (number_shift_.weight.defined()) add(number_shift_(inputs.static_numbers_bn));
  if (text_shift_.weight.defined()) add(text_shift_(inputs.text_bw));
  return shift_b2d;
}

at::Tensor Context::level(const ModelInputs& inputs) const {
  if (!level_bias_.defined()) return {};
  at::Tensor level_b = level_bias_.expand({inputs.context_bt.size(0)});
  // The embeddings are the shift's: what a level wants of them must not move those.
  if (static_level_.defined())
    level_b = level_b + at::mm(embedded_statics(inputs).detach(), static_level_.t()).squeeze(1);
  if (number_level_.defined())
    level_b = level_b + at::mm(inputs.static_numbers_bn, number_level_.t()).squeeze(1);
  if (text_level_.defined()) level_b = level_b + at::mm(inputs.text_bw, text_level_.t()).squeeze(1);
  return level_b;
}

// Past covariates, of whose future nothing is known, then known ones.
void Context::add_series_beside(const ModelInputs& inputs, TowerInputs& result) const {
  const at::Tensor& context = inputs.context_bt;
  const std::int64_t steps = context.size(1);
  std::vector<at::Tensor> past, future;
  if (config_.past_numeric > 0) {
    past.push_back(inputs.past_bnt);
    future.push_back(at::full({context.size(0), config_.past_numeric, config_.horizon},
                              std::numeric_limits<double>::quiet_NaN(), context.options()));
  }
  if (config_.known_numeric > 0) {
    past.push_back(inputs.known_bnu.narrow(2, 0, steps));
    future.push_back(inputs.known_bnu.narrow(2, steps, config_.horizon));
  }
  result.beside_bct = at::cat(past, 1);
  result.beside_future_bch = at::cat(future, 1);
}

TowerInputs Context::tower_inputs(const ModelInputs& inputs, const Normalised& demand,
                                  const at::Tensor& known_bxu, const at::Tensor& shift_b2d) const {
  const std::int64_t patch = config_.tower.input_patch_size, stride = config_.tower.input_patch_stride,
                     steps = inputs.context_bt.size(1);
  TowerInputs result;
  result.demand = demand;
  result.horizon = config_.horizon;
  if (config_.group_members() > 1) add_series_beside(inputs, result);
  if (patch_hidden_.defined()) {
    std::vector<at::Tensor> numeric, codes;
    append_columns(inputs.past_bnt, config_.model.groups ? 0 : config_.past_numeric, inputs.past_codes_bct,
                   past_tables_, numeric, codes);
    if (known_bxu.defined()) {
      const at::Tensor known_bxt = known_bxu.narrow(2, 0, steps);
      const std::int64_t coded = known_bxt.size(1) - config_.known_numeric;
      if (!config_.model.groups) numeric.push_back(known_bxt.narrow(1, 0, config_.known_numeric));
      codes.push_back(known_bxt.narrow(1, config_.known_numeric, coded));
    }
    numeric.insert(numeric.end(), codes.begin(), codes.end());
    const at::Tensor columns = into_patches(at::cat(numeric, 1), patch, stride).flatten(0, 1);
    result.more_hidden = at::mm(columns, patch_hidden_.t());
    result.more_residual = at::mm(columns, patch_residual_.t());
  }
  if (shift_b2d.defined()) result.shift_bd = shift_b2d.narrow(1, 0, config_.tower.d_model);
  return result;
}

}  // namespace shelfcast::models

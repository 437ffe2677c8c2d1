#include "scorer/forward/demand_model.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <string>
#include <utility>

#include "base/count_distribution.h"
#include "base/error.h"
#include "scorer/forward/instance_norm.h"
#include "scorer/forward/quantile_levels.h"

namespace shelfcast::scorer {
namespace {

constexpr double kSameLevel = 1e-6;
constexpr float kClosedBelow = -0.5F;
constexpr std::int64_t kMostClosed = 20;  // steps in a row; longer closures look alike

double softplus(double x) { return x > 30.0 ? x : std::log1p(std::exp(x)); }
double logistic(double x) { return 1.0 / (1.0 + std::exp(-x)); }
float bent(float mean) {
  constexpr auto kBent = static_cast<float>(kBentMean);
  return mean >= kBent ? mean : kBent / (2.0F - mean / kBent);
}

// Means of what was observed, in the window's scale; 0 where nothing was.
struct RecentMeans {
  std::vector<float> same_step;  // [season]
  float all = 0.0F, last_season = 0.0F;
};

// Over the `seasons` seasons that end before `end`.
RecentMeans recent_means(const float* end, std::int64_t season, std::int64_t seasons, Norm norm) {
  const auto mean = [&](std::int64_t first, std::int64_t stride) {
    float sum = 0.0F;
    int observed = 0;
    for (const float* x = end - first; x < end; x += stride)
      if (!std::isnan(*x)) sum += (*x - norm.loc) / norm.scale, ++observed;
    return observed == 0 ? 0.0F : sum / static_cast<float>(observed);
  };
  RecentMeans means;
  for (std::int64_t step = 0; step < season; ++step)
    means.same_step.push_back(mean(seasons * season - step, season));
  means.all = mean(seasons * season, 1);
  means.last_season = mean(season, 1);
  return means;
}

// [outputs, a + b] from [outputs, a] beside [outputs, b].
std::vector<float> beside(const std::vector<float>& left, const std::vector<float>& right,
                          std::int64_t outputs) {
  const std::int64_t a = std::ssize(left) / outputs, b = std::ssize(right) / outputs;
  std::vector<float> both(static_cast<std::size_t>(outputs * (a + b)));
  for (std::int64_t o = 0; o < outputs; ++o) {
    std::copy_n(left.begin() + o * a, a, both.begin() + o * (a + b));
    std::copy_n(right.begin() + o * b, b, both.begin() + o * (a + b) + a);
  }
  return both;
}

// The rows of a [levels * tower_steps, width] head that belong to `levels` and the first `steps` steps.
std::vector<float> head_rows(const std::vector<float>& all, std::int64_t width,
                             const std::vector<std::int64_t>& levels, std::int64_t tower_steps,
                             std::int64_t steps) {
  std::vector<float> rows;
  rows.reserve(static_cast<std::size_t>(std::ssize(levels) * steps * width));
  for (const std::int64_t level : levels) {
    const auto first = all.begin() + level * tower_steps * width;
    rows.insert(rows.end(), first, first + steps * width);
  }
  return rows;
}

std::vector<std::int64_t> tower_levels(const ModelConfig& config) {
  std::vector<std::int64_t> rows;
  for (const double level : config.quantiles) {
    const auto& known = config.tower.quantiles;
    const auto found =
        std::find_if(known.begin(), known.end(), [&](double k) { return std::abs(k - level) < kSameLevel; });
    if (found == known.end())
      throw data_error(fmt::format("model.json asks for quantile {}", level),
                       "the tower does not forecast it", "export the bundle again");
    rows.push_back(found - known.begin());
  }
  return rows;
}

std::int64_t median_index(const std::vector<double>& levels) {
  std::size_t best = 0;
  for (std::size_t i = 1; i < levels.size(); ++i)
    if (std::abs(levels[i] - 0.5) < std::abs(levels[best] - 0.5) - kSameLevel) best = i;
  return static_cast<std::int64_t>(best);
}

// Of ascending quantiles.
float median_of(const std::vector<double>& levels, const std::vector<float>& quantiles) {
  std::vector<std::pair<float, float>> points;
  for (std::size_t i = 0; i < levels.size(); ++i)
    points.emplace_back(static_cast<float>(levels[i]), quantiles[i]);
  return interpolate(0.5F, points);
}

// 0, the mean of a scaled column, where it is missing.
float present(float x) { return std::isnan(x) ? 0.0F : x; }

std::vector<std::vector<float>> read_embeddings(Weights& weights, const std::string& name,
                                                const std::vector<std::int64_t>& cardinalities,
                                                std::int64_t width) {
  std::vector<std::vector<float>> tables;
  for (std::size_t i = 0; i < cardinalities.size(); ++i)
    tables.push_back(weights.take(fmt::format("{}.{}.weight", name, i), {cardinalities[i], width}));
  return tables;
}

}  // namespace

DemandModel::DemandModel(const std::filesystem::path& folder, const Ops& ops)
    : config_(read_model_config(folder / "model.json")), ops_(ops) {
  context_ = config_.steps_read();
  skipped_ = config_.context - context_;
  activation_ = activation_function(config_.tower.activation);
  median_ = median_index(config_.quantiles);
  Weights tower(folder / "tower" / "model.safetensors"), fusion(folder / "fusion.safetensors");
  tower_ = make_tower(config_, ops_, tower);
  states_ = tower_->states_of_series();
  steps_each_ = std::min(tower_->steps_of_state(), config_.horizon);
  patch_width_ = tower_->inputs() + config_.patch_columns() * config_.tower.patch;
  read_patch_embedding(tower, fusion);
  read_shifts(fusion);
  read_heads(tower, fusion);
  tower.ignore("lm_head.weight");  // strays of published files
  tower.check_all_taken();
  fusion.check_all_taken();
}

void DemandModel::read_patch_embedding(Weights& tower, Weights& fusion) {
  const std::int64_t width = config_.tower.d_model, hidden = config_.tower.d_ff, demand = tower_->inputs();
  const std::int64_t columns = config_.patch_columns() * config_.tower.patch;
  past_codes_ = read_embeddings(fusion, "fusion.past_code", config_.past_cardinalities, config_.code_width);
  known_codes_ =
      read_embeddings(fusion, "fusion.known_code", config_.known_cardinalities, config_.code_width);
  std::vector<float> hidden_columns, residual_columns;
  if (columns > 0) {
    hidden_columns = fusion.take("fusion.patch.hidden.weight", {hidden, columns});
    residual_columns = fusion.take("fusion.patch.residual.weight", {width, columns});
  }
  const std::string name = "input_patch_embedding.";
  const auto first =
      beside(tower.take(name + "hidden_layer.weight", {hidden, demand}), hidden_columns, hidden);
  const auto second =
      beside(tower.take(name + "residual_layer.weight", {width, demand}), residual_columns, width);
  patch_.hidden = pack(ops_, first, hidden, patch_width_, tower.take(name + "hidden_layer.bias", {hidden}));
  patch_.output = read_dense(ops_, tower, name + "output_layer", width, hidden, Bias::stored);
  patch_.residual =
      pack(ops_, second, width, patch_width_, tower.take(name + "residual_layer.bias", {width}));
}

void DemandModel::read_shifts(Weights& fusion) {
  statics_ = read_embeddings(fusion, "fusion.static", config_.static_cardinalities, config_.static_width);
  const std::int64_t inputs = config_.static_width * std::ssize(statics_),
                     outputs = 2 * config_.tower.d_model, numbers = 2 * config_.static_numbers,
                     width = config_.text_width;
  if (!statics_.empty())
    static_shift_ = pack(ops_, fusion.take("fusion.static.shift.weight", {outputs, inputs}), outputs, inputs,
                         fusion.take("fusion.static.shift.bias", {outputs}));
  if (numbers > 0)
    number_shift_ =
        pack(ops_, fusion.take("fusion.number.shift.weight", {outputs, numbers}), outputs, numbers);
  if (width > 0)
    text_shift_ = pack(ops_, fusion.take("fusion.text.shift.weight", {outputs, width}), outputs, width);
  if (!config_.level) return;
  if (!statics_.empty()) static_level_ = fusion.take("fusion.level.static.weight", {1, inputs});
  if (numbers > 0) number_level_ = fusion.take("fusion.level.number.weight", {1, numbers});
  if (width > 0) text_level_ = fusion.take("fusion.level.text.weight", {1, width});
  level_bias_ = fusion.take("fusion.level.bias", {1})[0];
}

void DemandModel::read_heads(Weights& tower, Weights& fusion) {
  const std::int64_t width = config_.tower.d_model, inside = config_.tower.d_ff, horizon = config_.horizon;
  const std::int64_t steps = tower_->steps_of_state(), all = std::ssize(config_.tower.quantiles) * steps;
  const auto levels = tower_levels(config_);
  const std::int64_t rows = std::ssize(levels) * steps_each_;
  const std::string name = "output_patch_embedding.";
  const auto part = [&](const std::string& tensor, std::int64_t inputs) {
    return head_rows(tower.take(name + tensor, inputs == 1 ? std::vector{all} : std::vector{all, inputs}),
                     inputs, levels, steps, steps_each_);
  };
  output_.hidden = read_dense(ops_, tower, name + "hidden_layer", inside, width, Bias::stored);
  output_.output =
      pack(ops_, part("output_layer.weight", inside), rows, inside, part("output_layer.bias", 1));
  output_.residual =
      pack(ops_, part("residual_layer.weight", width), rows, width, part("residual_layer.bias", 1));

  const std::int64_t hidden = config_.known_hidden, inputs = config_.known_inputs();
  const std::int64_t results = std::ssize(levels) + (config_.mean_head ? 1 : 0) + config_.count_parameters;
  known_state_ = pack(ops_, fusion.take("heads.known.state.weight", {hidden, width}), hidden, width);
  known_input_ = pack(ops_, fusion.take("heads.known.input.weight", {hidden, inputs}), hidden, inputs);
  known_step_bias_ = fusion.take("heads.known.step_bias", {horizon, hidden});
  // Sums, classes and stock on hand come last; their rows and layers are not computed with.
  const std::array<std::pair<const char*, std::int64_t>, 3> unused = {
      {{"cumulated", config_.cumulated ? std::ssize(levels) : 0},
       {"class", config_.classes},
       {"inventory", config_.inventory ? 1 : 0}}};
  const std::int64_t all_results = results + unused[0].second + unused[1].second + unused[2].second;
  std::vector<float> output = fusion.take("heads.known.output.weight", {all_results, hidden}),
                     output_bias = fusion.take("heads.known.output.bias", {all_results});
  output.resize(static_cast<std::size_t>(results * hidden));
  output_bias.resize(static_cast<std::size_t>(results));
  known_output_ = pack(ops_, output, results, hidden, output_bias);
  for (const auto& [head, of_step] : unused) {
    if (of_step == 0) continue;
    fusion.take(fmt::format("heads.{}.weight", head), {of_step * horizon, width});
    fusion.take(fmt::format("heads.{}.bias", head), {of_step * horizon});
  }
  if (config_.masked) {
    fusion.take("heads.masked.weight", {config_.tower.patch, width});
    fusion.take("heads.masked.bias", {config_.tower.patch});
  }
  if (config_.mean_head) mean_ = read_by_step(fusion, "heads.mean");
  if (config_.count_parameters > 0) dispersion_ = read_by_step(fusion, "heads.dispersion");
  if (config_.count_parameters > 1) zeros_ = read_by_step(fusion, "heads.zeros");
}

std::vector<DenseLayer> DemandModel::read_by_step(Weights& fusion, const std::string& name) const {
  const std::int64_t width = config_.tower.d_model, horizon = config_.horizon;
  const std::vector<float> weight = fusion.take(name + ".weight", {horizon, width}),
                           bias = fusion.take(name + ".bias", {horizon});
  std::vector<DenseLayer> layers;
  for (std::int64_t first = 0; first < horizon; first += steps_each_) {
    const std::int64_t count = std::min(steps_each_, horizon - first);
    layers.push_back(pack(ops_, std::span(weight).subspan(first * width, count * width), count, width,
                          std::span(bias).subspan(first, count)));
  }
  return layers;
}

void DemandModel::forecast(const ModelInputs& inputs, std::span<const std::int64_t> series,
                           ForwardScratch& scratch, const ForecastRows& out) const {
  const std::int64_t horizon = config_.horizon, per_series = std::ssize(config_.quantiles) * horizon;
  const std::int64_t most_tokens =
      config_.group_members() * (config_.patches() + (states_ > 1 ? states_ : 0));
  for (std::int64_t done = 0; done < std::ssize(series);) {
    TokenBatch& tokens = scratch.tokens;
    tokens.clear();
    scratch.norms.clear();
    scratch.context.clear();
    std::int64_t count = 0;
    for (; done + count < std::ssize(series) && (count == 0 || tokens.rows() + most_tokens < kRowsTogether);
         ++count)
      make_patches(inputs, series[done + count], scratch);
    const auto together = series.subspan(done, count);
    embed(inputs, together, scratch);
    tower_->states(tokens, scratch.tower, scratch.states);
    heads(inputs, together, scratch);
    const ForecastRows rows{out.quantiles + done * per_series, out.mean + done * horizon, out.scale + done};
    to_demand(count, scratch, rows);
    if (config_.open_column >= 0) close(inputs, together, rows);
    done += count;
  }
}

// The scale of a series where nothing is observed: the level that its statics and text let expect.
float DemandModel::unseen_scale(const ModelInputs& inputs, std::int64_t series) const {
  if (!config_.level) return 1.0F;
  double level = level_bias_;
  const auto part = static_cast<std::size_t>(config_.static_width);
  for (std::size_t s = 0; s < statics_.size(); ++s) {
    const auto code = static_cast<std::size_t>(inputs.statics.row(series)[s]);
    for (std::size_t i = 0; i < part; ++i)
      level += static_cast<double>(statics_[s][code * part + i]) * static_level_[s * part + i];
  }
  for (std::size_t i = 0; i < number_level_.size(); ++i)
    level += static_cast<double>(inputs.static_numbers.row(series)[i]) * number_level_[i];
  const std::int32_t row = config_.text_width > 0 ? inputs.text_row.row(series)[0] : -1;
  for (std::size_t i = 0; row >= 0 && i < text_level_.size(); ++i)
    level += static_cast<double>(inputs.text.row(row)[i]) * text_level_[i];
  return static_cast<float>(std::exp(level));
}

bool DemandModel::closed(const ModelInputs& inputs, std::int64_t series, std::int64_t step) const {
  return inputs.known[static_cast<std::size_t>(config_.open_column)].row(series)[step] < kClosedBelow;
}

// log(1 + the closed steps in a row beside `step`), as far as the window goes that the tower reads.
float DemandModel::closure(const ModelInputs& inputs, std::int64_t series, std::int64_t step,
                           std::int64_t direction) const {
  const std::int64_t end = config_.context + config_.horizon;
  std::int64_t count = 0;
  for (std::int64_t t = step + direction; t >= skipped_ && t < end && count < kMostClosed; t += direction) {
    if (!closed(inputs, series, t)) break;
    ++count;
  }
  return std::log1p(static_cast<float>(count));
}

// Appends one series, and what is read beside it: its norm, its tokens, and an input row for each of them.
void DemandModel::make_patches(const ModelInputs& inputs, std::int64_t series,
                               ForwardScratch& scratch) const {
  const float* steps = inputs.context.row(series);
  scratch.context.insert(scratch.context.end(), steps, steps + config_.context);
  float* own = scratch.context.data() + std::ssize(scratch.context) - config_.context;
  for (std::int64_t t = 0; t < config_.context && config_.open_column >= 0; ++t)
    if (closed(inputs, series, t)) own[t] = std::numeric_limits<float>::quiet_NaN();
  const std::span<const float> context(own + skipped_, static_cast<std::size_t>(context_));
  const Norm norm = instance_norm(context, config_.scale_floor, unseen_scale(inputs, series));
  scratch.norms.push_back(norm);
  TokenBatch& tokens = scratch.tokens;
  tower_->append(context, {}, norm, patch_width_, tokens, scratch.patch);
  for (std::int64_t r = tokens.series.back().first_row; r < tokens.rows(); ++r)
    if (tokens.position[r] < config_.patches())
      fill_columns(inputs, series, tokens.position[r],
                   scratch.patch.data() + r * patch_width_ + tower_->inputs());
  if (!config_.groups) return;
  const auto append_beside = [&](const Rows<float>& column, std::int64_t ahead) {
    const float* origin = column.row(series) + config_.context;
    const std::span<const float> past(origin - context_, static_cast<std::size_t>(context_)),
        future(origin, static_cast<std::size_t>(ahead));
    tower_->append(past, future, instance_norm(past, 0.0, 1.0F), patch_width_, tokens, scratch.patch);
  };
  for (const Rows<float>& column : inputs.past) append_beside(column, 0);
  for (const Rows<float>& column : inputs.known) append_beside(column, config_.horizon);
}

// Every column beside demand over one patch of the context; zeros before its first step and where missing.
void DemandModel::fill_columns(const ModelInputs& inputs, std::int64_t series, std::int64_t patch,
                               float* column) const {
  const std::int64_t steps = config_.tower.patch, width = config_.code_width;
  const std::int64_t start = patch * config_.tower.stride - config_.tower.padding(context_);
  const std::int64_t from = std::max<std::int64_t>(0, -start);  // first step of the patch that exists
  for (const auto* columns : {&inputs.past, &inputs.known})
    for (std::size_t c = 0; !config_.groups && c < columns->size(); ++c, column += steps) {
      const float* values = (*columns)[c].row(series) + skipped_ + start;
      for (std::int64_t p = from; p < steps; ++p) column[p] = present(values[p]);
    }
  const auto embed_codes = [&](const std::vector<Rows<std::int32_t>>& codes, const auto& tables) {
    for (std::size_t c = 0; c < codes.size(); ++c, column += width * steps) {
      const std::int32_t* code = codes[c].row(series) + skipped_ + start;
      for (std::int64_t p = from; p < steps; ++p)
        for (std::int64_t i = 0; i < width; ++i) column[i * steps + p] = tables[c][code[p] * width + i];
    }
  };
  embed_codes(inputs.past_codes, past_codes_);
  embed_codes(inputs.known_codes, known_codes_);
}

void DemandModel::embed(const ModelInputs& inputs, std::span<const std::int64_t> series,
                        ForwardScratch& scratch) const {
  TokenBatch& tokens = scratch.tokens;
  const std::int64_t rows = tokens.rows(), width = config_.tower.d_model;
  float* x = reserve(tokens.x, rows * width);
  patch_.apply(ops_, activation_, scratch.patch.data(), rows, x, scratch.hidden);
  for (const std::int64_t row : tokens.reg) std::ranges::copy(tower_->reg_token(), x + row * width);
  if (shifts()) shift_tokens(inputs, series, scratch);
}

// scratch.shift = [count, 2 * width].
void DemandModel::make_shift(const ModelInputs& inputs, std::span<const std::int64_t> series,
                             ForwardScratch& scratch) const {
  const std::int64_t outputs = 2 * config_.tower.d_model, part = config_.static_width,
                     numbers = 2 * config_.static_numbers, text = config_.text_width;
  const std::int64_t count = std::ssize(series), inputs_width = part * std::ssize(statics_);
  float* shift = reserve(scratch.shift, count * outputs);
  if (!statics_.empty()) {
    float* embedded = reserve(scratch.hidden, count * inputs_width);
    for (std::int64_t b = 0; b < count; ++b)
      for (std::size_t s = 0; s < statics_.size(); ++s)
        std::copy_n(statics_[s].begin() + inputs.statics.row(series[b])[s] * part, part,
                    embedded + b * inputs_width + static_cast<std::int64_t>(s) * part);
    ops_.dense(static_shift_, embedded, inputs_width, count, shift, outputs, Write::store);
  }
  Write write = statics_.empty() ? Write::store : Write::add;
  if (numbers > 0) {
    float* facts = reserve(scratch.hidden, count * numbers);
    for (std::int64_t b = 0; b < count; ++b)
      std::copy_n(inputs.static_numbers.row(series[b]), numbers, facts + b * numbers);
    ops_.dense(number_shift_, facts, numbers, count, shift, outputs, write);
    write = Write::add;
  }
  if (text == 0) return;
  float* vectors = reserve(scratch.hidden, count * text);
  for (std::int64_t b = 0; b < count; ++b) {
    const std::int32_t row = inputs.text_row.row(series[b])[0];
    if (row < 0)
      std::fill_n(vectors + b * text, text, 0.0F);
    else
      std::copy_n(inputs.text.row(row), text, vectors + b * text);
  }
  ops_.dense(text_shift_, vectors, text, count, shift, outputs, write);
}

void DemandModel::shift_tokens(const ModelInputs& inputs, std::span<const std::int64_t> series,
                               ForwardScratch& scratch) const {
  make_shift(inputs, series, scratch);
  const std::int64_t width = config_.tower.d_model;
  for (std::int64_t b = 0; b < std::ssize(series); ++b) {
    const TokenBatch::Span& span = scratch.tokens.series[b * config_.group_members()];
    const float* shift = scratch.shift.data() + b * 2 * width;
    for (std::int64_t r = span.first_row; r < span.first_row + span.tokens; ++r)
      for (std::int64_t d = 0; d < width; ++d) scratch.tokens.x[r * width + d] += shift[d];
  }
}

// scratch.tower_quantiles = [count, states, Q, steps of each].
void DemandModel::heads(const ModelInputs& inputs, std::span<const std::int64_t> series,
                        ForwardScratch& scratch) const {
  const std::int64_t width = config_.tower.d_model, count = std::ssize(series);
  float* state = scratch.states.data();
  for (std::int64_t row = 0; shifts() && row < count * states_; ++row)
    for (std::int64_t d = 0; d < width; ++d)
      state[row * width + d] += scratch.shift[(2 * (row / states_) + 1) * width + d];
  output_.apply(ops_, activation_, state, count * states_,
                reserve(scratch.tower_quantiles, count * states_ * output_.output.outputs), scratch.hidden);
  if (!mean_.empty()) by_step(mean_, count, scratch, scratch.mean);
  if (!dispersion_.empty()) by_step(dispersion_, count, scratch, scratch.dispersion);
  if (!zeros_.empty()) by_step(zeros_, count, scratch, scratch.zeros);
  known_head(inputs, series, scratch);
}

void DemandModel::by_step(const std::vector<DenseLayer>& layers, std::int64_t count,
                          const ForwardScratch& scratch, Floats& out) const {
  const std::int64_t width = config_.tower.d_model, horizon = config_.horizon;
  float* values = reserve(out, count * horizon);
  for (std::int64_t s = 0; s < states_; ++s)
    ops_.dense(layers[s], scratch.states.data() + s * width, states_ * width, count, values + s * steps_each_,
               horizon, Write::store);
}

// scratch.known_out = [count, H, R].
void DemandModel::known_head(const ModelInputs& inputs, std::span<const std::int64_t> series,
                             ForwardScratch& scratch) const {
  const std::int64_t horizon = config_.horizon, hidden = config_.known_hidden,
                     inputs_width = known_input_.inputs;
  const std::int64_t count = std::ssize(series);
  float* z = reserve(scratch.known, count * horizon * inputs_width);
  RecentMeans recent;
  for (std::int64_t b = 0; b < count; ++b) {
    if (config_.recent_seasons() > 0)
      recent = recent_means(scratch.context.data() + (b + 1) * config_.context, config_.season,
                            config_.recent_seasons(), scratch.norms[b]);
    for (std::int64_t h = 0; h < horizon; ++h) {
      const std::int64_t step = config_.context + h;
      for (const Rows<float>& column : inputs.known) *z++ = present(column.row(series[b])[step]);
      for (std::size_t c = 0; c < inputs.known_codes.size(); ++c) {
        const std::int32_t code = inputs.known_codes[c].row(series[b])[step];
        z = std::copy_n(known_codes_[c].begin() + code * config_.code_width, config_.code_width, z);
      }
      *z++ = std::asinh(-scratch.norms[b].loc / scratch.norms[b].scale);
      *z++ = std::asinh(1.0F / scratch.norms[b].scale);
      if (!recent.same_step.empty()) {
        *z++ = recent.same_step[static_cast<std::size_t>(h % config_.season)];
        *z++ = recent.all;
        *z++ = recent.last_season;
      }
      if (!config_.closures) continue;
      *z++ = closure(inputs, series[b], step, -1);
      *z++ = closure(inputs, series[b], step, +1);
    }
  }
  float* state = reserve(scratch.known_state, count * states_ * hidden);
  float* g = reserve(scratch.known_hidden, count * horizon * hidden);
  ops_.dense(known_state_, scratch.states.data(), config_.tower.d_model, count * states_, state, hidden,
             Write::store);
  ops_.dense(known_input_, scratch.known.data(), inputs_width, count * horizon, g, hidden, Write::store);
  for (std::int64_t row = 0; row < count * horizon; ++row) {
    const std::int64_t step = row % horizon;
    const float* own = state + (row / horizon * states_ + step / steps_each_) * hidden;
    for (std::int64_t k = 0; k < hidden; ++k) {
      float& value = g[row * hidden + k];
      value = std::max(0.0F, value + own[k] + known_step_bias_[step * hidden + k]);
    }
  }
  ops_.dense(known_output_, g, hidden, count * horizon,
             reserve(scratch.known_out, count * horizon * known_output_.outputs), known_output_.outputs,
             Write::store);
}

void DemandModel::to_demand(std::int64_t count, ForwardScratch& scratch, const ForecastRows& out) const {
  const std::int64_t horizon = config_.horizon, levels = std::ssize(config_.quantiles);
  std::vector<float> step(static_cast<std::size_t>(levels));
  std::vector<double> counts(step.size());
  for (std::int64_t b = 0; b < count; ++b) {
    const Norm norm = scratch.norms[b];
    const auto demand = [&](float scaled) { return std::max(0.0F, scaled * norm.scale + norm.loc); };
    out.scale[b] = norm.scale;
    for (std::int64_t h = 0; h < horizon; ++h) {
      const std::int64_t cell = b * horizon + h;
      const float* known = scratch.known_out.data() + cell * known_output_.outputs;
      const float* tower = scratch.tower_quantiles.data() +
                           (b * states_ + h / steps_each_) * levels * steps_each_ + h % steps_each_;
      for (std::int64_t q = 0; q < levels; ++q) {
        step[q] = tower[q * steps_each_] + known[q];
        if (config_.tower.use_arcsinh) step[q] = rounded_sinh(step[q]);
      }
      if (config_.mean_head) {
        const float mean = step[median_] + scratch.mean[cell] + known[levels];
        out.mean[cell] =
            config_.positive_means ? bent(mean + norm.loc / norm.scale) * norm.scale : demand(mean);
      }
      if (config_.counts_written) {
        const double zeros =
            zeros_.empty() ? 0.0 : logistic(scratch.zeros[cell] + known[levels + 2] + kFirstZeros);
        const CountDistribution distribution{
            out.mean[cell] / (1.0 - zeros),
            softplus(scratch.dispersion[cell] + known[levels + 1] + kFirstDispersion) + kLeastDispersion,
            zeros};
        distribution.quantiles(config_.quantiles, counts);
        std::copy(counts.begin(), counts.end(), step.begin());
      } else {
        for (float& value : step) value = demand(value);
        std::sort(step.begin(), step.end());
      }
      if (!config_.mean_head) out.mean[cell] = median_of(config_.quantiles, step);
      for (std::int64_t q = 0; q < levels; ++q) out.quantiles[(b * levels + q) * horizon + h] = step[q];
    }
  }
}

void DemandModel::close(const ModelInputs& inputs, std::span<const std::int64_t> series,
                        const ForecastRows& out) const {
  const std::int64_t horizon = config_.horizon, levels = std::ssize(config_.quantiles);
  for (std::int64_t b = 0; b < std::ssize(series); ++b) {
    for (std::int64_t h = 0; h < horizon; ++h) {
      if (!closed(inputs, series[b], config_.context + h)) continue;
      out.mean[b * horizon + h] = 0.0F;
      for (std::int64_t q = 0; q < levels; ++q) out.quantiles[(b * levels + q) * horizon + h] = 0.0F;
    }
  }
}

}  // namespace shelfcast::scorer

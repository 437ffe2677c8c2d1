// docs/model.md as plain loops in double: slow, obviously right, and sharing nothing with scorer/forward.
#include <algorithm>
#include <cmath>
#include <functional>

#include "tests/scorer/random_model.h"

namespace shelfcast::scorer::testing {
namespace {

using Vec = std::vector<double>;
using Mat = std::vector<Vec>;

class Reference {
 public:
  Reference(const RandomModel& model, const ModelInputs& inputs, std::int64_t series)
      : m_(model), c_(model.config), t_(model.config.tower), in_(inputs), b_(series) {}

  ReferenceForecast run() {
    cut_and_norm();
    make_tokens();
    if (!chronos2()) {
      encode();
      return forecast({decode()}, t_.prediction_length);
    }
    encode_chronos2();
    return forecast(last_states(), t_.patch);
  }

 private:
  bool chronos2() const { return t_.architecture == Architecture::chronos2; }
  const std::vector<float>& w(const std::string& name) const { return m_.tensors.at(name); }
  Vec linear(const std::string& name, const Vec& x) const {
    const auto& weight = w(name + ".weight");
    Vec y(weight.size() / x.size(), 0.0);
    for (std::size_t o = 0; o < y.size(); ++o)
      for (std::size_t i = 0; i < x.size(); ++i) y[o] += static_cast<double>(weight[o * x.size() + i]) * x[i];
    if (m_.tensors.contains(name + ".bias"))
      for (std::size_t o = 0; o < y.size(); ++o) y[o] += w(name + ".bias")[o];
    return y;
  }
  static Vec plus(Vec a, const Vec& b) {
    for (std::size_t i = 0; i < a.size(); ++i) a[i] += b[i];
    return a;
  }
  static Vec relu(Vec a) {
    for (double& x : a) x = std::max(0.0, x);
    return a;
  }
  Vec norm(const Vec& x, const std::string& name) const {
    double mean = 0.0;
    for (const double value : x) mean += value * value / static_cast<double>(x.size());
    Vec y = x;
    for (std::size_t i = 0; i < x.size(); ++i) y[i] = w(name)[i] * x[i] / std::sqrt(mean + t_.epsilon);
    return y;
  }

  void cut_and_norm() {
    length_ = std::min(c_.context, t_.context_length);
    cut_ = c_.context - length_;
    double sum = 0.0, squares = 0.0;
    int count = 0;
    const float* x = in_.context.row(b_) + cut_;
    for (std::int64_t i = 0; i < length_; ++i)
      if (!std::isnan(x[i])) sum += x[i], ++count;
    loc_ = count > 0 ? sum / count : 0.0;
    for (std::int64_t i = 0; i < length_; ++i)
      if (!std::isnan(x[i])) squares += (x[i] - loc_) * (x[i] - loc_);
    scale_ = count > 0 ? std::sqrt(squares / count) : usual_level();
    loc_ = static_cast<float>(loc_);
    scale_ = static_cast<float>(scale_);
    if (c_.scale_floor > 0.0) {
      scale_ = std::max(scale_, c_.scale_floor);
    } else if (scale_ == 0.0) {
      scale_ = 1e-5F;
    }
  }

  // The scale without a history.
  double usual_level() const {
    if (!c_.level) return 1.0;
    double level = w("fusion.level.bias")[0];
    const Vec statics = static_embeddings();
    for (std::size_t i = 0; i < statics.size(); ++i) level += statics[i] * w("fusion.level.static.weight")[i];
    for (std::int64_t i = 0; i < 2 * c_.static_numbers; ++i)
      level += in_.static_numbers.row(b_)[i] * w("fusion.level.number.weight")[static_cast<std::size_t>(i)];
    const std::int32_t row = c_.text_width > 0 ? in_.text_row.row(b_)[0] : -1;
    for (std::int64_t i = 0; i < c_.text_width && row >= 0; ++i)
      level += in_.text.row(row)[i] * w("fusion.level.text.weight")[static_cast<std::size_t>(i)];
    return std::exp(level);
  }

  static double known_or_0(double x) { return std::isnan(x) ? 0.0 : x; }

  // All columns beside demand over the context, as in step 4.
  Mat columns() const {
    Mat all;
    for (const auto* group : {&in_.past, &in_.known})
      for (const auto& column : *group) {
        Vec values;
        for (std::int64_t s = 0; s < length_; ++s) values.push_back(known_or_0(column.row(b_)[cut_ + s]));
        all.push_back(values);
      }
    const auto embed = [&](const auto& group, const std::string& name) {
      for (std::size_t g = 0; g < group.size(); ++g)
        for (std::int64_t i = 0; i < c_.code_width; ++i) {
          Vec values;
          for (std::int64_t s = 0; s < length_; ++s)
            values.push_back(
                w(name + std::to_string(g) + ".weight")[group[g].row(b_)[cut_ + s] * c_.code_width + i]);
          all.push_back(values);
        }
    };
    embed(in_.past_codes, "fusion.past_code.");
    embed(in_.known_codes, "fusion.known_code.");
    return all;
  }

  void make_tokens() {
    const std::int64_t patch = t_.patch, n = (length_ + patch - 1) / patch, padding = n * patch - length_;
    const Mat others = columns();
    const float* demand = in_.context.row(b_) + cut_;
    for (std::int64_t j = 0; j < n; ++j) {
      Vec v = blank_patch((j - n) * patch), u(others.size() * static_cast<std::size_t>(patch), 0.0);
      const std::size_t first = v.size() - static_cast<std::size_t>(2 * patch);  // of the values
      bool any = false;
      for (std::int64_t p = 0; p < patch; ++p) {
        const std::int64_t step = j * patch + p - padding;
        if (step < 0) continue;
        if (!std::isnan(demand[step])) {
          const double scaled = (demand[step] - loc_) / scale_;
          v[first + p] = t_.use_arcsinh ? std::asinh(scaled) : scaled;
          v[first + patch + p] = 1.0;
          any = true;
        }
        for (std::size_t x = 0; x < others.size(); ++x) u[x * patch + p] = others[x][step];
      }
      x_.push_back(embed(v, u));
      attended_.push_back(any);
    }
    if (t_.use_reg_token) {
      const auto& shared = w("tower.shared.weight");
      x_.emplace_back(shared.begin() + t_.d_model, shared.end());
      attended_.push_back(true);
    }
    for (std::int64_t first = 0; chronos2() && first < c_.horizon; first += patch) {
      x_.push_back(embed(blank_patch(first), {}));
      attended_.push_back(true);
    }
    if (!c_.static_cardinalities.empty()) shift_ = linear("fusion.static.shift", static_embeddings());
    if (c_.static_numbers > 0) {
      const float* facts = in_.static_numbers.row(b_);
      const Vec of_numbers = linear("fusion.number.shift", Vec(facts, facts + 2 * c_.static_numbers));
      shift_ = shift_.empty() ? of_numbers : plus(shift_, of_numbers);
    }
    if (c_.text_width > 0 && in_.text_row.row(b_)[0] >= 0) {
      const float* text = in_.text.row(in_.text_row.row(b_)[0]);
      const Vec of_text = linear("fusion.text.shift", Vec(text, text + c_.text_width));
      shift_ = shift_.empty() ? of_text : plus(shift_, of_text);
    }
    for (Vec& token : x_)
      for (std::int64_t d = 0; d < t_.d_model && !shift_.empty(); ++d) token[d] += shift_[d];
  }

  // A patch without observations whose first step is `place` steps after the origin.
  Vec blank_patch(std::int64_t place) const {
    Vec v;
    for (std::int64_t p = 0; chronos2() && p < t_.patch; ++p)
      v.push_back(static_cast<double>(place + p) / static_cast<double>(t_.time_scale));
    v.resize(v.size() + static_cast<std::size_t>(2 * t_.patch), 0.0);
    return v;
  }
  Vec embed(const Vec& v, const Vec& u) const {
    Vec hidden = linear("tower.input_patch_embedding.hidden_layer", v);
    if (!u.empty()) hidden = plus(hidden, linear("fusion.patch.hidden", u));
    const Vec token = plus(linear("tower.input_patch_embedding.output_layer", relu(hidden)),
                           linear("tower.input_patch_embedding.residual_layer", v));
    return u.empty() ? token : plus(token, linear("fusion.patch.residual", u));
  }

  Vec static_embeddings() const {
    Vec e;
    for (std::size_t s = 0; s < c_.static_cardinalities.size(); ++s)
      for (std::int64_t i = 0; i < c_.static_width; ++i)
        e.push_back(w("fusion.static." + std::to_string(s) +
                      ".weight")[in_.statics.row(b_)[s] * c_.static_width + i]);
    return e;
  }

  // Attention of one query over rows, before the output projection; masks as -FLT_MAX would: no key attended
  // = uniform.
  Vec attend(const Vec& q, const Mat& k, const Mat& v, std::int64_t query,
             const std::vector<float>* bias) const {
    const std::int64_t heads = t_.num_heads, width = t_.d_kv;
    const bool any = std::find(attended_.begin(), attended_.end(), true) != attended_.end();
    Vec out(static_cast<std::size_t>(heads * width), 0.0);
    for (std::int64_t h = 0; h < heads; ++h) {
      Vec p(k.size(), 0.0);
      double most = -1e300, sum = 0.0;
      for (std::size_t r = 0; r < k.size(); ++r) {
        if (any && !attended_[r]) continue;
        for (std::int64_t i = 0; i < width; ++i) p[r] += q[h * width + i] * k[r][h * width + i];
        if (bias != nullptr) p[r] += (*bias)[bucket(static_cast<std::int64_t>(r) - query) * heads + h];
        if (!any) p[r] = 0.0;
        most = std::max(most, p[r]);
      }
      for (std::size_t r = 0; r < k.size(); ++r) {
        p[r] = any && !attended_[r] ? 0.0 : std::exp(p[r] - most);
        sum += p[r];
      }
      for (std::size_t r = 0; r < k.size(); ++r)
        for (std::int64_t i = 0; i < width; ++i) out[h * width + i] += p[r] / sum * v[r][h * width + i];
    }
    return out;
  }
  std::int64_t bucket(std::int64_t d) const {
    const std::int64_t half = t_.buckets / 2, exact = half / 2, size = std::abs(d);
    if (size < exact) return (d > 0 ? half : 0) + size;
    const float ratio =
        std::log(static_cast<float>(size) / static_cast<float>(exact)) /
        static_cast<float>(std::log(static_cast<double>(t_.max_distance) / static_cast<double>(exact)));
    const auto steps = static_cast<std::int64_t>(ratio * static_cast<float>(half - exact));
    return (d > 0 ? half : 0) + std::min(half - 1, exact + steps);
  }
  Vec feed(const Vec& x, const std::string& layer) const {
    return plus(x, linear(layer + "DenseReluDense.wo",
                          relu(linear(layer + "DenseReluDense.wi", norm(x, layer + "layer_norm.weight")))));
  }

  void encode() {
    const auto& bias = w("tower.encoder.block.0.layer.0.SelfAttention.relative_attention_bias.weight");
    for (std::int64_t i = 0; i < t_.num_layers; ++i) {
      const std::string layer = "tower.encoder.block." + std::to_string(i) + ".layer.";
      Mat q, k, v;
      for (const Vec& x : x_) {
        const Vec a = norm(x, layer + "0.layer_norm.weight");
        q.push_back(linear(layer + "0.SelfAttention.q", a));
        k.push_back(linear(layer + "0.SelfAttention.k", a));
        v.push_back(linear(layer + "0.SelfAttention.v", a));
      }
      for (std::size_t r = 0; r < x_.size(); ++r) {
        x_[r] = plus(x_[r], linear(layer + "0.SelfAttention.o",
                                   attend(q[r], k, v, static_cast<std::int64_t>(r), &bias)));
        x_[r] = feed(x_[r], layer + "1.");
      }
    }
    for (Vec& x : x_) x = norm(x, "tower.encoder.final_layer_norm.weight");
  }

  // q or k of the token at `place`, turned.
  Vec turned(const Vec& x, std::size_t place) const {
    const std::int64_t half = t_.d_kv / 2;
    Vec y = x;
    for (std::int64_t h = 0; h < t_.num_heads; ++h)
      for (std::int64_t e = 0; e < half; ++e) {
        const std::int64_t a = h * t_.d_kv + e, b = a + half;
        const double angle =
            static_cast<double>(place) /
            std::pow(t_.rope_theta, 2.0 * static_cast<double>(e) / static_cast<double>(t_.d_kv));
        y[a] = x[a] * std::cos(angle) - x[b] * std::sin(angle);
        y[b] = x[b] * std::cos(angle) + x[a] * std::sin(angle);
      }
    return y;
  }

  // Every series is a group of its own.
  void encode_chronos2() {
    for (std::int64_t i = 0; i < t_.num_layers; ++i) {
      const std::string layer = "tower.encoder.block." + std::to_string(i) + ".layer.";
      const std::string time = layer + "0.self_attention.", group = layer + "1.self_attention.";
      Mat q, k, v;
      for (std::size_t r = 0; r < x_.size(); ++r) {
        const Vec a = norm(x_[r], layer + "0.layer_norm.weight");
        q.push_back(turned(linear(time + "q", a), r));
        k.push_back(turned(linear(time + "k", a), r));
        v.push_back(linear(time + "v", a));
      }
      for (std::size_t r = 0; r < x_.size(); ++r) {
        Vec& x = x_[r];
        x = plus(x, linear(time + "o", attend(q[r], k, v, 0, nullptr)));
        x = plus(x, linear(group + "o", linear(group + "v", norm(x, layer + "1.layer_norm.weight"))));
        x = plus(x, linear(layer + "2.mlp.wo",
                           relu(linear(layer + "2.mlp.wi", norm(x, layer + "2.layer_norm.weight")))));
      }
    }
  }
  // One for each patch ahead.
  Mat last_states() const {
    const std::int64_t count = (c_.horizon + t_.patch - 1) / t_.patch;
    Mat states;
    for (auto x = x_.end() - count; x != x_.end(); ++x) {
      states.push_back(norm(*x, "tower.encoder.final_layer_norm.weight"));
      for (std::size_t d = 0; d < x->size() && !shift_.empty(); ++d)
        states.back()[d] += shift_[t_.d_model + static_cast<std::int64_t>(d)];
    }
    return states;
  }

  Vec decode() const {
    const auto& shared = w("tower.shared.weight");
    Vec y(shared.begin(), shared.begin() + t_.d_model);
    for (std::int64_t i = 0; i < t_.num_decoder_layers; ++i) {
      const std::string layer = "tower.decoder.block." + std::to_string(i) + ".layer.";
      y = plus(y, linear(layer + "0.SelfAttention.o",
                         linear(layer + "0.SelfAttention.v", norm(y, layer + "0.layer_norm.weight"))));
      Mat k, v;
      for (const Vec& x : x_) {
        k.push_back(linear(layer + "1.EncDecAttention.k", x));
        v.push_back(linear(layer + "1.EncDecAttention.v", x));
      }
      const Vec q = linear(layer + "1.EncDecAttention.q", norm(y, layer + "1.layer_norm.weight"));
      y = feed(plus(y, linear(layer + "1.EncDecAttention.o", attend(q, k, v, 0, nullptr))), layer + "2.");
    }
    y = norm(y, "tower.decoder.final_layer_norm.weight");
    for (std::size_t d = 0; d < y.size() && !shift_.empty(); ++d) y[d] += shift_[t_.d_model + d];
    return y;
  }

  // Each state speaks of `each` steps.
  ReferenceForecast forecast(const Mat& states, std::int64_t each) const {
    Mat outputs;
    for (const Vec& d : states)
      outputs.push_back(plus(linear("tower.output_patch_embedding.output_layer",
                                    relu(linear("tower.output_patch_embedding.hidden_layer", d))),
                             linear("tower.output_patch_embedding.residual_layer", d)));
    const std::size_t levels = c_.quantiles.size();
    ReferenceForecast out{Vec(levels * static_cast<std::size_t>(c_.horizon)), Vec(c_.horizon), scale_};
    std::size_t median = 0;
    for (std::size_t q = 1; q < levels; ++q)
      if (std::abs(c_.quantiles[q] - 0.5) < std::abs(c_.quantiles[median] - 0.5) - 1e-6) median = q;
    const auto demand = [&](double scaled) { return std::max(0.0, scaled * scale_ + loc_); };
    for (std::int64_t h = 0; h < c_.horizon; ++h) {
      const Vec &d = states[h / each], &o = outputs[h / each];
      const Vec r = known(d, h);
      Vec step(levels);
      for (std::size_t q = 0; q < levels; ++q) {
        std::size_t row = 0;
        while (std::abs(t_.quantiles[row] - c_.quantiles[q]) > 1e-6) ++row;
        step[q] = o[row * each + h % each] + r[q];
        if (t_.use_arcsinh) step[q] = std::sinh(step[q]);
      }
      const double mean = step[median] + (c_.mean_head ? linear("heads.mean", d)[h] + r[levels] : 0.0);
      out.mean_h[h] = demand(mean);
      if (c_.positive_means) {
        const double u = mean + loc_ / scale_;
        out.mean_h[h] = (u >= 0.1 ? u : 0.01 / (0.2 - u)) * scale_;
      }
      for (double& value : step) value = demand(value);
      std::sort(step.begin(), step.end());
      if (!c_.mean_head) out.mean_h[h] = at_half(step);
      if (c_.counts_written) step = counts(d, r, h, out.mean_h[h]);
      for (std::size_t q = 0; q < levels; ++q) out.quantiles_qh[q * c_.horizon + h] = step[q];
    }
    return out;
  }

  // The median of sorted quantiles.
  double at_half(const Vec& quantiles) const {
    const Vec& levels = c_.quantiles;
    if (levels.front() >= 0.5) return quantiles.front();
    for (std::size_t q = 1; q < levels.size(); ++q)
      if (levels[q] >= 0.5)
        return quantiles[q - 1] +
               (0.5 - levels[q - 1]) / (levels[q] - levels[q - 1]) * (quantiles[q] - quantiles[q - 1]);
    return quantiles.back();
  }

  // Quantiles of the counts about `mean`, from every probability by itself.
  Vec counts(const Vec& d, const Vec& r, std::int64_t h, double mean) const {
    const std::size_t levels = c_.quantiles.size();
    const double raw = linear("heads.dispersion", d)[h] + r[levels + 1] + std::log(std::exp(0.5) - 1.0);
    const double size = 1.0 / (std::log1p(std::exp(raw)) + 1e-6);
    const double zeros = c_.count_parameters < 2
                             ? 0.0
                             : 1.0 / (1.0 + 9.0 * std::exp(-linear("heads.zeros", d)[h] - r[levels + 2]));
    const double rate = mean / (1.0 - zeros);
    Vec found;
    double cumulated = zeros;
    for (int k = 0; found.size() < levels; ++k) {
      cumulated += (1.0 - zeros) * std::exp(std::lgamma(k + size) - std::lgamma(size) - std::lgamma(k + 1.0) -
                                            size * std::log1p(rate / size) - k * std::log1p(size / rate));
      while (found.size() < levels && cumulated >= c_.quantiles[found.size()]) found.push_back(k);
    }
    return found;
  }

  // Mean scaled demand of those of the last `span` steps that are observed and chosen, counted from the first
  // of them.
  double recent_mean(std::int64_t span, const std::function<bool(std::int64_t)>& chosen) const {
    double sum = 0.0;
    int count = 0;
    for (std::int64_t i = 0; i < span; ++i) {
      const float demand = in_.context.row(b_)[c_.context - span + i];
      if (!chosen(i) || std::isnan(demand)) continue;
      sum += (demand - loc_) / scale_;
      ++count;
    }
    return count == 0 ? 0.0 : sum / count;
  }

  Vec known(const Vec& d, std::int64_t h) const {
    Vec z;
    for (const auto& column : in_.known) z.push_back(known_or_0(column.row(b_)[c_.context + h]));
    for (std::size_t g = 0; g < in_.known_codes.size(); ++g)
      for (std::int64_t i = 0; i < c_.code_width; ++i)
        z.push_back(w("fusion.known_code." + std::to_string(g) +
                      ".weight")[in_.known_codes[g].row(b_)[c_.context + h] * c_.code_width + i]);
    z.push_back(std::asinh(-loc_ / scale_));
    z.push_back(std::asinh(1.0 / scale_));
    if (c_.recent_seasons() > 0) {
      const std::int64_t span = c_.recent_seasons() * c_.season;
      z.push_back(recent_mean(span, [&](std::int64_t i) { return i % c_.season == h % c_.season; }));
      z.push_back(recent_mean(span, [](std::int64_t) { return true; }));
      z.push_back(recent_mean(c_.season, [](std::int64_t) { return true; }));
    }
    Vec g = plus(linear("heads.known.state", d), linear("heads.known.input", z));
    for (std::int64_t i = 0; i < c_.known_hidden; ++i)
      g[i] += w("heads.known.step_bias")[h * c_.known_hidden + i];
    return linear("heads.known.output", relu(g));
  }

  const RandomModel& m_;
  const ModelConfig& c_;
  const TowerConfig& t_;
  const ModelInputs& in_;
  std::int64_t b_, length_ = 0, cut_ = 0;
  double loc_ = 0.0, scale_ = 1.0;
  Mat x_;
  std::vector<bool> attended_;
  Vec shift_;
};

}  // namespace

ReferenceForecast reference_forecast(const RandomModel& model, const ModelInputs& inputs,
                                     std::int64_t series) {
  return Reference(model, inputs, series).run();
}

}  // namespace shelfcast::scorer::testing

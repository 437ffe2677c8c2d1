#include "eval/baselines/learned/ridge.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <map>
#include <nlohmann/json.hpp>

#include "base/error.h"

namespace shelfcast::eval {
namespace {

using Json = nlohmann::json;

constexpr std::size_t kMostValues = 64;
constexpr double kFarthest = 3.0;  // deviations from the mean

// One column of the table as one or more numbers of the regression.
struct Term {
  std::size_t column = 0;
  bool is_value = false;  // 1 where the column holds `mean`, else 0; or a standardised number
  double mean = 0.0, scale = 1.0;
  double of(const float* row) const {
    const auto x = static_cast<double>(row[column]);
    if (is_value) return x == mean ? 1.0 : 0.0;
    // A line must not go on far beyond what it was fitted to.
    return std::isnan(x) ? 0.0 : std::clamp((x - mean) * scale, -kFarthest, kFarthest);
  }
};

Term standardised(const LearningTable& table, std::size_t column) {
  double count = 0.0, sum = 0.0, squares = 0.0;
  const auto each = [&](const auto& visit) {
    for (std::int64_t r = 0; r < table.rows(); ++r)
      if (const double x = table.features[static_cast<std::size_t>(r * table.columns) + column];
          !std::isnan(x))
        visit(x);
  };
  each([&](double x) { sum += x, count += 1.0; });
  const double mean = count > 0.0 ? sum / count : 0.0;
  each([&](double x) { squares += (x - mean) * (x - mean); });
  const double deviation = count > 0.0 ? std::sqrt(squares / count) : 0.0;
  return {column, false, mean, deviation > 1e-9 ? 1.0 / deviation : 0.0};
}

void add_values(const LearningTable& table, std::size_t column, std::vector<Term>& terms) {
  std::map<float, std::int64_t> counts;
  for (std::int64_t r = 0; r < table.rows(); ++r)
    if (const float x = table.features[static_cast<std::size_t>(r * table.columns) + column]; !std::isnan(x))
      ++counts[x];
  std::vector<std::pair<std::int64_t, float>> frequent;
  for (const auto& [value, count] : counts) frequent.emplace_back(-count, value);
  std::ranges::sort(frequent);
  if (frequent.size() > kMostValues) frequent.resize(kMostValues);
  for (const auto& [count, value] : frequent)
    terms.push_back({column, true, static_cast<double>(value), 1.0});
}

// Solves A x = b for a symmetric positive definite A [n, n], whose lower half is overwritten by its Cholesky
// factor.
std::vector<double> solve(std::vector<double>& a, std::vector<double> b) {
  const std::size_t n = b.size();
  for (std::size_t j = 0; j < n; ++j) {
    for (std::size_t i = j; i < n; ++i) {
      double sum = a[i * n + j];
      for (std::size_t k = 0; k < j; ++k) sum -= a[i * n + k] * a[j * n + k];
      if (i == j && !(sum > 0.0))
        throw Error(ErrorKind::internal, "ridge regression: the matrix is singular");
      a[i * n + j] = i == j ? std::sqrt(sum) : sum / a[j * n + j];
    }
  }
  for (std::size_t i = 0; i < n; ++i) {
    for (std::size_t k = 0; k < i; ++k) b[i] -= a[i * n + k] * b[k];
    b[i] /= a[i * n + i];
  }
  for (std::size_t i = n; i-- > 0;) {
    for (std::size_t k = i + 1; k < n; ++k) b[i] -= a[k * n + i] * b[k];
    b[i] /= a[i * n + i];
  }
  return b;
}

class Ridge final : public Regressor {
 public:
  Ridge(std::vector<Term> terms, std::vector<double> weights, std::int64_t columns)
      : terms_(std::move(terms)), weights_(std::move(weights)), columns_(columns) {}
  void predict(const float* features, std::int64_t rows, std::int64_t, float* out) const override {
    for (std::int64_t r = 0; r < rows; ++r) {
      double sum = weights_.back();
      for (std::size_t i = 0; i < terms_.size(); ++i)
        sum += weights_[i] * terms_[i].of(features + r * columns_);
      out[r] = static_cast<float>(sum);
    }
  }

 private:
  std::vector<Term> terms_;
  std::vector<double> weights_;  // of the terms, then the constant
  std::int64_t columns_;
};

}  // namespace

std::vector<std::byte> fit_ridge(const LearningTable& table, const std::vector<bool>& categorical,
                                 double penalty) {
  SHELFCAST_ASSERT(table.rows() > 0 && std::ssize(categorical) == table.columns);
  std::vector<Term> terms;
  for (std::size_t column = 0; column < categorical.size(); ++column)
    categorical[column] ? add_values(table, column, terms) : terms.push_back(standardised(table, column));
  const std::size_t n = terms.size() + 1;  // and the constant
  std::vector<double> a(n * n), b(n), x(n);
  for (std::int64_t r = 0; r < table.rows(); ++r) {
    for (std::size_t i = 0; i < terms.size(); ++i)
      x[i] = terms[i].of(table.features.data() + r * table.columns);
    x[terms.size()] = 1.0;
    for (std::size_t i = 0; i < n; ++i) {
      if (x[i] == 0.0) continue;
      for (std::size_t j = 0; j <= i; ++j) a[i * n + j] += x[i] * x[j];
      b[i] += x[i] * static_cast<double>(table.targets[static_cast<std::size_t>(r)]);
    }
  }
  const double rows = static_cast<double>(table.rows());
  for (std::size_t i = 0; i < terms.size(); ++i) a[i * n + i] += penalty * rows;
  const std::vector<double> weights = solve(a, b);
  Json json{{"columns", table.columns}, {"weights", weights}, {"terms", Json::array()}};
  for (const Term& term : terms) json["terms"].push_back({term.column, term.is_value, term.mean, term.scale});
  const std::vector<std::uint8_t> packed = Json::to_msgpack(json);
  std::vector<std::byte> bytes(packed.size());
  std::memcpy(bytes.data(), packed.data(), packed.size());
  return bytes;
}

std::unique_ptr<Regressor> load_ridge(const std::vector<std::byte>& bytes) {
  const auto* first = reinterpret_cast<const std::uint8_t*>(bytes.data());
  const Json json = Json::from_msgpack(first, first + bytes.size());
  std::vector<Term> terms;
  for (const Json& term : json.at("terms")) terms.push_back({term[0], term[1], term[2], term[3]});
  return std::make_unique<Ridge>(std::move(terms), json.at("weights").get<std::vector<double>>(),
                                 json.at("columns").get<std::int64_t>());
}

}  // namespace shelfcast::eval

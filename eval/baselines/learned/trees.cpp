#include "eval/baselines/learned/trees.h"

#include <xgboost/c_api.h>

#include <algorithm>
#include <limits>

#include "base/error.h"

namespace shelfcast::eval {
namespace {

void check(int status) {
  if (status != 0) throw Error(ErrorKind::internal, fmt::format("XGBoost failed: {}", XGBGetLastError()));
}

// Both handles of XGBoost's, freed in the end.
class Matrix {
 public:
  Matrix(const float* features, std::int64_t rows, std::int64_t columns) {
    check(XGDMatrixCreateFromMat(features, static_cast<bst_ulong>(rows), static_cast<bst_ulong>(columns),
                                 std::numeric_limits<float>::quiet_NaN(), &handle_));
  }
  ~Matrix() { XGDMatrixFree(handle_); }
  Matrix(const Matrix&) = delete;
  Matrix& operator=(const Matrix&) = delete;
  DMatrixHandle get() const { return handle_; }

 private:
  DMatrixHandle handle_ = nullptr;
};

class Booster {
 public:
  explicit Booster(const std::vector<DMatrixHandle>& matrices = {}) {
    check(XGBoosterCreate(matrices.data(), matrices.size(), &handle_));
    set("verbosity", "0");
  }
  ~Booster() { XGBoosterFree(handle_); }
  Booster(const Booster&) = delete;
  Booster& operator=(const Booster&) = delete;
  BoosterHandle get() const { return handle_; }
  void set(const std::string& name, const std::string& value) const {
    check(XGBoosterSetParam(handle_, name.c_str(), value.c_str()));
  }

 private:
  BoosterHandle handle_ = nullptr;
};

class Trees final : public Regressor {
 public:
  Trees(const std::vector<std::byte>& bytes, std::int64_t columns) : columns_(columns) {
    check(XGBoosterLoadModelFromBuffer(booster_.get(), bytes.data(), bytes.size()));
  }
  void predict(const float* features, std::int64_t rows, std::int64_t threads, float* out) const override {
    if (rows == 0) return;
    booster_.set("nthread", std::to_string(threads));
    const Matrix matrix(features, rows, columns_);
    bst_ulong count = 0;
    const float* values = nullptr;
    check(XGBoosterPredict(booster_.get(), matrix.get(), 0, 0, 0, &count, &values));
    SHELFCAST_ASSERT(count == static_cast<bst_ulong>(rows));
    std::copy_n(values, rows, out);
  }

 private:
  Booster booster_;
  std::int64_t columns_;
};

}  // namespace

std::vector<std::byte> fit_trees(const LearningTable& table, const TreeOptions& options, std::int64_t threads,
                                 const std::function<void()>& each_round) {
  const Matrix matrix(table.features.data(), table.rows(), table.columns);
  check(XGDMatrixSetFloatInfo(matrix.get(), "label", table.targets.data(), table.targets.size()));
  const Booster booster({matrix.get()});
  booster.set("nthread", std::to_string(threads));
  for (const auto& [name, value] : options.parameters) booster.set(name, value);
  for (int round = 0; round < options.rounds; ++round) {
    check(XGBoosterUpdateOneIter(booster.get(), round, matrix.get()));
    if (each_round) each_round();
  }
  bst_ulong size = 0;
  const char* bytes = nullptr;
  check(XGBoosterSaveModelToBuffer(booster.get(), R"({"format": "ubj"})", &size, &bytes));
  const auto* first = reinterpret_cast<const std::byte*>(bytes);
  return {first, first + size};
}

std::unique_ptr<Regressor> load_trees(const std::vector<std::byte>& bytes, std::int64_t columns) {
  return std::make_unique<Trees>(bytes, columns);
}

}  // namespace shelfcast::eval

#include "trainer/checkpoint.h"

#include <algorithm>
#include <charconv>
#include <cstring>
#include <nlohmann/json.hpp>

#include "base/error.h"
#include "base/files.h"
#include "base/log.h"
#include "base/safetensors.h"

namespace shelfcast::trainer {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

constexpr const char* kManifest = "manifest.json";
constexpr const char* kState = "state.json";
constexpr const char* kOptimizer = "optimizer-00001-of-00001.safetensors";

std::span<const std::byte> bytes_of(const at::Tensor& flat, const parallel::FlatRange& range) {
  const float* first = flat.data_ptr<float>() + range.offset;
  return std::as_bytes(std::span(first, static_cast<std::size_t>(range.elements)));
}

void write_moments(const fs::path& path, const parallel::FlatBuffers& buffers, const AdamW& optimizer) {
  std::vector<TensorToStore> tensors;
  for (const parallel::FlatRange& range : buffers.ranges()) {
    tensors.push_back(
        {range.name + ".first_moment", DType::f32, range.shape, bytes_of(optimizer.first_moment(), range)});
    tensors.push_back(
        {range.name + ".second_moment", DType::f32, range.shape, bytes_of(optimizer.second_moment(), range)});
  }
  write_safetensors(path, tensors, {{"steps", std::to_string(optimizer.steps())}});
}

json state_to_json(const TrainState& state, const json& conditions) {
  return {{"format_version", 1},
          {"step", state.step},
          {"best_metric", state.best_step < 0 ? json() : json(state.best_metric)},
          {"best_step", state.best_step},
          {"validations_without_best", state.validations_without_best},
          {"conditions", conditions}};
}

// Every file below `folder` but the manifest itself, with bytes and digest.
json describe_files(const fs::path& folder) {
  json files = json::object();
  for (const auto& entry : fs::recursive_directory_iterator(folder)) {
    if (!entry.is_regular_file()) continue;
    files[fs::relative(entry.path(), folder).generic_string()] = {{"bytes", entry.file_size()},
                                                                  {"digest", digest_file(entry.path())}};
  }
  return files;
}

std::string damage_of_file(const fs::path& path, const std::string& name, const json& expected) {
  std::error_code failed;
  const std::uintmax_t size = fs::file_size(path, failed);
  if (failed) return name + " is missing";
  if (size != expected.at("bytes").get<std::uintmax_t>())
    return fmt::format("{} has {} bytes instead of {}", name, size,
                       expected.at("bytes").get<std::uintmax_t>());
  if (digest_file(path) != expected.at("digest").get<std::string>())
    return name + " does not match its checksum";
  return "";
}

json read_json(const fs::path& path) {
  json value = json::parse(read_file(path), nullptr, false);
  if (value.is_discarded()) throw data_error(fmt::format("{} is not JSON", path.string()), "damaged file");
  return value;
}

}  // namespace

void Checkpoints::save(const models::DemandModel& model, const parallel::FlatBuffers& buffers,
                       const AdamW& optimizer, const TrainState& state, const std::string& recipe_yaml,
                       const json& conditions) const {
  const fs::path target = path_of(state.step);
  // A damaged folder of this very step may be in the way after a resume from an older one.
  if (fs::exists(target)) fs::remove_all(target);
  AtomicFolder folder(target);
  model.save(folder.staging());
  write_moments(folder.staging() / kOptimizer, buffers, optimizer);
  write_file_atomically(folder.staging() / kState, state_to_json(state, conditions).dump(2) + "\n");
  write_file_atomically(folder.staging() / "recipe.yaml", recipe_yaml);
  const json manifest = {
      {"format", "shelfcast-checkpoint"}, {"format_version", 1}, {"files", describe_files(folder.staging())}};
  write_file_atomically(folder.staging() / kManifest, manifest.dump(2) + "\n");
  folder.commit();
}

std::vector<std::int64_t> Checkpoints::steps() const {
  std::vector<std::int64_t> steps;
  if (!fs::exists(folder_)) return steps;
  for (const auto& entry : fs::directory_iterator(folder_)) {
    const std::string name = entry.path().filename().string();
    std::int64_t step = 0;
    const auto [end, error] = std::from_chars(name.data(), name.data() + name.size(), step);
    if (error == std::errc() && end == name.data() + name.size() && entry.is_directory())
      steps.push_back(step);
  }
  std::sort(steps.begin(), steps.end());
  return steps;
}

std::string Checkpoints::damage(std::int64_t step) const {
  const fs::path folder = path_of(step);
  try {
    const json manifest = read_json(folder / kManifest);
    for (const auto& [name, expected] : manifest.at("files").items()) {
      const std::string what = damage_of_file(folder / name, name, expected);
      if (!what.empty()) return what;
    }
  } catch (const Error& error) {
    return error.problem();
  } catch (const json::exception&) {
    return fmt::format("{} is incomplete", kManifest);
  }
  return "";
}

std::optional<std::int64_t> Checkpoints::newest_valid() const {
  const std::vector<std::int64_t> all = steps();
  for (auto step = all.rbegin(); step != all.rend(); ++step) {
    const std::string what = damage(*step);
    if (what.empty()) return *step;
    log::warn(
        fmt::format("checkpoint {} is damaged ({}) - skipping it, the work since the one before it is lost",
                    path_of(*step).string(), what));
  }
  return std::nullopt;
}

std::optional<std::int64_t> Checkpoints::best_valid() const {
  const std::optional<std::int64_t> newest = newest_valid();
  if (!newest) return std::nullopt;
  const std::int64_t best = read_state(*newest).best_step;
  if (best < 0 || best == *newest) return newest;
  const std::string what = damage(best);
  if (what.empty()) return best;
  log::warn(fmt::format("the best checkpoint {} is damaged ({}) - using {} instead", path_of(best).string(),
                        what, path_of(*newest).string()));
  return newest;
}

TrainState Checkpoints::read_state(std::int64_t step) const {
  const json state = read_json(path_of(step) / kState);
  TrainState result;
  result.step = state.at("step").get<std::int64_t>();
  result.best_step = state.at("best_step").get<std::int64_t>();
  if (!state.at("best_metric").is_null()) result.best_metric = state.at("best_metric").get<double>();
  result.validations_without_best = state.at("validations_without_best").get<std::int64_t>();
  return result;
}

json Checkpoints::read_conditions(std::int64_t step) const {
  return read_json(path_of(step) / kState).at("conditions");
}

void Checkpoints::read_optimizer(std::int64_t step, const parallel::FlatBuffers& buffers,
                                 AdamW& optimizer) const {
  const SafetensorsFile file(path_of(step) / kOptimizer);
  const auto copy = [&](const parallel::FlatRange& range, const char* suffix, const at::Tensor& flat) {
    const StoredTensor& stored = file.at(range.name + suffix);
    if (stored.elements() != range.elements || stored.dtype != DType::f32)
      throw data_error(fmt::format("{}: {}{} has the wrong shape", file.path().string(), range.name, suffix));
    std::memcpy(flat.data_ptr<float>() + range.offset, stored.bytes.data(), stored.bytes.size());
  };
  for (const parallel::FlatRange& range : buffers.ranges()) {
    copy(range, ".first_moment", optimizer.first_moment());
    copy(range, ".second_moment", optimizer.second_moment());
  }
  optimizer.set_steps(std::stoll(file.metadata().at("steps")));
}

void Checkpoints::retain(std::int64_t best_step, std::int64_t keep_last) const {
  const std::vector<std::int64_t> all = steps();
  std::int64_t whole = 0;
  for (auto step = all.rbegin(); step != all.rend(); ++step) {
    if (*step == best_step) continue;
    // Only whole checkpoints count towards those kept: a damaged newest one must not push a good one out.
    if (whole < keep_last) {
      whole += damage(*step).empty() ? 1 : 0;
      continue;
    }
    fs::remove_all(path_of(*step));
  }
}

}  // namespace shelfcast::trainer

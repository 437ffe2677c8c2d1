#include "trainer/run/checkpoint.h"

#include <fmt/ranges.h>

#include <algorithm>
#include <charconv>
#include <cinttypes>
#include <cstring>
#include <map>

#include "base/error.h"
#include "base/files.h"
#include "base/json_file.h"
#include "base/log.h"
#include "base/safetensors.h"

namespace shelfcast::trainer {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

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

constexpr const char* kDamaged = "damaged file";

// Puts stored pieces back where they belong: "NAME.first_moment", or "NAME.first_moment[begin:end]" where the
// shares of two ranks met inside a parameter.
class OptimizerReader {
 public:
  OptimizerReader(const std::vector<parallel::FlatRange>& ranges, const std::vector<FlatState>& state)
      : ranges_(ranges), state_(state), found_(ranges.size() * state.size(), 0) {
    for (std::size_t r = 0; r < ranges.size(); ++r)
      for (std::size_t s = 0; s < state.size(); ++s) slots_[ranges[r].name + "." + state[s].name] = {r, s};
  }

  void copy(const SafetensorsFile& file) {
    for (const auto& [name, stored] : file.tensors()) {
      const std::size_t bracket = name.find('[');
      const auto slot = slots_.find(name.substr(0, bracket));
      if (slot == slots_.end())
        throw data_error(fmt::format("{}: {} belongs to no parameter", file.path().string(), name),
                         "the checkpoint is of another model or optimizer");
      const auto [r, s] = slot->second;
      const parallel::FlatRange& range = state_[s].layout(ranges_)[r];
      std::int64_t begin = 0, end = range.elements;
      const bool parsed = bracket == std::string::npos ||
                          std::sscanf(name.c_str() + bracket, "[%" SCNd64 ":%" SCNd64 "]", &begin, &end) == 2;
      if (!parsed || begin < 0 || begin > end || end > range.elements || stored.elements() != end - begin ||
          stored.dtype != DType::f32)
        throw data_error(fmt::format("{}: {} has the wrong shape", file.path().string(), name));
      const FlatState& state = state_[s];
      const std::int64_t from = std::max(range.offset + begin, state.held_begin()),
                         to = std::min(range.offset + end, state.held_end());
      if (from >= to) continue;
      std::memcpy(state.values.data() + (from - state.held_begin()),
                  stored.bytes.data() + static_cast<std::size_t>(from - range.offset - begin) * sizeof(float),
                  static_cast<std::size_t>(to - from) * sizeof(float));
      found_[r * state_.size() + s] += to - from;
    }
  }

  void check_complete(const fs::path& checkpoint) const {
    for (const auto& [name, slot] : slots_)
      if (found_[slot.first * state_.size() + slot.second] != held_of(slot.first, state_[slot.second]))
        throw data_error(fmt::format("{}: {} is not complete", checkpoint.string(), name),
                         "the checkpoint is of another model or optimizer");
  }

 private:
  // Elements of parameter `r` that `state` holds.
  std::int64_t held_of(std::size_t r, const FlatState& state) const {
    const parallel::FlatRange& range = state.layout(ranges_)[r];
    return std::max<std::int64_t>(0, std::min(range.offset + range.elements, state.held_end()) -
                                         std::max(range.offset, state.held_begin()));
  }

  const std::vector<parallel::FlatRange>& ranges_;
  const std::vector<FlatState>& state_;
  std::map<std::string, std::pair<std::size_t, std::size_t>> slots_;  // (range, state) of a name
  std::vector<std::int64_t> found_;                                   // elements, beside slots
};

}  // namespace

json state_to_json(const TrainState& state, const json& conditions) {
  return {{"format_version", 1},
          {"step", state.step},
          {"best_metric", state.best_step < 0 ? json() : json(state.best_metric)},
          {"best_step", state.best_step},
          {"validations_without_best", state.validations_without_best},
          {"validation_pending", state.validation_pending},
          {"loss_sum", state.loss_sum},
          {"loss_steps", state.loss_steps},
          {"bucket_mb", state.bucket_mb},
          {"norm_average", state.norm_average},
          {"good_steps", state.good_steps},
          {"bad_in_a_row", state.bad_in_a_row},
          {"skipped", state.skipped},
          {"conditions", conditions}};
}

TrainState state_from_json(const json& json) {
  TrainState state;
  state.step = json.at("step").get<std::int64_t>();
  state.best_step = json.at("best_step").get<std::int64_t>();
  if (!json.at("best_metric").is_null()) state.best_metric = json.at("best_metric").get<double>();
  state.validations_without_best = json.at("validations_without_best").get<std::int64_t>();
  // Checkpoints of older versions lack what follows.
  state.validation_pending = json.value("validation_pending", false);
  state.loss_sum = json.value("loss_sum", 0.0);
  state.loss_steps = json.value("loss_steps", std::int64_t{0});
  state.bucket_mb = json.value("bucket_mb", std::int64_t{0});
  state.norm_average = json.value("norm_average", 0.0);
  state.good_steps = json.value("good_steps", std::int64_t{0});
  state.bad_in_a_row = json.value("bad_in_a_row", std::int64_t{0});
  state.skipped = json.value("skipped", std::int64_t{0});
  return state;
}

std::string optimizer_file(int rank, int ranks) {
  return fmt::format("optimizer-{:05}-of-{:05}.safetensors", rank + 1, ranks);
}

json describe_file(const fs::path& path) {
  return {{"bytes", fs::file_size(path)}, {"digest", digest_file(path)}};
}

void Checkpoints::remove_unfinished() const {
  std::error_code failed;
  std::vector<fs::path> unfinished;
  for (auto entry = fs::directory_iterator(folder_, failed); !failed && entry != fs::directory_iterator();
       entry.increment(failed))
    if (entry->path().extension().string().starts_with(".partial")) unfinished.push_back(entry->path());
  for (const fs::path& path : unfinished) fs::remove_all(path, failed);
  recover_replaced_folders(folder_);
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
    const json manifest = read_json(folder / kManifestFile, kDamaged);
    for (const auto& [name, expected] : manifest.at("files").items()) {
      std::string what = damage_of_file(folder / name, name, expected);
      if (!what.empty()) return what;
    }
  } catch (const Error& error) {
    return error.problem();
  } catch (const json::exception&) {
    return fmt::format("{} is incomplete", kManifestFile);
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

std::int64_t Checkpoints::require_newest() const {
  if (const std::optional<std::int64_t> newest = newest_valid()) return *newest;
  const std::string run = folder_.parent_path().string();
  const std::vector<std::int64_t> damaged = steps();
  if (damaged.empty())
    throw data_error(fmt::format("{} has no checkpoint", run), "the run was stopped before its first",
                     "go on with `shelfcast train RECIPE --resume`");
  throw data_error(fmt::format("{} has no whole checkpoint", run),
                   fmt::format("those of steps {} are damaged", fmt::join(damaged, ", ")),
                   "put their files back, or train the run again");
}

std::int64_t Checkpoints::best_valid(std::int64_t newest) const {
  const std::int64_t best = read_state(newest).best_step;
  if (best < 0 || best == newest) return newest;
  const std::string what = damage(best);
  if (what.empty()) return best;
  log::warn(fmt::format("the best checkpoint {} is damaged ({}) - using {} instead", path_of(best).string(),
                        what, path_of(newest).string()));
  return newest;
}

TrainState Checkpoints::read_state(std::int64_t step) const {
  return state_from_json(read_json(path_of(step) / kStateFile, kDamaged));
}

json Checkpoints::read_conditions(std::int64_t step) const {
  return read_json(path_of(step) / kStateFile, kDamaged).at("conditions");
}

std::int64_t Checkpoints::read_optimizer(std::int64_t step, const std::vector<parallel::FlatRange>& ranges,
                                         const std::vector<FlatState>& state) const {
  OptimizerReader reader(ranges, state);
  std::int64_t steps = 0;
  // The manifest's files: another may have strayed into the folder.
  const json manifest = read_json(path_of(step) / kManifestFile, kDamaged);
  for (const auto& [name, unused] : manifest.at("files").items()) {
    if (!name.starts_with("optimizer-")) continue;
    const SafetensorsFile file(path_of(step) / name);
    reader.copy(file);
    steps = std::stoll(file.metadata().at("steps"));
  }
  reader.check_complete(path_of(step));
  return steps;
}

void Checkpoints::retain(std::int64_t best_step, std::int64_t keep_last,
                         const std::set<std::int64_t>& whole) const {
  const std::vector<std::int64_t> all = steps();
  std::int64_t kept = 0;
  for (auto step = all.rbegin(); step != all.rend(); ++step) {
    if (*step == best_step) continue;
    // Only whole checkpoints count towards those kept: a damaged newest one must not push a good one out.
    if (kept < keep_last) {
      kept += whole.count(*step) != 0 || damage(*step).empty() ? 1 : 0;
      continue;
    }
    fs::remove_all(path_of(*step));
  }
}

}  // namespace shelfcast::trainer

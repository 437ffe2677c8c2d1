// shelfcast weights MODEL: what a model consists of and what training it takes.
#include <fmt/format.h>

#include <cerrno>
#include <cstdio>
#include <nlohmann/json.hpp>

#include "base/error.h"
#include "base/files.h"
#include "base/log.h"
#include "base/safetensors.h"
#include "trainer/commands/commands.h"
#include "trainer/run/checkpoint.h"
#include "trainer/run/run_folder.h"

namespace shelfcast::trainer {
namespace {

namespace fs = std::filesystem;

// fp32 weights and gradients, AdamW's two moments.
constexpr std::int64_t kTrainingBytes = 16;

constexpr const char *kPeftFile = "adapter_model.safetensors",
                     *kAdapterFile = "adapter/adapter_model.safetensors";

// Where the tensors of `model` are: of a run, the parts of its best checkpoint.
std::vector<fs::path> parts_of(const fs::path& model) {
  const RunFolder run(model);
  if (!run.exists()) return {fs::exists(model / kPeftFile) ? model / kPeftFile : model};
  const Checkpoints checkpoints(run.checkpoints());
  const fs::path checkpoint = checkpoints.path_of(checkpoints.best_valid());
  // A run has a demand model, a text encoder or both, or an encoder with heads of labels.
  std::vector<fs::path> parts;
  for (const char* part : {"tower", kAdapterFile, "fusion.safetensors", kTextFolder, kLabelsFolder})
    if (fs::exists(checkpoint / part)) parts.push_back(checkpoint / part);
  return parts;
}

std::string architecture_of(const fs::path& part) {
  if (!fs::exists(part / "config.json")) return "";
  const nlohmann::json json = nlohmann::json::parse(read_file(part / "config.json"), nullptr, false);
  if (!json.is_object()) throw data_error((part / "config.json").string() + " is not a JSON object");
  const auto names = json.find("architectures");
  return names == json.end() || !names->is_array() || names->empty() ? "" : names->front().dump();
}

}  // namespace

void run(const WeightsCommand& options, parallel::Launch&) {
  if (log::identity().rank != 0) return;
  std::string text;
  std::int64_t parameters = 0, tensors = 0, bytes = 0;
  for (const fs::path& part : parts_of(options.model)) {
    const StoredWeights weights(part);
    text += fmt::format("{} {}\n", part.string(), architecture_of(part));
    std::size_t widest = 0;
    for (const auto& [name, tensor] : weights.tensors()) widest = std::max(widest, name.size());
    for (const auto& [name, tensor] : weights.tensors()) {
      text += fmt::format("  {:<{}}  {:<5} {:>12}  [{}]\n", name, widest, to_string(tensor.dtype),
                          tensor.elements(), fmt::join(tensor.shape, ", "));
      ++tensors;
      if (is_floating(tensor.dtype)) parameters += tensor.elements();  // others are tables of positions
      bytes += static_cast<std::int64_t>(tensor.bytes.size());
    }
  }
  text += fmt::format("{} tensors, {} parameters, {:.1f} MB stored\n", tensors, parameters,
                      static_cast<double>(bytes) / 1e6);
  text += fmt::format(
      "training all of them: {:.1f} MB for fp32 weights, gradients and AdamW's moments, and activations\n",
      static_cast<double>(parameters * kTrainingBytes) / 1e6);
  if (std::fwrite(text.data(), 1, text.size(), stdout) != text.size() || std::fflush(stdout) != 0)
    throw io_error("cannot write the list of tensors to standard output", errno);
}

}  // namespace shelfcast::trainer

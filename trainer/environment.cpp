#include "trainer/environment.h"

#include <fmt/format.h>
#include <torch/version.h>
#include <unistd.h>

#include <cstdlib>
#include <ctime>
#include <fstream>
#include <nlohmann/json.hpp>

#include "base/dates.h"
#include "base/host.h"
#include "parallel/gpu/gpu_loader.h"
#include "trainer/command_line.h"

namespace shelfcast::trainer {
namespace {

// The value behind `key` in a file of "key : value" lines, "" when there is none.
std::string proc_value(const char* file, const std::string& key) {
  std::ifstream lines(file);
  std::string line;
  while (std::getline(lines, line)) {
    const std::size_t colon = line.find(':');
    if (!line.starts_with(key) || colon == std::string::npos) continue;
    const std::size_t first = line.find_first_not_of(" \t", colon + 1);
    return first == std::string::npos ? "" : line.substr(first);
  }
  return "";
}

// What NCCL chooses the order of its additions by.
std::string nccl_conditions(const parallel::Communicator& communicator) {
  ShelfcastGpuVersions versions{};
  parallel::gpu_operations().versions(&versions);
  std::string conditions =
      fmt::format("version {}, {} ranks a host", versions.nccl, communicator.local_size());
  for (const char* name :
       {"NCCL_ALGO", "NCCL_PROTO", "NCCL_NVLS_ENABLE", "NCCL_COLLNET_ENABLE", "NCCL_MIN_NCHANNELS",
        "NCCL_MAX_NCHANNELS", "NCCL_MIN_CTAS", "NCCL_MAX_CTAS", "NCCL_TUNER_PLUGIN", "NCCL_CONF_FILE"})
    if (const char* value = std::getenv(name)) conditions += fmt::format(", {}={}", name, value);
  return conditions;
}

// How gradients are added up.
std::string sums_of(const Recipe& recipe, const parallel::Communicator& communicator) {
  if (communicator.size() == 1) return "alone";
  std::string how = recipe.parallel.zero < 2 ? "whole" : "shares of every micro-batch";
  if (recipe.parallel.compress == parallel::GradientFormat::bf16) how += ", in bf16";
  const bool shares_by_node = recipe.parallel.zero == 2 && recipe.parallel.zero_within == ZeroWithin::node;
  if (recipe.parallel.hierarchical || shares_by_node)
    how += recipe.parallel.node_ranks == ParallelConfig::kHosts
               ? ", by host"
               : fmt::format(", by nodes of {}", recipe.parallel.node_ranks);
  return how;
}

}  // namespace

nlohmann::json describe_environment(const parallel::Communicator& communicator, const std::string& device) {
  return {{"build", build_id()},
          {"host", host_name()},
          {"cpu", proc_value("/proc/cpuinfo", "model name")},
          {"device", device},
          {"cores", sysconf(_SC_NPROCESSORS_ONLN)},
          {"memory", proc_value("/proc/meminfo", "MemTotal")},
          {"torch", TORCH_VERSION},
          {"ranks", communicator.size()},
          {"backend", std::string(communicator.backend())},
          {"started", static_cast<std::int64_t>(std::time(nullptr))}};
}

nlohmann::json bit_conditions(const Recipe& recipe, const parallel::Communicator& communicator,
                              const std::string& device, std::int64_t bucket_mb) {
  nlohmann::json conditions{{"ranks", communicator.size()},
                            {"backend", std::string(communicator.backend())},
                            {"threads", recipe.train.threads},
                            {"bucket_mb", bucket_mb},
                            {"gradients", sums_of(recipe, communicator)},
                            {"device", device},
                            {"build", build_id()},
                            {"cpu", proc_value("/proc/cpuinfo", "model name")}};
  if (communicator.backend() == "nccl") conditions["nccl"] = nccl_conditions(communicator);
  return conditions;
}

}  // namespace shelfcast::trainer

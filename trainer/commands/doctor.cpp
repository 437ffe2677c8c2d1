// shelfcast doctor: what this machine has, what is missing, and what to do about it.
#include <fmt/format.h>
#include <sys/wait.h>

#include <algorithm>
#include <array>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <string>
#include <vector>

#include "base/error.h"
#include "base/log.h"
#include "base/shell.h"
#include "parallel/gpu/gpu_loader.h"
#include "parallel/mpi/mpi_version.h"
#include "trainer/commands/commands.h"
#include "trainer/machine.h"

namespace shelfcast::trainer {
namespace {

enum class State {
  good,     // works
  absent,   // not here; only some uses need it
  problem,  // something every user needs does not work
};

struct Finding {
  State state;
  std::string topic, text;
  std::string advice;  // what to do; "" when nothing
};

std::string gibibytes(std::int64_t bytes) {
  return fmt::format("{:.1f} GiB", static_cast<double>(bytes) / (1 << 30));
}

// Versions as CUDA (13000) and NCCL (22809) number them.
std::string cuda_version(int number) { return fmt::format("{}.{}", number / 1000, number % 1000 / 10); }
std::string nccl_version(int number) {
  return fmt::format("{}.{}.{}", number / 10000, number / 100 % 100, number % 100);
}

Finding cpu_finding(const Machine& machine) {
  std::string text =
      fmt::format("{}, {} cores", machine.cpu.empty() ? "unknown model" : machine.cpu, machine.cores);
  if (machine.core_limit > 0)
    text += fmt::format(" (limited to {:.1f} by the control group)", machine.core_limit);
  text += fmt::format("; {}", machine.features.empty() ? "no vector extensions known"
                                                       : fmt::format("{}", fmt::join(machine.features, " ")));
  const auto has = [&](const char* name) {
    return std::find(machine.features.begin(), machine.features.end(), name) != machine.features.end();
  };
  if (!has("avx2"))
    return {State::good, "CPU", text, "without avx2 forecasts take about three times as long"};
  if (!has("avx512_bf16") && !has("amx_bf16"))
    return {State::good, "CPU", text,
            "train with train.precision: fp32 here; bf16 would be emulated and slower"};
  return {State::good, "CPU", text, ""};
}

Finding memory_finding(const Machine& machine) {
  std::string text =
      fmt::format("{}, {} available", gibibytes(machine.memory_bytes), gibibytes(machine.available_bytes));
  if (machine.memory_limit > 0)
    text += fmt::format(", limited to {} by the control group", gibibytes(machine.memory_limit));
  return {State::good, "memory", text, ""};
}

struct CommandResult {
  int exit_code = -1;
  std::string output;
};

CommandResult run_command(const std::string& command) {
  CommandResult result;
  FILE* pipe = ::popen((command + " 2>&1").c_str(), "r");
  if (pipe == nullptr) return result;
  std::array<char, 4096> block{};
  while (const std::size_t size = std::fread(block.data(), 1, block.size(), pipe))
    result.output.append(block.data(), size);
  const int status = ::pclose(pipe);
  if (WIFEXITED(status)) result.exit_code = WEXITSTATUS(status);
  return result;
}

// Starts two ranks of this very program, which add up their ones.
Finding ranks_finding() {
  if (find_program("mpirun").empty())
    return {State::absent, "ranks", "no mpirun on PATH",
            "install openmpi-bin or `module load openmpi`; without it runs have one rank"};
  const std::string program = std::filesystem::read_symlink("/proc/self/exe").string();
  const CommandResult result = run_command(
      "OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1 OMPI_MCA_rmaps_base_oversubscribe=1 timeout "
      "60 mpirun -n 2 " +
      shell_word(program) + " doctor --as-rank");
  if (result.exit_code == 0 && result.output.find("ranks: 2") != std::string::npos)
    return {State::good, "ranks", "mpirun -n 2 works: two ranks summed over each other", ""};
  std::string tail = result.output.substr(result.output.size() > 400 ? result.output.size() - 400 : 0);
  return {State::problem, "ranks",
          fmt::format("mpirun -n 2 fails (exit code {}): {}", result.exit_code, tail),
          "check that mpirun belongs to the MPI named above (mpirun --version)"};
}

std::vector<Finding> gpu_findings() {
  const parallel::GpuReport report = parallel::inspect_gpus();
  std::vector<Finding> findings;
  if (report.devices.empty())
    findings.push_back(
        {State::absent, "GPU", report.problem,
         "training uses the CPU; on a GPU machine check the driver (nvidia-smi) and build with GPU=1"});
  for (const parallel::GpuDevice& device : report.devices)
    findings.push_back(
        {device.free_bytes < 0 ? State::problem : State::good, "GPU",
         fmt::format("{} at {}, compute capability {}.{}, {} ({} free)", device.name, device.bus_id,
                     device.compute_major, device.compute_minor, gibibytes(device.memory_bytes),
                     device.free_bytes < 0 ? "cannot be opened" : gibibytes(device.free_bytes)),
         device.free_bytes < 0 ? "another process may hold it exclusively (nvidia-smi)" : ""});
  if (report.runtime > 0)
    findings.push_back({State::good, "CUDA",
                        fmt::format("runtime {}, driver {}", cuda_version(report.runtime),
                                    report.driver > 0 ? "for " + cuda_version(report.driver) : "absent"),
                        ""});
  if (report.nccl > 0)
    findings.push_back({State::good, "NCCL", nccl_version(report.nccl), ""});
  else
    findings.push_back({State::absent, "NCCL", "not in this build",
                        "only runs over several GPUs need it: build with GPU=1"});
  return findings;
}

Finding slurm_finding() {
  if (const char* job = std::getenv("SLURM_JOB_ID"); job != nullptr) {
    const char* nodes = std::getenv("SLURM_JOB_NUM_NODES");
    return {State::good, "Slurm",
            fmt::format("inside job {} on {} node(s)", job, nodes == nullptr ? "?" : nodes), ""};
  }
  if (find_program("sbatch").empty())
    return {State::absent, "Slurm", "no sbatch on PATH", "only the scripts in slurm/ need it"};
  return {State::good, "Slurm", "sbatch found, not inside a job", ""};
}

Finding folder_finding(const std::string& folder) {
  const FolderCheck check = check_folder(folder);
  const std::string place =
      fmt::format("{} ({}, {} free)", folder, check.file_system, gibibytes(check.free_bytes));
  if (check.problem.empty()) return {State::good, "folder", place + ": files can be written and locked", ""};
  return {State::problem, "folder", fmt::format("{}: {}", place, check.problem),
          "keep runs and corpora on a file system with locks; Lustre needs the mount option flock"};
}

void print(const Finding& finding) {
  const char* mark = finding.state == State::good ? "ok" : finding.state == State::absent ? "--" : "!!";
  fmt::print("{}  {:<7} {}\n", mark, finding.topic, finding.text);
  if (!finding.advice.empty()) fmt::print("            {}\n", finding.advice);
  std::fflush(stdout);
}

void run_as_rank(parallel::Launch& launch) {
  const auto world = launch.world(parallel::Backend::automatic, {});
  std::array<std::int64_t, 1> ranks = {1};
  world->all_reduce(ranks, parallel::ReduceOp::sum, "doctor");
  if (ranks[0] != world->size())
    throw Error(ErrorKind::communication, fmt::format("{} ranks summed to {}", world->size(), ranks[0]));
  if (world->rank() == 0) fmt::print("ranks: {}\n", ranks[0]);
}

}  // namespace

void run(const DoctorCommand& options, parallel::Launch& launch) {
  if (options.as_rank || log::identity().size > 1) return run_as_rank(launch);
  int problems = 0;
  const auto report = [&](const Finding& finding) {
    print(finding);
    problems += finding.state == State::problem ? 1 : 0;
  };
  const Machine machine = inspect_machine();
  report(cpu_finding(machine));
  report(memory_finding(machine));
  report({State::good, "MPI", parallel::mpi_library_version(), ""});
  report(ranks_finding());
  for (const Finding& finding : gpu_findings()) report(finding);
  report(slurm_finding());
  report(folder_finding(options.folder));
  if (problems > 0)
    throw input_error(fmt::format("{} of the checks failed", problems), "they are marked !! above",
                      "each says what to do");
}

}  // namespace shelfcast::trainer

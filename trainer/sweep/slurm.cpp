#include "trainer/sweep/slurm.h"

#include <fmt/ranges.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <sstream>

#include "base/error.h"
#include "base/files.h"
#include "base/log.h"
#include "base/shell.h"
#include "trainer/sweep/process.h"

namespace shelfcast::trainer {
namespace {

std::string variable(const char* name) {
  const char* text = std::getenv(name);
  return text == nullptr ? "" : text;
}

std::string trimmed(std::string text) {
  while (!text.empty() && std::isspace(static_cast<unsigned char>(text.back())) != 0) text.pop_back();
  for (char& c : text)
    if (c == '\n') c = ' ';
  return text;
}

// The sweep's part of the job names: people see the folder's name, the digest keeps sweeps apart. squeue
// parts names by commas, and its answer is read by bars.
std::string name_of(const SweepPlan& plan) {
  std::string folder = plan.dir.filename().string();
  std::replace_if(
      folder.begin(), folder.end(), [](char c) { return c == ',' || c == '|' || c == '\n'; }, '_');
  return fmt::format("{}-{}", folder, digest_text(plan.dir.string()).substr(5, 6));
}

// A path as Slurm takes it for the names of outputs, where % begins a pattern.
std::string output_path(const std::filesystem::path& folder, const std::string& pattern) {
  std::string path;
  for (const char c : folder.string()) path.append(c == '%' ? 2 : 1, c);
  return path + "/" + pattern;
}

constexpr const char* kNoSlurm = "there is no Slurm on this machine";

}  // namespace

std::string render_script(const SweepPlan& plan, const std::filesystem::path& program) {
  const SlurmConfig& s = plan.slurm;
  std::string text =
      "#!/bin/bash\n# Written by `shelfcast sweep --submit`; $1 is the number of the submission.\n";
  const auto option = [&text](const std::string& name, const std::string& value) {
    if (!value.empty()) text += fmt::format("#SBATCH --{}={}\n", name, value);
  };
  option("partition", s.partition);
  option("nodes", fmt::format("{}", s.nodes));
  option("ntasks-per-node", fmt::format("{}", s.tasks_per_node));
  option("cpus-per-task", fmt::format("{}", s.cpus_per_task));
  option("gpus-per-node", s.gpus_per_node);
  option("time", s.time);
  option("signal", fmt::format("B:USR1@{}", s.warn_seconds));
  text += "#SBATCH --requeue\n#SBATCH --open-mode=append\n";
  for (const std::string& other : s.options) text += fmt::format("#SBATCH {}\n", other);
  // srun no longer takes it from the job by itself (Slurm 22.05).
  text += fmt::format("export SRUN_CPUS_PER_TASK={}\n", s.cpus_per_task);
  for (const std::string& line : s.setup) text += line + "\n";
  const std::string work =
      fmt::format("{} sweep {} --task \"$1\"", shell_word(program.string()), shell_word(plan.dir.string()));
  if (s.stage.empty()) return fmt::format("{}exec {}\n", text, work);
  // Every node copies the corpus once; paths of the recipe are then looked up from the copy's folder. The
  // folder's name is not quoted: the node's own variables count, such as $TMPDIR.
  const auto stage = program.parent_path().parent_path() / "share" / "shelfcast" / "slurm" / "stage.sh";
  const std::string each_node =
      fmt::format("srun --mpi=none --overlap --nodes={0} --ntasks={0} --ntasks-per-node=1", s.nodes);
  const std::string clean_up = each_node + " rm -rf \"$stage\"";
  text += fmt::format("stage={}/shelfcast-$SLURM_JOB_ID\ntrap '{}' EXIT\n", s.stage, clean_up);
  // Nothing is under way yet that could be kept, and another try would get no further.
  text +=
      "trap 'echo \"sweep: the time ran out while the corpus was copied - raise slurm.time\" >&2; exit 1' "
      "USR1\n";
  text += fmt::format("{} {} {} \"$stage\" || exit 1\n", each_node, shell_word(stage.string()),
                      shell_word(plan.corpus));
  // The warning comes to this shell, which stays to clean up: it passes it on. The copy goes before the task
  // is requeued, which may come back on other nodes, and has no node to clean up on until then.
  return text + fmt::format(
                    "cd \"$stage\"\nasked=\ntrap 'asked=1; kill -USR1 \"$work\"' USR1\n{} &\nwork=$!\n"
                    "while kill -0 \"$work\" 2>/dev/null; do wait \"$work\"; done\nwait \"$work\"\ncode=$?\n"
                    "[[ -n $asked && $code == 0 ]] || exit $code\n{}\ntrap - EXIT\ncd /\n"
                    "scontrol requeue \"${{SLURM_ARRAY_JOB_ID}}_$SLURM_ARRAY_TASK_ID\" ||\n"
                    "  echo \"sweep: not requeued - submit the sweep again to go on\" >&2\n",
                    work, clean_up);
}

std::string job_name(const SweepPlan& plan, std::int64_t submission) {
  return fmt::format("{}-{}", name_of(plan), submission);
}

std::string sbatch(const SweepPlan& plan, std::int64_t submission, std::int64_t tasks) {
  std::string array = fmt::format("0-{}", tasks - 1);
  if (plan.slurm.at_once > 0) array += fmt::format("%{}", plan.slurm.at_once);
  const std::vector<std::string> command = {"sbatch",
                                            "--parsable",
                                            "--array=" + array,
                                            "--job-name=" + job_name(plan, submission),
                                            "--chdir=" + plan.working_dir.string(),
                                            "--output=" + output_path(plan.log_folder(), "slurm-%A_%a.out"),
                                            plan.script().string(),
                                            fmt::format("{}", submission)};
  const Answer answer = ask(command, Environment::without_job);
  if (answer.exit_code == 127)
    throw input_error("cannot submit", kNoSlurm,
                      "use --local to run the sweep here, or log in to the cluster");
  if (answer.exit_code != 0)
    throw input_error("Slurm rejected the sweep", trimmed(answer.err + answer.out),
                      "correct the slurm block of the sweep file and submit again");
  // "42" or "42;cluster".
  return trimmed(answer.out.substr(0, answer.out.find(';')));
}

Queue look_at_queue(const SweepPlan& plan, const std::set<std::int64_t>& submissions) {
  Queue queue;
  if (submissions.empty()) return queue;
  std::map<std::string, std::int64_t> by_name;
  std::vector<std::string> names;
  for (const std::int64_t submission : submissions) {
    names.push_back(job_name(plan, submission));
    by_name[names.back()] = submission;
  }
  const Answer answer =
      ask({"squeue", "--noheader", "--array", fmt::format("--name={}", fmt::join(names, ",")),
           "--format=%j|%F|%K", fmt::format("--user={}", ::getuid())});
  if (answer.exit_code == 127) {
    queue.there = false;
    return queue;
  }
  if (answer.exit_code != 0)
    throw Error(ErrorKind::communication, "cannot see whether jobs of this sweep are in the queue",
                trimmed(answer.err), "try again when Slurm answers: nothing was submitted");
  std::istringstream lines(answer.out);
  for (std::string line, name, job, task; std::getline(lines, line);) {
    std::istringstream cells(line);  // or "CLUSTER: name" before those of one of several
    if (!(std::getline(cells, name, '|') && std::getline(cells, job, '|') && std::getline(cells, task)))
      continue;
    const auto found = by_name.find(name);
    if (found == by_name.end()) continue;
    queue.jobs[found->second] = job;
    queue.tasks.emplace(found->second, std::atoll(task.c_str()));
  }
  return queue;
}

std::string own_job() {
  const std::string job = variable("SLURM_ARRAY_JOB_ID"), task = variable("SLURM_ARRAY_TASK_ID");
  return job.empty() ? "" : job + "_" + task;
}

void requeue_own_job() {
  // Not by SLURM_JOB_ID: for one task of an array that is the number of the whole array.
  const Answer answer = ask({"scontrol", "requeue", own_job()});
  if (answer.exit_code != 0)
    log::warn("Slurm does not requeue {} ({}) - submit the sweep again to go on", own_job(),
              trimmed(answer.err));
}

}  // namespace shelfcast::trainer

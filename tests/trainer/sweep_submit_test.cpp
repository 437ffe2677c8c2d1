// Submitting exactly once, against programs that answer as Slurm would.
#include "trainer/sweep/submit.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <csignal>
#include <cstdlib>

#include "base/error.h"
#include "tests/trainer/sweep_fixture.h"
#include "trainer/run/checkpoint.h"
#include "trainer/sweep/ledger.h"
#include "trainer/sweep/local.h"
#include "trainer/sweep/process.h"
#include "trainer/sweep/run_progress.h"
#include "trainer/sweep/share.h"
#include "trainer/sweep/slurm.h"
#include "trainer/sweep/sweep_worker.h"

namespace shelfcast::trainer {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

// A folder first in $PATH with an sbatch and an squeue that note their calls and say what they are told to.
class PretendedSlurm {
 public:
  PretendedSlurm() : path_(std::getenv("PATH")) {
    program("sbatch", "echo \"$@\" >>'" + folder_.path().string() + "/calls'; echo 42");
    queue({});
    ::setenv("PATH", (folder_.path().string() + ":" + path_).c_str(), 1);
  }
  ~PretendedSlurm() { ::setenv("PATH", path_.c_str(), 1); }
  PretendedSlurm(const PretendedSlurm&) = delete;
  PretendedSlurm& operator=(const PretendedSlurm&) = delete;

  void program(const std::string& name, const std::string& body) const {
    write_file_atomically(folder_ / name, "#!/bin/sh\n" + body + "\n");
    ::chmod((folder_ / name).c_str(), 0755);
  }
  void queue(const std::vector<std::string>& lines) const {
    program("squeue", fmt::format("printf '{}'", fmt::join(lines, "")));
  }
  std::vector<std::string> calls() const {
    std::vector<std::string> lines;
    std::ifstream file(folder_ / "calls");
    for (std::string line; std::getline(file, line);) lines.push_back(line);
    return lines;
  }
  // No Slurm at all.
  void remove() const { ::setenv("PATH", "/nowhere", 1); }

 private:
  testing::TemporaryFolder folder_;
  std::string path_;
};

const std::string kThree = "keys: {model.dropout: [0.0, 0.1, 0.2]}\n";

std::string waiting_line(const SweepPlan& plan, int submission, int task) {
  return fmt::format("{}|42|{}\\n", job_name(plan, submission), task);
}

TEST(SweepSubmit, one_call_of_sbatch_for_all_runs_and_none_when_they_are_in_the_queue) {
  const SweepFolder folder;
  const PretendedSlurm slurm;
  const SweepPlan plan = folder.plan(kThree + "slurm: {at_once: 2}\n");
  submit(plan);
  ASSERT_EQ(slurm.calls().size(), 1u);
  EXPECT_THAT(slurm.calls()[0], HasSubstr("--array=0-2%2"));
  slurm.queue({waiting_line(plan, 1, 0), waiting_line(plan, 1, 1), waiting_line(plan, 1, 2)});
  submit(plan);
  EXPECT_EQ(slurm.calls().size(), 1u);
  EXPECT_EQ(read_state(plan).submission(1)->job, "42");
}

TEST(SweepSubmit, is_found_in_the_queue_whatever_its_folder_is_called) {
  const SweepFolder folder;
  const PretendedSlurm slurm;
  // As squeue does: a list of names in, parted by commas; bars between the columns out.
  slurm.program(
      "squeue",
      "for word; do case $word in --name=*) echo \"${word#--name=}|42|0\" | tr , '\\n';; esac; done");
  const SweepPlan plan =
      folder.plan("dir: '" + folder.path("lr 0.1,0.2|50%a").string() + "'\nkeys: {model.dropout: [0.1]}\n");
  submit(plan);
  submit(plan);
  ASSERT_EQ(slurm.calls().size(), 1u);
  EXPECT_THAT(slurm.calls()[0], HasSubstr("lr 0.1,0.2|50%%a/logs/slurm-%A_%a.out"));  // % begins a pattern
}

TEST(SweepSubmit, jobs_have_one_name_whoever_submits_them_and_however_the_folder_is_written) {
  const SweepFolder folder;
  const SweepPlan plan =
      folder.plan("dir: " + folder.path("sweep/").string() + "\nkeys: {model.dropout: [0.1]}\n");
  std::filesystem::create_directories(plan.dir);
  store_plan(plan);
  EXPECT_EQ(job_name(load_plan(plan.dir), 1), job_name(plan, 1));  // a task's, and ours
  EXPECT_EQ(job_name(load_plan(folder.path("sweep/")), 1), job_name(plan, 1));
  std::filesystem::create_directory_symlink(folder.path("sweep"), folder.path("link"));
  EXPECT_EQ(job_name(load_plan(folder.path("link")), 1), job_name(plan, 1));
  EXPECT_THAT(job_name(plan, 1), ::testing::StartsWith("sweep-"));
}

TEST(SweepSubmit, looks_at_the_whole_queue_whatever_somebody_likes_to_see_of_it) {
  const SweepFolder folder;
  const PretendedSlurm slurm;
  const SweepPlan plan = folder.plan("keys: {model.dropout: [0.1]}\n");
  submit(plan);
  slurm.program("squeue", "test -n \"$SQUEUE_STATES\" || printf '" + waiting_line(plan, 1, 0) + "'");
  ::setenv("SQUEUE_STATES", "COMPLETED", 1);
  submit(plan);
  ::unsetenv("SQUEUE_STATES");
  EXPECT_EQ(slurm.calls().size(), 1u);
}

TEST(SweepSubmit, goes_to_the_cluster_that_is_asked_what_is_in_the_queue) {
  const SweepFolder folder;
  const PretendedSlurm slurm;
  const SweepPlan plan = folder.plan("keys: {model.dropout: [0.1]}\n");
  submit(plan);
  slurm.queue({"CLUSTER: second\\n", waiting_line(plan, 1, 0)});  // as squeue answers then
  submit(plan);
  EXPECT_EQ(slurm.calls().size(), 1u);
  ::setenv("SLURM_CLUSTERS", "second", 1);
  ::setenv("SLURM_JOB_ID", "7", 1);  // of the job that submits
  for (const auto environment : {Environment::whole, Environment::without_job})
    EXPECT_EQ(ask({"sh", "-c", "echo $SLURM_CLUSTERS"}, environment).out, "second\n");
  EXPECT_EQ(ask({"sh", "-c", "echo $SLURM_JOB_ID"}, Environment::without_job).out, "\n");
  ::unsetenv("SLURM_CLUSTERS");
  ::unsetenv("SLURM_JOB_ID");
  for (const char* option : {"--clusters=second", "-M second"})
    EXPECT_THAT(message_of([&] { folder.plan(kThree + "slurm: {options: [" + option + "]}\n"); }),
                HasSubstr("as SLURM_CLUSTERS"));
}

TEST(SweepSubmit, only_what_failed_or_lost_its_job_is_submitted_again) {
  const SweepFolder folder;
  const PretendedSlurm slurm;
  const SweepPlan plan = folder.plan("keys: {model.dropout: [0.0, 0.1, 0.2, 0.3]}\n");
  submit(plan);
  {
    LedgerSession session(plan);
    session.add(result(plan, 0, 0, 1.0));      // finished
    session.add(started(plan, 1, 0, {1, 1}));  // lost: its task is not in the queue
    session.add(failed(plan, 2, 0));           // failed
    session.add(started(plan, 3, 0, {1, 3}));  // at work
  }
  slurm.queue({waiting_line(plan, 1, 3)});
  submit(plan);
  const SweepState state = read_state(plan);
  EXPECT_EQ(state.submissions().size(), 2u);
  EXPECT_EQ(state.submission(2)->segments, (std::vector<Segment>{{1, 0}, {2, 0}}));
}

TEST(SweepSubmit, a_submitter_that_died_before_it_noted_the_job_leads_to_no_second_one) {
  const SweepFolder folder;
  const PretendedSlurm slurm;
  const SweepPlan plan = folder.stored(kThree);
  nlohmann::json segments;
  for (const PlannedRun& run : plan.runs) segments.push_back({run.id, 0});
  LedgerSession(plan).add({{"event", "submitting"}, {"submission", 1}, {"tasks", 3}, {"segments", segments}});
  slurm.queue({waiting_line(plan, 1, 0), waiting_line(plan, 1, 1), waiting_line(plan, 1, 2)});
  submit(plan);
  EXPECT_TRUE(slurm.calls().empty());
  EXPECT_EQ(read_state(plan).submission(1)->job, "42");
  // And when it died before Slurm took the job, there is one.
  slurm.queue({});
  submit(plan);
  EXPECT_EQ(slurm.calls().size(), 1u);
}

TEST(SweepSubmit, what_a_lost_worker_could_not_decide_is_decided) {
  const SweepFolder folder;
  const PretendedSlurm slurm;
  const SweepPlan plan = folder.stored(kThree + "halving: {first: 10, keep: 3}\n");
  for (std::size_t run = 0; run < 3; ++run)
    LedgerSession(plan).add(result(plan, run, 0, static_cast<double>(run)));
  submit(plan);
  ASSERT_EQ(slurm.calls().size(), 1u);
  EXPECT_EQ(read_state(plan).submission(1)->segments, (std::vector<Segment>{{0, 1}}));
}

TEST(SweepSubmit, a_rejection_is_passed_on_in_the_words_of_slurm_and_leaves_nothing_behind) {
  const SweepFolder folder;
  const PretendedSlurm slurm;
  slurm.program("sbatch", "echo 'sbatch: error: invalid partition specified: gpux' >&2; exit 1");
  const SweepPlan plan = folder.plan(kThree);
  EXPECT_THAT(message_of([&] { submit(plan); }),
              HasSubstr("Slurm rejected the sweep (sbatch: error: invalid partition specified: gpux)"));
  slurm.program("sbatch", "echo 43");
  submit(plan);
  EXPECT_EQ(read_state(plan).submission(2)->job, "43");
}

TEST(SweepSubmit, nothing_is_submitted_while_slurm_does_not_say_what_is_in_the_queue) {
  const SweepFolder folder;
  const PretendedSlurm slurm;
  const SweepPlan plan = folder.plan(kThree);
  submit(plan);
  slurm.program("squeue", "echo 'slurm_load_jobs error: Unable to contact slurm controller' >&2; exit 1");
  EXPECT_THAT(message_of([&] { submit(plan); }), HasSubstr("Unable to contact slurm controller"));
  EXPECT_EQ(slurm.calls().size(), 1u);
}

TEST(SweepSubmit, without_slurm_it_says_so_and_names_the_other_way) {
  const SweepFolder folder;
  const PretendedSlurm slurm;
  slurm.remove();
  const SweepPlan plan = folder.plan(kThree);
  EXPECT_THAT(message_of([&] { submit(plan); }), HasSubstr("no Slurm on this machine) - use --local"));
}

TEST(SweepSubmit, not_beside_work_on_this_machine_and_not_the_other_way_round) {
  const SweepFolder folder;
  const PretendedSlurm slurm;
  const SweepPlan plan = folder.stored(kThree);
  {
    const LocalWork work(plan);
    EXPECT_THAT(message_of([&] { submit(plan); }), HasSubstr("is being run by another process"));
  }
  submit(plan);
  slurm.queue({waiting_line(plan, 1, 0), waiting_line(plan, 1, 1), waiting_line(plan, 1, 2)});
  EXPECT_THAT(message_of([&] { run_locally(plan); }), HasSubstr("3 runs of"));
}

TEST(SweepSubmit, more_runs_than_an_array_may_have_tasks_share_them) {
  const SweepFolder folder;
  const PretendedSlurm slurm;
  const SweepPlan plan =
      folder.plan("keys: {model.dropout: [0.0, 0.1, 0.2, 0.3, 0.4]}\nslurm: {most_tasks: 2}\n");
  submit(plan);
  EXPECT_THAT(slurm.calls()[0], HasSubstr("--array=0-1"));
  EXPECT_EQ(read_state(plan).share_of({1, 0}).size(), 3u);
  EXPECT_EQ(read_state(plan).share_of({1, 1}).size(), 2u);
}

TEST(SweepSubmit, a_thousand_runs_are_submitted_by_one_call) {
  const SweepFolder folder;
  const PretendedSlurm slurm;
  const SweepFile file = folder.file(
      "method: random\nruns: 1000\nkeys: {model.dropout: {range: [0.0, 0.9]}, "
      "train.optimizer.lr: {log: [1.0e-6, 1.0]}}\n");
  submit(make_plan(file));
  EXPECT_EQ(slurm.calls().size(), 1u);
}

TEST(SweepScript, holds_resources_signal_requeue_and_setup) {
  const SweepFolder folder;
  const SweepPlan plan =
      folder.plan(kThree +
                  "slurm: {partition: gpu, nodes: 2, tasks_per_node: 8, cpus_per_task: 4, gpus_per_node: "
                  "'8', time: '4:00:00', warn_seconds: 90,\n"
                  "  options: [--account=a], setup: [module load openmpi]}\n");
  const std::string script = render_script(plan, "/opt/it's/bin/shelfcast");
  for (const char* line :
       {"#SBATCH --partition=gpu\n", "#SBATCH --nodes=2\n", "#SBATCH --ntasks-per-node=8\n",
        "#SBATCH --gpus-per-node=8\n", "#SBATCH --time=4:00:00\n", "#SBATCH --signal=B:USR1@90\n",
        "#SBATCH --requeue\n", "#SBATCH --cpus-per-task=4\n", "export SRUN_CPUS_PER_TASK=4\n",
        "#SBATCH --account=a\n", "module load openmpi\n", "exec '/opt/it'\\''s/bin/shelfcast' sweep "})
    EXPECT_THAT(script, HasSubstr(line));
  EXPECT_THAT(folder.plan(kThree).slurm.partition, Not(HasSubstr("gpu")));
}

// The batch script of a sweep that stages its corpus, with an srun that copies and removes, or does what it
// is told.
class StagedScript {
 public:
  StagedScript() {
    std::filesystem::create_directory(folder_.path("bin"));
    copies("");
  }
  // When the corpus is copied, do that, too.
  void copies(const std::string& also) const {
    program("srun",
            "case $* in *' rm -rf '*) for last; do :; done; rm -rf \"$last\"; exit;; esac\nmkdir -p " +
                copy().string() + "\n" + also);
  }
  void program(const std::string& name, const std::string& body) const {
    folder_.write("bin/" + name, "#!/bin/sh\n" + body + "\n");
    std::filesystem::permissions(folder_.path("bin/" + name), std::filesystem::perms::owner_all);
  }
  std::filesystem::path copy() const { return folder_.path("local/shelfcast-7"); }
  std::filesystem::path path(const std::string& name) const { return folder_.path(name); }
  Answer run() const {
    const SweepPlan plan = folder_.plan(kThree + "slurm: {stage: " + folder_.path("local").string() + "}\n");
    folder_.write("sweep.sbatch", render_script(plan, folder_.path("bin/shelfcast")));
    return ask({"env", "SLURM_JOB_ID=7", "SLURM_ARRAY_JOB_ID=5", "SLURM_ARRAY_TASK_ID=2",
                "PATH=" + folder_.path("bin").string() + ":/usr/bin:/bin", "bash",
                folder_.path("sweep.sbatch").string(), "0"});
  }

 private:
  SweepFolder folder_;
};

TEST(SweepScript, a_warning_while_the_corpus_is_copied_ends_with_a_reason_and_leaves_nothing) {
  const StagedScript script;
  script.copies("kill -USR1 \"$PPID\"");
  const Answer answer = script.run();
  EXPECT_EQ(answer.exit_code, 1);
  EXPECT_THAT(answer.err, HasSubstr("raise slurm.time"));
  EXPECT_FALSE(std::filesystem::exists(script.copy()));
}

TEST(SweepScript, the_copy_of_the_corpus_is_removed_before_the_task_is_requeued) {
  const StagedScript script;
  script.program("shelfcast", "trap 'exit 0' USR1\nkill -USR1 $PPID\nwhile :; do sleep 0.02; done");
  script.program("scontrol", "echo \"$@\" $(ls " + script.copy().parent_path().string() + ")");
  const Answer answer = script.run();
  EXPECT_EQ(answer.exit_code, 0);
  EXPECT_EQ(answer.out, "requeue 5_2\n");
  // One that ends by itself, or fails, is not requeued.
  script.program("shelfcast", "exit 3");
  EXPECT_EQ(script.run().exit_code, 3);
  EXPECT_EQ(script.run().out, "");
  EXPECT_FALSE(std::filesystem::exists(script.copy()));
}

TEST(RunProgress, the_metric_is_the_best_up_to_the_step_and_a_missing_one_is_named) {
  const SweepFolder folder;
  const std::filesystem::path run = folder.path("run");
  std::filesystem::create_directories(run);
  std::ofstream(run / "metrics.jsonl")
      << "{\"step\":10,\"validation_loss\":3.0}\n{\"step\":15,\"loss\":0.1}\n"
         "{\"step\":20,\"validation_loss\":2.0}\n{\"step\":30,\"validation_loss\":2.5}\n"
         "{\"step\":40,\"validation_loss\":1.0}\n{\"step\":50,\"validation_loss\":null}\n{\"st";
  EXPECT_EQ(best_metric(run, "validation_loss", Goal::minimise, 30), 2.0);
  EXPECT_EQ(best_metric(run, "validation_loss", Goal::minimise, 50), 1.0);
  EXPECT_EQ(best_metric(run, "validation_loss", Goal::maximise, 30), 3.0);
  EXPECT_THAT(message_of([&] { best_metric(run, "validation_los", Goal::minimise, 30); }),
              HasSubstr("did you mean \"validation_loss\"?"));
}

TEST(Process, a_child_that_fails_is_noticed_where_whoever_started_us_ignores_children) {
  const SweepFolder folder;
  std::filesystem::create_directories(folder.path("log").parent_path());
  for (const auto& exit_code : {+[](const std::filesystem::path& log) { return run_logged({"false"}, log); },
                                +[](const std::filesystem::path&) { return ask({"false"}).exit_code; }}) {
    std::signal(SIGCHLD, SIG_IGN);
    EXPECT_EQ(exit_code(folder.path("log")), 1);
  }
  std::signal(SIGCHLD, SIG_DFL);
}

TEST(SweepEnding, is_left_while_anything_is_to_be_trained_then_failed_then_done) {
  const SweepFolder folder;
  const SweepPlan plan = folder.stored(kThree);
  LedgerSession session(plan);
  const auto event = [&](const char* what, std::size_t run, nlohmann::json more) {
    more.update({{"event", what}, {"run", plan.runs[run].id}, {"rung", 0}, {"submission", 0}, {"task", 0}});
    session.add(more);
  };
  EXPECT_EQ(ending_of(session.state()), SweepEnding::left);
  for (const std::size_t run : {0, 1}) event("result", run, {{"step", 90}, {"metric", 1.0}, {"seconds", 1}});
  EXPECT_EQ(ending_of(session.state()), SweepEnding::left);
  EXPECT_EQ(ending_of(session.state(), {{0, 0}, {1, 0}}), SweepEnding::done);
  event("failed", 2, {{"error", "e"}, {"final", true}});
  EXPECT_EQ(ending_of(session.state()), SweepEnding::failed);
}

TEST(SweepEnding, of_a_task_is_done_when_its_share_is_whoever_trains_what_was_promoted) {
  const SweepFolder folder;
  const PretendedSlurm slurm;
  const SweepPlan plan = folder.plan(kThree + "halving: {first: 10, keep: 3}\n");
  submit(plan);
  {
    LedgerSession session(plan);
    for (std::size_t run = 0; run < 3; ++run) session.add(result(plan, run, 0, static_cast<double>(run)));
    ASSERT_EQ(decide_all(plan, session).size(), 1u);
  }
  ::setenv("SLURM_ARRAY_TASK_ID", "0", 1);
  EXPECT_EQ(work_off_share(plan, 1), SweepEnding::done);
  // Nobody else's fault: it had taken up more, and that was stopped.
  LedgerSession(plan).add({{"event", "left"},
                           {"run", plan.runs[0].id},
                           {"rung", 1},
                           {"why", kStopped},
                           {"submission", 1},
                           {"task", 0}});
  EXPECT_EQ(work_off_share(plan, 1), SweepEnding::left);
  ::unsetenv("SLURM_ARRAY_TASK_ID");
}

TEST(SweepShare, what_a_run_saved_when_it_was_asked_to_leave_is_noted_whatever_its_launcher_ends_with) {
  const SweepFolder folder;
  const PretendedSlurm slurm;
  folder.write(
      "state.json",
      R"({"step": 30, "best_metric": 0.5, "best_step": 20, "validations_without_best": 0, "conditions": {}})");
  folder.write("manifest.json",
               nlohmann::json{{"files", {{"state.json", describe_file(folder.path("state.json"))}}}}.dump());
  const SweepPlan plan = folder.plan(
      "keys: {model.dropout: [0.1]}\nslurm: {launcher: " + folder.path("launcher").string() + "}\n");
  const std::string checkpoint = (plan.run_folder(0) / "checkpoints/30").string();
  folder.write("launcher", "#!/bin/sh\nmkdir -p " + checkpoint + "\ncp " +
                               folder.path("state.json").string() + " " +
                               folder.path("manifest.json").string() + " " + checkpoint +
                               "\nkill -TERM $PPID\nexit 143\n");
  ::chmod(folder.path("launcher").c_str(), 0755);
  submit(plan);
  ::setenv("SLURM_ARRAY_TASK_ID", "0", 1);
  EXPECT_EQ(work_off_share(plan, 1), SweepEnding::left);
  ::unsetenv("SLURM_ARRAY_TASK_ID");
  EXPECT_THAT(read_file(plan.ledger()), HasSubstr("\"step\":30"));
}

TEST(SweepShare, a_preempted_task_takes_up_again_what_it_had_taken_over_from_another) {
  const SweepFolder folder;
  const PretendedSlurm slurm;
  const SweepPlan plan = folder.plan(
      kThree + "halving: {kind: async, first: 10, keep: 3}\nretries: 0\nslurm: {launcher: 'false'}\n");
  submit(plan);
  {
    LedgerSession session(plan);
    for (std::size_t run = 0; run < 3; ++run)
      session.add(result(plan, run, 0, 3.0 - static_cast<double>(run)));
    ASSERT_EQ(decide_all(plan, session).size(), 1u);
    // Task 0 took the promoted run, which was task 2's, and was sent SIGTERM.
    session.add(started(plan, 2, 1, {1, 0}));
    session.add({{"event", "left"},
                 {"run", plan.runs[2].id},
                 {"rung", 1},
                 {"why", kCancelled},
                 {"submission", 1},
                 {"task", 0}});
  }
  ::setenv("SLURM_ARRAY_TASK_ID", "0", 1);
  work_off_share(plan, 1);
  ::unsetenv("SLURM_ARRAY_TASK_ID");
  EXPECT_THAT(read_state(plan).runs()[2].error, HasSubstr("exit code 1"));  // of `false`: it was begun
}

TEST(Process, tells_exit_codes_output_and_absence) {
  EXPECT_EQ(ask({"sh", "-c", "echo out; echo err >&2; exit 3"}).exit_code, 3);
  EXPECT_EQ(ask({"sh", "-c", "echo out; echo err >&2"}).out, "out\n");
  EXPECT_EQ(ask({"sh", "-c", "echo out; echo err >&2"}).err, "err\n");
  EXPECT_EQ(ask({"no-such-program"}).exit_code, 127);
  ::setenv("SLURM_JOB_ID", "7", 1);
  EXPECT_EQ(ask({"sh", "-c", "echo $SLURM_JOB_ID"}, Environment::without_job).out, "\n");
  EXPECT_EQ(ask({"sh", "-c", "echo $SLURM_JOB_ID"}).out, "7\n");
  ::unsetenv("SLURM_JOB_ID");
}

}  // namespace
}  // namespace shelfcast::trainer

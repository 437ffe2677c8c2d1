// From points to named runs, and the folder that holds one sweep.
#include "trainer/sweep/sweep_plan.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <set>

#include "base/error.h"
#include "tests/trainer/sweep_fixture.h"
#include "trainer/recipe/recipe.h"

namespace shelfcast::trainer {
namespace {

using ::testing::HasSubstr;

TEST(SweepPlan, a_run_is_named_by_its_recipe_and_by_nothing_else) {
  const SweepFolder folder;
  const SweepPlan first = folder.plan("keys: {model.dropout: [0.0, 0.2], train.batch: [64]}\n");
  // Other order, other spelling, other folder, other parallel block: the same two recipes.
  const SweepPlan second = folder.plan(
      "dir: elsewhere\nset: {parallel.bucket_mb: 7, run.dir: x}\nkeys: {train.batch: [64], model.dropout: "
      "[2.0e-1, 0]}\n");
  ASSERT_EQ(first.runs.size(), 2u);
  EXPECT_EQ(first.runs[0].id, second.runs[1].id);
  EXPECT_EQ(first.runs[1].id, second.runs[0].id);
  EXPECT_NE(first.runs[0].id, first.runs[1].id);
  EXPECT_NE(folder.plan("set: {run.seed: 18}\nkeys: {model.dropout: [0.0]}\n").runs[0].id,
            folder.plan("keys: {model.dropout: [0.0]}\n").runs[0].id);
}

TEST(SweepPlan, the_name_is_the_digest_of_the_resolved_recipe) {
  const SweepFolder folder;
  const SweepPlan plan = folder.plan("keys: {model.dropout: [0.2]}\n");
  const Recipe recipe = read_recipe(folder.path("r.yaml"), {"model.dropout=0.2", "run.dir=wherever"});
  EXPECT_EQ(digest_text(identity_yaml(recipe)).substr(5, 12), plan.runs[0].id);
}

TEST(SweepPlan, points_with_the_same_recipe_are_one_run) {
  const SweepFolder folder;
  EXPECT_EQ(folder.plan("keys: {model.dropout: [0.1, 0.10, 0.2]}\n").runs.size(), 2u);
}

TEST(SweepPlan, keys_and_values_go_through_the_strict_recipe_with_the_line_of_the_sweep) {
  const SweepFolder folder;
  EXPECT_THAT(message_of([&] { folder.plan("keys:\n  train.optimiser.lr: [0.1]\n"); }),
              HasSubstr("sweep.yaml:3"));
  EXPECT_THAT(message_of([&] { folder.plan("keys:\n  train.optimiser.lr: [0.1]\n"); }),
              HasSubstr("did you mean \"train.optimizer\"?"));
  EXPECT_THAT(message_of([&] { folder.plan("keys:\n  train.batch: [many]\n"); }),
              HasSubstr("train.batch must be a whole number"));
  EXPECT_THAT(message_of([&] { folder.plan("keys:\n  model.dropout: [0.1, 1.5]\n"); }),
              HasSubstr("with model.dropout=1.5"));
}

TEST(SweepPlan, rungs_grow_by_the_factor_and_end_at_the_budget) {
  const SweepFolder folder;
  const std::string keys = "keys: {model.dropout: [0.0, 0.1]}\n";
  EXPECT_EQ(folder.plan(keys).rungs, std::vector<std::int64_t>{90});
  EXPECT_EQ(folder.plan(keys + "halving: {first: 10, keep: 3}\n").rungs,
            (std::vector<std::int64_t>{10, 30, 90}));
  EXPECT_EQ(folder.plan(keys + "halving: {first: 20, keep: 2}\n").rungs,
            (std::vector<std::int64_t>{20, 40, 80, 90}));
  EXPECT_THAT(message_of([&] { folder.plan(keys + "halving: {first: 15, keep: 3}\n"); }),
              HasSubstr("no validation at step 15, where a rung ends (train.validate_every is 10"));
  EXPECT_THAT(message_of([&] { folder.plan(keys + "halving: {first: 90, keep: 3}\n"); }),
              HasSubstr("halving.first is 90, train.steps 90 (no rung ends before the last step"));
  const std::string lines = keys + "metric: loss\nset: {train.log_every: 20}\n";
  EXPECT_THAT(message_of([&] { folder.plan(lines + "halving: {first: 10, keep: 3}\n"); }),
              HasSubstr("no loss at step 10, where a rung ends (train.log_every is 20"));
  EXPECT_EQ(folder.plan(lines + "halving: {first: 20, keep: 2}\n").rungs.front(), 20);
  EXPECT_THAT(
      message_of([&] { folder.plan("keys: {train.steps: [90, 120]}\nhalving: {first: 10, keep: 3}\n"); }),
      HasSubstr("cannot be halved together"));
}

TEST(SweepPlan, comes_back_from_its_folder_as_it_was) {
  const SweepFolder folder;
  const SweepPlan plan = folder.stored(
      "keys: {model.dropout: [0.0, 0.1]}\nhalving: {kind: async, first: 10, keep: 3}\ngoal: max\nmetric: "
      "loss\n"
      "slurm: {partition: gpu, nodes: 2, options: [--account=a], setup: [module load x]}\nlocal: {at_once: "
      "3}\n");
  const SweepPlan again = load_plan(plan.dir);
  EXPECT_EQ(again.runs.size(), 2u);
  EXPECT_EQ(again.runs[1].overrides, plan.runs[1].overrides);
  EXPECT_EQ(again.rungs, plan.rungs);
  EXPECT_EQ(again.identity, plan.identity);
  EXPECT_EQ(again.halving.kind, HalvingConfig::Kind::async);
  EXPECT_EQ(again.goal, Goal::maximise);
  EXPECT_EQ(again.slurm.options, plan.slurm.options);
  EXPECT_EQ(again.slurm.setup, plan.slurm.setup);
  EXPECT_EQ(again.local.at_once, 3);
  EXPECT_EQ(again.base, plan.base);
}

TEST(SweepPlan, a_second_sweep_in_the_folder_is_refused_and_another_partition_is_not) {
  const SweepFolder folder;
  folder.stored("keys: {model.dropout: [0.0, 0.1]}\n");
  EXPECT_THAT(message_of([&] { folder.stored("keys: {model.dropout: [0.0, 0.2]}\n"); }),
              HasSubstr("holds another sweep"));
  EXPECT_THAT(message_of([&] { folder.stored("metric: loss\nkeys: {model.dropout: [0.0, 0.1]}\n"); }),
              HasSubstr("metric: validation_loss"));
  EXPECT_THAT(
      message_of([&] { folder.stored("set: {train.clip: 2.0}\nkeys: {model.dropout: [0.0, 0.1]}\n"); }),
      HasSubstr("clip"));
  EXPECT_EQ(folder.stored("keys: {model.dropout: [0.0, 0.1]}\nslurm: {partition: other}\n").slurm.partition,
            "other");
  EXPECT_EQ(load_plan(folder.path("sweep")).slurm.partition, "other");
}

TEST(SweepPlan, a_corpus_that_changed_under_it_is_found) {
  const SweepFolder folder;
  const std::string yaml = "keys: {model.dropout: [0.0, 0.1]}\n";
  const SweepPlan plan = folder.stored(yaml);
  check_corpus(plan);
  std::filesystem::remove_all(folder.path("s.corpus"));
  make_small_corpus(folder.path("s.corpus"), {.series = 11, .change = {}});
  EXPECT_THAT(message_of([&] { check_corpus(plan); }), HasSubstr("changed under the sweep"));
  EXPECT_THAT(message_of([&] { folder.stored(yaml); }),
              HasSubstr("the sweep began with " + plan.corpus_digest));
}

TEST(SweepPlan, every_corpus_that_is_swept_over_is_watched) {
  const SweepFolder folder;
  make_small_corpus(folder.path("t.corpus"), {.series = 11, .change = {}});
  const SweepPlan plan = folder.stored("keys: {data.corpus: [" + folder.path("s.corpus").string() + ", " +
                                       folder.path("t.corpus").string() + "]}\n");
  check_corpus(load_plan(plan.dir));
  std::filesystem::remove_all(folder.path("t.corpus"));
  make_small_corpus(folder.path("t.corpus"), {.series = 9, .change = {}});
  EXPECT_THAT(message_of([&] { check_corpus(load_plan(plan.dir)); }), HasSubstr("t.corpus changed under"));
}

TEST(SweepPlan, a_table_of_labelled_texts_is_watched_like_a_corpus) {
  const SweepFolder folder;
  folder.write("labels.csv", "text,class\nred tea,tea\n");
  folder.write("r.yaml", "data: {labels: {table: " + folder.path("labels.csv").string() +
                             ", text: text, class: class}}\nmodel: {text: encoder}\n"
                             "train: {task: text_labels, steps: 20, validate_every: 10}\n");
  const SweepPlan plan = folder.stored("keys: {model.dropout: [0.0, 0.1]}\n");
  EXPECT_EQ(plan.runs.size(), 2u);
  EXPECT_EQ(plan.corpus_digest, digest_file(folder.path("labels.csv")));
  check_corpus(load_plan(folder.path("sweep")));
  folder.write("labels.csv", "text,class\nred tea,coffee\n");
  EXPECT_THAT(message_of([&] { check_corpus(plan); }), HasSubstr("labels.csv changed under the sweep"));
}

TEST(SweepPlan, a_folder_without_a_sweep_and_a_damaged_plan_are_named) {
  const SweepFolder folder;
  EXPECT_THAT(message_of([&] { load_plan(folder.path("none")); }), HasSubstr("holds no sweep"));
  const SweepPlan plan = folder.stored("keys: {model.dropout: [0.0]}\n");
  folder.write("sweep/sweep.json", "{\"rungs\": ");
  EXPECT_THAT(message_of([&] { load_plan(plan.dir); }), HasSubstr("sweep.json is damaged"));
}

}  // namespace
}  // namespace shelfcast::trainer

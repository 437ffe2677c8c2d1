#include "trainer/trainer.h"

#include "data/loader.h"
#include "scorer/bundle.h"
#include "scorer/forecaster.h"
#include "tests/trainer/training_fixture.h"
#include "trainer/export.h"
#include "trainer/model_forecaster.h"
#include "trainer/requirements.h"
#include "trainer/trained_run.h"

namespace shelfcast::trainer {
namespace {

TEST_F(Training, learns_and_leaves_a_complete_run_folder) {
  const TrainResult result = train_alone(recipe("run", {"train.steps=60"}));
  EXPECT_EQ(result.ending, Ending::finished);
  EXPECT_EQ(result.step, 60);
  for (const char* name :
       {"recipe.yaml", "environment.json", "features.json", "metrics.jsonl", "log/rank-0.jsonl"})
    EXPECT_TRUE(fs::exists(folder_ / "run" / name)) << name;
  double first = 0, last = 0;
  for (const nlohmann::json& line : read_lines(folder_ / "run" / "metrics.jsonl"))
    if (line.contains("loss")) (first == 0 ? first : last) = line.at("loss").get<double>();
  EXPECT_LT(last, 0.8 * first);
  const TrainedRun run = open_run(folder_ / "run");
  EXPECT_EQ(run.step, result.best_step);
}

TEST_F(Training, ends_in_the_same_weights_to_the_bit_when_stopped_and_resumed_twice) {
  train_alone(recipe("whole"));
  for (const std::int64_t stop : {10, 20, 30}) {
    TrainOptions options{.resume = Resume::automatic, .stop_after = stop};
    EXPECT_EQ(train_alone(recipe("parts"), options).step, stop);
  }
  EXPECT_EQ(weights("whole"), weights("parts"));
  // Also the log reads as if it had never stopped.
  std::vector<double> losses[2];
  for (int i = 0; i < 2; ++i)
    for (const nlohmann::json& line : read_lines(folder_ / (i == 0 ? "whole" : "parts") / "metrics.jsonl"))
      if (line.contains("validation_loss")) losses[i].push_back(line.at("validation_loss").get<double>());
  EXPECT_EQ(losses[0], losses[1]);
}

TEST_F(Training, tells_whether_it_had_ended) {
  train_alone(recipe("run"), {.resume = Resume::never, .stop_after = 12});
  EXPECT_EQ(open_run(folder_ / "run").trained, 12);
  EXPECT_FALSE(open_run(folder_ / "run").ended);
  train_alone(recipe("run"), {.resume = Resume::required, .stop_after = {}});
  EXPECT_EQ(open_run(folder_ / "run").trained, 30);
  EXPECT_TRUE(open_run(folder_ / "run").ended);
  // Whose weights stay as they are never gets better.
  const TrainResult early =
      train_alone(recipe("early", {"train.early_stop=1", "train.optimizer.lr=1.0e-12"}));
  EXPECT_EQ(early.ending, Ending::stopped_early);
  EXPECT_LT(open_run(folder_ / "early").trained, 30);
  EXPECT_TRUE(open_run(folder_ / "early").ended);
}

TEST_F(Training, does_not_depend_on_ranks_or_micro_batches_beyond_rounding) {
  train_alone(recipe("one"));
  const std::vector<float> expected = weights("one");
  for (const auto& [ranks, micro_batch] : std::vector<std::pair<int, int>>{{1, 5}, {2, 12}, {3, 4}}) {
    const std::string run = fmt::format("ranks-{}-{}", ranks, micro_batch);
    const Recipe split = recipe(run, {fmt::format("train.micro_batch={}", micro_batch)});
    parallel::run_ranks_as_threads(
        ranks, [&](parallel::Communicator& communicator) { train(split, {}, communicator); });
    // Adam divides by the root of the second moment: rounding of tiny gradients is amplified.
    EXPECT_LT(relative_distance(expected, weights(run)), 2e-3) << run;
  }
}

TEST_F(Training, never_overwrites_a_run_and_never_resumes_another_recipe) {
  train_alone(recipe("run", {"train.steps=2"}));
  EXPECT_NE(message_of([&] { train_alone(recipe("run", {"train.steps=2"})); }).find("--resume"),
            std::string::npos);
  const std::string message = message_of([&] {
    train_alone(recipe("run", {"train.steps=2", "train.optimizer.lr=0.5"}),
                {.resume = Resume::required, .stop_after = {}});
  });
  EXPECT_NE(message.find("lr: 0.003 in the run, lr: 0.5 now"), std::string::npos) << message;
  EXPECT_NE(message_of([&] {
              train_alone(recipe("none"), {.resume = Resume::required, .stop_after = {}});
            }).find("no run"),
            std::string::npos);
}

TEST_F(Training, resumes_from_the_newest_whole_checkpoint_when_the_last_is_damaged) {
  train_alone(recipe("run", {"train.validate_every=5", "train.checkpoint_every=5"}));
  const std::vector<float> expected = weights("run");
  const Checkpoints checkpoints(folder_ / "run" / "checkpoints");
  const std::int64_t newest = checkpoints.steps().back();
  ASSERT_EQ(newest, 30);
  fs::resize_file(checkpoints.path_of(newest) / "fusion.safetensors", 100);
  EXPECT_NE(checkpoints.damage(newest).find("fusion.safetensors"), std::string::npos);
  EXPECT_LT(*checkpoints.newest_valid(), newest);
  train_alone(recipe("run", {"train.validate_every=5", "train.checkpoint_every=5"}),
              {.resume = Resume::required, .stop_after = {}});
  EXPECT_EQ(checkpoints.damage(newest), "");
  EXPECT_EQ(weights("run"), expected);
}

TEST_F(Training, finds_a_flipped_byte_or_a_cut_in_every_file_of_a_checkpoint) {
  train_alone(recipe("run", {"train.steps=2"}));
  const Checkpoints checkpoints(folder_ / "run" / "checkpoints");
  const fs::path checkpoint = checkpoints.path_of(2);
  for (const auto& entry : fs::recursive_directory_iterator(checkpoint)) {
    if (!entry.is_regular_file() || entry.file_size() == 0) continue;
    const std::string whole = read_file(entry.path());
    std::string flipped = whole;
    flipped[whole.size() / 2] = static_cast<char>(flipped[whole.size() / 2] ^ 0x10);
    for (const std::string& bad : {flipped, whole.substr(0, whole.size() / 2)}) {
      std::ofstream(entry.path(), std::ios::binary | std::ios::trunc) << bad;
      EXPECT_NE(checkpoints.damage(2), "") << entry.path();
    }
    std::ofstream(entry.path(), std::ios::binary | std::ios::trunc) << whole;
    EXPECT_EQ(checkpoints.damage(2), "") << entry.path();
  }
}

TEST_F(Training, keeps_the_best_and_the_last_checkpoints) {
  train_alone(recipe("run", {"train.checkpoint_every=3", "train.validate_every=15", "train.keep_last=2"}));
  const Checkpoints checkpoints(folder_ / "run" / "checkpoints");
  const std::int64_t best = checkpoints.read_state(30).best_step;
  const std::vector<std::int64_t> kept = checkpoints.steps();
  EXPECT_LE(kept.size(), 3U);
  EXPECT_EQ(kept.back(), 30);
  EXPECT_EQ(std::count(kept.begin(), kept.end(), best), 1);
}

TEST_F(Training, stops_early_when_validation_no_longer_improves) {
  const Recipe wild = recipe("run", {"train.optimizer.lr=3", "train.clip=0", "train.validate_every=1",
                                     "train.early_stop=2", "train.steps=200", "train.schedule.warmup=0"});
  const TrainResult result = train_alone(wild);
  EXPECT_EQ(result.ending, Ending::stopped_early);
  EXPECT_LT(result.step, 200);
  EXPECT_EQ(train_alone(wild, {.resume = Resume::required, .stop_after = {}}).step, result.step);
}

TEST_F(Training, refuses_what_cannot_be_trained_and_leaves_no_folder) {
  EXPECT_NE(message_of([&] {
              train_alone(recipe("run", {"data.horizon=200", "backtest.horizon=7"}));
            }).find("no training window"),
            std::string::npos);
  EXPECT_NE(message_of([&] { train_alone(recipe("run", {"data.known=[promotion]"})); }).find("promo"),
            std::string::npos);
  for (const char* named : {"backtest.by=[stroe]", "backtest.by=[promotion]", "backtest.hierarchy=[stroe]"})
    EXPECT_NE(message_of([&] { train_alone(recipe("run", {named})); }), "") << named;
  EXPECT_NE(message_of([&] { train_alone(recipe("run", {"data.known=[visits]"})); }).find("visits"),
            std::string::npos);
  EXPECT_NE(message_of([&] {
              parallel::run_ranks_as_threads(3, [&](parallel::Communicator& communicator) {
                train(recipe("run", {"train.batch=2", "train.micro_batch=2"}), {}, communicator);
              });
            }).find("train.batch 2"),
            std::string::npos);
  EXPECT_FALSE(fs::exists(folder_ / "run"));
}

TEST_F(Training, buckets_whose_size_is_found_out_change_no_bit_and_the_size_is_kept) {
  train_on(2, recipe("given"));
  train_on(2, recipe("tuned", {"parallel.bucket_mb=auto"}));
  EXPECT_EQ(weights("tuned"), weights("given"));
  const TrainState state = Checkpoints(folder_ / "tuned/checkpoints").read_state(30);
  EXPECT_EQ(state.bucket_mb, 2);  // all gradients of this model fit into the smallest
  EXPECT_EQ(Checkpoints(folder_ / "given/checkpoints").read_state(30).bucket_mb, 0);

  for (const std::int64_t stop : {3, 20, 30})  // once while it is being found out
    train_on(2, recipe("parts", {"parallel.bucket_mb=auto"}),
             {.resume = Resume::automatic, .stop_after = stop});
  EXPECT_EQ(weights("parts"), weights("given"));
  EXPECT_EQ(Checkpoints(folder_ / "parts/checkpoints").read_state(30).bucket_mb, 2);
}

TEST_F(Training, activation_checkpointing_keeps_less_and_trains_the_same_to_the_bit) {
  for (const char* tower : {"model.tower=bolt-nano", "model.tower=chronos-2-nano"}) {
    SCOPED_TRACE(tower);
    const std::string kept = std::string("kept-") + tower, again = std::string("again-") + tower;
    const std::vector<std::string> settings = {"train.steps=6", tower};
    std::vector<std::string> on = settings;
    on.emplace_back("train.activation_checkpointing=true");
    train_on(2, recipe(kept, settings));
    train_on(2, recipe(again, on));
    EXPECT_EQ(weights(kept), weights(again));
    const auto activations = [](const Recipe& recipe) {
      for (const auto& [cause, bytes] : estimate_requirements(recipe, 1).memory)
        if (cause == "activations") return bytes;
      throw std::runtime_error("no activations");
    };
    EXPECT_LT(static_cast<double>(activations(recipe("x", on))),
              0.8 * static_cast<double>(activations(recipe("x", settings))));
  }
}

TEST_F(Training, a_bundle_of_a_chronos2_tower_is_scored_as_the_run_forecasts) {
  // 7 steps ahead are two patches of 4, the second one not whole.
  train_alone(
      recipe("run", {"train.steps=5", "model.tower=chronos-2-nano", "model.patch=4", "model.groups=true"}));
  const TrainedRun run = open_run(folder_ / "run");
  export_bundle(run, folder_ / "bundle");
  const scorer::Bundle bundle(folder_ / "bundle");  // its golden cases are checked
  ASSERT_EQ(bundle.model().config().tower.architecture, scorer::Architecture::chronos2);
  const scorer::Forecasts scored = scorer::forecast(bundle.model(), bundle.inputs(), {}, 2);

  const data::CorpusInfo info = data::Corpus(run.recipe.data.corpus).info();
  std::vector<data::Window> windows;
  for (std::int64_t series = 0; series < info.series; ++series) windows.push_back({series, info.demand_end});
  data::EvaluationReader reader(run.recipe.data.corpus, run.features, windows, info.series);
  data::Batch batch;
  reader.read(0, batch);
  eval::ForecastValues values;
  ModelForecaster("run", *run.model, run.features, {}).forecast(batch, values);
  ASSERT_EQ(scored.quantiles_bqh.size(), values.quantiles_bqh.size());
  for (std::size_t i = 0; i < values.quantiles_bqh.size(); ++i) {
    const double scale = scored.scale_b[i / (values.quantiles_bqh.size() / scored.scale_b.size())];
    EXPECT_NEAR(scored.quantiles_bqh[i], values.quantiles_bqh[i],
                scorer::golden_tolerance(scale, values.quantiles_bqh[i]));
  }
  for (std::size_t i = 0; i < values.mean_bh.size(); ++i) {
    const double scale = scored.scale_b[i / static_cast<std::size_t>(scored.horizon)];
    EXPECT_NEAR(scored.mean_bh[i], values.mean_bh[i], scorer::golden_tolerance(scale, values.mean_bh[i]));
  }
}

TEST_F(Training, plain_towers_are_refused_at_the_export_and_their_parts_by_tune) {
  train_alone(recipe("run", {"train.steps=2", "model.tower=lstm"}));
  const std::string message =
      message_of([&] { export_bundle(open_run(folder_ / "run"), folder_ / "bundle"); });
  for (const char* part : {"the run run cannot be exported", "its tower is lstm", "model.tower=bolt-nano"})
    EXPECT_NE(message.find(part), std::string::npos) << message;
  EXPECT_FALSE(fs::exists(folder_ / "bundle"));
  for (const char* tune : {"tune.method=heads", "tune.method=top", "tune.layer_decay=0.5"}) {
    const std::string refusal = message_of([&] { recipe("other", {"model.tower=tcn", tune}).validate(); });
    EXPECT_NE(refusal.find("tune asks for parts of the tower, which is tcn"), std::string::npos) << refusal;
  }
}

}  // namespace
}  // namespace shelfcast::trainer

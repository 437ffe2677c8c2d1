// Sweep files and the points they expand to.
#include "trainer/sweep/space.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>
#include <set>
#include <sstream>

#include "base/error.h"
#include "tests/support/paths.h"
#include "tests/trainer/sweep_fixture.h"
#include "trainer/sweep/sobol.h"

namespace shelfcast::trainer {
namespace {

using ::testing::HasSubstr;

SweepFile sweep(const std::string& yaml) { return parse_sweep("recipe: r.yaml\n" + yaml, "sweep.yaml"); }

std::string refusal(const std::string& yaml) {
  return message_of([&] { expand(sweep(yaml)); });
}

TEST(SweepSpace, a_grid_has_every_combination_once_with_the_last_key_fastest) {
  const auto points = expand(sweep("keys:\n  train.batch: [64, 128]\n  model.dropout: [0, 0.1, 0.2]\n"));
  ASSERT_EQ(points.size(), 6u);
  EXPECT_EQ(points[0], (std::vector<std::string>{"train.batch=64", "model.dropout=0"}));
  EXPECT_EQ(points[1], (std::vector<std::string>{"train.batch=64", "model.dropout=0.1"}));
  EXPECT_EQ(points[5], (std::vector<std::string>{"train.batch=128", "model.dropout=0.2"}));
  EXPECT_EQ(std::set(points.begin(), points.end()).size(), 6u);
}

TEST(SweepSpace, lists_may_hold_lists_and_texts) {
  const auto points =
      expand(sweep("keys:\n  data.known: [[], [price, promo]]\n  model.tower: [bolt-nano]\n"));
  EXPECT_EQ(points[0][0], "data.known=[]");
  EXPECT_EQ(points[1][0], "data.known=[price, promo]");
  EXPECT_EQ(points[1][1], "model.tower=bolt-nano");
}

TEST(SweepSpace, sobol_points_are_those_of_scipy) {
  std::ifstream golden(testing::source_dir() / "tests/golden/sobol.csv");
  std::string line;
  std::uint32_t point = 0;
  for (; std::getline(golden, line); ++point) {
    std::istringstream cells(line);
    std::string cell;
    for (int dimension = 0; std::getline(cells, cell, ','); ++dimension)
      ASSERT_EQ(sobol(point, dimension), std::stoul(cell))
          << "point " << point << ", dimension " << dimension;
  }
  EXPECT_EQ(point, 32u);
}

TEST(SweepSpace, drawn_values_stay_within_their_interval_and_fill_it) {
  for (const std::string method : {"random", "sobol"}) {
    std::set<std::string> whole;
    for (const auto& point :
         expand(sweep("method: " + method +
                      "\nruns: 64\nkeys:\n  train.optimizer.lr: {log: [1.0e-4, 1.0e-2]}\n"
                      "  model.dropout: {range: [0.1, 0.3]}\n  train.schedule.warmup: {whole: [3, 6]}\n"))) {
      const double rate = std::stod(point[0].substr(point[0].find('=') + 1));
      const double dropout = std::stod(point[1].substr(point[1].find('=') + 1));
      EXPECT_TRUE(rate >= 1e-4 && rate <= 1e-2) << point[0];
      EXPECT_TRUE(dropout >= 0.1 && dropout <= 0.3) << point[1];
      whole.insert(point[2]);
    }
    EXPECT_EQ(whole, (std::set<std::string>{"train.schedule.warmup=3", "train.schedule.warmup=4",
                                            "train.schedule.warmup=5", "train.schedule.warmup=6"}));
  }
}

TEST(SweepSpace, drawn_values_have_the_digits_that_a_narrow_interval_needs) {
  for (const std::string interval : {"{range: [0.999, 0.99999]}", "{log: [0.999, 0.99999]}"}) {
    std::set<std::string> distinct;
    for (const auto& point :
         expand(sweep("method: random\nruns: 64\nkeys: {train.ema: " + interval + "}\n"))) {
      const double value = std::stod(point[0].substr(point[0].find('=') + 1));
      EXPECT_TRUE(value >= 0.999 && value <= 0.99999) << point[0];
      distinct.insert(point[0]);
    }
    EXPECT_GT(distinct.size(), 55U) << interval;  // of a thousand places
  }
  // Where four digits do, there are no more.
  for (const auto& point :
       expand(sweep("method: random\nruns: 64\nkeys: {train.optimizer.lr: {log: [1.0e-4, 1.0e-2]}}\n"))) {
    const double value = std::stod(point[0].substr(point[0].find('=') + 1));
    EXPECT_EQ(point[0], fmt::format("train.optimizer.lr={:.4g}", value));
  }
}

TEST(SweepSpace, a_power_of_two_of_sobol_points_splits_every_key_evenly) {
  int low = 0;
  for (const auto& point : expand(sweep("method: sobol\nruns: 32\nkeys: {model.dropout: {range: [0, 1]}}\n")))
    low += std::stod(point[0].substr(point[0].find('=') + 1)) < 0.5;
  EXPECT_EQ(low, 16);
}

TEST(SweepSpace, random_points_follow_from_the_seed_and_stay_when_more_are_drawn) {
  const std::string keys = "keys: {model.dropout: {range: [0, 1]}, train.batch: [8, 16]}\nmethod: random\n";
  const auto few = expand(sweep(keys + "runs: 4\n")), many = expand(sweep(keys + "runs: 9\n"));
  EXPECT_TRUE(std::equal(few.begin(), few.end(), many.begin()));
  EXPECT_NE(expand(sweep(keys + "runs: 4\nseed: 18\n")), few);
}

TEST(SweepSpace, nothing_and_a_million_runs_are_refused) {
  EXPECT_THAT(refusal("keys: {}\n"), HasSubstr("expands to nothing (it varies no key)"));
  EXPECT_THAT(refusal("keys: {train.batch: []}\n"), HasSubstr("train.batch has no values"));
  EXPECT_THAT(refusal("method: random\nkeys: {train.batch: [1]}\n"), HasSubstr("runs is 0"));
  EXPECT_THAT(refusal("method: random\nruns: 1000000\nkeys: {train.batch: [1]}\n"),
              HasSubstr("expands to 1000000 runs (most_runs is 5000)"));
  std::string keys = "keys:\n";
  for (int i = 0; i < 30; ++i) keys += fmt::format("  k{}: [1, 2, 3, 4]\n", i);
  EXPECT_THAT(refusal(keys), HasSubstr("far too many runs"));
}

TEST(SweepSpace, mistakes_in_the_file_are_named_with_line_and_nearest_key) {
  EXPECT_THAT(refusal("metod: grid\n"),
              HasSubstr("sweep.yaml:2: unknown key \"metod\" in the sweep - did you mean \"method\"?"));
  EXPECT_THAT(refusal("halving: {frst: 3}\n"), HasSubstr("did you mean \"first\"?"));
  EXPECT_THAT(refusal("keys:\n  model.dropout: {range: [1, 0]}\n"),
              HasSubstr("sweep.yaml:3: range of model.dropout"));
  EXPECT_THAT(refusal("keys:\n  model.dropout: {range: [0, 1]}\n"), HasSubstr("a grid is made of lists"));
  EXPECT_THAT(refusal("keys:\n  run.dir: [a, b]\n"), HasSubstr("run.dir cannot be varied"));
  EXPECT_THAT(refusal("keys:\n  model.dropout: {log: [0, 1]}\nmethod: random\n"),
              HasSubstr("must start above 0"));
  EXPECT_THAT(refusal("keys:\n  train.schedule.warmup: {whole: [0.5, 2.5]}\nmethod: random\n"),
              HasSubstr("sweep.yaml:3: whole of train.schedule.warmup must be [low, high] of whole numbers"));
  EXPECT_THAT(message_of([] { parse_sweep("keys: {}\n", "sweep.yaml"); }), HasSubstr("recipe is missing"));
  EXPECT_THAT(message_of([] { parse_sweep("a: [1\n", "sweep.yaml"); }), HasSubstr("this is not YAML"));
}

}  // namespace
}  // namespace shelfcast::trainer

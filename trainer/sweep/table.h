// Where the runs of a sweep stand, for people and for spreadsheets.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "trainer/sweep/sweep_state.h"

namespace shelfcast::trainer {

struct TableRow {
  std::size_t run = 0;
  std::string state;      // finished, cut, waiting, running, silent, left, stopped, failed
  std::int64_t rung = 0;  // the next one, or the last it finished
  std::int64_t step = 0, steps = 0;
  std::optional<double> metric;
  std::string host, job, note;
  double seconds_left = 0;  // to the end of its rung; 0 = not known
};

// One row a run, in the order of the plan. Looks into the folders of running runs only.
std::vector<TableRow> make_table(const SweepPlan& plan, const SweepState& state);

// How many runs are in which state, and the best so far: two lines.
std::string summarize(const SweepPlan& plan, const SweepState& state);

// The table, the counts above it and the best run: `shelfcast sweep --status`.
std::string describe_status(const SweepPlan& plan, const SweepState& state);

// What --plan prints: runs, rungs, steps.
std::string describe_plan(const SweepPlan& plan);

// A run on the leaderboard: who climbed higher stands higher, then the metric of the last rung decides.
struct LeaderboardRow {
  std::size_t run = 0;
  std::string state;  // finished, cut, failed, unfinished
  std::int64_t rungs = 0, step = 0;
  std::optional<double> metric;
  std::string error;
};
std::vector<LeaderboardRow> make_leaderboard(const SweepPlan& plan, const SweepState& state);

// `shelfcast sweep --collect`: leaderboard.csv (free of times and hosts: equal for equal results),
// leaderboard.json and leaderboard.md in the sweep's folder. Throws Error(io).
void collect(const SweepPlan& plan, const SweepState& state);

}  // namespace shelfcast::trainer

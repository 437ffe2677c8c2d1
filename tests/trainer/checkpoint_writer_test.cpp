// Checkpoints written in the background by several ranks, without LibTorch and without a communicator.
#include "trainer/run/checkpoint_writer.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <fstream>
#include <numeric>
#include <thread>

#include "base/error.h"
#include "base/files.h"
#include "parallel/sharding.h"
#include "tests/support/temporary_folder.h"

namespace shelfcast::trainer {
namespace {

namespace fs = std::filesystem;

// Three parameters, the flat arrays of one rank, and a model "file" that holds the values.
struct Arrays {
  std::vector<parallel::FlatRange> ranges = {{"c", {5}, 0, 5}, {"b", {2, 35}, 16, 70}, {"a", {1}, 96, 1}};
  std::vector<float> values = std::vector<float>(112), first = values, second = values;

  explicit Arrays(float start) {
    std::iota(values.begin(), values.end(), start);
    std::iota(first.begin(), first.end(), start + 1000);
    std::iota(second.begin(), second.end(), start + 2000);
  }
  // What one of `ranks` ranks stores, in even slices of the state.
  CheckpointSource source(int rank = 0, int ranks = 1) {
    const auto write_model = [](const fs::path& folder, std::span<const float> copy) {
      write_file_atomically(folder / "model.bin",
                            {reinterpret_cast<const char*>(copy.data()), copy.size_bytes()});
    };
    std::vector<FlatState> own = state();
    for (FlatState& part : own) {
      const parallel::Slice slice = parallel::slice_of(std::ssize(part.values), ranks, rank);
      part.values =
          part.values.subspan(static_cast<std::size_t>(slice.begin), static_cast<std::size_t>(slice.size()));
      part.begin = slice.begin;
    }
    return {ranges, values, own, write_model};
  }
  std::vector<FlatState> state() { return {{"first", first}, {"second", second}}; }
};

CheckpointNotes notes(std::int64_t step, std::int64_t best = -1) {
  CheckpointNotes notes;
  notes.state.step = step;
  notes.state.best_step = best;
  notes.optimizer_steps = step;
  return notes;
}

// All ranks of a run, one after another in one thread; each has its writer's thread.
class Writers {
 public:
  Writers(const fs::path& folder, int ranks, Arrays& arrays, std::int64_t keep_last = 2) {
    for (int rank = 0; rank < ranks; ++rank)
      writers_.push_back(std::make_unique<CheckpointWriter>(Checkpoints(folder), arrays.source(rank, ranks),
                                                            rank, ranks, keep_last));
  }
  void start(const CheckpointNotes& what) {
    for (const auto& writer : writers_) writer->start(what);
  }
  void finish_copy() {
    for (const auto& writer : writers_) writer->finish_copy();
  }
  void finish() {
    for (const auto& writer : writers_) writer->wait_until_part_written();
    for (const auto& writer : writers_) writer->commit();
    for (const auto& writer : writers_) writer->wait_until_committed();
  }
  void save(std::int64_t step, std::int64_t best = -1) {
    start(notes(step, best));
    finish();
  }

 private:
  std::vector<std::unique_ptr<CheckpointWriter>> writers_;
};

class CheckpointWriting : public ::testing::Test {
 protected:
  testing::TemporaryFolder folder_;
  Checkpoints checkpoints_{folder_.path()};
};

TEST_F(CheckpointWriting, shares_of_any_number_of_ranks_come_back_together) {
  for (const int ranks : {1, 2, 3, 7, 120}) {  // the last: more ranks than elements
    Arrays stored(static_cast<float>(ranks)), read(-5000);
    Writers(folder_.path(), ranks, stored).save(ranks);
    EXPECT_EQ(checkpoints_.damage(ranks), "");
    EXPECT_EQ(checkpoints_.read_optimizer(ranks, read.ranges, read.state()), ranks);
    for (const parallel::FlatRange& range : stored.ranges)
      for (std::int64_t i = range.offset; i < range.offset + range.elements; ++i) {
        EXPECT_EQ(read.first[static_cast<std::size_t>(i)], stored.first[static_cast<std::size_t>(i)]);
        EXPECT_EQ(read.second[static_cast<std::size_t>(i)], stored.second[static_cast<std::size_t>(i)]);
      }
  }
}

// What one of `ranks` ranks holds of `arrays`, which both ways of cutting agree about.
std::vector<FlatState> held(Arrays& arrays, int ranks, int rank) {
  const std::int64_t part = static_cast<std::int64_t>(arrays.first.size()) / ranks;
  const auto own = [&](std::vector<float>& all) {
    return std::span(all).subspan(static_cast<std::size_t>(part * rank), static_cast<std::size_t>(part));
  };
  return {{"first", own(arrays.first), {}, part * rank}, {"second", own(arrays.second), {}, part * rank}};
}

TEST_F(CheckpointWriting, shares_that_only_their_rank_holds_come_back_as_any_other_shares) {
  std::int64_t step = 0;
  for (const int writing : {1, 2, 7}) {
    ++step;
    Arrays stored(static_cast<float>(writing));
    std::vector<std::unique_ptr<CheckpointWriter>> writers;
    for (int rank = 0; rank < writing; ++rank) {
      CheckpointSource source = stored.source();
      source.optimizer = held(stored, writing, rank);
      writers.push_back(std::make_unique<CheckpointWriter>(checkpoints_, source, rank, writing, 5));
      writers.back()->start(notes(step));
    }
    for (const auto& writer : writers) writer->wait_until_part_written();
    for (const auto& writer : writers) writer->commit();
    for (const auto& writer : writers) writer->wait_until_committed();
    for (const int reading : {1, 2, 4}) {
      Arrays read(-5000);
      for (int rank = 0; rank < reading; ++rank)
        EXPECT_EQ(checkpoints_.read_optimizer(step, read.ranges, held(read, reading, rank)), step);
      for (const parallel::FlatRange& range : stored.ranges)
        for (std::int64_t i = range.offset; i < range.offset + range.elements; ++i) {
          EXPECT_EQ(read.first[static_cast<std::size_t>(i)], stored.first[static_cast<std::size_t>(i)]);
          EXPECT_EQ(read.second[static_cast<std::size_t>(i)], stored.second[static_cast<std::size_t>(i)]);
        }
    }
  }
}

TEST_F(CheckpointWriting, holds_what_was_there_before_the_weights_changed) {
  Arrays arrays(1), expected(1), read(0);
  Writers writers(folder_.path(), 2, arrays);
  writers.start(notes(10));
  writers.finish_copy();
  for (std::vector<float>* changed : {&arrays.values, &arrays.first, &arrays.second})
    std::fill(changed->begin(), changed->end(), -1.0F);
  writers.finish();
  const std::string model = read_file(checkpoints_.path_of(10) / "model.bin");
  EXPECT_TRUE(std::equal(expected.values.begin(), expected.values.end(),
                         reinterpret_cast<const float*>(model.data())));
  checkpoints_.read_optimizer(10, read.ranges, read.state());
  EXPECT_EQ(read.first[20], expected.first[20]);
}

TEST_F(CheckpointWriting, is_no_checkpoint_before_all_ranks_have_written) {
  Arrays arrays(1);
  {
    Writers writers(folder_.path(), 2, arrays);
    writers.start(notes(10));
    writers.finish_copy();
    EXPECT_TRUE(checkpoints_.steps().empty());
  }
  EXPECT_TRUE(checkpoints_.steps().empty());
  EXPECT_EQ(checkpoints_.newest_valid(), std::nullopt);
}

TEST_F(CheckpointWriting, what_a_killed_run_left_half_written_is_removed) {
  fs::create_directories(checkpoints_.staging_of(30) / "tower");
  std::ofstream(checkpoints_.staging_of(30) / "tower" / "model.safetensors") << "half";
  Arrays arrays(1);
  Writers(folder_.path(), 1, arrays).save(20);
  checkpoints_.remove_unfinished();
  EXPECT_FALSE(fs::exists(checkpoints_.staging_of(30)));
  EXPECT_EQ(checkpoints_.newest_valid(), 20);
}

TEST_F(CheckpointWriting, says_why_there_is_none_to_open) {
  const auto why = [&] {
    try {
      checkpoints_.best_valid();
    } catch (const Error& error) {
      return error.why();
    }
    return std::string();
  };
  EXPECT_EQ(why(), "the run was stopped before its first");
  Arrays arrays(1);
  Writers writers(folder_.path(), 1, arrays);
  for (const std::int64_t step : {10, 20}) writers.save(step);
  EXPECT_EQ(why(), "");
  for (const std::int64_t step : {10, 20}) fs::resize_file(checkpoints_.path_of(step) / "model.bin", 3);
  EXPECT_EQ(why(), "those of steps 10, 20 are damaged");
}

TEST_F(CheckpointWriting, keeps_the_best_and_the_last_and_never_counts_a_damaged_one) {
  Arrays arrays(1);
  Writers writers(folder_.path(), 1, arrays);
  for (const std::int64_t step : {10, 20, 30, 40}) writers.save(step, 10);
  EXPECT_EQ(checkpoints_.steps(), (std::vector<std::int64_t>{10, 30, 40}));
  // A later process does not know 40 to be whole, and it is not.
  fs::resize_file(checkpoints_.path_of(40) / "model.bin", 3);
  Writers(folder_.path(), 1, arrays).save(50, 10);
  EXPECT_EQ(checkpoints_.steps(), (std::vector<std::int64_t>{10, 30, 40, 50}));
}

TEST_F(CheckpointWriting, replaces_a_checkpoint_of_the_same_step) {
  Arrays arrays(1);
  Writers writers(folder_.path(), 2, arrays);
  writers.save(10);
  arrays.values[0] = 77;
  writers.save(10);
  EXPECT_EQ(checkpoints_.damage(10), "");
  const std::string model = read_file(checkpoints_.path_of(10) / "model.bin");
  EXPECT_EQ(*reinterpret_cast<const float*>(model.data()), 77);
  EXPECT_FALSE(fs::exists(checkpoints_.staging_of(10)));
}

TEST_F(CheckpointWriting, one_that_was_moved_aside_when_the_run_died_gets_its_name_back) {
  Arrays arrays(1);
  Writers(folder_.path(), 1, arrays).save(10);
  Writers(folder_.path(), 1, arrays).save(20);
  fs::rename(checkpoints_.path_of(10), folder_ / "10.replaced");  // died before the new one had the name
  fs::create_directories(folder_ / "20.replaced");                // died before the old one was removed
  checkpoints_.remove_unfinished();
  EXPECT_EQ(checkpoints_.steps(), (std::vector<std::int64_t>{10, 20}));
  EXPECT_EQ(checkpoints_.damage(10), "");
  EXPECT_EQ(checkpoints_.damage(20), "");
  EXPECT_FALSE(fs::exists(folder_ / "20.replaced"));
}

TEST_F(CheckpointWriting, a_failure_comes_out_and_older_checkpoints_stay) {
  Arrays arrays(1);
  CheckpointSource source = arrays.source();
  bool full = false;
  source.write_model = [&full](const fs::path&, std::span<const float>) {
    if (full) throw io_error("cannot write model", ENOSPC);
  };
  CheckpointWriter writer(checkpoints_, source, 0, 1, 2);
  writer.start(notes(10));
  writer.wait_until_part_written();
  writer.commit();
  writer.wait_until_committed();
  full = true;
  writer.start(notes(20));
  EXPECT_THROW(writer.wait_until_part_written(), Error);
  EXPECT_THROW(writer.part_written(), Error);
  EXPECT_EQ(checkpoints_.newest_valid(), 10);
}

TEST_F(CheckpointWriting, state_of_another_model_is_refused) {
  Arrays arrays(1), other(1);
  Writers(folder_.path(), 2, arrays).save(10);
  other.ranges[1].elements = 71;
  EXPECT_THROW(checkpoints_.read_optimizer(10, other.ranges, other.state()), Error);
  other.ranges[1] = {"another", {2, 35}, 16, 70};
  EXPECT_THROW(checkpoints_.read_optimizer(10, other.ranges, other.state()), Error);
}

}  // namespace
}  // namespace shelfcast::trainer

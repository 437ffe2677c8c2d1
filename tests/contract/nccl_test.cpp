// What the communicator over NCCL adds to the contract, on the module's twin.
#include <gtest/gtest.h>

#include <chrono>
#include <thread>

#include "base/error.h"
#include "parallel/launch.h"
#include "parallel/nccl/nccl_communicator.h"
#include "tests/contract/gpu_twin.h"

namespace shelfcast::parallel {
namespace {

using namespace std::chrono_literals;

constexpr Deadlines kPatient{30'000ms, 30'000ms};

// A device buffer of the twin, filled with one value.
class Buffer {
 public:
  Buffer(std::size_t count, float value) : count_(count) {
    const std::vector<float> values(count, value);
    memory_ = static_cast<float*>(gpu_twin().allocate(0, bytes(), &problem_));
    gpu_twin().copy(memory_, values.data(), bytes(), &problem_);
  }
  ~Buffer() { gpu_twin().release(memory_); }
  Buffer(const Buffer&) = delete;
  Buffer& operator=(const Buffer&) = delete;

  std::span<float> span() { return {memory_, count_}; }
  std::vector<float> values() {
    std::vector<float> copied(count_);
    gpu_twin().copy(copied.data(), memory_, bytes(), &problem_);
    return copied;
  }

 private:
  std::int64_t bytes() const { return static_cast<std::int64_t>(count_ * sizeof(float)); }
  std::size_t count_;
  float* memory_;
  ShelfcastGpuProblem problem_{};
};

void on_twin(int ranks, const std::function<void(Communicator&)>& body, Deadlines deadlines = kPatient) {
  run_ranks_as_threads(
      ranks,
      [&](Communicator& host) {
        body(*make_nccl({std::shared_ptr<void>(), &host}, gpu_twin(), 0, deadlines));
      },
      deadlines);
}

TEST(Nccl, sums_slices_of_one_device_buffer_in_place) {
  on_twin(3, [](Communicator& ranks) {
    EXPECT_EQ(ranks.backend(), "nccl");
    Buffer gradients(1000, static_cast<float>(ranks.rank() + 1));
    const auto first = ranks.start_all_reduce(gradients.span().subspan(0, 400), "bucket 0");
    const auto second = ranks.start_all_reduce(gradients.span().subspan(400, 100), "bucket 1");
    second->wait();
    first->wait();
    const std::vector<float> values = gradients.values();
    EXPECT_EQ(values[0], 6.0F);
    EXPECT_EQ(values[499], 6.0F);
    EXPECT_EQ(values[500], static_cast<float>(ranks.rank() + 1));
  });
}

TEST(Nccl, gathers_the_parts_of_a_device_buffer_in_place) {
  on_twin(2, [](Communicator& ranks) {
    Buffer weights(64, static_cast<float>(10 + ranks.rank()));
    ranks.all_gather(weights.span().subspan(static_cast<std::size_t>(32 * ranks.rank()), 32), weights.span(),
                     "weights");
    EXPECT_EQ(weights.values()[0], 10.0F);
    EXPECT_EQ(weights.values()[63], 11.0F);
  });
}

TEST(Nccl, host_memory_is_left_to_the_communicator_between_hosts) {
  on_twin(2, [](Communicator& ranks) {
    std::vector<float> values = {1.0F, 2.0F};  // the twin would refuse them
    ranks.all_reduce(std::span(values), ReduceOp::sum, "on the host");
    EXPECT_EQ(values, (std::vector<float>{2.0F, 4.0F}));
  });
}

TEST(Nccl, an_error_in_mid_step_is_named_by_all_ranks_and_ends_the_group) {
  std::atomic<int> told = 0;
  const auto play = [&](Communicator& ranks) {
    Buffer gradients(8, 1.0F);
    ranks.start_all_reduce(gradients.span(), "bucket 0")->wait();
    ranks.barrier("before the link breaks");
    if (ranks.rank() == 0) break_next_collective_of_twin("unhandled system error: link 3 is down");
    ranks.barrier("it breaks");
    try {
      ranks.start_all_reduce(gradients.span(), "bucket 1")->wait();
      ADD_FAILURE() << "the wait ended well";
    } catch (const Error& error) {
      EXPECT_EQ(error.kind(), ErrorKind::communication);
      EXPECT_NE(error.problem().find("\"bucket 1\" failed on rank"), std::string::npos) << error.what();
      EXPECT_NE(error.why().find("link 3 is down"), std::string::npos) << error.what();
      EXPECT_EQ(error.rank, ranks.rank());
      ++told;
    }
    EXPECT_THROW(ranks.start_all_reduce(gradients.span(), "bucket 2"), Error);
  };
  on_twin(3, play);
  EXPECT_EQ(told, 3);
}

TEST(Nccl, a_rank_that_does_not_join_is_a_timeout_of_the_start) {
  try {
    run_ranks_as_threads(
        2,
        [](Communicator& host) {
          std::vector<std::byte> id;
          if (host.rank() == 1) {  // takes part in what leads to the joining, then stays away
            (void)host.all_gather_bytes({}, "hosts of the GPUs");
            host.broadcast(id, 0, "NCCL id");
            return std::this_thread::sleep_for(700ms);
          }
          (void)make_nccl({std::shared_ptr<void>(), &host}, gpu_twin(), 0, {200ms, 200ms});
        },
        kPatient);
    FAIL() << "joined alone";
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::timeout) << error.what();
    EXPECT_NE(error.problem().find("start of NCCL"), std::string::npos) << error.what();
  }
}

TEST(Nccl, what_is_dropped_unfinished_ends_the_group) {
  on_twin(2, [](Communicator& ranks) {
    Buffer gradients(8, 1.0F);
    { const auto dropped = ranks.start_all_reduce(gradients.span(), "bucket 0"); }
    EXPECT_THROW(ranks.start_all_reduce(gradients.span(), "bucket 1"), Error);
    ranks.barrier("both have dropped theirs");
  });
}

}  // namespace
}  // namespace shelfcast::parallel

// The contract on MPI, and on NCCL where there is a GPU (ranks share it when it is the only one): started by
// mpirun, every rank runs every test. Rank 0 prints, failures of all ranks
// show, and no rank exits with 0 when any failed or when there was nothing to run.
#include <gtest/gtest.h>
#include <mpi.h>

#include <cstdio>
#include <memory>

#include "base/error.h"
#include "parallel/hierarchical.h"
#include "parallel/launch.h"
#include "parallel/mpi/mpi_communicator.h"
#include "parallel/nccl/gpu_choice.h"
#include "parallel/nccl/nccl_communicator.h"
#include "tests/contract/contract.h"
#include "tests/contract/on_device.h"

namespace shelfcast::parallel {
namespace {

int mpi_size() {
  int size = 1;
  MPI_Comm_size(MPI_COMM_WORLD, &size);
  return size;
}

int mpi_rank() {
  int rank = 0;
  MPI_Comm_rank(MPI_COMM_WORLD, &rank);
  return rank;
}

// On ranks other than 0: only what went wrong, with the rank in front. Who asks GoogleTest for the running
// test while it tells of a failure waits for ever.
class FailurePrinter : public ::testing::EmptyTestEventListener {
  void OnTestStart(const ::testing::TestInfo& test) override { test_ = test.name(); }
  void OnTestPartResult(const ::testing::TestPartResult& result) override {
    if (!result.failed()) return;
    std::fprintf(stderr, "[rank %d] %s: %s:%d\n%s\n", mpi_rank(), test_.c_str(),
                 result.file_name() == nullptr ? "?" : result.file_name(), result.line_number(),
                 result.message());
  }

  std::string test_ = "?";
};

World mpi_world(std::string name, std::size_t longest_message) {
  return {std::move(name), mpi_size(), [longest_message](const RankBody& body, Deadlines deadlines) {
            body(*make_mpi_world(deadlines, longest_message));
          }};
}

World mpi_world_in_nodes(int node_ranks) {
  return {.name = fmt::format("mpi_in_nodes_of_{}", node_ranks),
          .size = mpi_size(),
          .run =
              [node_ranks](const RankBody& body, Deadlines deadlines) {
                const auto flat = make_mpi_world(deadlines);
                body(*make_hierarchical(*flat, node_ranks));
              },
          .sums_in_rank_order = false,
          // In more ranks one may wait for the leader of its node, who waits for the late one.
          .names_the_late = mpi_size() <= node_ranks + 1};
}

World nccl_world() {
  return {
      .name = "nccl",
      .size = mpi_size(),
      .run =
          [](const RankBody& body, Deadlines deadlines) {
            std::shared_ptr<Communicator> host = make_mpi_world(deadlines);
            const int device = choose_gpus(*host, inspect_gpus(host->local_rank()), true);
            // Tests have short deadlines, which are not meant for connecting the ranks.
            const Deadlines patient{std::chrono::minutes(5), deadlines.step};
            body(*on_device(make_nccl(host, gpu_operations(), device, patient), gpu_operations(), device));
          },
      .sums_in_rank_order = false,
      .adds_in_float = false,
      .names_the_late = false};
}

// Rank 1 fails while the others wait for it with a long deadline, as a program's main would handle it.
int play_failing_rank() {
  const auto world = make_mpi_world({}, std::size_t{1} << 30);
  try {
    if (world->rank() == 1) throw data_error("segment 7 is damaged");
    world->barrier("all read");
  } catch (const Error& error) {
    world->abort(error.what());
  }
  return 0;
}

// The worst result of all ranks.
int agree(int result) {
  int worst = 0;
  MPI_Allreduce(&result, &worst, 1, MPI_INT, MPI_MAX, MPI_COMM_WORLD);
  return worst;
}

int run_tests() {
  if (mpi_rank() != 0) {
    auto& listeners = ::testing::UnitTest::GetInstance()->listeners();
    delete listeners.Release(listeners.default_result_printer());
    listeners.Append(new FailurePrinter);
  }
  int result = RUN_ALL_TESTS();
  if (::testing::UnitTest::GetInstance()->test_to_run_count() == 0) {
    if (mpi_rank() == 0) std::fputs("no test was run\n", stderr);
    result = 1;
  }
  const int worst = agree(result);
  if (mpi_rank() == 0) std::puts(worst == 0 ? "all ranks passed" : "SOME RANK FAILED");
  return worst;
}

}  // namespace

std::vector<World> worlds_under_test() {
  std::vector<World> worlds = {mpi_world("mpi", std::size_t{1} << 30), mpi_world("mpi_in_short_messages", 60),
                               mpi_world_in_nodes(2)};
  if (inspect_gpus().problem.empty())
    worlds.push_back(nccl_world());
  else if (mpi_rank() == 0)
    std::printf("NCCL is left out: %s\n", inspect_gpus().problem.c_str());
  return worlds;
}

}  // namespace shelfcast::parallel

int main(int argc, char** argv) {
  int initialized = 0;
  // Worlds are asked for their size while gtest initialises, so MPI comes first, with or without mpirun.
  shelfcast::parallel::Launch launch(&argc, &argv);
  MPI_Initialized(&initialized);
  if (initialized == 0) {
    std::fputs("start this with mpirun\n", stderr);
    return 1;
  }
  if (argc > 1 && std::string_view(argv[1]) == "--play-failing-rank")
    return shelfcast::parallel::play_failing_rank();
  ::testing::InitGoogleTest(&argc, argv);
  return shelfcast::parallel::run_tests();
}

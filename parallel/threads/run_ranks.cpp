// Runs a body on several threads as if they were ranks of one run.
#include <exception>
#include <thread>

#include "base/error.h"
#include "base/log.h"
#include "parallel/launch.h"
#include "parallel/threads/threads_communicator.h"

namespace shelfcast::parallel {
namespace {

// Runs the body of one rank; what it throws is kept and told to the others.
std::exception_ptr run_rank(Communicator& communicator, ThreadsRun& run,
                            const std::function<void(Communicator&)>& body) {
  const int rank = communicator.rank();
  const log::ThreadIdentity identity({rank, communicator.size(), log::identity().host});
  std::exception_ptr failed;
  try {
    body(communicator);
  } catch (Error& error) {
    if (!error.rank) error.rank = rank;
    run.fail(rank, error.what());
    failed = std::current_exception();
  } catch (const std::exception& error) {
    run.fail(rank, error.what());
    Error wrapped(ErrorKind::internal, error.what());
    wrapped.rank = rank;
    failed = std::make_exception_ptr(wrapped);
  }
  run.leave(rank);
  return failed;
}

// The error of the rank that failed first; the others' are echoes of it.
void rethrow_first(const ThreadsRun& run, const std::vector<std::exception_ptr>& failures) {
  const std::optional<int> culprit = run.culprit();
  if (!culprit) return;
  if (const auto& own = failures[static_cast<std::size_t>(*culprit)]) std::rethrow_exception(own);
  Error aborted(ErrorKind::communication, run.message());  // called abort() and returned
  aborted.rank = culprit;
  throw aborted;
}

}  // namespace

void run_ranks_as_threads(int ranks, const std::function<void(Communicator&)>& body, Deadlines deadlines) {
  SHELFCAST_ASSERT(ranks >= 1);
  const auto run = std::make_shared<ThreadsRun>(ranks);
  std::vector<std::unique_ptr<Communicator>> world = make_threads_world(run, ranks, deadlines);
  std::vector<std::exception_ptr> failures(world.size());
  {
    std::vector<std::jthread> threads;
    for (std::size_t rank = 0; rank < world.size(); ++rank)
      threads.emplace_back([&, rank] { failures[rank] = run_rank(*world[rank], *run, body); });
  }
  rethrow_first(*run, failures);
}

}  // namespace shelfcast::parallel

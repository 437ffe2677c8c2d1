// From a process to its ranks: finds out how the program was started and hands out the communicator.
#pragma once

#include <functional>
#include <memory>

#include "parallel/communicator.h"

namespace shelfcast::parallel {

enum class Backend { automatic, mpi, threads, nccl, single };

// "auto", "mpi", "threads", "nccl", "single"; throws Error(input) naming the text and the choices.
Backend parse_backend(const std::string& text);

// Owns MPI for the life of the program: initialises it only when the process was started by mpirun or srun
// (PMI/PMIx/OMPI variables are there), because a lone MPI_Init costs a quarter of a second. Does not finalize
// while an exception unwinds. Construct once, in main, on the main thread.
class Launch {
 public:
  Launch(int* argc, char*** argv);
  ~Launch();
  Launch(const Launch&) = delete;
  Launch& operator=(const Launch&) = delete;

  // The ranks of this program: MPI's world, or a single rank. NCCL comes on top of them:
  // make_world (world.h). Throws Error(input) for mpi without mpirun, Error(communication) when Slurm started
  // N tasks but MPI sees one (a wrong --mpi).
  std::unique_ptr<Communicator> world(Backend backend, Deadlines deadlines);

  // After an error was printed: ends every rank of the run with exit code 1. Returns only when this is the
  // only rank.
  void abort_ranks() const;

 private:
  bool initialized_ = false;
  int uncaught_;
};

// Runs `body` on `ranks` threads of this process, each with its own communicator; returns when all are done.
// When one throws, the others' waits throw too, and the first error is rethrown here with its rank filled in.
void run_ranks_as_threads(int ranks, const std::function<void(Communicator&)>& body,
                          Deadlines deadlines = {});

}  // namespace shelfcast::parallel

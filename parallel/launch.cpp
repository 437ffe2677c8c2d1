#include "parallel/launch.h"

#include <mpi.h>

#include <array>
#include <cstdlib>
#include <exception>
#include <string>

#include "base/error.h"
#include "base/host.h"
#include "base/log.h"
#include "parallel/mpi/mpi_communicator.h"

namespace shelfcast::parallel {
namespace {

constexpr const char* kChoices = "auto, mpi, threads, nccl, single";

// What mpirun (Open MPI, MPICH), srun --mpi=pmix and srun --mpi=pmi2 leave in the environment of the ranks.
constexpr std::array kMpiVariables = {"OMPI_COMM_WORLD_SIZE", "PMIX_RANK", "PMI_RANK", "PMI_FD",
                                      "MPI_LOCALRANKID"};

bool started_by_mpi_launcher() {
  for (const char* name : kMpiVariables)
    if (std::getenv(name) != nullptr) return true;
  return false;
}

// Tasks of the srun step we are in; 1 outside of one. SLURM_NTASKS would not do: batch scripts have it, too.
int slurm_tasks() {
  const char* text = std::getenv("SLURM_STEP_NUM_TASKS");
  return text == nullptr ? 1 : std::atoi(text);
}

int mpi_world_size() {
  int size = 1;
  MPI_Comm_size(MPI_COMM_WORLD, &size);
  return size;
}

// N tasks of which each believes to be alone would train N times and write the same files.
void check_slurm_and_mpi_agree(int mpi_size) {
  // Under mpirun inside an allocation the step is that of mpirun's own daemons.
  if (std::getenv("OMPI_COMM_WORLD_SIZE") != nullptr) return;
  if (slurm_tasks() > 1 && mpi_size == 1)
    throw Error(ErrorKind::communication,
                fmt::format("Slurm started {} tasks but MPI sees one", slurm_tasks()),
                "srun's --mpi does not fit this MPI",
                "use srun --mpi=pmix (srun --mpi=list shows what there is) or mpirun");
}

}  // namespace

Backend parse_backend(const std::string& text) {
  if (text == "auto") return Backend::automatic;
  if (text == "mpi") return Backend::mpi;
  if (text == "threads") return Backend::threads;
  if (text == "nccl") return Backend::nccl;
  if (text == "single") return Backend::single;
  throw input_error(fmt::format("unknown parallel backend \"{}\"", text), {},
                    fmt::format("choose one of {}", kChoices));
}

Launch::Launch(int* argc, char*** argv) : uncaught_(std::uncaught_exceptions()) {
  log::Identity identity{0, 1, host_name()};
  if (started_by_mpi_launcher()) {
    int provided = 0;
    // The communicator may be handed from thread to thread, but never used by two at once.
    if (MPI_Init_thread(argc, argv, MPI_THREAD_SERIALIZED, &provided) != MPI_SUCCESS)
      throw Error(ErrorKind::communication, "MPI cannot be initialised");
    if (provided < MPI_THREAD_SERIALIZED)
      throw Error(ErrorKind::communication, "MPI allows calls from one thread only",
                  fmt::format("it offers level {}, MPI_THREAD_SERIALIZED is needed", provided),
                  "use an MPI that was built with threads");
    initialized_ = true;
    MPI_Comm_rank(MPI_COMM_WORLD, &identity.rank);
    MPI_Comm_size(MPI_COMM_WORLD, &identity.size);
  }
  log::set_identity(identity);
}

Launch::~Launch() {
  // Finalizing waits for all ranks; with an error on its way to main, some of them will not come.
  if (initialized_ && std::uncaught_exceptions() == uncaught_) MPI_Finalize();
}

void Launch::abort_ranks() const {
  if (initialized_ && mpi_world_size() > 1) MPI_Abort(MPI_COMM_WORLD, 1);
}

std::unique_ptr<Communicator> Launch::world(Backend backend, Deadlines deadlines) {
  const int size = initialized_ ? mpi_world_size() : 1;
  check_slurm_and_mpi_agree(size);
  switch (backend) {
    case Backend::automatic:
      return size > 1 ? make_mpi_world(deadlines) : make_single();
    case Backend::mpi:
      if (!initialized_)
        throw input_error("parallel backend mpi without MPI", "the program was not started by mpirun or srun",
                          "start it as mpirun -n 2 ... or choose backend auto");
      return make_mpi_world(deadlines);
    case Backend::single:
      if (size > 1)
        throw input_error(fmt::format("parallel backend single with {} ranks", size),
                          "each would do the whole work and write the same files", "choose backend auto");
      return make_single();
    case Backend::threads:
      throw input_error("parallel backend threads is for dry runs and tests", {},
                        "use --check --ranks N for a dry run, mpirun for a real one");
    case Backend::nccl:
      break;
  }
  throw Error(ErrorKind::internal, "NCCL needs a communicator between hosts", "make_world makes both");
}

}  // namespace shelfcast::parallel

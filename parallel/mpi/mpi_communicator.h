// Ranks that are MPI processes.
#pragma once

#include <cstddef>
#include <memory>

#include "parallel/communicator.h"

namespace shelfcast::parallel {

// All ranks of MPI's world; MPI must be initialised and outlive it. Collective. Messages longer than
// `longest_message` bytes are cut (MPI counts in int). Throws Error(timeout) when ranks do not arrive within
// deadlines.start, Error(communication).
std::unique_ptr<Communicator> make_mpi_world(Deadlines deadlines,
                                             std::size_t longest_message = std::size_t{1} << 30);

}  // namespace shelfcast::parallel

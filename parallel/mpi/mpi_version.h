// Which MPI this program is linked to.
#pragma once

#include <string>

namespace shelfcast::parallel {

// The library's name and version in its own words, first line ("Open MPI v4.1.4, ..."). Needs no MPI_Init.
std::string mpi_library_version();

}  // namespace shelfcast::parallel

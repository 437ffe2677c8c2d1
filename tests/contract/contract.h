// The ways to have ranks that the contract of Communicator is checked on.
#pragma once

#include <functional>
#include <ostream>
#include <string>
#include <vector>

#include "parallel/communicator.h"

namespace shelfcast::parallel {

using RankBody = std::function<void(Communicator&)>;

// One kind of world. run() gives `body` to every rank it is responsible for (all threads, or this process's
// one MPI rank) and returns when they are done; what a rank throws comes out of it.
struct World {
  std::string name;
  int size = 1;
  std::function<void(const RankBody& body, Deadlines deadlines)> run;
  bool sums_in_rank_order = true;  // else in an order of its own, the same in every run
  bool adds_in_float = true;       // numbers of 16 bits; else their sums are rounded after every addition
  bool names_the_late = true;      // in float collectives; else only a witness can
};

// Names in the list of tests; without it they would hold addresses that differ from run to run.
inline void PrintTo(const World& world, std::ostream* out) { *out << world.name; }

// Each test program says what it can make.
std::vector<World> worlds_under_test();

}  // namespace shelfcast::parallel

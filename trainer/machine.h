// What the machine under this process offers: CPU, memory, file systems. No MPI, no GPU.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

namespace shelfcast::trainer {

struct Machine {
  std::string cpu;                    // model name; "" when the kernel does not tell
  std::vector<std::string> features;  // of those that matter here: avx2, fma, avx512f, avx512_bf16, amx_bf16
  int cores = 0;                      // this process may run on
  double core_limit = 0.0;            // cores' worth of time its control group allows; 0 = no limit
  std::int64_t memory_bytes = 0;      // of the machine
  std::int64_t available_bytes = 0;   // could be taken now without swapping
  std::int64_t memory_limit = 0;      // bytes its control group allows; 0 = no limit
};

Machine inspect_machine();

// Whether one process's file lock keeps another out in a folder, as HDF5 and Shelfcast need it. Cluster file
// systems are often mounted without locks.
struct FolderCheck {
  std::string file_system;      // "ext4", "lustre", ...
  std::string problem;          // empty when files can be written and locked
  std::int64_t free_bytes = 0;  // for this user
};

// Writes and removes a small file in `folder`. Never throws: what fails is in `problem`.
FolderCheck check_folder(const std::filesystem::path& folder);

// The full path of a program on $PATH, "" when there is none.
std::string find_program(const std::string& name);

}  // namespace shelfcast::trainer

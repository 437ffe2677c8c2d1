#include "trainer/machine.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <thread>

namespace shelfcast::trainer {
namespace {

TEST(Machine, cores_and_memory_are_those_the_system_tells) {
  const Machine machine = inspect_machine();
  EXPECT_GE(machine.cores, 1);
  EXPECT_LE(machine.cores, static_cast<int>(::sysconf(_SC_NPROCESSORS_CONF)));
  EXPECT_EQ(machine.cores, static_cast<int>(std::thread::hardware_concurrency()));
  // The kernel keeps a little of the pages sysconf counts, or none.
  const auto pages = static_cast<std::int64_t>(::sysconf(_SC_PHYS_PAGES)) * ::sysconf(_SC_PAGESIZE);
  EXPECT_NEAR(static_cast<double>(machine.memory_bytes), static_cast<double>(pages),
              0.01 * static_cast<double>(pages));
  EXPECT_GT(machine.available_bytes, 0);
  EXPECT_LE(machine.available_bytes, machine.memory_bytes);
}

TEST(Machine, vector_extensions_agree_with_the_compilers_view_of_the_cpu) {
  const Machine machine = inspect_machine();
  const auto has = [&](const char* name) {
    return std::find(machine.features.begin(), machine.features.end(), name) != machine.features.end();
  };
  EXPECT_EQ(has("avx2"), __builtin_cpu_supports("avx2") != 0);
  EXPECT_EQ(has("fma"), __builtin_cpu_supports("fma") != 0);
  EXPECT_EQ(has("avx512f"), __builtin_cpu_supports("avx512f") != 0);
}

TEST(FolderCheck, finds_locks_on_the_temporary_folder_and_leaves_nothing_behind) {
  const auto folder =
      std::filesystem::temp_directory_path() / ("shelfcast-machine-test-" + std::to_string(::getpid()));
  std::filesystem::create_directory(folder);
  const FolderCheck check = check_folder(folder);
  EXPECT_EQ(check.problem, "");
  EXPECT_NE(check.file_system, "unknown");
  EXPECT_GT(check.free_bytes, 0);
  EXPECT_TRUE(std::filesystem::is_empty(folder));
  std::filesystem::remove_all(folder);
}

TEST(FolderCheck, says_that_nothing_can_be_written_where_the_folder_is_missing) {
  EXPECT_NE(check_folder("/no/such/folder").problem.find("No such file"), std::string::npos);
  EXPECT_NE(check_folder("/proc").problem, "");
  EXPECT_EQ(check_folder("/proc").file_system, "proc");
}

TEST(FindProgram, searches_the_path) {
  EXPECT_NE(find_program("sh"), "");
  EXPECT_EQ(find_program("no-such-program-anywhere"), "");
}

}  // namespace
}  // namespace shelfcast::trainer

#include "tests/support/kill_points.h"

#include <dlfcn.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <csignal>
#include <exception>
#include <iostream>

namespace {

std::atomic<int> steps_left{-1};  // -1: nobody counts

void count_step() {
  if (steps_left > 0 && --steps_left == 0) ::kill(::getpid(), SIGKILL);
}

// The C library's function of that name.
template <typename Function>
Function* library(const char* name) {
  return reinterpret_cast<Function*>(::dlsym(RTLD_NEXT, name));
}

}  // namespace

// The program's own functions come before those of the libraries.
extern "C" {
int rename(const char* from, const char* to) noexcept {
  count_step();
  return library<int(const char*, const char*)>("rename")(from, to);
}
int renameat2(int a, const char* from, int b, const char* to, unsigned flags) noexcept {
  count_step();
  return library<int(int, const char*, int, const char*, unsigned)>("renameat2")(a, from, b, to, flags);
}
int fsync(int file) {
  count_step();
  return library<int(int)>("fsync")(file);
}
int mkdir(const char* path, mode_t mode) noexcept {
  count_step();
  return library<int(const char*, mode_t)>("mkdir")(path, mode);
}
int unlinkat(int at, const char* path, int flags) noexcept {
  count_step();
  return library<int(int, const char*, int)>("unlinkat")(at, path, flags);
}
int unlink(const char* path) noexcept {
  count_step();
  return library<int(const char*)>("unlink")(path);
}
int symlink(const char* to, const char* path) noexcept {
  count_step();
  return library<int(const char*, const char*)>("symlink")(to, path);
}
}

namespace shelfcast::testing {

int kill_at_every_step(const std::function<void()>& before, const std::function<void()>& work,
                       const std::function<void(int step)>& after) {
  for (int step = 1;; ++step) {
    before();
    std::cout.flush();
    const pid_t child = ::fork();
    if (child == 0) {
      steps_left = step;
      try {
        work();
      } catch (const std::exception& error) {
        std::cerr << "step " << step << ": " << error.what() << "\n";
        ::_exit(1);
      }
      ::_exit(0);
    }
    int status = 0;
    ::waitpid(child, &status, 0);
    if (WIFEXITED(status)) {
      EXPECT_EQ(WEXITSTATUS(status), 0);
      return step - 1;
    }
    EXPECT_EQ(WTERMSIG(status), SIGKILL);
    after(step);
    if (::testing::Test::HasFatalFailure()) return step;
  }
}

}  // namespace shelfcast::testing

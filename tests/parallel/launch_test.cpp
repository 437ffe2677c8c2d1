#include "parallel/launch.h"

#include <gtest/gtest.h>

#include <cstdlib>

#include "base/error.h"

namespace shelfcast::parallel {
namespace {

// Sets an environment variable for one test.
class Variable {
 public:
  Variable(const char* name, const char* value) : name_(name) { ::setenv(name, value, 1); }
  ~Variable() { ::unsetenv(name_); }

 private:
  const char* name_;
};

// What comes out when a program that no launcher started asks for `backend`.
Error refusal_of(Backend backend) {
  Launch launch(nullptr, nullptr);
  try {
    launch.world(backend, {});
  } catch (const Error& error) {
    return error;
  }
  ADD_FAILURE() << "nothing was thrown";
  return input_error("nothing");
}

TEST(ParseBackend, knows_its_names_and_lists_them_otherwise) {
  EXPECT_EQ(parse_backend("auto"), Backend::automatic);
  EXPECT_EQ(parse_backend("mpi"), Backend::mpi);
  EXPECT_EQ(parse_backend("threads"), Backend::threads);
  EXPECT_EQ(parse_backend("nccl"), Backend::nccl);
  EXPECT_EQ(parse_backend("single"), Backend::single);
  try {
    parse_backend("gloo");
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::input);
    EXPECT_STREQ(error.what(),
                 "unknown parallel backend \"gloo\" - choose one of auto, mpi, threads, nccl, single");
  }
}

TEST(Launch, a_program_started_alone_is_a_single_rank) {
  Launch launch(nullptr, nullptr);
  for (const Backend backend : {Backend::automatic, Backend::single}) {
    const auto world = launch.world(backend, {});
    EXPECT_EQ(world->backend(), "single");
    EXPECT_EQ(world->size(), 1);
  }
}

TEST(Launch, back_ends_that_need_more_are_refused_with_a_remedy) {
  for (const Backend backend : {Backend::mpi, Backend::threads}) {
    const Error error = refusal_of(backend);
    EXPECT_EQ(error.kind(), ErrorKind::input);
    EXPECT_FALSE(error.advice().empty());
  }
  EXPECT_NE(refusal_of(Backend::mpi).advice().find("mpirun"), std::string::npos);
}

TEST(Launch, slurm_tasks_that_do_not_see_each_other_are_an_error) {
  const Variable step("SLURM_STEP_NUM_TASKS", "4");
  const Error error = refusal_of(Backend::automatic);
  EXPECT_EQ(error.kind(), ErrorKind::communication);
  EXPECT_NE(error.advice().find("--mpi=pmix"), std::string::npos);
}

TEST(Launch, a_batch_script_with_many_tasks_may_run_a_single_rank) {
  const Variable tasks("SLURM_NTASKS", "4");
  Launch launch(nullptr, nullptr);
  EXPECT_EQ(launch.world(Backend::automatic, {})->size(), 1);
}

}  // namespace
}  // namespace shelfcast::parallel

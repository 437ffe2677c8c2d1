#include "trainer/run/stop_signal.h"

#include <csignal>
#include <initializer_list>

namespace shelfcast::trainer {
namespace {

// A signal handler can reach nothing but a global.
volatile std::sig_atomic_t stop_requested = 0;

extern "C" void request_stop(int signal) {
  if (signal == SIGINT && stop_requested != 0) std::signal(SIGINT, SIG_DFL);
  stop_requested = 1;
}

}  // namespace

StopSignal::StopSignal() {
  stop_requested = 0;
  for (const int signal : {SIGUSR1, SIGTERM, SIGINT}) std::signal(signal, request_stop);
}

StopSignal::~StopSignal() {
  for (const int signal : {SIGUSR1, SIGTERM, SIGINT}) std::signal(signal, SIG_DFL);
}

bool StopSignal::requested() const { return stop_requested != 0; }

}  // namespace shelfcast::trainer

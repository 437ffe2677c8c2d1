#include "trainer/sweep/ledger.h"

#include <nlohmann/json.hpp>

#include "trainer/sweep/event_log.h"

namespace shelfcast::trainer {

using nlohmann::json;

std::filesystem::path sweep_lock(const std::filesystem::path& dir) { return dir / "sweep.lock"; }

LedgerSession::LedgerSession(const SweepPlan& plan)
    : path_(plan.ledger()), lock_(sweep_lock(plan.dir)), state_(plan) {
  read_events(path_, [this](const json& event) { state_.apply(event); });
  mend_events(path_);
}

void LedgerSession::add(json event) {
  append_event(path_, event);
  state_.apply(event);
}

SweepState read_state(const SweepPlan& plan) {
  SweepState state(plan);
  read_events(plan.ledger(), [&state](const json& event) { state.apply(event); });
  return state;
}

}  // namespace shelfcast::trainer

#include "parallel/patience.h"

#include <fmt/ranges.h>

#include <algorithm>
#include <thread>

#include "base/activity.h"

namespace shelfcast::parallel {

using std::chrono::microseconds;

std::string name_rank(const RankPlace& place, int rank) {
  const auto index = static_cast<std::size_t>(rank);
  return index < place.hosts.size() ? fmt::format("rank {} on {}", rank, place.hosts[index])
                                    : fmt::format("rank {}", rank);
}

void throw_known_failure(const RankWitness* witness) {
  if (witness == nullptr) return;
  if (const std::optional<Error> failure = witness->failure()) throw *failure;
}

Patience::Patience(std::string_view label, std::chrono::milliseconds deadline, const RankPlace& place,
                   RankWitness* witness)
    : label_(label), deadline_(deadline), place_(place), witness_(witness) {}

void Patience::pause(const std::function<std::vector<int>()>& awaited) {
  throw_known_failure(witness_);
  if (Clock::now() >= until_) until_ = Clock::now() + extend_or_throw(awaited());
  back_off();
}

void Patience::back_off() {
  const auto waited = Clock::now() - began_;
  if (waited < microseconds(20)) return;
  if (waited < microseconds(500)) {
    std::this_thread::yield();
    return;
  }
  std::this_thread::sleep_for(nap_);
  nap_ = std::min(nap_ + nap_ / 4, microseconds(50));
}

std::chrono::milliseconds Patience::extend_or_throw(const std::vector<int>& awaited) {
  std::string why;
  if (!awaited.empty()) {
    std::vector<std::string> names;
    for (const int rank : awaited) names.push_back(name_rank(place_, rank));
    why = fmt::format("no message came from {}", fmt::join(names, ", "));
  }
  if (witness_ != nullptr) {
    const RankWitness::Verdict verdict = witness_->judge(awaited, deadline_);
    if (verdict.extension.count() > 0) return verdict.extension;
    throw_known_failure(witness_);
    if (!verdict.text.empty()) why = "it waits for " + verdict.text;
  }
  Error error(ErrorKind::timeout,
              fmt::format("\"{}\" did not end within {} s on {}", label_,
                          static_cast<double>(deadline_.count()) / 1000.0, name_rank(place_, place_.rank)),
              why, "look at the logs of those ranks");
  error.rank = place_.rank;
  if (static_cast<std::size_t>(place_.rank) < place_.hosts.size())
    error.host = place_.hosts[static_cast<std::size_t>(place_.rank)];
  const std::int64_t step = activity::snapshot(place_.rank).step;
  if (step >= 0) error.step = step;
  throw error;
}

}  // namespace shelfcast::parallel

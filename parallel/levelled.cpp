#include "parallel/levelled.h"

#include <algorithm>
#include <deque>
#include <limits>
#include <utility>

namespace shelfcast::parallel {

// One sum on its way.
struct Levelled::Sum {
  std::vector<Level> levels;
  std::size_t started = 0;
  std::unique_ptr<Pending> under_way;

  void start_next() { under_way = started < levels.size() ? levels[started++]() : nullptr; }
  bool done() const { return !under_way; }
};

// The sums of one rank that are not done, oldest first. A younger one is never on a higher level than an
// older: so all ranks of a group start its operations in the same order.
class Levelled::Queue {
 public:
  std::shared_ptr<Sum> start(std::vector<Level> levels) {
    auto sum = std::make_shared<Sum>();
    sum->levels = std::move(levels);
    sum->start_next();
    queue_.push_back(sum);
    return sum;
  }
  // As far as it goes without waiting.
  void advance() {
    std::size_t limit = std::numeric_limits<std::size_t>::max();
    for (const auto& sum : queue_) {
      while (!sum->done() && (sum->started < limit || sum->started == sum->levels.size()) &&
             sum->under_way->done())
        sum->start_next();
      if (!sum->done()) limit = std::min(limit, sum->started);
    }
    while (!queue_.empty() && queue_.front()->done()) queue_.pop_front();
  }
  // Waits for `last` and all older ones; null: for all.
  void finish(const Sum* last) {
    while (!queue_.empty() && (last == nullptr || !last->done())) {
      const std::shared_ptr<Sum> oldest = queue_.front();
      oldest->under_way->wait();
      advance();
    }
  }
  // Nobody will wait for it.
  void forget(const std::shared_ptr<Sum>& sum) { std::erase(queue_, sum); }

 private:
  std::deque<std::shared_ptr<Sum>> queue_;
};

class Levelled::PendingSum : public Pending {
 public:
  PendingSum(std::shared_ptr<Queue> queue, std::shared_ptr<Sum> sum)
      : queue_(std::move(queue)), sum_(std::move(sum)) {}
  // What is under way says so itself when it is dropped.
  ~PendingSum() override {
    if (!sum_->done()) queue_->forget(sum_);
  }
  void wait() override { queue_->finish(sum_.get()); }
  bool done() override {
    queue_->advance();
    return sum_->done();
  }

 private:
  std::shared_ptr<Queue> queue_;
  std::shared_ptr<Sum> sum_;
};

Levelled::Levelled(std::unique_ptr<Communicator> rest)
    : rest_(std::move(rest)), queue_(std::make_shared<Queue>()) {}

void Levelled::progress() {
  rest_->progress();
  queue_->advance();
}

Communicator& Levelled::settled() {
  queue_->finish(nullptr);
  return *rest_;
}

std::unique_ptr<Pending> Levelled::start(std::vector<Level> levels) {
  return std::make_unique<PendingSum>(queue_, queue_->start(std::move(levels)));
}

}  // namespace shelfcast::parallel

#include "trainer/run/rank_times.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <nlohmann/json.hpp>
#include <utility>

#include "base/log.h"
#include "base/median.h"
#include "parallel/gather_texts.h"

namespace shelfcast::trainer {
namespace {

constexpr double kNoticeable = 1.3;  // times the median before a rank is called slow
constexpr double kShortest = 1.0;    // busy seconds between reports below which ratios mean little

using Field = double RankTimes::*;
constexpr std::array<std::pair<const char*, Field>, 4> kFields = {{{"load", &RankTimes::load},
                                                                   {"compute", &RankTimes::compute},
                                                                   {"wait", &RankTimes::wait},
                                                                   {"save", &RankTimes::save}}};

std::size_t largest(const std::vector<double>& values) {
  return static_cast<std::size_t>(std::max_element(values.begin(), values.end()) - values.begin());
}

std::vector<double> column(const std::vector<RankTimes>& ranks, Field field) {
  std::vector<double> values;
  for (const RankTimes& times : ranks) values.push_back(times.*field);
  return values;
}

}  // namespace

nlohmann::json StragglerReport::summary() const {
  nlohmann::json all;
  for (const auto& [name, field] : kFields) {
    const std::vector<double> values = column(ranks, field);
    const std::size_t worst = largest(values);
    all[name] = {{"min", *std::min_element(values.begin(), values.end())},
                 {"median", median(values)},
                 {"max", values[worst]},
                 {"worst_rank", worst}};
  }
  return all;
}

std::string StragglerReport::complaint() const {
  if (ranks.size() < 2) return "";
  // What a rank does on its own; its waiting is the others' doing.
  std::vector<double> busy;
  for (const RankTimes& times : ranks) busy.push_back(times.load + times.compute);
  const std::size_t slow = largest(busy);
  std::vector<double> others = busy;
  others.erase(others.begin() + static_cast<std::ptrdiff_t>(slow));
  const double usual = median(others);
  if (busy[slow] < kShortest || busy[slow] < kNoticeable * usual) return "";
  return fmt::format(
      "rank {} on {} holds the others up: {:.2f} s loading and {:.2f} s computing where {:.2f} s are usual",
      slow, hosts[slow], ranks[slow].load, ranks[slow].compute, usual);
}

StragglerWatch::StragglerWatch(parallel::Communicator& communicator)
    : communicator_(communicator),
      hosts_(parallel::gather_texts(communicator, log::identity().host, "hosts of the ranks")) {}

StragglerReport StragglerWatch::report(const RankTimes& own) {
  const std::array<float, 4> mine = {static_cast<float>(own.load), static_cast<float>(own.compute),
                                     static_cast<float>(own.wait), static_cast<float>(own.save)};
  std::vector<float> all(mine.size() * static_cast<std::size_t>(communicator_.size()));
  communicator_.all_gather(mine, all, "times of the ranks");
  StragglerReport report{{}, hosts_};
  for (std::size_t at = 0; at < all.size(); at += mine.size())
    report.ranks.push_back({all[at], all[at + 1], all[at + 2], all[at + 3]});
  return report;
}

}  // namespace shelfcast::trainer

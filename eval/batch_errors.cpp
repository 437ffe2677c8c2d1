// How what a batch says is added up and sent to other ranks.
#include <algorithm>

#include "base/error.h"
#include "eval/judge.h"

namespace shelfcast::eval {
namespace {

void add(TargetCounts& counts, const TargetCounts& part) {
  counts.judged += part.judged;
  counts.missing += part.missing;
  counts.zeros += part.zeros;
  counts.history.cells += part.history.cells;
  counts.history.missing += part.history.missing;
  counts.history.zeros += part.history.zeros;
}

}  // namespace

void BatchErrors::merge(const BatchErrors& part) {
  SHELFCAST_ASSERT(part.tables.size() == tables.size());
  add(counts, part.counts);
  for (std::size_t i = 0; i < tables.size(); ++i) {
    tables[i].merge(part.tables[i]);
    dates[i].merge(part.dates[i]);
    regimes[i].merge(part.regimes[i]);
    classes[i].merge(part.classes[i]);
    sums[i].merge(part.sums[i]);
    inventory[i].merge(part.inventory[i]);
    orders[i].merge(part.orders[i]);
    simpler[i] += part.simpler[i];
  }
  for (std::size_t i = 0; i < views.size(); ++i) views[i].merge(part.views[i]);
  members.merge(part.members);
  SHELFCAST_ASSERT(part.first_series - first_series + std::ssize(part.profiles) <= std::ssize(profiles));
  std::ranges::copy(part.profiles, profiles.begin() + (part.first_series - first_series));
}

void BatchErrors::pack(std::vector<double>& out) const {
  const Coverage& history = counts.history;
  out.insert(out.end(),
             {counts.judged, counts.missing, counts.zeros, history.cells, history.missing, history.zeros,
              static_cast<double>(tables.size()), static_cast<double>(views.size())});
  for (const ErrorTable& view : views) view.pack(out);
  for (std::size_t i = 0; i < tables.size(); ++i) {
    tables[i].pack(out);
    dates[i].pack(out);
    regimes[i].pack(out);
    classes[i].pack(out);
    sums[i].pack(out);
    inventory[i].pack(out);
    orders[i].pack(out);
    out.push_back(simpler[i]);
    out.push_back(static_cast<double>(window_errors[i].size()));
    out.insert(out.end(), window_errors[i].begin(), window_errors[i].end());
  }
  members.pack(out);
  out.insert(out.end(), {static_cast<double>(first_series), static_cast<double>(profiles.size())});
  for (const SeriesProfile& p : profiles)
    out.insert(out.end(), {p.steps, p.demands, p.size, p.squares, p.age});
}

BatchErrors BatchErrors::unpack(std::span<const double>& in) {
  constexpr std::size_t kHead = 8;
  SHELFCAST_ASSERT(in.size() >= kHead);
  BatchErrors errors;
  errors.counts = {in[0], in[1], in[2], {in[3], in[4], in[5]}};
  const auto tables = static_cast<std::size_t>(in[6]), views = static_cast<std::size_t>(in[7]);
  in = in.subspan(kHead);
  for (std::size_t i = 0; i < views; ++i) errors.views.push_back(ErrorTable::unpack(in));
  for (std::size_t i = 0; i < tables; ++i) {
    errors.tables.push_back(ErrorTable::unpack(in));
    errors.dates.push_back(KeyedSums::unpack(in));
    errors.regimes.push_back(KeyedSums::unpack(in));
    errors.classes.push_back(KeyedSums::unpack(in));
    errors.sums.push_back(KeyedSums::unpack(in));
    errors.inventory.push_back(KeyedSums::unpack(in));
    errors.orders.push_back(KeyedSums::unpack(in));
    SHELFCAST_ASSERT(in.size() >= 2);
    errors.simpler.push_back(in[0]);
    const auto count = static_cast<std::size_t>(in[1]);
    in = in.subspan(2);
    SHELFCAST_ASSERT(in.size() >= count);
    errors.window_errors.emplace_back(in.begin(), in.begin() + static_cast<std::ptrdiff_t>(count));
    in = in.subspan(count);
  }
  errors.members = KeyedSums::unpack(in);
  constexpr std::size_t kProfile = 5;
  SHELFCAST_ASSERT(in.size() >= 2);
  errors.first_series = static_cast<std::int64_t>(in[0]);
  errors.profiles.resize(static_cast<std::size_t>(in[1]));
  in = in.subspan(2);
  SHELFCAST_ASSERT(in.size() >= kProfile * errors.profiles.size());
  for (SeriesProfile& profile : errors.profiles) {
    profile = {in[0], in[1], in[2], in[3], in[4]};
    in = in.subspan(kProfile);
  }
  return errors;
}

}  // namespace shelfcast::eval

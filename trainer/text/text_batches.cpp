#include "trainer/text/text_batches.h"

#include <algorithm>
#include <unordered_set>

#include "base/activity.h"
#include "base/error.h"
#include "base/random.h"
#include "parallel/sharding.h"

namespace shelfcast::trainer {
namespace {

constexpr double kHeldOut = 0.1;  // of the distinct texts

}  // namespace

std::vector<TextPart> draw_parts(std::span<const std::string> texts, std::uint64_t seed,
                                 std::int64_t most_held_out) {
  const auto below = static_cast<std::uint64_t>(kHeldOut * 0x1p64);
  std::vector<std::uint64_t> draws;
  std::unordered_set<std::uint64_t> held;  // equal texts are one
  for (const std::string& text : texts) {
    draws.push_back(mix(mix(seed, key_of("held out")), key_of(text)));
    if (draws.back() < below) held.insert(draws.back());
  }
  std::vector<std::uint64_t> kept(held.begin(), held.end());
  std::sort(kept.begin(), kept.end());
  if (static_cast<std::int64_t>(kept.size()) > most_held_out)
    kept.resize(static_cast<std::size_t>(most_held_out));
  std::vector<TextPart> parts;
  for (const std::uint64_t draw : draws)
    parts.push_back(draw >= below                          ? TextPart::trained
                    : !kept.empty() && draw <= kept.back() ? TextPart::held_out
                                                           : TextPart::left_out);
  return parts;
}

std::int64_t text_steps_per_epoch(std::int64_t texts, const TrainConfig& train) {
  return (texts + train.batch - 1) / train.batch;
}

std::vector<std::int64_t> text_batch(std::int64_t texts, const TrainConfig& train, std::uint64_t seed,
                                     std::int64_t step, std::int64_t micro_batch, int rank, int ranks) {
  const std::int64_t an_epoch = text_steps_per_epoch(texts, train);
  const std::int64_t epoch = step / an_epoch, first = step % an_epoch * train.batch;
  const std::int64_t count = std::min(train.batch, texts - first);
  const std::vector<parallel::Slice> cuts =
      parallel::micro_batches(parallel::slice_of(count, ranks, rank), train.micro_batch);
  std::vector<std::int64_t> batch;
  if (micro_batch >= static_cast<std::int64_t>(cuts.size())) return batch;
  const KeyedPermutation order(mix(mix(seed, key_of("texts")), static_cast<std::uint64_t>(epoch)),
                               static_cast<std::uint64_t>(texts));
  const parallel::Slice cut = cuts[static_cast<std::size_t>(micro_batch)];
  for (std::int64_t i = cut.begin; i < cut.end; ++i)
    batch.push_back(static_cast<std::int64_t>(order(static_cast<std::uint64_t>(first + i))));
  return batch;
}

void require_text_a_rank(const TrainConfig& train, int ranks) {
  if (train.batch >= ranks) return;
  throw input_error(fmt::format("train.batch {} is smaller than the {} ranks", train.batch, ranks),
                    "every rank needs at least one text of each batch",
                    "raise train.batch or use fewer ranks");
}

std::optional<std::vector<double>> sums_of_batches(
    std::int64_t batches, std::size_t width,
    const std::function<void(std::int64_t batch, std::span<double> sums)>& fill,
    const std::function<bool()>& stop_requested, parallel::Communicator& communicator) {
  std::vector<double> all(static_cast<std::size_t>(batches) * width, 0.0);
  // In rounds of one batch a rank, so that all can leave after the same one.
  for (std::int64_t first = 0; first < batches; first += communicator.size()) {
    const std::int64_t k = first + communicator.rank();
    if (k < batches) fill(k, std::span(all).subspan(static_cast<std::size_t>(k) * width, width));
    activity::note_progress();
    double stop = stop_requested() ? 1.0 : 0.0;
    communicator.all_reduce(std::span(&stop, 1), parallel::ReduceOp::max, "stop during validation");
    if (stop > 0) return std::nullopt;
  }
  // Every slot is non-zero on one rank only, so this sum is exact.
  communicator.all_reduce(std::span<double>(all), parallel::ReduceOp::sum, "validation loss");
  std::vector<double> sums(width, 0.0);
  for (std::size_t i = 0; i < all.size(); ++i) sums[i % width] += all[i];
  return sums;
}

}  // namespace shelfcast::trainer

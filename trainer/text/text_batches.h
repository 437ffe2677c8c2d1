// The order in which tasks on texts train on them, which ones they hold out, and sums over those.
#pragma once

#include <algorithm>
#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "parallel/communicator.h"
#include "trainer/recipe/config.h"

namespace shelfcast::trainer {

enum class TextPart { trained, held_out, left_out };
// About a tenth of the distinct texts, drawn by (seed, text), is held out. At most `most_held_out` of them
// are kept; the others are left out altogether.
std::vector<TextPart> draw_parts(std::span<const std::string> texts, std::uint64_t seed,
                                 std::int64_t most_held_out);

std::int64_t text_steps_per_epoch(std::int64_t texts, const TrainConfig& train);
// Numbers of the texts of a rank's micro-batch in step s: the next `train.batch` of a permutation of all
// `texts`, drawn for each epoch by (seed, epoch). Ranks take slices, micro-batches cut them; empty where a
// rank has fewer.
std::vector<std::int64_t> text_batch(std::int64_t texts, const TrainConfig& train, std::uint64_t seed,
                                     std::int64_t step, std::int64_t micro_batch, int rank, int ranks);

template <typename Text>
std::vector<const Text*> text_batch(const std::vector<Text>& texts, const TrainConfig& train,
                                    std::uint64_t seed, std::int64_t step, std::int64_t micro_batch, int rank,
                                    int ranks) {
  std::vector<const Text*> batch;
  for (const std::int64_t i : text_batch(std::ssize(texts), train, seed, step, micro_batch, rank, ranks))
    batch.push_back(&texts[static_cast<std::size_t>(i)]);
  return batch;
}
// Texts [k * size, (k + 1) * size) of those there are.
template <typename Text>
std::vector<const Text*> held_out_batch(const std::vector<Text>& texts, std::int64_t k, std::int64_t size) {
  std::vector<const Text*> batch;
  for (std::int64_t i = k * size; i < std::min(std::ssize(texts), (k + 1) * size); ++i)
    batch.push_back(&texts[static_cast<std::size_t>(i)]);
  return batch;
}

// Throws Error(input) when a batch has not a text for every rank.
void require_text_a_rank(const TrainConfig& train, int ranks);

// Sums [width] over `batches`. Whole batches go to ranks and their sums are added in order, so the number of
// ranks changes nothing. `fill` writes those of one batch. nullopt when some rank was asked to stop
// meanwhile. Collective.
std::optional<std::vector<double>> sums_of_batches(
    std::int64_t batches, std::size_t width,
    const std::function<void(std::int64_t batch, std::span<double> sums)>& fill,
    const std::function<bool()>& stop_requested, parallel::Communicator& communicator);

}  // namespace shelfcast::trainer

// Batches for training: one reader thread owns the corpus and fills batches ahead of the trainer.
#pragma once

#include <filesystem>
#include <memory>
#include <optional>

#include "data/batch.h"
#include "data/sampler.h"

namespace shelfcast::data {

struct LoaderConfig {
  std::int64_t global_batch = 0;  // B: windows per optimizer step over all ranks
  std::int64_t micro_batch = 0;   // windows per forward on one rank
  int rank = 0, ranks = 1;        // numbers only: data/ does not know communicators
  std::int64_t first_step = 0;    // the optimizer step to start at (resume)
  std::int64_t last_step = 0;     // one after the last
  int ahead = 4;                  // micro-batches filled ahead
  // Draws a partner for each window, by (key, step, sample): another series of its super-block at the same
  // origin. None = no partners.
  std::optional<std::uint64_t> partner_key = {};
};

// The micro-batches of this rank's slice of each global batch, in order. Global batch of step s is positions
// [b*B, (b+1)*B) of epoch s / steps_per_epoch with b = s % steps_per_epoch; the tail of an epoch is padded
// with rows of weight 0, so every rank has the same number of steps. Sample numbers are s * B + offset in the
// batch. Memory: two super-blocks and `ahead` batches, whatever the corpus' size.
class Loader {
 public:
  Loader(const CorpusSource& corpus, const FeatureSpec& spec, const Sampler& sampler, LoaderConfig config);
  ~Loader();
  Loader(const Loader&) = delete;
  Loader& operator=(const Loader&) = delete;

  static std::int64_t steps_per_epoch(const Sampler& sampler, std::int64_t global_batch);
  // Micro-batches per step on this rank; the same on every rank (ranks with fewer windows get padding).
  std::int64_t micro_batches() const;
  // The next micro-batch; valid until the next call. Rethrows what the reader thread met. Blocks; the time
  // blocked is added to waited_seconds().
  const Batch& next();
  // Row by row the partners of what next() returned, as long as that is valid; without a partner_key no rows.
  const Batch& partners() const;
  double waited_seconds() const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

// Batches for evaluation: batch k is positions [k*E, (k+1)*E) of `windows`, padded to E with rows of weight
// 0. Whole batches, read in place (no thread).
class EvaluationReader {
 public:
  EvaluationReader(const CorpusSource& corpus, const FeatureSpec& spec, std::vector<Window> windows,
                   std::int64_t batch);
  ~EvaluationReader();
  std::int64_t batches() const;
  const std::vector<Window>& windows() const;
  // Fills `batch` with batch `index`. Windows should be sorted by series so that reads are few.
  void read(std::int64_t index, Batch& batch);

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace shelfcast::data

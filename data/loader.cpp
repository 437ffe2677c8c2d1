#include "data/loader.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <exception>
#include <mutex>
#include <optional>
#include <thread>
#include <vector>

#include "base/activity.h"
#include "base/error.h"
#include "base/log.h"
#include "data/chunk_buffer.h"

namespace shelfcast::data {
namespace {

using Clock = std::chrono::steady_clock;

std::int64_t ceil_div(std::int64_t a, std::int64_t b) { return (a + b - 1) / b; }

std::vector<std::size_t> covariate_indices(const Corpus& corpus, const WindowAssembler& assembler) {
  std::vector<std::size_t> indices;
  for (const std::string& name : assembler.columns()) indices.push_back(corpus.info().covariate_index(name));
  return indices;
}

// The steps that windows with origins in [first, last] touch, cut to the corpus.
struct StepRange {
  std::int64_t first = 0, count = 0;
};

StepRange steps_touched(const FeatureSpec& spec, const CorpusInfo& info, std::int64_t first,
                        std::int64_t last) {
  const std::int64_t begin = std::clamp<std::int64_t>(first - spec.context, 0, info.steps);
  const std::int64_t end = std::clamp<std::int64_t>(last + spec.horizon, begin, info.steps);
  return {begin, end - begin};
}

// Positions of one rank's slice of a batch of `total`: contiguous, sizes differing by at most one, larger
// ones first. The same cut as parallel/sharding.h, which this folder may not include; a test holds them
// together.
struct RankSlice {
  std::int64_t begin = 0, end = 0;
};

RankSlice slice_of_rank(std::int64_t total, int ranks, int rank) {
  const std::int64_t size = total / ranks, larger = total % ranks;
  const std::int64_t begin = size * rank + std::min<std::int64_t>(rank, larger);
  return {begin, begin + size + (rank < larger ? 1 : 0)};
}

}  // namespace

struct Loader::Impl {
  Corpus corpus;
  Sampler sampler;
  LoaderConfig config;
  WindowAssembler assembler;
  ChunkBuffer chunks;
  RankSlice slice;
  std::int64_t steps_per_epoch = 0, micro_batches = 0;

  // Ring of batches. Those with numbers in [taken, filled) are ready; the one before `taken` is with the
  // caller.
  struct Filled {
    Batch windows, partners;
  };
  std::vector<Filled> ring;
  std::mutex mutex;
  std::condition_variable changed;
  std::int64_t filled = 0, taken = 0;  // guarded by mutex
  bool stopping = false;               // guarded by mutex
  std::exception_ptr failure;          // guarded by mutex
  double waited = 0.0;
  std::thread reader;

  Impl(const CorpusSource& source, const FeatureSpec& spec, const Sampler& order, LoaderConfig options);
  ~Impl();
  std::int64_t total() const { return (config.last_step - config.first_step) * micro_batches; }
  void read_all();
  bool wait_for_room(std::int64_t number);
  void fill(std::int64_t number);
  void fill_row(std::int64_t step, std::int64_t offset, std::int64_t row, Filled& filled);
  void fill_partner(const PlacedWindow& placed, std::int64_t step, std::int64_t sample, std::int64_t row,
                    Batch& partners);
  void enter(std::int64_t epoch, std::int64_t position);
};

Loader::Impl::Impl(const CorpusSource& source, const FeatureSpec& spec, const Sampler& order,
                   LoaderConfig options)
    : corpus(source), sampler(order), config(options), assembler(make_assembler(spec, corpus)), chunks([&] {
        const WindowSpace& space = order.space();
        SHELFCAST_ASSERT(space.series <= corpus.info().series && space.earliest_origin() >= 0 &&
                         space.last_origin <= corpus.info().steps);
        const StepRange range =
            steps_touched(spec, corpus.info(), space.earliest_origin(), space.last_origin);
        return ChunkBuffer(corpus, space, covariate_indices(corpus, assembler), range.first, range.count);
      }()) {
  SHELFCAST_ASSERT(config.global_batch >= 1 && config.micro_batch >= 1 && config.ahead >= 1 &&
                   config.ranks >= 1 && config.rank >= 0 && config.rank < config.ranks &&
                   config.first_step >= 0);
  slice = slice_of_rank(config.global_batch, config.ranks, config.rank);
  micro_batches = ceil_div(slice_of_rank(config.global_batch, config.ranks, 0).end, config.micro_batch);
  steps_per_epoch = Loader::steps_per_epoch(sampler, config.global_batch);
  ring.resize(static_cast<std::size_t>(config.ahead) + 1);
  for (Filled& one : ring) {
    one.windows.resize(spec, config.micro_batch);
    if (config.partner_key) one.partners.resize(spec, config.micro_batch);
  }
  reader = std::thread([this, identity = log::identity()] {
    const log::ThreadIdentity same(identity);
    read_all();
  });
}

Loader::Impl::~Impl() {
  {
    const std::lock_guard lock(mutex);
    stopping = true;
  }
  changed.notify_all();
  reader.join();
}

void Loader::Impl::read_all() {
  try {
    for (std::int64_t number = 0; number < total(); ++number) {
      if (!wait_for_room(number)) return;
      fill(number);
      const std::lock_guard lock(mutex);
      filled = number + 1;
      changed.notify_all();
    }
  } catch (...) {
    const std::lock_guard lock(mutex);
    failure = std::current_exception();
    changed.notify_all();
  }
}

// Batch `number` overwrites the one a ring before it: the caller must have come back for the one after that.
bool Loader::Impl::wait_for_room(std::int64_t number) {
  const std::int64_t size = static_cast<std::int64_t>(ring.size());
  std::unique_lock lock(mutex);
  changed.wait(lock, [&] { return stopping || number - size < taken - 1 || number < size; });
  return !stopping;
}

void Loader::Impl::fill(std::int64_t number) {
  const std::int64_t step = config.first_step + number / micro_batches;
  const std::int64_t first = slice.begin + number % micro_batches * config.micro_batch;
  Filled& one = ring[static_cast<std::size_t>(number) % ring.size()];
  for (std::int64_t row = 0; row < config.micro_batch; ++row) fill_row(step, first + row, row, one);
}

void Loader::Impl::fill_row(std::int64_t step, std::int64_t offset, std::int64_t row, Filled& one) {
  const std::int64_t epoch = step / steps_per_epoch;
  const std::int64_t position = step % steps_per_epoch * config.global_batch + offset;
  if (offset >= slice.end || position >= sampler.windows_per_epoch()) {
    one.windows.pad(assembler.spec(), row);
    if (config.partner_key) one.partners.pad(assembler.spec(), row);
    return;
  }
  if (!chunks.holds(epoch, position)) enter(epoch, position);
  const PlacedWindow placed = chunks.order().at(position);
  const std::int64_t sample = step * config.global_batch + offset;
  assembler.assemble(chunks.chunk(placed.slot), placed.window, sample, row, one.windows);
  if (config.partner_key) fill_partner(placed, step, sample, row, one.partners);
  // The next super-block comes in evenly while this one is used, a little early so that its last chunk is
  // never late.
  const SuperBlock& block = chunks.order().block();
  chunks.prefetch(1.25 * static_cast<double>(position - block.first_position + 1) /
                  static_cast<double>(block.windows));
}

void Loader::Impl::fill_partner(const PlacedWindow& placed, std::int64_t step, std::int64_t sample,
                                std::int64_t row, Batch& partners) {
  const std::uint64_t key =
      mix(mix(*config.partner_key, static_cast<std::uint64_t>(step)), static_cast<std::uint64_t>(sample));
  const PlacedWindow partner = chunks.order().partner(placed, key);
  assembler.assemble(chunks.chunk(partner.slot), partner.window, sample, row, partners);
}

void Loader::Impl::enter(std::int64_t epoch, std::int64_t position) {
  const std::int64_t index = sampler.superblock_of(epoch, position);
  chunks.enter(sampler, epoch, index);
  const bool last = index + 1 == sampler.superblocks();
  const std::int64_t next_epoch = last ? epoch + 1 : epoch, next_index = last ? 0 : index + 1;
  // Where the run ends before the next super-block begins, there is nothing to prefetch.
  const std::int64_t next_step =
      next_epoch * steps_per_epoch +
      (last ? 0 : chunks.order().block().first_position + chunks.order().block().windows) /
          config.global_batch;
  if (next_step < config.last_step) chunks.expect(sampler, next_epoch, next_index);
}

Loader::Loader(const CorpusSource& corpus, const FeatureSpec& spec, const Sampler& sampler,
               LoaderConfig config)
    : impl_(std::make_unique<Impl>(corpus, spec, sampler, config)) {}

Loader::~Loader() = default;

std::int64_t Loader::steps_per_epoch(const Sampler& sampler, std::int64_t global_batch) {
  return ceil_div(sampler.windows_per_epoch(), global_batch);
}

std::int64_t Loader::micro_batches() const { return impl_->micro_batches; }

const Batch& Loader::next() {
  Impl& impl = *impl_;
  std::unique_lock lock(impl.mutex);
  SHELFCAST_ASSERT(impl.taken < impl.total());
  const std::int64_t number = impl.taken++;  // gives back the batch before
  impl.changed.notify_all();
  if (impl.filled <= number && !impl.failure) {
    const auto began = Clock::now();
    const activity::Operation watched(activity::Kind::other, "the loader");
    impl.changed.wait(lock, [&] { return impl.filled > number || impl.failure; });
    impl.waited += std::chrono::duration<double>(Clock::now() - began).count();
  }
  if (impl.filled <= number) std::rethrow_exception(impl.failure);
  return impl.ring[static_cast<std::size_t>(number) % impl.ring.size()].windows;
}

const Batch& Loader::partners() const {
  SHELFCAST_ASSERT(impl_->taken > 0);
  return impl_->ring[static_cast<std::size_t>(impl_->taken - 1) % impl_->ring.size()].partners;
}

double Loader::waited_seconds() const { return impl_->waited; }

// Series read together; a batch of windows sorted by series then reads each once.
struct EvaluationReader::Impl {
  static constexpr std::int64_t kBlockSeries = 64;

  Corpus corpus;
  WindowAssembler assembler;
  std::vector<std::size_t> columns;
  std::vector<Window> windows;
  std::int64_t batch;
  StepRange range;
  PanelBlock block;

  Impl(const CorpusSource& source, const FeatureSpec& spec, std::vector<Window> given, std::int64_t size)
      : corpus(source),
        assembler(make_assembler(spec, corpus)),
        columns(covariate_indices(corpus, assembler)),
        windows(std::move(given)),
        batch(size) {
    SHELFCAST_ASSERT(batch >= 1);
    const auto earlier = [](const Window& a, const Window& b) { return a.origin < b.origin; };
    const auto [first, last] = std::minmax_element(windows.begin(), windows.end(), earlier);
    if (!windows.empty()) range = steps_touched(spec, corpus.info(), first->origin, last->origin);
  }

  void hold(std::int64_t series) {
    if (series >= block.first_series && series < block.first_series + block.series) return;
    const std::int64_t first = series / kBlockSeries * kBlockSeries;
    corpus.read(first, std::min(kBlockSeries, corpus.info().series - first), range.first, range.count,
                columns, block);
  }
};

EvaluationReader::EvaluationReader(const CorpusSource& corpus, const FeatureSpec& spec,
                                   std::vector<Window> windows, std::int64_t batch)
    : impl_(std::make_unique<Impl>(corpus, spec, std::move(windows), batch)) {}

EvaluationReader::~EvaluationReader() = default;

std::int64_t EvaluationReader::batches() const {
  return ceil_div(static_cast<std::int64_t>(impl_->windows.size()), impl_->batch);
}

const std::vector<Window>& EvaluationReader::windows() const { return impl_->windows; }

void EvaluationReader::read(std::int64_t index, Batch& batch) {
  SHELFCAST_ASSERT(index >= 0 && index < batches());
  const FeatureSpec& spec = impl_->assembler.spec();
  // Sized once; a batch that was used for another spec is sized again.
  if (batch.windows != impl_->batch ||
      static_cast<std::int64_t>(batch.context_bt.size()) != impl_->batch * spec.context ||
      static_cast<std::int64_t>(batch.target_bh.size()) != impl_->batch * spec.horizon)
    batch.resize(spec, impl_->batch);
  for (std::int64_t row = 0; row < impl_->batch; ++row) {
    const std::int64_t position = index * impl_->batch + row;
    if (position >= static_cast<std::int64_t>(impl_->windows.size())) {
      batch.pad(spec, row);
      continue;
    }
    const Window window = impl_->windows[static_cast<std::size_t>(position)];
    impl_->hold(window.series);
    impl_->assembler.assemble(impl_->block, window, position, row, batch);
  }
}

}  // namespace shelfcast::data

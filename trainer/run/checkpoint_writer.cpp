#include "trainer/run/checkpoint_writer.h"

#include <sys/mman.h>

#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <cstdlib>
#include <cstring>
#include <deque>
#include <exception>
#include <mutex>
#include <new>
#include <optional>
#include <set>
#include <thread>
#include <utility>

#include "base/activity.h"
#include "base/clock.h"
#include "base/error.h"
#include "base/files.h"
#include "base/log.h"
#include "base/safetensors.h"
#include "parallel/sharding.h"

namespace shelfcast::trainer {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

std::string part_file(int rank, int ranks) {
  return fmt::format("part-{:05}-of-{:05}.json", rank + 1, ranks);
}

// A copy of floats in memory that is made once, in large pages where the system has them: fresh small ones
// cost ten times as much as the copy.
class FloatCopy {
 public:
  explicit FloatCopy(std::size_t size)
      : size_(size), bytes_((size * sizeof(float) + kPage - 1) / kPage * kPage) {
    if (bytes_ == 0) return;
    memory_.reset(static_cast<float*>(std::aligned_alloc(kPage, bytes_)));
    if (!memory_) throw std::bad_alloc();
    ::madvise(memory_.get(), bytes_, MADV_HUGEPAGE);
    std::memset(memory_.get(), 0, bytes_);  // so that the first checkpoint is no slower than the others
  }
  void take(std::span<const float> from) {
    SHELFCAST_ASSERT(from.size() == size_);
    if (!from.empty()) std::memcpy(memory_.get(), from.data(), from.size_bytes());
  }
  std::span<const float> values() const { return {memory_.get(), size_}; }

 private:
  static constexpr std::size_t kPage = std::size_t{2} << 20;
  struct Free {
    void operator()(float* memory) const { std::free(memory); }
  };
  std::size_t size_, bytes_;
  std::unique_ptr<float, Free> memory_;
};

// The tensors of `slice` (elements of the flat buffers) of one state, read from `values`, which begins with
// the slice. Parameters that the slice cuts are named with the elements kept.
void add_pieces(const std::vector<parallel::FlatRange>& ranges, parallel::Slice slice,
                const std::string& state, std::span<const float> values,
                std::vector<TensorToStore>& tensors) {
  for (const parallel::FlatRange& range : ranges) {
    const std::int64_t begin = std::max(range.offset, slice.begin) - range.offset;
    const std::int64_t end = std::min(range.offset + range.elements, slice.end) - range.offset;
    if (begin >= end) continue;
    const bool whole = begin == 0 && end == range.elements;
    const auto bytes = std::as_bytes(values.subspan(
        static_cast<std::size_t>(range.offset + begin - slice.begin), static_cast<std::size_t>(end - begin)));
    tensors.push_back({whole ? fmt::format("{}.{}", range.name, state)
                             : fmt::format("{}.{}[{}:{}]", range.name, state, begin, end),
                       DType::f32, whole ? range.shape : std::vector<std::int64_t>{end - begin}, bytes});
  }
}

}  // namespace

struct CheckpointWriter::Thread {
  Thread(Checkpoints to, CheckpointSource from, int this_rank, int of_ranks, std::int64_t keep)
      : checkpoints(std::move(to)),
        source(std::move(from)),
        rank(this_rank),
        ranks(of_ranks),
        keep_last(keep),
        thread([this, identity = log::identity()] {
          const log::ThreadIdentity same(identity);
          run();
        }) {}

  ~Thread() {
    {
      const std::lock_guard lock(mutex);
      stopping = true;
    }
    changed.notify_all();
    thread.join();
  }

  void run();
  void make_room();
  void copy();
  void write_part(const CheckpointNotes& notes);
  void put_in_place(std::int64_t step, std::int64_t best_step);
  void add(std::function<void()> job) {
    {
      const std::lock_guard lock(mutex);
      jobs.push_back(std::move(job));
    }
    changed.notify_all();
  }

  const Checkpoints checkpoints;
  const CheckpointSource source;
  const int rank, ranks;
  const std::int64_t keep_last;

  // Of the thread alone.
  std::optional<FloatCopy> values_copy;  // rank 0
  std::vector<FloatCopy> state_copies;
  std::set<std::int64_t> whole;  // steps of checkpoints put in place by us

  std::mutex mutex;  // guards what follows
  std::condition_variable changed;
  std::deque<std::function<void()>> jobs = {[this] { make_room(); }};
  bool stopping = false, copied = true, written = true, committed = true;
  std::exception_ptr failure;
  Times times;

  std::thread thread;  // last: starts when all else is there
};

void CheckpointWriter::Thread::make_room() {
  if (rank == 0) values_copy.emplace(source.values.size());
  for (const FlatState& state : source.optimizer) state_copies.emplace_back(state.values.size());
}

void CheckpointWriter::Thread::run() {
  std::unique_lock lock(mutex);
  while (true) {
    changed.wait(lock, [this] { return stopping || !jobs.empty(); });
    if (stopping) return;  // a part that was begun is finished, what only waits is not worth it
    const std::function<void()> job = std::move(jobs.front());
    jobs.pop_front();
    lock.unlock();
    std::exception_ptr met;
    try {
      job();
    } catch (...) {
      met = std::current_exception();
    }
    lock.lock();
    if (met && !failure) failure = met;
    changed.notify_all();
  }
}

void CheckpointWriter::Thread::copy() {
  const auto started = Clock::now();
  if (values_copy) values_copy->take(source.values);
  for (std::size_t i = 0; i < state_copies.size(); ++i) state_copies[i].take(source.optimizer[i].values);
  const std::lock_guard lock(mutex);
  copied = true;
  times.copy += seconds_since(started);
  changed.notify_all();
}

void CheckpointWriter::Thread::write_part(const CheckpointNotes& notes) {
  const auto started = Clock::now();
  const fs::path folder = checkpoints.staging_of(notes.state.step);
  std::error_code failed;
  fs::create_directories(folder, failed);
  if (failed) throw io_error("cannot make the folder " + folder.string(), failed.value());

  std::vector<TensorToStore> tensors;
  for (std::size_t i = 0; i < state_copies.size(); ++i) {
    const FlatState& state = source.optimizer[i];
    add_pieces(state.layout(source.ranges), {state.held_begin(), state.held_end()}, state.name,
               state_copies[i].values(), tensors);
  }
  write_safetensors(folder / optimizer_file(rank, ranks), tensors,
                    {{"steps", std::to_string(notes.optimizer_steps)}});
  json files = {{optimizer_file(rank, ranks), describe_file(folder / optimizer_file(rank, ranks))}};
  if (rank == 0) {
    source.write_model(folder, values_copy->values());
    write_file_atomically(folder / kStateFile, state_to_json(notes.state, notes.conditions).dump(2) + "\n");
    write_file_atomically(folder / "recipe.yaml", notes.recipe_yaml);
    for (const auto& entry : fs::recursive_directory_iterator(folder)) {
      const std::string name = entry.path().lexically_relative(folder).generic_string();
      const bool of_other_ranks = name.starts_with("optimizer-") || name.starts_with("part-");
      if (entry.is_regular_file() && !of_other_ranks) files[name] = describe_file(entry.path());
    }
  }
  write_file_atomically(folder / part_file(rank, ranks), files.dump());
  const std::lock_guard lock(mutex);
  written = true;
  times.write += seconds_since(started);
  changed.notify_all();
}

void CheckpointWriter::Thread::put_in_place(std::int64_t step, std::int64_t best) {
  const auto started = Clock::now();
  const fs::path folder = checkpoints.staging_of(step), target = checkpoints.path_of(step);
  json files = json::object();
  for (int of = 0; of < ranks; ++of) {
    const fs::path part = folder / part_file(of, ranks);
    files.update(json::parse(read_file(part)));
    fs::remove(part);
  }
  const json manifest = {{"format", "shelfcast-checkpoint"}, {"format_version", 1}, {"files", files}};
  write_file_atomically(folder / kManifestFile, manifest.dump(2) + "\n");
  // After a resume a folder of this very step may be there: damaged, or left before its validation.
  put_folder_in_place(folder, target, Existing::replace);
  whole.insert(step);
  checkpoints.retain(best, keep_last, whole);
  const std::lock_guard lock(mutex);
  committed = true;
  times.write += seconds_since(started);
  changed.notify_all();
}

CheckpointWriter::CheckpointWriter(Checkpoints checkpoints, CheckpointSource source, int rank, int ranks,
                                   std::int64_t keep_last)
    : thread_(std::make_unique<Thread>(std::move(checkpoints), std::move(source), rank, ranks, keep_last)) {}

CheckpointWriter::~CheckpointWriter() {
  const bool leftover = under_way_ && thread_->rank == 0;
  const fs::path staging = thread_->checkpoints.staging_of(step_);
  thread_.reset();
  std::error_code failed;
  if (leftover) fs::remove_all(staging, failed);
}

void CheckpointWriter::wait_until(const std::function<bool()>& done) {
  const auto started = Clock::now();
  const activity::Operation watched(activity::Kind::other, "the checkpoint's writer");
  std::unique_lock lock(thread_->mutex);
  thread_->changed.wait(lock, [&] { return thread_->failure || done(); });
  blocked_ += seconds_since(started);
  if (thread_->failure) std::rethrow_exception(thread_->failure);
}

void CheckpointWriter::start(CheckpointNotes notes) {
  SHELFCAST_ASSERT(!under_way_);
  wait_until([this] { return thread_->committed; });
  under_way_ = true;
  step_ = notes.state.step;
  best_step_ = notes.state.best_step;
  {
    const std::lock_guard lock(thread_->mutex);
    thread_->copied = thread_->written = false;
  }
  thread_->add([thread = thread_.get(), notes = std::move(notes)] {
    thread->copy();
    thread->write_part(notes);
  });
}

void CheckpointWriter::finish_copy() {
  wait_until([this] { return thread_->copied; });
}

bool CheckpointWriter::part_written() {
  const std::lock_guard lock(thread_->mutex);
  if (thread_->failure) std::rethrow_exception(thread_->failure);
  return thread_->written;
}

void CheckpointWriter::wait_until_part_written() {
  wait_until([this] { return thread_->written; });
}

void CheckpointWriter::commit() {
  SHELFCAST_ASSERT(under_way_);
  under_way_ = false;
  if (thread_->rank != 0) return;
  {
    const std::lock_guard lock(thread_->mutex);
    thread_->committed = false;
  }
  thread_->add(
      [thread = thread_.get(), step = step_, best = best_step_] { thread->put_in_place(step, best); });
}

void CheckpointWriter::wait_until_committed() {
  wait_until([this] { return thread_->committed; });
}

CheckpointWriter::Times CheckpointWriter::times() const {
  const std::lock_guard lock(thread_->mutex);
  Times times = thread_->times;
  times.blocked = blocked_;
  return times;
}

}  // namespace shelfcast::trainer

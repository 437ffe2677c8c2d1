#include "base/activity.h"

#include <chrono>
#include <deque>
#include <map>
#include <mutex>
#include <thread>

#include "base/log.h"

namespace shelfcast::activity {
namespace {

using Clock = std::chrono::steady_clock;

double seconds_between(Clock::time_point from, Clock::time_point to) {
  return std::chrono::duration<double>(to - from).count();
}

}  // namespace

// One running operation, or a free place for one: places are used again, so that labels need no new memory.
struct Slot {
  bool running = false;
  Kind kind = Kind::other;
  std::string what;
  Clock::time_point began;
  std::thread::id thread;
  std::uint64_t order = 0;  // later ones of a thread lie inside earlier ones

  Running at(Clock::time_point now) const { return {kind, what, seconds_between(began, now)}; }
};

// One rank's state.
struct Board {
  std::mutex mutex;  // guards what follows
  std::string phase;
  std::int64_t step = -1;
  std::thread::id main_thread;
  std::uint64_t progress = 0;
  Clock::time_point last_progress = Clock::now();
  std::uint64_t operations = 0;
  std::deque<Slot> slots;  // addresses stay

  void note_progress_locked(Clock::time_point now) {
    ++progress;
    last_progress = now;
  }
  Slot& free_slot_locked() {
    for (Slot& slot : slots)
      if (!slot.running) return slot;
    return slots.emplace_back();
  }
};

namespace {

// All boards of the process: the state behind the functions of this file.
struct Boards {
  std::mutex mutex;
  std::map<int, Board> of_rank;
};

Board& board_of(int rank) {
  static Boards* const boards = new Boards;  // never destroyed: threads may outlive static objects
  const std::lock_guard lock(boards->mutex);
  return boards->of_rank[rank];
}

// The calling thread's board, without the lock of all boards in the usual case.
Board& own_board() {
  thread_local int rank_of_board = -1;
  thread_local Board* board = nullptr;
  const int rank = log::identity().rank;
  if (board == nullptr || rank != rank_of_board) {
    board = &board_of(rank);
    rank_of_board = rank;
  }
  return *board;
}

// The innermost running operation that `fits`; null when there is none.
template <typename Fits>
const Slot* innermost_locked(const Board& board, Fits fits) {
  const Slot* found = nullptr;
  for (const Slot& slot : board.slots)
    if (slot.running && fits(slot) && (found == nullptr || slot.order > found->order)) found = &slot;
  return found;
}

// A free place of the board's, taken by an operation that begins now.
Slot& begin(Board& board, Kind kind, std::string_view what) {
  const std::lock_guard lock(board.mutex);
  Slot& slot = board.free_slot_locked();
  slot.what = what;
  slot.kind = kind;
  slot.began = Clock::now();
  slot.thread = std::this_thread::get_id();
  slot.order = ++board.operations;
  slot.running = true;
  board.note_progress_locked(slot.began);
  return slot;
}

}  // namespace

void enter_phase(std::string_view phase, std::int64_t step) {
  Board& board = own_board();
  const std::lock_guard lock(board.mutex);
  board.phase = phase;
  board.step = step;
  board.main_thread = std::this_thread::get_id();
  board.note_progress_locked(Clock::now());
}

void note_progress() {
  Board& board = own_board();
  const std::lock_guard lock(board.mutex);
  board.note_progress_locked(Clock::now());
}

Operation::Operation(Kind kind, std::string_view what)
    : board_(own_board()), slot_(begin(board_, kind, what)) {}

Operation::~Operation() {
  const std::lock_guard lock(board_.mutex);
  slot_.running = false;
  board_.note_progress_locked(Clock::now());
}

Snapshot snapshot(int rank) {
  Board& board = board_of(rank);
  const std::lock_guard lock(board.mutex);
  const Clock::time_point now = Clock::now();
  Snapshot shot;
  shot.phase = board.phase;
  shot.step = board.step;
  shot.progress = board.progress;
  if (board.progress > 0) shot.seconds_since_progress = seconds_between(board.last_progress, now);
  const Slot* shown = innermost_locked(board, [&](const Slot& s) { return s.thread == board.main_thread; });
  if (shown == nullptr) shown = innermost_locked(board, [](const Slot& s) { return s.kind == Kind::ranks; });
  if (shown != nullptr) shot.operation = shown->at(now);
  const Slot* oldest = nullptr;
  for (const Slot& slot : board.slots)
    if (slot.running && slot.kind == Kind::file && (oldest == nullptr || slot.began < oldest->began))
      oldest = &slot;
  if (oldest != nullptr) shot.longest_file = oldest->at(now);
  return shot;
}

}  // namespace shelfcast::activity

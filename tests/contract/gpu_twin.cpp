#include "tests/contract/gpu_twin.h"

#include <algorithm>
#include <array>
#include <cstdio>
#include <cstring>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <tuple>
#include <vector>

#include "parallel/bfloat16.h"
#include "parallel/gpu/keep_mask.h"

namespace shelfcast::parallel {
namespace {

// One collective of a group: what each rank has given so far.
struct Meeting {
  std::vector<ShelfcastNcclCall> calls;
  int came = 0;
  bool done = false;
};

struct TwinGroup {
  explicit TwinGroup(int ranks) : size(ranks) {}
  int size;
  int joined = 0;
  std::vector<Meeting> meetings;
  std::string broken;
};

struct Member {
  std::shared_ptr<TwinGroup> group;
  int rank = 0;
  std::size_t started = 0;  // collectives
  std::size_t splits = 0;   // from this one
  // Until all of the whole have said their wish.
  std::function<std::shared_ptr<TwinGroup>(int* rank)> find_group;
};

struct Wish {
  int color, key, rank;
};

struct Twin {
  std::mutex mutex;
  std::map<const std::byte*, std::size_t> memory;  // begin -> bytes
  std::map<std::string, std::shared_ptr<TwinGroup>> groups;
  std::map<std::pair<const TwinGroup*, std::size_t>, std::vector<Wish>> splits;
  std::map<std::tuple<const TwinGroup*, std::size_t, int>, std::shared_ptr<TwinGroup>> parts;
  int ids = 0;
  std::int64_t carried_out = 0;
  std::string break_next;
};

Twin& twin() {
  static Twin the_one;
  return the_one;
}

std::int32_t fail(ShelfcastGpuProblem* problem, const std::string& text) {
  std::snprintf(problem->text, sizeof(problem->text), "%s", text.c_str());
  return kGpuFailed;
}

void versions(ShelfcastGpuVersions* versions) { *versions = {13000, 13000, 22809}; }

std::int32_t devices(ShelfcastGpuDevice*, std::int32_t, std::int32_t, ShelfcastGpuProblem*) { return 0; }

void* allocate(std::int32_t, std::int64_t bytes, ShelfcastGpuProblem*) {
  const std::lock_guard lock(twin().mutex);
  auto* memory = new std::byte[static_cast<std::size_t>(bytes)];
  twin().memory[memory] = static_cast<std::size_t>(bytes);
  return memory;
}

void release(void* memory) {
  const std::lock_guard lock(twin().mutex);
  twin().memory.erase(static_cast<std::byte*>(memory));
  delete[] static_cast<std::byte*>(memory);
}

std::int32_t is_device(const void* memory) {
  const std::lock_guard lock(twin().mutex);
  const auto* at = static_cast<const std::byte*>(memory);
  auto after = twin().memory.upper_bound(at);
  if (after == twin().memory.begin()) return 0;
  const auto& [begin, bytes] = *--after;
  return at < begin + bytes ? 1 : 0;
}

std::int32_t copy(void* to, const void* from, std::int64_t bytes, ShelfcastGpuProblem*) {
  const std::lock_guard lock(twin().mutex);
  if (bytes > 0) std::memcpy(to, from, static_cast<std::size_t>(bytes));
  return kGpuDone;
}

std::int32_t keep_mask(const std::uint64_t* keys, std::int64_t draws, std::int64_t elements,
                       std::uint32_t threshold, std::uint8_t* keep, ShelfcastGpuProblem*) {
  for (std::int64_t draw = 0; draw < draws; ++draw)
    for (std::int64_t block = 0; block < keep_mask_blocks(elements); ++block)
      keep_mask_of_block(keys[draw], threshold, block, elements, keep + draw * elements);
  return kGpuDone;
}

std::int32_t make_id(ShelfcastNcclId* id, ShelfcastGpuProblem*) {
  const std::lock_guard lock(twin().mutex);
  *id = {};
  std::snprintf(id->bytes, sizeof(id->bytes), "group %d", ++twin().ids);
  return kGpuDone;
}

void* join(const ShelfcastNcclId* id, std::int32_t rank, std::int32_t size, std::int32_t,
           ShelfcastGpuProblem*) {
  const std::lock_guard lock(twin().mutex);
  std::shared_ptr<TwinGroup>& group = twin().groups[id->bytes];
  if (!group) group = std::make_shared<TwinGroup>(size);
  ++group->joined;
  return new Member{group, rank, 0, 0, {}};
}

// The group of all that wished for `color`, once all of the whole have wished.
std::shared_ptr<TwinGroup> part_of(const TwinGroup* whole, std::size_t number, int color, int own,
                                   int* rank) {
  std::vector<Wish>& wishes = twin().splits[{whole, number}];
  if (static_cast<int>(wishes.size()) < whole->size) return nullptr;
  std::vector<Wish> ours;
  std::copy_if(wishes.begin(), wishes.end(), std::back_inserter(ours),
               [&](const Wish& wish) { return wish.color == color; });
  std::sort(ours.begin(), ours.end(),
            [](const Wish& a, const Wish& b) { return std::tie(a.key, a.rank) < std::tie(b.key, b.rank); });
  *rank = static_cast<int>(
      std::find_if(ours.begin(), ours.end(), [&](const Wish& wish) { return wish.rank == own; }) -
      ours.begin());
  std::shared_ptr<TwinGroup>& part = twin().parts[{whole, number, color}];
  if (!part) part = std::make_shared<TwinGroup>(static_cast<int>(ours.size()));
  ++part->joined;
  return part;
}

void* split(void* group, std::int32_t color, std::int32_t key, ShelfcastGpuProblem*) {
  const std::lock_guard lock(twin().mutex);
  Member& whole = *static_cast<Member*>(group);
  const std::size_t number = whole.splits++;
  twin().splits[{whole.group.get(), number}].push_back({color, key, whole.rank});
  auto* part = new Member{};
  part->find_group = [of = whole.group, number, color, own = whole.rank](int* rank) {
    return part_of(of.get(), number, color, own, rank);
  };
  return part;
}

std::int32_t state_locked(Member& member, ShelfcastGpuProblem* problem) {
  if (!member.group) {
    member.group = member.find_group(&member.rank);
    if (!member.group) return kGpuUnderWay;
  }
  if (!member.group->broken.empty()) return fail(problem, member.group->broken);
  return member.group->joined < member.group->size ? kGpuUnderWay : kGpuDone;
}

std::int32_t state(void* group, ShelfcastGpuProblem* problem) {
  const std::lock_guard lock(twin().mutex);
  return state_locked(*static_cast<Member*>(group), problem);
}

float combine(std::int32_t reduction, float a, float b) {
  if (reduction == kNcclMin) return std::min(a, b);
  return reduction == kNcclMax ? std::max(a, b) : a + b;
}

// Sums of 16 bits are rounded after every addition, as NCCL's are.
BFloat16 combine(std::int32_t reduction, BFloat16 a, BFloat16 b) {
  return to_bfloat16(combine(reduction, to_float(a), to_float(b)));
}

std::byte combine(std::int32_t, std::byte a, std::byte) { return a; }  // nobody adds bytes

template <typename T>
void carry_out_on(const std::vector<ShelfcastNcclCall>& calls) {
  const auto ranks = calls.size();
  const auto count = static_cast<std::size_t>(calls[0].count);
  const auto given = [&](std::size_t rank) { return static_cast<const T*>(calls[rank].send); };
  const auto reduced = [&](std::size_t i) {
    T sum = given(0)[i];
    for (std::size_t rank = 1; rank < ranks; ++rank) sum = combine(calls[0].reduction, sum, given(rank)[i]);
    return sum;
  };
  std::vector<T> result;
  switch (calls[0].kind) {
    case kNcclAllReduce:
    case kNcclReduce:
      for (std::size_t i = 0; i < count; ++i) result.push_back(reduced(i));
      break;
    case kNcclReduceScatter:
      for (std::size_t i = 0; i < count * ranks; ++i) result.push_back(reduced(i));
      break;
    case kNcclAllGather:
      for (std::size_t rank = 0; rank < ranks; ++rank)
        result.insert(result.end(), given(rank), given(rank) + count);
      break;
    default: {
      const T* root = given(static_cast<std::size_t>(calls[0].root));
      result.assign(root, root + count);
    }
  }
  for (std::size_t rank = 0; rank < ranks; ++rank) {
    if (calls[0].kind == kNcclReduce && static_cast<std::size_t>(calls[0].root) != rank) continue;
    const std::size_t begin = calls[0].kind == kNcclReduceScatter ? rank * count : 0;
    const std::size_t length = calls[0].kind == kNcclReduceScatter ? count : result.size();
    std::copy_n(result.data() + begin, length, static_cast<T*>(calls[rank].receive));
  }
}

void carry_out(const std::vector<ShelfcastNcclCall>& calls) {
  if (calls[0].element == kNcclBfloat16) return carry_out_on<BFloat16>(calls);
  if (calls[0].element == kNcclByte) return carry_out_on<std::byte>(calls);
  carry_out_on<float>(calls);
}

std::int32_t start(void* group, const ShelfcastNcclCall* call, ShelfcastGpuProblem* problem) {
  Member& self = *static_cast<Member*>(group);
  // Like the real one: the host's memory would be read by nobody.
  if (is_device(call->send) == 0 || is_device(call->receive) == 0)
    return fail(problem, "not memory of the device");
  const std::lock_guard lock(twin().mutex);
  TwinGroup& whole = *self.group;
  if (state_locked(self, problem) != kGpuDone) return fail(problem, "started before the group was there");
  const std::size_t number = self.started++;
  if (whole.meetings.size() <= number) whole.meetings.resize(number + 1);
  Meeting& meeting = whole.meetings[number];
  meeting.calls.resize(static_cast<std::size_t>(whole.size));
  meeting.calls[static_cast<std::size_t>(self.rank)] = *call;
  if (++meeting.came < whole.size) return kGpuDone;
  if (!twin().break_next.empty()) {
    whole.broken = std::exchange(twin().break_next, {});
    return kGpuDone;
  }
  const bool same =
      std::all_of(meeting.calls.begin(), meeting.calls.end(), [&](const ShelfcastNcclCall& other) {
        return std::tie(other.kind, other.count, other.root, other.reduction, other.element) ==
               std::tie(call->kind, call->count, call->root, call->reduction, call->element);
      });
  if (!same) return kGpuDone;  // nobody gets on
  carry_out(meeting.calls);
  meeting.done = true;
  ++twin().carried_out;
  return kGpuDone;
}

std::int64_t mark(void* group, ShelfcastGpuProblem*) {
  return static_cast<std::int64_t>(static_cast<Member*>(group)->started);
}

std::int32_t passed(void* group, std::int64_t mark, ShelfcastGpuProblem* problem) {
  const std::lock_guard lock(twin().mutex);
  const TwinGroup& whole = *static_cast<Member*>(group)->group;
  if (!whole.broken.empty()) return fail(problem, whole.broken);
  // A stream passes nothing before what was started on it earlier.
  for (std::size_t i = 0; i < static_cast<std::size_t>(mark); ++i)
    if (!whole.meetings[i].done) return kGpuUnderWay;
  return kGpuDone;
}

void leave(void* group, std::int32_t) {
  const std::lock_guard lock(twin().mutex);
  delete static_cast<Member*>(group);
}

constexpr ShelfcastGpuOperations kTwin = {
    .versions = versions,
    .devices = devices,
    .work_on = [](void*) {},  // it has one stream
    .allocate = allocate,
    .release = release,
    .is_device = is_device,
    .copy = copy,
    .keep_mask = keep_mask,
    .nccl_id = make_id,
    .nccl_join = join,
    .nccl_split = split,
    .nccl_state = state,
    .nccl_start = start,
    .nccl_mark = mark,
    .nccl_passed = passed,
    .nccl_leave = leave,
};

}  // namespace

const ShelfcastGpuOperations& gpu_twin() { return kTwin; }

AdoptedByTwin::AdoptedByTwin(const void* memory, std::size_t bytes)
    : memory_(static_cast<const std::byte*>(memory)) {
  const std::lock_guard lock(twin().mutex);
  twin().memory[memory_] = bytes;
}

AdoptedByTwin::~AdoptedByTwin() {
  const std::lock_guard lock(twin().mutex);
  twin().memory.erase(memory_);
}

std::int64_t collectives_of_twin() {
  const std::lock_guard lock(twin().mutex);
  return twin().carried_out;
}

void break_next_collective_of_twin(const char* text) {
  const std::lock_guard lock(twin().mutex);
  twin().break_next = text;
}

}  // namespace shelfcast::parallel

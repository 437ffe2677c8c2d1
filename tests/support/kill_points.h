// Kills a process at its n-th step on disk, n = 1, 2, ...: what does it leave behind?
#pragma once

#include <functional>

namespace shelfcast::testing {

// Runs `work` in a child that is killed (SIGKILL) just before its n-th call of rename, fsync, mkdir, unlink,
// symlink, ftruncate, or write to a file named *.jsonl, and then `after` here; again with n + 1 until `work`
// comes through. `before` makes the ground anew each time. Returns how many kills there were. The calls are
// counted by functions of these names in kill_points.cpp, which the test program links; `work` must not need
// threads made before.
int kill_at_every_step(const std::function<void()>& before, const std::function<void()>& work,
                       const std::function<void(int step)>& after);

}  // namespace shelfcast::testing

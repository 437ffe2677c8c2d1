// Files of JSON lines, each an event, that processes on many hosts add to under a lock.
#pragma once

#include <filesystem>
#include <functional>
#include <nlohmann/json_fwd.hpp>

namespace shelfcast::trainer {

// Calls `apply` with every event in order; a last line that a crash tore is left out. Throws Error(data)
// naming the line that is no JSON object.
void read_events(const std::filesystem::path& path, const std::function<void(const nlohmann::json&)>& apply);

// Cuts off a last line that a crash tore. The caller holds the lock.
void mend_events(const std::filesystem::path& path);

// Adds time (Unix seconds) and host to `event`, writes it as a line and flushes it to disk. The caller holds
// the lock. Throws Error(io) (a full disk): then the file is as before.
void append_event(const std::filesystem::path& path, nlohmann::json& event);

}  // namespace shelfcast::trainer

// Event files for TensorBoard: scalars over steps, written while training goes on.
#pragma once

#include <cstdint>
#include <filesystem>
#include <fstream>
#include <string>
#include <utility>
#include <vector>

namespace shelfcast::trainer {

// One file of TFRecords, each an Event message of TensorFlow's event.proto; TensorBoard finds it by its name,
// events.out.tfevents.TIME.HOST.PID. A later file in the same folder that begins at an earlier step takes
// back what the one before said from that step on, as TensorBoard does for runs that were resumed. One
// thread.
class EventFile {
 public:
  // `first_step`: the first step that will be written. `time`: Unix seconds. Throws Error(io).
  EventFile(const std::filesystem::path& folder, std::int64_t first_step, double time);

  const std::filesystem::path& path() const { return path_; }

  // One event with a value for each tag, flushed. Throws Error(io) naming the file.
  void write(double time, std::int64_t step, const std::vector<std::pair<std::string, float>>& scalars);

 private:
  void write_record(const std::string& event);

  std::filesystem::path path_;
  std::ofstream file_;
};

// CRC-32C (Castagnoli), as TFRecords have it.
std::uint32_t crc32c(const std::string& bytes);

}  // namespace shelfcast::trainer

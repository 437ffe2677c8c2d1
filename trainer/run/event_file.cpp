#include "trainer/run/event_file.h"

#include <fmt/format.h>
#include <unistd.h>

#include <array>
#include <bit>
#include <cerrno>

#include "base/activity.h"
#include "base/error.h"
#include "base/host.h"

namespace shelfcast::trainer {
namespace {

static_assert(std::endian::native == std::endian::little, "records are little-endian");

// Wire types of protocol buffers.
enum class Wire { varint = 0, fixed64 = 1, bytes = 2, fixed32 = 5 };

template <typename T>
void append_raw(T value, std::string& to) {
  to.append(reinterpret_cast<const char*>(&value), sizeof(value));
}

void append_varint(std::uint64_t value, std::string& to) {
  for (; value >= 0x80; value >>= 7U) to += static_cast<char>((value & 0x7FU) | 0x80U);
  to += static_cast<char>(value);
}

void append_key(int field, Wire wire, std::string& to) {
  append_varint((static_cast<std::uint64_t>(field) << 3U) | static_cast<std::uint64_t>(wire), to);
}

void append_bytes(int field, const std::string& bytes, std::string& to) {
  append_key(field, Wire::bytes, to);
  append_varint(bytes.size(), to);
  to += bytes;
}

// Field numbers of event.proto and summary.proto: Event {wall_time = 1, step = 2, file_version = 3,
// summary = 5, session_log = 7}, Summary {value = 1}, Value {tag = 1, simple_value = 2}, SessionLog
// {status = 1}.
std::string event(double time, std::int64_t step, int field, const std::string& content) {
  std::string message;
  append_key(1, Wire::fixed64, message);
  append_raw(time, message);
  if (step != 0) {  // zero is what is not written
    append_key(2, Wire::varint, message);
    append_varint(static_cast<std::uint64_t>(step), message);
  }
  append_bytes(field, content, message);
  return message;
}

std::uint32_t masked(std::uint32_t crc) { return std::rotr(crc, 15) + 0xA282EAD8U; }

}  // namespace

std::uint32_t crc32c(const std::string& bytes) {
  static const std::array<std::uint32_t, 256> table = [] {
    std::array<std::uint32_t, 256> made{};
    for (std::uint32_t i = 0; i < made.size(); ++i) {
      std::uint32_t crc = i;
      for (int bit = 0; bit < 8; ++bit) crc = (crc >> 1U) ^ ((crc & 1U) != 0 ? 0x82F63B78U : 0U);
      made[i] = crc;
    }
    return made;
  }();
  std::uint32_t crc = ~0U;
  for (const char c : bytes) crc = (crc >> 8U) ^ table[(crc ^ static_cast<unsigned char>(c)) & 0xFFU];
  return ~crc;
}

EventFile::EventFile(const std::filesystem::path& folder, std::int64_t first_step, double time)
    : path_(folder / fmt::format("events.out.tfevents.{:010d}.{}.{}", static_cast<std::int64_t>(time),
                                 host_name(), ::getpid())) {
  file_.open(path_, std::ios::binary | std::ios::trunc);
  if (!file_) throw io_error(fmt::format("cannot write {}", path_.string()), errno);
  write_record(event(time, 0, 3, "brain.Event:2"));
  std::string start;
  append_key(1, Wire::varint, start);
  append_varint(1, start);  // START
  write_record(event(time, first_step, 7, start));
}

void EventFile::write(double time, std::int64_t step,
                      const std::vector<std::pair<std::string, float>>& scalars) {
  std::string summary;
  for (const auto& [tag, scalar] : scalars) {
    std::string value;
    append_bytes(1, tag, value);
    append_key(2, Wire::fixed32, value);
    append_raw(scalar, value);
    append_bytes(1, value, summary);
  }
  write_record(event(time, step, 5, summary));
}

// A TFRecord: length, its masked checksum, the bytes, theirs.
void EventFile::write_record(const std::string& event) {
  const activity::Operation watched(activity::Kind::file, path_.native());
  std::string length, record;
  append_raw(static_cast<std::uint64_t>(event.size()), length);
  record = length;
  append_raw(masked(crc32c(length)), record);
  record += event;
  append_raw(masked(crc32c(event)), record);
  file_.write(record.data(), static_cast<std::streamsize>(record.size()));
  file_.flush();
  if (!file_) throw io_error(fmt::format("cannot write {}", path_.string()), errno);
}

}  // namespace shelfcast::trainer

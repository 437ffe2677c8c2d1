#include "base/safetensors.h"

#include <algorithm>
#include <bit>
#include <cstring>
#include <iterator>
#include <nlohmann/json.hpp>
#include <numeric>
#include <optional>
#include <set>

#include "base/error.h"

namespace shelfcast {
namespace {

using nlohmann::json;

constexpr std::size_t kLengthBytes = 8;
// The reference implementation refuses longer headers.
constexpr std::uint64_t kLongestHeader = 100'000'000;
constexpr const char* kMetadata = "__metadata__";
constexpr const char* kAdvice = "fetch or write the file again";

static_assert(std::endian::native == std::endian::little,
              "the file's little-endian numbers are used in place");

constexpr std::array kDTypes = {DType::f32, DType::f64, DType::f16, DType::bf16,
                                DType::i64, DType::i32, DType::u8,  DType::boolean};

std::optional<DType> parse_dtype(const std::string& text) {
  for (const DType dtype : kDTypes)
    if (text == to_string(dtype)) return dtype;
  return std::nullopt;
}

float half_to_float(std::uint16_t half) {
  const std::uint32_t sign = static_cast<std::uint32_t>(half & 0x8000u) << 16;
  const std::uint32_t exponent = (half >> 10) & 0x1Fu, fraction = half & 0x3FFu;
  if (exponent == 0x1F) return std::bit_cast<float>(sign | 0x7F800000u | (fraction << 13));  // infinity, NaN
  if (exponent != 0) return std::bit_cast<float>(sign | ((exponent + 112) << 23) | (fraction << 13));
  const float small = static_cast<float>(fraction) * 0x1p-24f;  // zero and subnormal
  return sign != 0 ? -small : small;
}

float bfloat_to_float(std::uint16_t bits) {
  return std::bit_cast<float>(static_cast<std::uint32_t>(bits) << 16);
}

// Stored tensors need not be aligned, so elements are copied out one by one.
template <typename Stored, typename Decode>
void decode(std::span<const std::byte> bytes, float* out, Decode decode_one) {
  for (std::size_t i = 0; i < bytes.size() / sizeof(Stored); ++i) {
    Stored stored;
    std::memcpy(&stored, bytes.data() + i * sizeof(Stored), sizeof(Stored));
    out[i] = decode_one(stored);
  }
}

// Bytes of a tensor; nullopt for negative sizes and for products beyond 64 bits.
std::optional<std::uint64_t> bytes_of(DType dtype, const std::vector<std::int64_t>& shape) {
  std::uint64_t bytes = size_of(dtype);
  for (const std::int64_t size : shape) {
    if (size < 0 || __builtin_mul_overflow(bytes, static_cast<std::uint64_t>(size), &bytes))
      return std::nullopt;
  }
  return bytes;
}

// What the header says of one tensor.
struct Entry {
  std::string name;
  StoredTensor tensor;
  std::uint64_t begin = 0, end = 0;
};

// Reads the header of one file; every complaint names the file.
class HeaderReader {
 public:
  HeaderReader(const std::filesystem::path& path, std::span<const std::byte> file)
      : path_(path), file_(file) {}

  // Entries in the order of their bytes, checked against each other and the file.
  std::vector<Entry> read(std::map<std::string, std::string>& metadata) const {
    const std::uint64_t length = header_length();
    const json header = parse(file_.subspan(kLengthBytes, length));
    const std::span<const std::byte> data = file_.subspan(kLengthBytes + length);
    std::vector<Entry> entries;
    for (const auto& [name, value] : header.items()) {
      if (name == kMetadata) {
        metadata = read_metadata(value);
      } else {
        entries.push_back(read_entry(name, value, data.size()));
      }
    }
    check_that_bytes_are_used_once(entries, data.size());
    for (Entry& entry : entries) entry.tensor.bytes = data.subspan(entry.begin, entry.end - entry.begin);
    return entries;
  }

 private:
  [[noreturn]] void fail(const std::string& why) const {
    throw data_error(path_.string() + " is not a sound safetensors file", why, kAdvice);
  }
  [[noreturn]] void fail(const std::string& tensor, const std::string& why) const {
    fail(fmt::format("tensor \"{}\": {}", tensor, why));
  }

  std::uint64_t header_length() const {
    if (file_.size() < kLengthBytes) fail(fmt::format("only {} bytes long", file_.size()));
    std::uint64_t length = 0;
    std::memcpy(&length, file_.data(), kLengthBytes);
    const std::uint64_t rest = file_.size() - kLengthBytes;
    if (length > kLongestHeader) fail(fmt::format("its header claims {} bytes", length));
    if (length > rest) fail(fmt::format("truncated: header of {} bytes, file has {} more", length, rest));
    return length;
  }

  json parse(std::span<const std::byte> text) const {
    std::set<std::string> names;
    std::string twice;
    // Plain parsing keeps the last of two equal keys silently.
    const auto watch = [&](int depth, json::parse_event_t event, json& value) {
      if (depth == 1 && event == json::parse_event_t::key && !names.insert(value.get<std::string>()).second)
        twice = value.get<std::string>();
      return true;
    };
    const char* const begin = reinterpret_cast<const char*>(text.data());
    json header;
    try {
      header = json::parse(begin, begin + text.size(), watch);
    } catch (const json::exception& error) {
      fail(fmt::format("its header is not JSON: {}", error.what()));
    }
    if (!header.is_object()) fail("its header is not a JSON object");
    if (!twice.empty()) fail(twice, "named twice");
    return header;
  }

  std::map<std::string, std::string> read_metadata(const json& value) const {
    if (!value.is_object()) fail("__metadata__ is not an object");
    std::map<std::string, std::string> metadata;
    for (const auto& [key, text] : value.items()) {
      if (!text.is_string()) fail(fmt::format("__metadata__ \"{}\" is not a string", key));
      metadata[key] = text.get<std::string>();
    }
    return metadata;
  }

  Entry read_entry(const std::string& name, const json& value, std::uint64_t data_size) const {
    Entry entry;
    entry.name = name;
    if (!value.is_object()) fail(name, "its description is not an object");
    const std::optional<DType> dtype = parse_dtype(text_of(name, value, "dtype"));
    if (!dtype) fail(name, fmt::format("dtype {} is not supported", text_of(name, value, "dtype")));
    entry.tensor.dtype = *dtype;
    for (const std::uint64_t size : numbers_of(name, value, "shape")) {
      if (size > INT64_MAX) fail(name, "its shape is beyond 64 bits");
      entry.tensor.shape.push_back(static_cast<std::int64_t>(size));
    }
    const std::vector<std::uint64_t> offsets = numbers_of(name, value, "data_offsets");
    if (offsets.size() != 2) fail(name, "data_offsets are not two numbers");
    entry.begin = offsets[0];
    entry.end = offsets[1];
    if (entry.begin > entry.end)
      fail(name, fmt::format("bytes end before they begin: {}, {}", entry.begin, entry.end));
    if (entry.end > data_size)
      fail(name, fmt::format("truncated: bytes end at {} of {} there are", entry.end, data_size));
    const std::optional<std::uint64_t> wanted = bytes_of(*dtype, entry.tensor.shape);
    if (!wanted) fail(name, "its shape is beyond 64 bits");
    if (*wanted != entry.end - entry.begin)
      fail(name, fmt::format("shape needs {} bytes, {} are stored", *wanted, entry.end - entry.begin));
    return entry;
  }

  std::string text_of(const std::string& name, const json& value, const char* key) const {
    const auto found = value.find(key);
    if (found == value.end() || !found->is_string())
      fail(name, fmt::format("{} is missing or not a string", key));
    return found->get<std::string>();
  }

  std::vector<std::uint64_t> numbers_of(const std::string& name, const json& value, const char* key) const {
    const auto found = value.find(key);
    if (found == value.end() || !found->is_array())
      fail(name, fmt::format("{} is missing or not a list", key));
    std::vector<std::uint64_t> numbers;
    for (const json& number : *found) {
      if (!number.is_number_unsigned()) fail(name, fmt::format("{} holds what is not a natural number", key));
      numbers.push_back(number.get<std::uint64_t>());
    }
    return numbers;
  }

  // Overlaps would let two tensors alias; holes and a tail mean that the header is of another file.
  void check_that_bytes_are_used_once(std::vector<Entry>& entries, std::uint64_t data_size) const {
    std::sort(entries.begin(), entries.end(), [](const Entry& a, const Entry& b) {
      return std::tie(a.begin, a.end, a.name) < std::tie(b.begin, b.end, b.name);
    });
    std::uint64_t used = 0;
    for (const Entry& entry : entries) {
      if (entry.begin < used) fail(entry.name, "overlaps the tensor before it");
      if (entry.begin > used) fail(entry.name, fmt::format("{} unused bytes before it", entry.begin - used));
      used = entry.end;
    }
    if (used != data_size) fail(fmt::format("{} bytes after the last tensor", data_size - used));
  }

  const std::filesystem::path& path_;
  std::span<const std::byte> file_;
};

void check_to_store(std::span<const TensorToStore> tensors) {
  std::set<std::string> names;
  for (const TensorToStore& tensor : tensors) {
    if (tensor.name == kMetadata || !names.insert(tensor.name).second)
      throw input_error("cannot store tensor \"" + tensor.name + "\"", "its name is taken");
    if (bytes_of(tensor.dtype, tensor.shape) != tensor.bytes.size())
      throw input_error("cannot store tensor \"" + tensor.name + "\"", "its bytes do not fit its shape");
  }
}

// Indices of `tensors`, wider dtypes first, otherwise as given.
std::vector<std::size_t> storage_order(std::span<const TensorToStore> tensors) {
  std::vector<std::size_t> order(tensors.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::stable_sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) {
    return size_of(tensors[a].dtype) > size_of(tensors[b].dtype);
  });
  return order;
}

const StoredTensor& find_tensor(const std::map<std::string, StoredTensor>& tensors, const std::string& name,
                                const std::filesystem::path& path) {
  if (const auto found = tensors.find(name); found != tensors.end()) return found->second;
  std::vector<std::string> names;
  for (const auto& [other, tensor] : tensors) names.push_back(other);
  const std::string near = nearest_name(name, names);
  throw data_error(fmt::format("{} has no tensor \"{}\"", path.string(), name),
                   near.empty() ? std::string() : "nearest is \"" + near + "\"");
}

// Tensor -> file of a model in shards.
std::map<std::string, std::string> read_index(const std::filesystem::path& path) {
  const json index = json::parse(read_file(path), nullptr, /*allow_exceptions=*/false);
  const auto map = index.is_object() ? index.find("weight_map") : index.end();
  if (map == index.end() || !map->is_object() || map->empty())
    throw data_error(path.string() + " has no \"weight_map\"", "it is damaged or foreign", kAdvice);
  std::map<std::string, std::string> file_of;
  for (const auto& [tensor, file] : map->items()) {
    // Names only: an index must not lead out of its folder.
    if (!file.is_string() || file.get<std::string>().find('/') != std::string::npos)
      throw data_error(fmt::format("{} names no file of its folder for tensor \"{}\"", path.string(), tensor),
                       file.dump(), kAdvice);
    file_of.emplace(tensor, file.get<std::string>());
  }
  return file_of;
}

}  // namespace

std::size_t size_of(DType dtype) {
  switch (dtype) {
    case DType::f64:
    case DType::i64:
      return 8;
    case DType::f32:
    case DType::i32:
      return 4;
    case DType::f16:
    case DType::bf16:
      return 2;
    case DType::u8:
    case DType::boolean:
      return 1;
  }
  return 1;
}

bool is_floating(DType dtype) {
  return dtype == DType::f32 || dtype == DType::f64 || dtype == DType::f16 || dtype == DType::bf16;
}

const char* to_string(DType dtype) {
  switch (dtype) {
    case DType::f32:
      return "F32";
    case DType::f64:
      return "F64";
    case DType::f16:
      return "F16";
    case DType::bf16:
      return "BF16";
    case DType::i64:
      return "I64";
    case DType::i32:
      return "I32";
    case DType::u8:
      return "U8";
    case DType::boolean:
      return "BOOL";
  }
  return "U8";
}

std::int64_t StoredTensor::elements() const {
  return std::accumulate(shape.begin(), shape.end(), std::int64_t{1}, std::multiplies<>());
}

std::vector<float> StoredTensor::to_float() const {
  std::vector<float> values(static_cast<std::size_t>(elements()));
  to_float(0, elements(), values.data());
  return values;
}

void StoredTensor::to_float(std::int64_t first, std::int64_t last, float* out) const {
  const std::size_t size = size_of(dtype);
  const auto part =
      bytes.subspan(static_cast<std::size_t>(first) * size, static_cast<std::size_t>(last - first) * size);
  switch (dtype) {
    case DType::f32:
      if (!part.empty()) std::memcpy(out, part.data(), part.size());
      return;
    case DType::f64:
      return decode<double>(part, out, [](double x) { return static_cast<float>(x); });
    case DType::f16:
      return decode<std::uint16_t>(part, out, half_to_float);
    case DType::bf16:
      return decode<std::uint16_t>(part, out, bfloat_to_float);
    default:
      throw data_error(
          fmt::format("a tensor of {} was found where floating-point numbers belong", to_string(dtype)));
  }
}

SafetensorsFile::SafetensorsFile(const std::filesystem::path& path) : path_(path), file_(path) {
  for (Entry& entry : HeaderReader(path_, file_.bytes()).read(metadata_))
    tensors_.emplace(std::move(entry.name), std::move(entry.tensor));
}

const StoredTensor& SafetensorsFile::at(const std::string& name) const {
  return find_tensor(tensors_, name, path_);
}

StoredWeights::StoredWeights(const std::filesystem::path& file_or_folder) : path_(file_or_folder) {
  const std::filesystem::path whole = path_ / "model.safetensors",
                              index = path_ / "model.safetensors.index.json";
  if (!std::filesystem::is_directory(path_)) {
    add(path_, nullptr);
  } else if (std::filesystem::exists(whole)) {
    add(whole, nullptr);
  } else if (std::filesystem::exists(index)) {
    const std::map<std::string, std::string> file_of = read_index(index);
    std::set<std::string> files;
    for (const auto& [tensor, file] : file_of) files.insert(file);
    for (const std::string& file : files) add(path_ / file, &file_of);
    for (const auto& [tensor, file] : file_of) {
      if (!contains(tensor))
        throw data_error(fmt::format("{} has no tensor \"{}\"", (path_ / file).string(), tensor),
                         fmt::format("{} says it has", index.filename().string()), kAdvice);
    }
  } else {
    throw data_error(path_.string() + " holds no model.safetensors and no model.safetensors.index.json",
                     "weights are read in the safetensors format only",
                     "point to a published directory; pytorch_model.bin must be saved as safetensors first");
  }
}

void StoredWeights::add(const std::filesystem::path& file,
                        const std::map<std::string, std::string>* promised) {
  files_.emplace_back(file);
  for (const auto& [name, tensor] : files_.back().tensors()) {
    if (promised != nullptr) {
      const auto found = promised->find(name);
      if (found == promised->end() || found->second != file.filename().string())
        throw data_error(fmt::format("{} holds tensor \"{}\"", file.string(), name),
                         "the index beside it does not say so", kAdvice);
    }
    tensors_.emplace(name, tensor);
  }
}

const StoredTensor& StoredWeights::at(const std::string& name) const {
  return find_tensor(tensors_, name, path_);
}

void StoredWeights::release(const StoredTensor& tensor) const {
  // Whichever file it belongs to: the call needs only the address.
  files_.front().release(tensor);
}

void write_safetensors(const std::filesystem::path& path, std::span<const TensorToStore> tensors,
                       const std::map<std::string, std::string>& metadata) {
  check_to_store(tensors);
  const std::vector<std::size_t> order = storage_order(tensors);
  nlohmann::ordered_json header = nlohmann::ordered_json::object();
  if (!metadata.empty()) header[kMetadata] = metadata;
  std::uint64_t offset = 0;
  for (const std::size_t i : order) {
    const std::uint64_t end = offset + tensors[i].bytes.size();
    header[tensors[i].name] = {
        {"dtype", to_string(tensors[i].dtype)}, {"shape", tensors[i].shape}, {"data_offsets", {offset, end}}};
    offset = end;
  }
  std::string text = header.dump();
  text.resize((text.size() + 7) / 8 * 8, ' ');  // so that the data begin on a multiple of 8
  const std::uint64_t length = text.size();

  AtomicFile file(path);
  file.write({reinterpret_cast<const char*>(&length), kLengthBytes});
  file.write(text);
  for (const std::size_t i : order)
    file.write({reinterpret_cast<const char*>(tensors[i].bytes.data()), tensors[i].bytes.size()});
  file.commit();
}

}  // namespace shelfcast

// The safetensors file format: a JSON header and raw tensors, memory-mapped on reading.
// Format: 8-byte little-endian header length, JSON {name: {dtype, shape, data_offsets}}, then the bytes.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <map>
#include <span>
#include <string>
#include <vector>

#include "base/files.h"

namespace shelfcast {

enum class DType { f32, f64, f16, bf16, i64, i32, u8, boolean };

// Bytes of one element.
std::size_t size_of(DType dtype);
// Whether its elements are floating-point numbers, as weights are.
bool is_floating(DType dtype);
// The format's own names: "F32", "BF16", ...
const char* to_string(DType dtype);

// A view of one stored tensor, row-major; bytes belong to the SafetensorsFile.
struct StoredTensor {
  DType dtype = DType::f32;
  std::vector<std::int64_t> shape;
  std::span<const std::byte> bytes;

  std::int64_t elements() const;
  // Copies to float32 whatever the floating dtype. Throws Error(data) for integer tensors.
  std::vector<float> to_float() const;
  // The same for elements [first, last), into `out`; may be called from several threads.
  void to_float(std::int64_t first, std::int64_t last, float* out) const;
};

// A whole file, mapped read-only. The constructor checks everything a damaged or hostile header could lie
// about (length, offsets, overlaps, shapes against bytes) and throws Error(data) naming the path and the
// tensor.
class SafetensorsFile {
 public:
  explicit SafetensorsFile(const std::filesystem::path& path);

  const std::filesystem::path& path() const { return path_; }
  const std::map<std::string, StoredTensor>& tensors() const { return tensors_; }
  bool contains(const std::string& name) const { return tensors_.count(name) != 0; }
  // Throws Error(data) naming the file, the tensor and the nearest name there is.
  const StoredTensor& at(const std::string& name) const;
  // See MappedFile::release.
  void release(const StoredTensor& tensor) const { file_.release(tensor.bytes); }
  // The "__metadata__" strings.
  const std::map<std::string, std::string>& metadata() const { return metadata_; }

 private:
  std::filesystem::path path_;
  MappedFile file_;
  std::map<std::string, StoredTensor> tensors_;
  std::map<std::string, std::string> metadata_;
};

// The tensors of a published model: one file, or a folder with model.safetensors or the shards that its
// model.safetensors.index.json names. Memory-mapped.
class StoredWeights {
 public:
  // Throws Error(data) naming file and tensor: neither is there, a shard lacks a tensor that the index
  // promises or holds another, what SafetensorsFile throws.
  explicit StoredWeights(const std::filesystem::path& file_or_folder);

  const std::filesystem::path& path() const { return path_; }
  const std::map<std::string, StoredTensor>& tensors() const { return tensors_; }
  bool contains(const std::string& name) const { return tensors_.count(name) != 0; }
  // Throws Error(data) naming the path, the tensor and the nearest name there is.
  const StoredTensor& at(const std::string& name) const;
  // The tensor has been read: its bytes need not stay in memory.
  void release(const StoredTensor& tensor) const;

 private:
  void add(const std::filesystem::path& file, const std::map<std::string, std::string>* promised);

  std::filesystem::path path_;
  std::vector<SafetensorsFile> files_;
  std::map<std::string, StoredTensor> tensors_;
};

// One tensor to be written: `bytes` must stay alive until write_safetensors returns.
struct TensorToStore {
  std::string name;
  DType dtype = DType::f32;
  std::vector<std::int64_t> shape;
  std::span<const std::byte> bytes;
};

// Writes atomically. Tensors are stored in the order given, but wider dtypes first: so each is aligned to its
// element without holes, which readers of the format refuse. Throws Error(input) on a name given twice or
// bytes that do not fit the shape, Error(io) when writing fails.
void write_safetensors(const std::filesystem::path& path, std::span<const TensorToStore> tensors,
                       const std::map<std::string, std::string>& metadata = {});

}  // namespace shelfcast

// HDF5 files behind values: handles close themselves, and every failure names the file, the dataset and what
// to do.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <span>
#include <string>
#include <vector>

namespace shelfcast::data {

// How elements lie on disk. In memory panels are float; HDF5 converts.
enum class StoredType { float32, int8, int16, int32 };

// Rows [first_row, first_row + rows) by columns [first_column, first_column + columns) of a two-dimensional
// dataset.
struct Rectangle {
  std::int64_t first_row = 0, rows = 0;
  std::int64_t first_column = 0, columns = 0;
};

// A two-dimensional dataset to be made. Chunk sizes of 0 mean one piece (contiguous).
struct PanelLayout {
  std::int64_t rows = 0, columns = 0;
  std::int64_t chunk_rows = 0, chunk_columns = 0;
  int compression = 0;  // gzip level, 0 = none
  StoredType type = StoredType::float32;
};

// Part of a virtual dataset: the first `columns` columns of a dataset of another file, put at (first_row,
// first_column).
struct VirtualSource {
  std::string file;  // relative to the folder of the virtual file
  std::int64_t first_row = 0, rows = 0;
  std::int64_t first_column = 0, columns = 0;
  std::int64_t stored_columns = 0;  // of that dataset
};

// An HDF5 identifier (hid_t) that closes itself. The library is one state machine per process and need not
// have been built for threads, so every call of ours, closing included, happens under one lock.
class Hdf5Handle {
 public:
  enum class Closes { file, dataset, space, properties, type, attribute, group };

  Hdf5Handle() = default;
  Hdf5Handle(std::int64_t id, Closes kind) : id_(id), kind_(kind) {}
  Hdf5Handle(Hdf5Handle&& other) noexcept;
  Hdf5Handle& operator=(Hdf5Handle&& other) noexcept;
  ~Hdf5Handle() { close(); }

  std::int64_t id() const { return id_; }
  bool valid() const { return id_ >= 0; }
  // Returns whether the library agreed; a second call does nothing and agrees.
  bool close() noexcept;

 private:
  std::int64_t id_ = -1;
  Closes kind_ = Closes::file;
};

// A two-dimensional numeric dataset of an open file. Owned by the thread that owns its file.
class Hdf5Dataset {
 public:
  Hdf5Dataset() = default;
  Hdf5Dataset(Hdf5Handle handle, std::filesystem::path file, std::string name);

  const std::string& name() const { return name_; }
  std::int64_t rows() const { return rows_; }
  std::int64_t columns() const { return columns_; }
  // Sizes of a chunk; those of the dataset when it is in one piece.
  std::int64_t chunk_rows() const { return chunk_rows_; }
  std::int64_t chunk_columns() const { return chunk_columns_; }

  // `to` is the first wanted element; its rows lie `stride` floats apart. One H5Dread. Throws Error(data),
  // Error(io).
  void read(const Rectangle& part, float* to, std::int64_t stride) const;
  // `from` is dense. One H5Dwrite. Throws Error(io).
  void write(const Rectangle& part, const float* from);

 private:
  Hdf5Handle handle_;
  std::filesystem::path file_;
  std::string name_;
  std::int64_t rows_ = 0, columns_ = 0, chunk_rows_ = 0, chunk_columns_ = 0;
};

// One file. Reading takes no lock: corpus files never change once they have their name, and many parallel
// file systems refuse locks. HDF5_USE_FILE_LOCKING=TRUE in the environment overrules that.
class Hdf5File {
 public:
  // Throws Error(io) when it cannot be read or is locked, Error(data) when it is no sound HDF5 file.
  static Hdf5File open(const std::filesystem::path& path);
  // Throws Error(io).
  static Hdf5File create(const std::filesystem::path& path);

  const std::filesystem::path& path() const { return path_; }
  bool contains(const std::string& name) const;
  // Names directly under `group`, sorted; none when there is no such group.
  std::vector<std::string> names(const std::string& group) const;

  // Two-dimensional numeric datasets. Throws Error(data) when there is none of that name or it has another
  // shape.
  Hdf5Dataset dataset(const std::string& name) const;
  Hdf5Dataset dataset(const std::string& name, std::int64_t rows, std::int64_t columns) const;
  // Fill value: NaN for float32, -1 for integers.
  Hdf5Dataset create_dataset(const std::string& name, const PanelLayout& layout);

  // One-dimensional datasets. Groups in names are made as needed.
  void write_vector(const std::string& name, std::span<const float> values);
  void write_vector(const std::string& name, std::span<const std::int32_t> values);
  void write_vector(const std::string& name, std::span<const std::int64_t> values);
  void write_vector(const std::string& name, std::span<const std::uint8_t> values);
  std::vector<float> read_floats(const std::string& name) const;
  std::vector<std::int32_t> read_int32(const std::string& name) const;
  std::vector<std::int64_t> read_int64(const std::string& name) const;
  std::vector<std::uint8_t> read_bytes(const std::string& name) const;
  // UTF-8 strings, stored zero-padded to the longest. Throws Error(input) for one with a zero byte or over
  // 4096 bytes.
  void write_strings(const std::string& name, std::span<const std::string> values);
  std::vector<std::string> read_strings(const std::string& name) const;

  // Attributes of the file.
  void set_attribute(const std::string& name, const std::string& value);
  void set_attribute(const std::string& name, std::int64_t value);
  // nullopt when absent or of another type.
  std::optional<std::string> text_attribute(const std::string& name) const;
  std::optional<std::int64_t> integer_attribute(const std::string& name) const;

  // A dataset that shows `name` of each source where the source says; elsewhere the fill value.
  void create_virtual(const std::string& name, StoredType type, std::int64_t rows, std::int64_t columns,
                      std::span<const VirtualSource> sources);
  // A link to everything under `name` of another file (relative to this one's folder).
  void link_external(const std::string& name, const std::string& file);

  // Asks the file system for all the space that the datasets made so far will fill, so that a full disk is
  // met now and not half-way. Only uncompressed space is known beforehand. Throws Error(io).
  void reserve_space();
  // Flushes and closes; datasets of it must be gone. Throws Error(io).
  void close();

 private:
  Hdf5File(Hdf5Handle handle, std::filesystem::path path)
      : handle_(std::move(handle)), path_(std::move(path)) {}

  Hdf5Handle handle_;
  std::filesystem::path path_;
};

}  // namespace shelfcast::data

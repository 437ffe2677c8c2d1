#include "data/hdf5_file.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <hdf5.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <limits>
#include <mutex>
#include <utility>

#include "base/activity.h"
#include "base/error.h"

namespace shelfcast::data {
namespace {

namespace fs = std::filesystem;
using Closes = Hdf5Handle::Closes;

constexpr std::size_t kLongestString = 4096;

// What the library said of its last failure: the innermost text, and errno where the system was the cause.
struct Failure {
  std::string text;
  std::string all;
  int error_number = 0;
};

// Held around every library call.
class Guard {
 public:
  // In place of printing, every failing call leaves its words here, where closing handles on the way out
  // cannot overwrite them.
  Guard() : lock_(state().mutex) { H5Eset_auto2(H5E_DEFAULT, &remember, &state().failure); }

  static const Failure& last_failure() { return state().failure; }

 private:
  struct State {
    // Before any other call: a file that could not be closed (a full disk) must not be closed again on the
    // way out of the program, which then ends by a signal.
    State() { H5dont_atexit(); }
    std::recursive_mutex mutex;  // recursive, because handles close themselves inside functions that hold it
    Failure failure;
  };
  static State& state() {
    static State one;
    return one;
  }

  static herr_t collect(unsigned depth, const H5E_error2_t* entry, void* into) {
    Failure& failure = *static_cast<Failure*>(into);
    const std::string text = entry->desc == nullptr ? "" : entry->desc;
    if (depth == 0) failure.text = text;
    failure.all += text + "\n";
    const auto at = text.find("errno = ");
    if (failure.error_number == 0 && at != std::string::npos)
      failure.error_number = std::atoi(text.c_str() + at + 8);
    return 0;
  }

  static herr_t remember(hid_t stack, void* into) {
    *static_cast<Failure*>(into) = {};
    return H5Ewalk2(stack, H5E_WALK_UPWARD, &collect, into);
  }

  std::lock_guard<std::recursive_mutex> lock_;
};

std::string place(const fs::path& path, const std::string& dataset) {
  return dataset.empty() ? path.string() : fmt::format("{}, dataset {}", path.string(), dataset);
}

[[noreturn]] void fail_reading(const fs::path& path, const std::string& dataset) {
  const Failure failure = Guard::last_failure();
  const std::string problem = "cannot read " + place(path, dataset);
  if (failure.error_number != 0) throw io_error(problem, failure.error_number);
  throw data_error(problem, failure.text, "the file is damaged: copy it again or make the corpus again");
}

[[noreturn]] void fail_writing(const fs::path& path, const std::string& dataset) {
  const Failure failure = Guard::last_failure();
  const std::string problem = "cannot write " + place(path, dataset);
  if (failure.error_number != 0) throw io_error(problem, failure.error_number);
  throw Error(ErrorKind::io, problem, failure.text, "see that the disk is writable and has room");
}

[[noreturn]] void fail_opening(const fs::path& path) {
  const Failure failure = Guard::last_failure();
  const std::string problem = "cannot read " + path.string();
  if (failure.all.find("lock file") != std::string::npos)
    throw Error(ErrorKind::io, problem, "the file system refused a lock, or another program holds one",
                "set HDF5_USE_FILE_LOCKING=FALSE: corpus files never change, so no lock is needed");
  if (failure.error_number != 0) throw io_error(problem, failure.error_number);
  if (failure.all.find("truncated") != std::string::npos)
    throw data_error(problem, "the file is truncated", "copy it again or make the corpus again");
  if (failure.all.find("signature") != std::string::npos)
    throw data_error(problem, "it is not an HDF5 file", "copy it again or make the corpus again");
  throw data_error(problem, failure.text, "the file is damaged: copy it again or make the corpus again");
}

Hdf5Handle properties(hid_t cls) { return {H5Pcreate(cls), Closes::properties}; }

Hdf5Handle file_access() {
  Hdf5Handle access = properties(H5P_FILE_ACCESS);
  // Compact chunk indices and virtual datasets; every reader since HDF5 1.10 (2016) knows them.
  H5Pset_libver_bounds(access.id(), H5F_LIBVER_V110, H5F_LIBVER_V110);
  H5Pset_fclose_degree(access.id(), H5F_CLOSE_STRONG);
#if H5_VERSION_GE(1, 10, 7)
  H5Pset_file_locking(access.id(), false, true);
#endif
  return access;
}

hid_t disk_type(StoredType type) {
  switch (type) {
    case StoredType::float32:
      return H5T_IEEE_F32LE;
    case StoredType::int8:
      return H5T_STD_I8LE;
    case StoredType::int16:
      return H5T_STD_I16LE;
    case StoredType::int32:
      return H5T_STD_I32LE;
  }
  return H5T_IEEE_F32LE;
}

template <typename T>
hid_t memory_type();
template <>
hid_t memory_type<float>() {
  return H5T_NATIVE_FLOAT;
}
template <>
hid_t memory_type<std::int32_t>() {
  return H5T_NATIVE_INT32;
}
template <>
hid_t memory_type<std::int64_t>() {
  return H5T_NATIVE_INT64;
}
template <>
hid_t memory_type<std::uint8_t>() {
  return H5T_NATIVE_UINT8;
}

Hdf5Handle link_properties() {
  Hdf5Handle links = properties(H5P_LINK_CREATE);
  H5Pset_create_intermediate_group(links.id(), 1);
  return links;
}

// Makes the groups above `name` that are not there yet. Left to HDF5, they would carry the time.
void make_groups_above(hid_t file, const std::string& name) {
  for (std::size_t slash = name.find('/', 1); slash != std::string::npos; slash = name.find('/', slash + 1)) {
    const std::string group = name.substr(0, slash);
    if (H5Lexists(file, group.c_str(), H5P_DEFAULT) > 0) continue;
    const Hdf5Handle creation = properties(H5P_GROUP_CREATE);
    H5Pset_obj_track_times(creation.id(), false);
    const Hdf5Handle made(H5Gcreate2(file, group.c_str(), H5P_DEFAULT, creation.id(), H5P_DEFAULT),
                          Closes::group);
  }
}

// Without time stamps the same numbers make the same bytes, hence the same digest.
Hdf5Handle dataset_properties() {
  Hdf5Handle creation = properties(H5P_DATASET_CREATE);
  H5Pset_obj_track_times(creation.id(), false);
  return creation;
}

void set_fill(hid_t creation, StoredType type) {
  const float missing = type == StoredType::float32 ? std::numeric_limits<float>::quiet_NaN() : -1.0F;
  H5Pset_fill_value(creation, H5T_NATIVE_FLOAT, &missing);
}

Hdf5Handle space_of(std::span<const std::int64_t> sizes) {
  std::vector<hsize_t> dims(sizes.begin(), sizes.end());
  return {H5Screate_simple(static_cast<int>(dims.size()), dims.data(), nullptr), Closes::space};
}

void select(const Hdf5Handle& space, const Rectangle& part) {
  const std::array<hsize_t, 2> first{static_cast<hsize_t>(part.first_row),
                                     static_cast<hsize_t>(part.first_column)};
  const std::array<hsize_t, 2> count{static_cast<hsize_t>(part.rows), static_cast<hsize_t>(part.columns)};
  H5Sselect_hyperslab(space.id(), H5S_SELECT_SET, first.data(), nullptr, count.data(), nullptr);
}

Hdf5Handle string_type(std::size_t bytes) {
  Hdf5Handle type(H5Tcopy(H5T_C_S1), Closes::type);
  H5Tset_size(type.id(), bytes);
  H5Tset_cset(type.id(), H5T_CSET_UTF8);
  H5Tset_strpad(type.id(), H5T_STR_NULLPAD);
  return type;
}

Hdf5Handle open_dataset(const Hdf5Handle& file, const fs::path& path, const std::string& name) {
  Hdf5Handle access = properties(H5P_DATASET_ACCESS);
  // No chunk cache: whole chunks are read and written once each, straight between file and memory.
  H5Pset_chunk_cache(access.id(), 0, 0, 0.0);
  Hdf5Handle dataset(H5Dopen2(file.id(), name.c_str(), access.id()), Closes::dataset);
  if (!dataset.valid())
    throw data_error(fmt::format("{} has no dataset {}", path.string(), name),
                     "the file is damaged or foreign", "copy it again or make the corpus again");
  return dataset;
}

std::int64_t length_of(const Hdf5Handle& dataset, const fs::path& path, const std::string& name) {
  Hdf5Handle space(H5Dget_space(dataset.id()), Closes::space);
  hsize_t length = 0;
  if (H5Sget_simple_extent_ndims(space.id()) != 1 ||
      H5Sget_simple_extent_dims(space.id(), &length, nullptr) < 0)
    throw data_error(place(path, name) + " is not a list", {},
                     "copy the file again or make the corpus again");
  return static_cast<std::int64_t>(length);
}

template <typename T>
void write_list(const Hdf5Handle& file, const fs::path& path, const std::string& name,
                std::span<const T> values) {
  const Guard guard;
  const activity::Operation watched(activity::Kind::file, path.native());
  const std::int64_t length = static_cast<std::int64_t>(values.size());
  make_groups_above(file.id(), name);
  Hdf5Handle dataset(H5Dcreate2(file.id(), name.c_str(), memory_type<T>(), space_of({&length, 1}).id(),
                                link_properties().id(), dataset_properties().id(), H5P_DEFAULT),
                     Closes::dataset);
  if (!dataset.valid()) fail_writing(path, name);
  if (length > 0 &&
      H5Dwrite(dataset.id(), memory_type<T>(), H5S_ALL, H5S_ALL, H5P_DEFAULT, values.data()) < 0)
    fail_writing(path, name);
}

template <typename T>
std::vector<T> read_list(const Hdf5Handle& file, const fs::path& path, const std::string& name) {
  const Guard guard;
  const activity::Operation watched(activity::Kind::file, path.native());
  const Hdf5Handle dataset = open_dataset(file, path, name);
  std::vector<T> values(static_cast<std::size_t>(length_of(dataset, path, name)));
  if (!values.empty() &&
      H5Dread(dataset.id(), memory_type<T>(), H5S_ALL, H5S_ALL, H5P_DEFAULT, values.data()) < 0)
    fail_reading(path, name);
  return values;
}

}  // namespace

Hdf5Handle::Hdf5Handle(Hdf5Handle&& other) noexcept : id_(std::exchange(other.id_, -1)), kind_(other.kind_) {}

Hdf5Handle& Hdf5Handle::operator=(Hdf5Handle&& other) noexcept {
  std::swap(id_, other.id_);
  std::swap(kind_, other.kind_);
  return *this;
}

bool Hdf5Handle::close() noexcept {
  if (id_ < 0) return true;
  const Guard guard;
  const activity::Operation watched(activity::Kind::file, "closing an HDF5 file");
  const hid_t id = std::exchange(id_, -1);
  switch (kind_) {
    case Closes::file:
      return H5Fclose(id) >= 0;
    case Closes::dataset:
      return H5Dclose(id) >= 0;
    case Closes::space:
      return H5Sclose(id) >= 0;
    case Closes::properties:
      return H5Pclose(id) >= 0;
    case Closes::type:
      return H5Tclose(id) >= 0;
    case Closes::attribute:
      return H5Aclose(id) >= 0;
    case Closes::group:
      return H5Gclose(id) >= 0;
  }
  return false;
}

Hdf5Dataset::Hdf5Dataset(Hdf5Handle handle, fs::path file, std::string name)
    : handle_(std::move(handle)), file_(std::move(file)), name_(std::move(name)) {
  const Guard guard;
  const activity::Operation watched(activity::Kind::file, file_.native());
  const Hdf5Handle space(H5Dget_space(handle_.id()), Closes::space);
  std::array<hsize_t, 2> dims{};
  if (H5Sget_simple_extent_ndims(space.id()) != 2 ||
      H5Sget_simple_extent_dims(space.id(), dims.data(), nullptr) < 0)
    throw data_error(place(file_, name_) + " is not a table", {},
                     "copy the file again or make the corpus again");
  rows_ = static_cast<std::int64_t>(dims[0]);
  columns_ = static_cast<std::int64_t>(dims[1]);
  const Hdf5Handle creation(H5Dget_create_plist(handle_.id()), Closes::properties);
  if (H5Pget_layout(creation.id()) == H5D_CHUNKED) H5Pget_chunk(creation.id(), 2, dims.data());
  chunk_rows_ = static_cast<std::int64_t>(dims[0]);
  chunk_columns_ = static_cast<std::int64_t>(dims[1]);
}

void Hdf5Dataset::read(const Rectangle& part, float* to, std::int64_t stride) const {
  SHELFCAST_ASSERT(part.first_row >= 0 && part.first_row + part.rows <= rows_ && part.first_column >= 0 &&
                   part.first_column + part.columns <= columns_ && part.columns <= stride);
  if (part.rows == 0 || part.columns == 0) return;
  const Guard guard;
  const activity::Operation watched(activity::Kind::file, file_.native());
  const Hdf5Handle space(H5Dget_space(handle_.id()), Closes::space);
  select(space, part);
  const Hdf5Handle memory = space_of(std::array{part.rows, stride});
  select(memory, {0, part.rows, 0, part.columns});
  if (H5Dread(handle_.id(), H5T_NATIVE_FLOAT, memory.id(), space.id(), H5P_DEFAULT, to) < 0)
    fail_reading(file_, name_);
}

void Hdf5Dataset::write(const Rectangle& part, const float* from) {
  SHELFCAST_ASSERT(part.first_row >= 0 && part.first_row + part.rows <= rows_ && part.first_column >= 0 &&
                   part.first_column + part.columns <= columns_);
  if (part.rows == 0 || part.columns == 0) return;
  const Guard guard;
  const activity::Operation watched(activity::Kind::file, file_.native());
  const Hdf5Handle space(H5Dget_space(handle_.id()), Closes::space);
  select(space, part);
  const Hdf5Handle memory = space_of(std::array{part.rows, part.columns});
  if (H5Dwrite(handle_.id(), H5T_NATIVE_FLOAT, memory.id(), space.id(), H5P_DEFAULT, from) < 0)
    fail_writing(file_, name_);
}

Hdf5File Hdf5File::open(const fs::path& path) {
  const Guard guard;
  const activity::Operation watched(activity::Kind::file, path.native());
  Hdf5Handle file(H5Fopen(path.c_str(), H5F_ACC_RDONLY, file_access().id()), Closes::file);
  if (!file.valid()) fail_opening(path);
  return {std::move(file), path};
}

Hdf5File Hdf5File::create(const fs::path& path) {
  const Guard guard;
  const activity::Operation watched(activity::Kind::file, path.native());
  const Hdf5Handle creation = properties(H5P_FILE_CREATE);
  H5Pset_obj_track_times(creation.id(), false);
  Hdf5Handle file(H5Fcreate(path.c_str(), H5F_ACC_EXCL, creation.id(), file_access().id()), Closes::file);
  if (!file.valid()) fail_writing(path, {});
  return {std::move(file), path};
}

bool Hdf5File::contains(const std::string& name) const {
  const Guard guard;
  const activity::Operation watched(activity::Kind::file, path_.native());
  for (std::size_t slash = name.find('/'); slash != std::string::npos; slash = name.find('/', slash + 1))
    if (H5Lexists(handle_.id(), name.substr(0, slash).c_str(), H5P_DEFAULT) <= 0) return false;
  return H5Lexists(handle_.id(), name.c_str(), H5P_DEFAULT) > 0;
}

std::vector<std::string> Hdf5File::names(const std::string& group) const {
  const Guard guard;
  const activity::Operation watched(activity::Kind::file, path_.native());
  std::vector<std::string> found;
  if (!contains(group)) return found;
  const Hdf5Handle opened(H5Gopen2(handle_.id(), group.c_str(), H5P_DEFAULT), Closes::group);
  if (!opened.valid()) fail_reading(path_, group);
  const auto add = [](hid_t, const char* name, const H5L_info_t*, void* into) -> herr_t {
    static_cast<std::vector<std::string>*>(into)->emplace_back(name);
    return 0;
  };
  if (H5Literate(opened.id(), H5_INDEX_NAME, H5_ITER_INC, nullptr, add, &found) < 0)
    fail_reading(path_, group);
  return found;
}

Hdf5Dataset Hdf5File::dataset(const std::string& name) const {
  const Guard guard;
  const activity::Operation watched(activity::Kind::file, path_.native());
  return {open_dataset(handle_, path_, name), path_, name};
}

Hdf5Dataset Hdf5File::dataset(const std::string& name, std::int64_t rows, std::int64_t columns) const {
  Hdf5Dataset found = dataset(name);
  if (found.rows() != rows || found.columns() != columns)
    throw data_error(
        place(path_, name) + " has the wrong shape",
        fmt::format("{} x {} where the manifest says {} x {}", found.rows(), found.columns(), rows, columns),
        "the file belongs to another corpus: copy it again or make the corpus again");
  return found;
}

Hdf5Dataset Hdf5File::create_dataset(const std::string& name, const PanelLayout& layout) {
  const Guard guard;
  const activity::Operation watched(activity::Kind::file, path_.native());
  const Hdf5Handle creation = dataset_properties();
  set_fill(creation.id(), layout.type);
  if (layout.chunk_rows > 0) {
    const std::array<hsize_t, 2> chunk{static_cast<hsize_t>(layout.chunk_rows),
                                       static_cast<hsize_t>(layout.chunk_columns)};
    H5Pset_chunk(creation.id(), 2, chunk.data());
  }
  if (layout.compression > 0) {
    H5Pset_shuffle(creation.id());
    H5Pset_deflate(creation.id(), static_cast<unsigned>(layout.compression));
  } else {
    // Space is laid out at once and never filled: every element is written by us.
    H5Pset_alloc_time(creation.id(), H5D_ALLOC_TIME_EARLY);
    H5Pset_fill_time(creation.id(), H5D_FILL_TIME_NEVER);
  }
  const Hdf5Handle access = properties(H5P_DATASET_ACCESS);
  H5Pset_chunk_cache(access.id(), 0, 0, 0.0);
  make_groups_above(handle_.id(), name);
  Hdf5Handle made(H5Dcreate2(handle_.id(), name.c_str(), disk_type(layout.type),
                             space_of(std::array{layout.rows, layout.columns}).id(), link_properties().id(),
                             creation.id(), access.id()),
                  Closes::dataset);
  if (!made.valid()) fail_writing(path_, name);
  return {std::move(made), path_, name};
}

void Hdf5File::write_vector(const std::string& name, std::span<const float> v) {
  write_list(handle_, path_, name, v);
}
void Hdf5File::write_vector(const std::string& name, std::span<const std::int32_t> v) {
  write_list(handle_, path_, name, v);
}
void Hdf5File::write_vector(const std::string& name, std::span<const std::int64_t> v) {
  write_list(handle_, path_, name, v);
}
void Hdf5File::write_vector(const std::string& name, std::span<const std::uint8_t> v) {
  write_list(handle_, path_, name, v);
}
std::vector<float> Hdf5File::read_floats(const std::string& name) const {
  return read_list<float>(handle_, path_, name);
}
std::vector<std::int32_t> Hdf5File::read_int32(const std::string& name) const {
  return read_list<std::int32_t>(handle_, path_, name);
}
std::vector<std::int64_t> Hdf5File::read_int64(const std::string& name) const {
  return read_list<std::int64_t>(handle_, path_, name);
}
std::vector<std::uint8_t> Hdf5File::read_bytes(const std::string& name) const {
  return read_list<std::uint8_t>(handle_, path_, name);
}

void Hdf5File::write_strings(const std::string& name, std::span<const std::string> values) {
  std::size_t longest = 1;
  for (const std::string& value : values) {
    if (value.find('\0') != std::string::npos)
      throw input_error(fmt::format("a name in {} holds a zero byte", name), {}, "clean the source table");
    longest = std::max(longest, value.size());
  }
  if (longest > kLongestString)
    throw input_error(fmt::format("a name in {} is {} bytes long", name, longest),
                      fmt::format("at most {}", kLongestString), "shorten it, or keep it as a product text");
  std::string packed(longest * values.size(), '\0');
  for (std::size_t i = 0; i < values.size(); ++i) values[i].copy(packed.data() + i * longest, longest);
  const Guard guard;
  const activity::Operation watched(activity::Kind::file, path_.native());
  const Hdf5Handle type = string_type(longest);
  const std::int64_t length = static_cast<std::int64_t>(values.size());
  make_groups_above(handle_.id(), name);
  const Hdf5Handle dataset(H5Dcreate2(handle_.id(), name.c_str(), type.id(), space_of({&length, 1}).id(),
                                      link_properties().id(), dataset_properties().id(), H5P_DEFAULT),
                           Closes::dataset);
  if (!dataset.valid()) fail_writing(path_, name);
  if (length > 0 && H5Dwrite(dataset.id(), type.id(), H5S_ALL, H5S_ALL, H5P_DEFAULT, packed.data()) < 0)
    fail_writing(path_, name);
}

std::vector<std::string> Hdf5File::read_strings(const std::string& name) const {
  const Guard guard;
  const activity::Operation watched(activity::Kind::file, path_.native());
  const Hdf5Handle dataset = open_dataset(handle_, path_, name);
  const Hdf5Handle stored(H5Dget_type(dataset.id()), Closes::type);
  if (H5Tget_class(stored.id()) != H5T_STRING || H5Tis_variable_str(stored.id()) > 0)
    throw data_error(place(path_, name) + " does not hold names", {},
                     "copy the file again or make the corpus again");
  const std::size_t width = H5Tget_size(stored.id());
  std::vector<std::string> values(static_cast<std::size_t>(length_of(dataset, path_, name)));
  std::string packed(width * values.size(), '\0');
  if (!values.empty() &&
      H5Dread(dataset.id(), string_type(width).id(), H5S_ALL, H5S_ALL, H5P_DEFAULT, packed.data()) < 0)
    fail_reading(path_, name);
  for (std::size_t i = 0; i < values.size(); ++i) {
    const char* begin = packed.data() + i * width;
    values[i].assign(begin, ::strnlen(begin, width));
  }
  return values;
}

void Hdf5File::set_attribute(const std::string& name, const std::string& value) {
  const Guard guard;
  const activity::Operation watched(activity::Kind::file, path_.native());
  const Hdf5Handle type = string_type(std::max<std::size_t>(1, value.size()));
  const Hdf5Handle space(H5Screate(H5S_SCALAR), Closes::space);
  const Hdf5Handle attribute(
      H5Acreate2(handle_.id(), name.c_str(), type.id(), space.id(), H5P_DEFAULT, H5P_DEFAULT),
      Closes::attribute);
  if (!attribute.valid() || H5Awrite(attribute.id(), type.id(), value.c_str()) < 0) fail_writing(path_, {});
}

void Hdf5File::set_attribute(const std::string& name, std::int64_t value) {
  const Guard guard;
  const activity::Operation watched(activity::Kind::file, path_.native());
  const Hdf5Handle space(H5Screate(H5S_SCALAR), Closes::space);
  const Hdf5Handle attribute(
      H5Acreate2(handle_.id(), name.c_str(), H5T_STD_I64LE, space.id(), H5P_DEFAULT, H5P_DEFAULT),
      Closes::attribute);
  if (!attribute.valid() || H5Awrite(attribute.id(), H5T_NATIVE_INT64, &value) < 0) fail_writing(path_, {});
}

std::optional<std::string> Hdf5File::text_attribute(const std::string& name) const {
  const Guard guard;
  const activity::Operation watched(activity::Kind::file, path_.native());
  if (H5Aexists(handle_.id(), name.c_str()) <= 0) return std::nullopt;
  const Hdf5Handle attribute(H5Aopen(handle_.id(), name.c_str(), H5P_DEFAULT), Closes::attribute);
  const Hdf5Handle type(H5Aget_type(attribute.id()), Closes::type);
  if (H5Tget_class(type.id()) != H5T_STRING || H5Tis_variable_str(type.id()) > 0) return std::nullopt;
  std::string value(H5Tget_size(type.id()), '\0');
  if (H5Aread(attribute.id(), type.id(), value.data()) < 0) return std::nullopt;
  value.resize(::strnlen(value.data(), value.size()));
  return value;
}

std::optional<std::int64_t> Hdf5File::integer_attribute(const std::string& name) const {
  const Guard guard;
  const activity::Operation watched(activity::Kind::file, path_.native());
  if (H5Aexists(handle_.id(), name.c_str()) <= 0) return std::nullopt;
  const Hdf5Handle attribute(H5Aopen(handle_.id(), name.c_str(), H5P_DEFAULT), Closes::attribute);
  std::int64_t value = 0;
  if (H5Aread(attribute.id(), H5T_NATIVE_INT64, &value) < 0) return std::nullopt;
  return value;
}

void Hdf5File::create_virtual(const std::string& name, StoredType type, std::int64_t rows,
                              std::int64_t columns, std::span<const VirtualSource> sources) {
  const Guard guard;
  const activity::Operation watched(activity::Kind::file, path_.native());
  const Hdf5Handle creation = dataset_properties();
  set_fill(creation.id(), type);
  const Hdf5Handle space = space_of(std::array{rows, columns});
  for (const VirtualSource& source : sources) {
    select(space, {source.first_row, source.rows, source.first_column, source.columns});
    const Hdf5Handle part = space_of(std::array{source.rows, source.stored_columns});
    select(part, {0, source.rows, 0, source.columns});
    if (H5Pset_virtual(creation.id(), space.id(), source.file.c_str(), name.c_str(), part.id()) < 0)
      fail_writing(path_, name);
  }
  H5Sselect_all(space.id());
  make_groups_above(handle_.id(), name);
  const Hdf5Handle made(H5Dcreate2(handle_.id(), name.c_str(), disk_type(type), space.id(),
                                   link_properties().id(), creation.id(), H5P_DEFAULT),
                        Closes::dataset);
  if (!made.valid()) fail_writing(path_, name);
}

void Hdf5File::link_external(const std::string& name, const std::string& file) {
  const Guard guard;
  const activity::Operation watched(activity::Kind::file, path_.native());
  if (H5Lcreate_external(file.c_str(), name.c_str(), handle_.id(), name.c_str(), link_properties().id(),
                         H5P_DEFAULT) < 0)
    fail_writing(path_, name);
}

void Hdf5File::reserve_space() {
  const Guard guard;
  const activity::Operation watched(activity::Kind::file, path_.native());
  hsize_t size = 0;
  void* descriptor = nullptr;
  if (H5Fget_filesize(handle_.id(), &size) < 0 ||
      H5Fget_vfd_handle(handle_.id(), H5P_DEFAULT, &descriptor) < 0)
    fail_writing(path_, {});
  // The call itself, not posix_fallocate: that writes the whole file where the file system cannot reserve.
  if (size > 0 && ::fallocate(*static_cast<int*>(descriptor), 0, 0, static_cast<off_t>(size)) != 0 &&
      errno != EOPNOTSUPP && errno != ENOSYS)
    throw io_error("cannot write " + path_.string(), errno);
}

void Hdf5File::close() {
  if (!handle_.valid()) return;
  const Guard guard;
  const activity::Operation watched(activity::Kind::file, path_.native());
  if (H5Fflush(handle_.id(), H5F_SCOPE_GLOBAL) < 0) fail_writing(path_, {});
  if (!handle_.close()) fail_writing(path_, {});
}

}  // namespace shelfcast::data

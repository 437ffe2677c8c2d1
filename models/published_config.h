// Reading the config.json of published models: every complaint names the file and the key, and sizes are
// checked before anything is made of them. Free of torch.
#pragma once

#include <cstdint>
#include <filesystem>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

#include "base/error.h"
#include "models/config.h"

namespace shelfcast::models {

// One object of such a file, read key by key. Each throws Error(data), which begins with "config.json has",
// for a key that is missing or holds something else than what is read, and for sizes beyond any published
// model's. Keys with `otherwise` may be missing or null. The object must outlive this.
class ConfigKeys {
 public:
  // `within` stands before the keys: "chronos_config.".
  explicit ConfigKeys(const nlohmann::json& object, std::string within = {});

  // The object under a key.
  ConfigKeys part(const char* key) const;
  // There and not null.
  bool has(const char* key) const;

  void read(const char* key, std::int64_t& value) const;
  void read(const char* key, double& value) const;
  void read(const char* key, bool& value) const;
  void read(const char* key, std::string& value) const;
  void read(const char* key, std::vector<double>& value) const;
  template <typename T>
  void read(const char* key, T& value, const T& otherwise) const {
    value = otherwise;
    if (has(key)) read(key, value);
  }
  // Of an activation function that the value of `key` names.
  void require_activation(const char* key, const std::string& name) const;

 private:
  const nlohmann::json& at(const char* key) const;
  [[noreturn]] void refuse(const char* key, const std::string& why) const;

  const nlohmann::json& object_;
  std::string within_;
};

// `error`, of reading `path`, as Error(data) that begins with the path.
Error error_of_file(const std::filesystem::path& path, const Error& error);

// Which kind of series model a config.json describes. Throws Error(data) for one that we do not know, such as
// the original Chronos-T5.
Architecture published_architecture(const nlohmann::json& json);

// The tower that `folder`/config.json describes. Throws Error(io) or Error(data) naming the file, also when
// the weights beside it hold far fewer numbers than the tower needs (no weights: not checked).
TowerConfig read_published_tower(const std::filesystem::path& folder);

// Throws Error(data) when the weights in `folder`, if there are any, hold far fewer numbers than the
// `parameters` that its config.json asks for: then no memory should be taken for them. Smaller differences
// are left to whoever compares tensor by tensor.
void require_room_for(const std::filesystem::path& folder, double parameters);

}  // namespace shelfcast::models

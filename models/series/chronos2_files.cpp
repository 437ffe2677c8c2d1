#include "models/series/chronos2_files.h"

#include <nlohmann/json.hpp>

#include "base/error.h"
#include "base/files.h"
#include "base/json_file.h"
#include "models/published_config.h"
#include "models/weights.h"

namespace shelfcast::models {

namespace {

Chronos2Model make(const Chronos2Config& config, ParameterMaker maker) {
  Chronos2 tower(config, "", maker);
  return {std::move(tower), maker.take()};
}

}  // namespace

Chronos2Model make_chronos2(const Chronos2Config& config, std::uint64_t seed) {
  return make(config, ParameterMaker(seed, ParameterMaker::Fill::draw));
}

Chronos2Config read_chronos2_config(const std::filesystem::path& folder) {
  const auto path = folder / "config.json";
  const nlohmann::json json = read_json(path);
  try {
    return chronos2_config_from_published_json(json);
  } catch (const Error& error) {
    throw error_of_file(path, error);
  }
}

Chronos2Model load_chronos2(const std::filesystem::path& folder) {
  Chronos2Model model = make(read_chronos2_config(folder), ParameterMaker(0, ParameterMaker::Fill::leave));
  load_weights(folder, "", model.parameters);
  return model;
}

void save_chronos2(const std::filesystem::path& folder, const Chronos2Config& config,
                   const std::vector<Parameter>& parameters, const std::string& prefix) {
  std::error_code failed;
  std::filesystem::create_directories(folder, failed);
  if (failed) throw io_error("cannot make " + folder.string(), failed.value());
  write_file_atomically(folder / "config.json", to_published_json(config).dump(2) + "\n");
  save_weights(folder / "model.safetensors", prefix, parameters);
}

}  // namespace shelfcast::models

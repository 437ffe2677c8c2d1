#include "base/json_file.h"

#include <nlohmann/json.hpp>

#include "base/error.h"
#include "base/files.h"

namespace shelfcast {

nlohmann::json read_json(const std::filesystem::path& path, const std::string& why) {
  nlohmann::json json = nlohmann::json::parse(read_file(path), nullptr, /*allow_exceptions=*/false);
  if (json.is_discarded()) throw data_error(path.string() + " is not JSON", why);
  return json;
}

}  // namespace shelfcast

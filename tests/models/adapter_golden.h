// Reading the golden files of adapters (tests/golden/make_lora.py).
#pragma once

#include <cstdlib>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "base/json_file.h"
#include "tests/models/golden.h"
#include "tests/support/paths.h"

namespace shelfcast::models::testing {

inline std::filesystem::path adapter_folder(const std::string& name) {
  return shelfcast::testing::golden_dir() / "lora" / name;
}

// The golden checkpoint that an adapter's configuration names.
inline std::filesystem::path base_of(const std::filesystem::path& adapter) {
  return shelfcast::testing::golden_dir() /
         read_json(adapter / "adapter_config.json").at("base_model_name_or_path").get<std::string>();
}

// The matrices that PEFT merged the adapter into.
inline void expect_merged(const SafetensorsFile& golden, const std::vector<Parameter>& parameters,
                          const std::string& prefix) {
  std::size_t in_file = 0, compared = 0;
  for (const auto& [name, tensor] : golden.tensors()) in_file += name.starts_with("merged.") ? 1 : 0;
  for (const Parameter& parameter : parameters) {
    if (!parameter.name.starts_with(prefix)) continue;
    const std::string name = "merged." + parameter.name.substr(prefix.size());
    if (!golden.contains(name)) continue;
    expect_below("lora merged matrix", digest_error(parameter.tensor, stored(golden, name)), 2e-6, name);
    ++compared;
  }
  EXPECT_EQ(compared, in_file);
}

// With $SHELFCAST_SAVED the folder stays for make_lora.py --check.
inline void keep_for_peft(const std::filesystem::path& written, const std::filesystem::path& golden) {
  namespace fs = std::filesystem;
  const char* named = std::getenv("SHELFCAST_SAVED");
  const bool peft = read_json(golden / "adapter_config.json").contains("peft_type");
  if (named == nullptr || !peft) return;
  const fs::path kept = fs::path(named) / ("lora_" + golden.filename().string());
  fs::create_directories(kept);
  fs::copy(written, kept, fs::copy_options::recursive | fs::copy_options::overwrite_existing);
  fs::copy_file(golden / "case.safetensors", kept / "case.safetensors", fs::copy_options::overwrite_existing);
}

}  // namespace shelfcast::models::testing

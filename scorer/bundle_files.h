// The names inside a bundle, shared by its reader and its writer.
#pragma once

#include <array>

namespace shelfcast::scorer::files {

inline constexpr int kFormat = 1;
inline constexpr const char* kDescription = "bundle.json";
inline constexpr const char* kModel = "model";
inline constexpr const char* kFeatures = "features.json";
inline constexpr const char* kNames = "series.json";
inline constexpr const char* kArrays = "context.safetensors";
inline constexpr const char* kCopula = "copula.safetensors";
inline constexpr const char* kGolden = "golden.safetensors";

// Every file whose digest bundle.json holds.
inline constexpr std::array kDigested = {"model/model.json",
                                         "model/tower/config.json",
                                         "model/tower/model.safetensors",
                                         "model/fusion.safetensors",
                                         kFeatures,
                                         kNames,
                                         kArrays,
                                         kCopula,
                                         kGolden};

}  // namespace shelfcast::scorer::files

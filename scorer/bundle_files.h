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
// Where the model reads texts: its text model as published, and texts with the rows of their vectors.
inline constexpr const char* kText = "model/text";
inline constexpr const char* kGoldenTexts = "golden_texts.json";

// Every bundle has these. bundle.json holds their digests, and those of all other files.
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

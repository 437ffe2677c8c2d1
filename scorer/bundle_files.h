// The names inside a bundle, shared by its reader and its writer.
#pragma once

#include <array>

namespace shelfcast::scorer::files {

constexpr int kFormat = 1;
constexpr const char* kDescription = "bundle.json";
constexpr const char* kModel = "model";
constexpr const char* kFeatures = "features.json";
constexpr const char* kNames = "series.json";
constexpr const char* kArrays = "context.safetensors";
constexpr const char* kCopula = "copula.safetensors";
constexpr const char* kGolden = "golden.safetensors";

// Every file whose digest bundle.json holds.
constexpr std::array kDigested = {"model/model.json",
                                  "model/tower/config.json",
                                  "model/tower/model.safetensors",
                                  "model/fusion.safetensors",
                                  kFeatures,
                                  kNames,
                                  kArrays,
                                  kCopula,
                                  kGolden};

}  // namespace shelfcast::scorer::files

#include "trainer/recipe/overrides.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>

#include "base/error.h"

namespace shelfcast::trainer {

void require_settable(const std::vector<std::string>& overrides, const std::vector<std::string>& settable,
                      const std::string& what) {
  for (const std::string& text : overrides) {
    const std::size_t equals = text.find('=');
    if (equals == std::string::npos) continue;
    const std::string path = text.substr(0, equals);
    const auto holds = [&path](const std::string& key) { return path == key || path.starts_with(key + "."); };
    if (std::ranges::any_of(settable, holds)) continue;
    const std::size_t dot = path.find('.');
    const std::string meant = nearest_name(path.substr(0, dot), settable);
    throw input_error(
        fmt::format("--set {}: {} does not take {}", text, what, path),
        fmt::format("only keys of {} can be set there", fmt::join(settable, ", ")),
        meant.empty()
            ? "leave it out; what a model is trained on and how is set when it is trained"
            : fmt::format("did you mean {}{}?", meant, dot == std::string::npos ? "" : path.substr(dot)));
  }
}

}  // namespace shelfcast::trainer

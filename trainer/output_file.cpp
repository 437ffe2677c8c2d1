#include "trainer/output_file.h"

#include <fmt/format.h>

#include "base/error.h"

namespace shelfcast::trainer {

void check_output(const std::filesystem::path& out, const std::filesystem::path& input) {
  std::error_code missing;
  if (std::filesystem::equivalent(out, input, missing))
    throw input_error(fmt::format("--out {} is the file that is read", out.string()), "it would be replaced",
                      "name another file");
  const std::filesystem::path folder = out.parent_path();
  if (!folder.empty() && !std::filesystem::is_directory(folder, missing))
    throw input_error(fmt::format("--out {} cannot be written", out.string()),
                      fmt::format("there is no folder {}", folder.string()), "make it first");
}

}  // namespace shelfcast::trainer

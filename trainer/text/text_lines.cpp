#include "trainer/text/text_lines.h"

#include <algorithm>

#include "base/files.h"

namespace shelfcast::trainer {

std::vector<std::string> read_text_lines(const std::string& path) {
  const std::string bytes = read_file(path);
  std::vector<std::string> lines;
  for (std::size_t start = 0; start < bytes.size();) {
    const std::size_t end = std::min(bytes.find('\n', start), bytes.size());
    const bool windows = end > start && bytes[end - 1] == '\r';
    lines.push_back(bytes.substr(start, end - start - (windows ? 1 : 0)));
    start = end + 1;
  }
  return lines;
}

}  // namespace shelfcast::trainer

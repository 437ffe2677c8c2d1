#include "trainer/error_text.h"

#include <c10/util/Exception.h>
#include <fmt/format.h>

#include <new>

namespace shelfcast::trainer {
namespace {

std::string out_of_memory(const std::string& why) {
  return fmt::format("out of memory ({}) - take smaller batches, a shorter horizon or a smaller model", why);
}

}  // namespace

std::string error_text(const std::exception& error) {
  if (dynamic_cast<const std::bad_alloc*>(&error) != nullptr)
    return out_of_memory("the machine has no more to give");
  const auto* of_torch = dynamic_cast<const c10::Error*>(&error);
  if (of_torch == nullptr) return error.what();
  const std::string text = of_torch->what_without_backtrace();
  const bool memory = dynamic_cast<const c10::OutOfMemoryError*>(&error) != nullptr ||
                      text.find("can't allocate memory") != std::string::npos;
  return memory ? out_of_memory(text) : text;
}

}  // namespace shelfcast::trainer

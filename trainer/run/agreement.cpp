#include "trainer/run/agreement.h"

#include <nlohmann/json.hpp>
#include <sstream>

#include "base/error.h"
#include "base/log.h"
#include "parallel/gather_texts.h"

namespace shelfcast::trainer {
namespace {

std::string trimmed(const std::string& line) {
  return line.substr(std::min(line.find_first_not_of(' '), line.size()));
}

}  // namespace

std::string first_difference(const std::string& theirs, const std::string& ours, const std::string& there,
                             const std::string& here) {
  std::istringstream a(theirs), b(ours);
  std::string line_a, line_b;
  while (true) {
    const bool more_a = static_cast<bool>(std::getline(a, line_a));
    const bool more_b = static_cast<bool>(std::getline(b, line_b));
    if (!more_a && !more_b) return "";
    if (more_a && more_b && line_a == line_b) continue;
    return fmt::format("{} {}, {} {}", more_a ? trimmed(line_a) : "nothing", there,
                       more_b ? trimmed(line_b) : "nothing", here);
  }
}

void check_agreement(const std::vector<SharedFact>& facts, parallel::Communicator& communicator) {
  if (communicator.size() == 1) return;
  nlohmann::json own = {{"host", log::identity().host}};
  for (const SharedFact& fact : facts) own[fact.what] = fact.value;
  std::vector<nlohmann::json> all;
  for (const std::string& text : parallel::gather_texts(communicator, own.dump(), "agreement of the ranks"))
    all.push_back(nlohmann::json::parse(text));
  for (std::size_t rank = 1; rank < all.size(); ++rank) {
    for (const SharedFact& fact : facts) {
      const auto first = all[0].value(fact.what, std::string()),
                 other = all[rank].value(fact.what, std::string());
      if (first == other) continue;
      throw input_error(
          fmt::format("rank {} on {} has another {} than rank 0 on {}", rank,
                      all[rank].value("host", std::string()), fact.what, all[0].value("host", std::string())),
          first_difference(first, other, "on rank 0", fmt::format("on rank {}", rank)),
          "start every rank with the same program, recipe and options");
    }
  }
}

}  // namespace shelfcast::trainer

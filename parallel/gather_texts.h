// Texts of all ranks, for facts and messages.
#pragma once

#include <string>
#include <vector>

#include "parallel/communicator.h"

namespace shelfcast::parallel {

// Every rank's text, in rank order. Collective.
inline std::vector<std::string> gather_texts(Communicator& communicator, const std::string& own,
                                             std::string_view label) {
  std::vector<std::string> all;
  for (const std::vector<std::byte>& bytes :
       communicator.all_gather_bytes(std::as_bytes(std::span(own)), label))
    all.emplace_back(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  return all;
}

}  // namespace shelfcast::parallel

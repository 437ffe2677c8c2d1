// Errors that say which key of a recipe led to them.
#pragma once

#include <utility>

#include "base/error.h"

namespace shelfcast {

// What `call` returns. An Error that comes out of it begins with `key`: "data.target: ...".
template <typename Call>
auto about(const char* key, Call&& call) {
  try {
    return std::forward<Call>(call)();
  } catch (const Error& error) {
    throw Error(error.kind(), fmt::format("{}: {}", key, error.problem()), error.why(), error.advice());
  }
}

}  // namespace shelfcast

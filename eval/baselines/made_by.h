// Whether a statistical method made a forecast itself.
#pragma once

namespace shelfcast::eval {

// A simpler method stands in where a history does not admit the one that was asked for: it is too short, or
// not positive for a multiplicative form. A constant history is repeated, as the method itself would.
enum class MadeBy { method, simpler };

}  // namespace shelfcast::eval

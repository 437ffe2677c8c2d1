// Numbers and names as reports write them.
#pragma once

#include <string>
#include <vector>

namespace shelfcast::eval {

// Text safe inside HTML, attributes included.
std::string escape_html(const std::string& text);

// "12,345", "3.142", "0.04213": four significant digits, thousands marked.
std::string format_number(double value);
// Whole numbers: "12,345".
std::string format_count(double value);
// "12.3 %".
std::string format_percent(double share);
// "512 MB", "3.1 GB"; "12.0 s", "3.5 min", "2.2 h".
std::string format_bytes(double bytes);
std::string format_duration(double seconds);

// Metrics that read best as percentages, and their values as text.
bool is_share(const std::string& metric);
std::string format_score(const std::string& metric, double value);
// "MAE", "sMAPE", "WAPE".
std::string title_of(const std::string& metric);

// At most so many characters of UTF-8, with an ellipsis where some are cut.
std::string shorten(const std::string& text, std::size_t characters);
// Each name shortened, but for those that would then be alike: they stay whole.
std::vector<std::string> shorten_apart(const std::vector<std::string>& names, std::size_t characters);

}  // namespace shelfcast::eval

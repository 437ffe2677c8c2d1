#include "eval/report/text.h"

#include <fmt/format.h>

#include <algorithm>
#include <cctype>
#include <cmath>
#include <map>
#include <set>

namespace shelfcast::eval {
namespace {

std::string with_thousands(const std::string& number) {
  const std::size_t point = std::min(number.find('.'), number.size());
  std::string marked;
  for (std::size_t i = 0; i < number.size(); ++i) {
    const bool inside = i > 0 && i < point && number[i - 1] != '-';
    if (inside && (point - i) % 3 == 0) marked += ',';
    marked += number[i];
  }
  return marked;
}

}  // namespace

std::string escape_html(const std::string& text) {
  std::string safe;
  for (const char c : text) {
    switch (c) {
      case '&':
        safe += "&amp;";
        break;
      case '<':
        safe += "&lt;";
        break;
      case '>':
        safe += "&gt;";
        break;
      case '"':
        safe += "&quot;";
        break;
      case '\'':
        safe += "&#39;";
        break;
      default:
        safe += c;
    }
  }
  return safe;
}

std::string format_number(double value) {
  if (value == 0.0) return "0";
  const int magnitude = static_cast<int>(std::floor(std::log10(std::abs(value))));
  return with_thousands(fmt::format("{:.{}f}", value, std::clamp(3 - magnitude, 0, 8)));
}

std::string format_count(double value) { return with_thousands(fmt::format("{:.0f}", value)); }

std::string format_percent(double share) { return fmt::format("{:.1f} %", 100.0 * share); }

std::string format_bytes(double bytes) {
  return bytes < 1e9 ? fmt::format("{:.0f} MB", bytes / 1e6) : fmt::format("{:.1f} GB", bytes / 1e9);
}

std::string format_duration(double seconds) {
  if (seconds < 120) return fmt::format("{:.1f} s", seconds);
  return seconds < 7200 ? fmt::format("{:.1f} min", seconds / 60) : fmt::format("{:.1f} h", seconds / 3600);
}

bool is_share(const std::string& metric) {
  return metric.starts_with("wape") || metric.starts_with("wql") || metric.starts_with("coverage") ||
         metric == "fill_rate" || metric == "accuracy" || metric.starts_with("precision") ||
         metric.starts_with("recall");
}

std::string format_score(const std::string& metric, double value) {
  return is_share(metric) ? format_percent(value) : format_number(value);
}

std::string title_of(const std::string& metric) {
  static const std::map<std::string, std::string> titles{{"bias", "bias"},
                                                         {"smape", "sMAPE"},
                                                         {"pinball", "pinball"},
                                                         {"mase_window_mean", "MASE"},
                                                         {"wape_window_mean", "WAPE"},
                                                         {"wql_window_mean", "WQL"},
                                                         {"sql_window_mean", "SQL"}};
  if (const auto found = titles.find(metric); found != titles.end()) return found->second;
  std::string title = metric;
  std::ranges::transform(title, title.begin(),
                         [](unsigned char c) { return static_cast<char>(std::toupper(c)); });
  return title;
}

std::string shorten(const std::string& text, std::size_t characters) {
  std::size_t count = 0;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const bool starts =
        (static_cast<unsigned char>(text[i]) & 0xC0U) != 0x80U;  // not inside a UTF-8 sequence
    if (starts && ++count > characters) return text.substr(0, i) + "…";
  }
  return text;
}

std::vector<std::string> shorten_apart(const std::vector<std::string>& names, std::size_t characters) {
  std::map<std::string, std::set<std::string>> whole;  // by what is left of them
  for (const std::string& name : names) whole[shorten(name, characters)].insert(name);
  std::vector<std::string> shown;
  for (const std::string& name : names) {
    const std::string cut = shorten(name, characters);
    shown.push_back(whole.at(cut).size() > 1 ? name : cut);
  }
  return shown;
}

}  // namespace shelfcast::eval

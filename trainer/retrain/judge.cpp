#include "trainer/retrain/judge.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <sstream>

#include "base/error.h"
#include "base/files.h"
#include "base/json_file.h"
#include "base/random.h"
#include "eval/significance.h"

namespace shelfcast::trainer {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

std::map<std::string, double> scores_of(const json& scores) {
  std::map<std::string, double> values;
  for (const auto& [metric, score] : scores.items())
    if (score.at("value").is_number()) values[metric] = score.at("value");
  return values;
}

// The cells of one line (RFC 4180); a quoted cell may hold line breaks, which take more of `text`.
std::vector<std::string> next_row(std::istringstream& text) {
  std::vector<std::string> cells(1);
  bool quoted = false;
  for (char c = 0; text.get(c);) {
    if (quoted) {
      if (c == '"' && text.peek() == '"')
        cells.back() += static_cast<char>(text.get());
      else if (c == '"')
        quoted = false;
      else
        cells.back() += c;
    } else if (c == '"') {
      quoted = true;
    } else if (c == ',') {
      cells.emplace_back();
    } else if (c == '\n') {
      return cells;
    } else {
      cells.back() += c;
    }
  }
  return {};
}

// series.csv of a backtest: one row a forecaster and series.
void read_series(const fs::path& file, const std::string& model, Judged& judged) {
  std::istringstream text(read_file(file));
  const std::vector<std::string> header = next_row(text);
  const auto column = [&](const char* name) {
    const auto found = std::find(header.begin(), header.end(), name);
    if (found == header.end())
      throw data_error(fmt::format("{} has no column {}", file.string(), name), "it is damaged or foreign",
                       "remove its folder and call again");
    return static_cast<std::size_t>(found - header.begin());
  };
  const std::size_t name = column("model"), series = column("series"), n = column("n"),
                    absolute = column("absolute_error"), squared = column("squared_error");
  for (std::vector<std::string> row = next_row(text); !row.empty(); row = next_row(text)) {
    if (row.size() != header.size())
      throw data_error(fmt::format("{} is damaged", file.string()), "a row is shorter than its header",
                       "remove its folder and call again");
    if (row[name] != model || std::stoll(row[n]) == 0) continue;
    judged.series.push_back(row[series]);
    judged.absolute.push_back(std::stod(row[absolute]));
    judged.squared.push_back(std::stod(row[squared]));
  }
}

eval::Comparison compare(const std::string& metric, const Judged& champion, const Judged& challenger) {
  const bool squares = metric == "mse";
  const std::vector<double>&a = squares ? challenger.squared : challenger.absolute,
        &b = squares ? champion.squared : champion.absolute;
  std::vector<double> sums;
  for (std::size_t i = 0; i < a.size(); ++i) sums.insert(sums.end(), {a[i], b[i]});
  const std::vector<double> totals =
      eval::resampled_totals(sums, 2, champion.bootstrap, key_of("retrain.bootstrap"));
  return eval::compare(sums, totals, 2, 0, 1);
}

// The category the champion knew that loses most, if any is lost or gained.
void find_worst_loss(const std::string& metric, const Judged& champion, const Judged& challenger,
                     const std::vector<std::string>& known, Promotion& decision) {
  for (const std::string& category : known) {
    const auto before = champion.categories.find(category), after = challenger.categories.find(category);
    if (before == champion.categories.end() || after == challenger.categories.end()) continue;
    const auto had = before->second.find(metric), has = after->second.find(metric);
    if (had == before->second.end() || has == after->second.end() || !(had->second > 0)) continue;
    const double loss = (has->second - had->second) / had->second;
    if (decision.worst_loss && *decision.worst_loss >= loss) continue;
    decision.worst_loss = loss;
    decision.worst_category = category;
  }
}

std::string percent(double share) { return fmt::format("{:+.2f} %", 100 * share); }

// Why the challenger is refused; empty when it is not.
std::string refusal(const PromotionRule& rule, const Promotion& decision) {
  if (!decision.gain) return "there is nothing to compare";
  if (!(*decision.gain > rule.min_gain))
    return fmt::format("gain {} is not above {}", percent(*decision.gain), percent(rule.min_gain));
  if (rule.significance != Significance::none && !(decision.low && decision.high))
    return "too few series to tell whether the difference is more than chance";
  if (rule.significance == Significance::better && !(*decision.high < 0))
    return fmt::format("gain {} may be chance: the 95 % interval of the difference is {} to {}",
                       percent(*decision.gain), percent(*decision.low), percent(*decision.high));
  if (rule.significance == Significance::not_worse && *decision.low > 0)
    return fmt::format("it is worse: the 95 % interval of the difference is {} to {}", percent(*decision.low),
                       percent(*decision.high));
  if (rule.most_loss && decision.worst_loss && *decision.worst_loss > *rule.most_loss)
    return fmt::format("category {} would lose {}, more than {}", decision.worst_category,
                       percent(*decision.worst_loss), percent(*rule.most_loss));
  return "";
}

}  // namespace

Judged read_judged(const fs::path& folder) {
  const fs::path path = folder / "backtest" / "result.json";
  const json result = read_json(path);
  Judged judged;
  try {
    const json& protocol = result.at("protocol");
    judged.corpus = result.at("corpus").at("digest");
    judged.protocol =
        fmt::format("origins {}, horizon {}", protocol.at("origins").dump(), protocol.at("horizon").dump());
    judged.bootstrap = protocol.at("bootstrap_resamples");
    const json& model = result.at("forecasters").at(0);
    judged.overall = scores_of(model.at("overall"));
    if (result.at("forecasters").size() > 1)
      judged.baseline = scores_of(result.at("forecasters").at(1).at("overall"));
    if (model.at("by").contains("category"))
      for (const auto& [category, scores] : model.at("by").at("category").items())
        if (scores.at("mae").at("n") > 0) judged.categories[category] = scores_of(scores);
    read_series(folder / "backtest" / "series.csv", model.at("name"), judged);
  } catch (const json::exception& error) {
    throw data_error(fmt::format("{} is damaged", path.string()), error.what(),
                     fmt::format("remove {} and call again", folder.string()));
  }
  return judged;
}

Promotion decide(const PromotionRule& rule, const Judged& champion, const Judged& challenger,
                 const std::vector<std::string>& known) {
  if (champion.corpus != challenger.corpus || champion.protocol != challenger.protocol ||
      champion.series != challenger.series)
    throw data_error(
        "champion and challenger were not judged on the same targets",
        fmt::format("{}, {} series of {}; {}, {} series of {}", champion.protocol, champion.series.size(),
                    champion.corpus, challenger.protocol, challenger.series.size(), challenger.corpus),
        "abandon this retrain with --abandon and call again");
  Promotion decision;
  decision.metric = rule.metric;
  const auto value = [&](const Judged& judged) {
    const auto found = judged.overall.find(rule.metric);
    return found == judged.overall.end() ? std::nullopt : std::optional(found->second);
  };
  decision.champion = value(champion);
  decision.challenger = value(challenger);
  const eval::Comparison comparison = compare(rule.metric, champion, challenger);
  if (comparison.difference) decision.gain = -*comparison.difference;
  decision.low = comparison.low;
  decision.high = comparison.high;
  // Of a champion that was promoted without categories, all it has now.
  std::vector<std::string> guarded = known;
  if (known.empty())
    for (const auto& [category, scores] : champion.categories) guarded.push_back(category);
  find_worst_loss(rule.metric, champion, challenger, guarded, decision);
  decision.why = refusal(rule, decision);
  if (decision.why.empty() && rule.most_loss && challenger.categories.empty())
    decision.why = "it was not judged by category, and promote.most_loss limits what one may lose";
  decision.promoted = decision.why.empty();
  if (decision.promoted) decision.why = fmt::format("gain {}", percent(*decision.gain));
  return decision;
}

}  // namespace shelfcast::trainer

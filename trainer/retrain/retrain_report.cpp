#include "trainer/retrain/retrain_report.h"

#include <algorithm>
#include <cmath>
#include <ctime>

#include "base/csv.h"
#include "base/error.h"
#include "data/manifest.h"
#include "eval/config.h"
#include "trainer/recipe/recipe.h"
#include "trainer/retrain/drift.h"
#include "trainer/retrain/judge.h"

namespace shelfcast::trainer {
namespace {

namespace fs = std::filesystem;

std::string number(const std::optional<double>& value) { return value ? fmt::format("{:.5g}", *value) : "-"; }
std::string percent(const std::optional<double>& share) {
  return share ? fmt::format("{:+.1f} %", 100 * *share) : "-";
}
std::string plain_percent(double share) { return fmt::format("{:.1f} %", 100 * share); }

// Markdown's own bar would end a cell.
std::string cell(const std::string& text) {
  std::string marked;
  for (const char c : text) {
    if (c == '|') marked += '\\';
    marked += c == '\n' ? ' ' : c;
  }
  return marked;
}

std::string day_of(double unix_seconds) {
  return format_date(std::chrono::floor<std::chrono::days>(
      std::chrono::system_clock::time_point(std::chrono::seconds(static_cast<std::int64_t>(unix_seconds)))));
}

// The interval of the gain, from that of the difference.
std::string interval(const Promotion& decision) {
  if (!decision.low || !decision.high) return "-";
  return fmt::format("{} to {}", percent(-*decision.high), percent(-*decision.low));
}

std::string verdict(const RetrainRecord& retrain) {
  if (retrain.abandoned) return "abandoned";
  if (!retrain.decision) return retrain.next_step();
  return retrain.decision->promoted ? "promoted" : "rejected";
}

std::optional<double> find(const std::map<std::string, double>& scores, const std::string& metric) {
  const auto found = scores.find(metric);
  return found == scores.end() ? std::nullopt : std::optional(found->second);
}

std::optional<double> change(const std::optional<double>& before, const std::optional<double>& now) {
  return before && now && *before > 0 ? std::optional(*now / *before - 1) : std::nullopt;
}

std::optional<double> ratio(const std::optional<double>& a, const std::optional<double>& b) {
  return a && b && *b > 0 ? std::optional(*a / *b) : std::nullopt;
}

std::string category_table(const Judged* champion, const Judged& challenger, const std::string& metric) {
  std::string text =
      fmt::format("| category | champion {0} | challenger {0} | change |\n|---|---|---|---|\n", metric);
  const auto row = [&](const std::string& name, const std::optional<double>& before,
                       const std::optional<double>& now) {
    text += fmt::format("| {} | {} | {} | {} |\n", cell(name), number(before), number(now),
                        percent(change(before, now)));
  };
  row("all", champion == nullptr ? std::nullopt : find(champion->overall, metric),
      find(challenger.overall, metric));
  for (const auto& [category, scores] : challenger.categories) {
    std::optional<double> before;
    if (champion != nullptr && champion->categories.contains(category))
      before = find(champion->categories.at(category), metric);
    row(category, before, find(scores, metric));
  }
  return text;
}

// Where an error is given, how it compares with the first baseline says whether the days or the model got
// worse.
std::string error_drift(const RetrainFolder& folder, const RetrainRecord& retrain, const Judged& champion,
                        const std::string& metric) {
  const fs::path then_folder = folder.dir / "retrains" / retrain.champion / "challenger";
  if (!fs::exists(then_folder)) return "";
  const Judged then = read_judged(then_folder);
  const auto error_then = find(then.overall, metric), error_now = find(champion.overall, metric);
  const auto share_then = ratio(error_then, find(then.baseline, metric)),
             share_now = ratio(error_now, find(champion.baseline, metric));
  std::string text = fmt::format(
      "\nThe champion's {} was {} when it was promoted (retrain {}) and is {} on the new origins: {}.",
      metric, number(error_then), retrain.champion, number(error_now),
      percent(change(error_then, error_now)));
  if (share_then && share_now)
    text += fmt::format(" Over the first baseline's it was {:.3f} and is {:.3f}.", *share_then, *share_now);
  return text + "\n";
}

std::string data_drift(const std::optional<Drift>& drift) {
  if (!drift) return "\nThere are no new steps to compare with older ones.\n";
  std::string text = fmt::format(
      "\nThe {} new steps beside the {} before them. Stability is the population stability index of each "
      "series' demand over its mean before: above 0.1 look, above 0.25 much has changed.\n\n"
      "| category | series | mean before | now | change | zeros before | now | not observed before | now | "
      "stability |\n|---|---|---|---|---|---|---|---|---|---|\n",
      drift->new_steps, drift->compared);
  for (const DemandDrift& d : drift->demand)
    text += fmt::format("| {} | {} | {:.4g} | {:.4g} | {} | {} | {} | {} | {} | {:.3f} |\n",
                        d.category.empty() ? "all" : cell(d.category), d.series, d.mean_before, d.mean_now,
                        percent(d.change()), plain_percent(d.zeros_before), plain_percent(d.zeros_now),
                        plain_percent(d.missing_before), plain_percent(d.missing_now), d.stability);
  if (!drift->covariates.empty()) text += "\nMeans of covariates moved, in standard deviations before:";
  for (const CovariateDrift& c : drift->covariates) text += fmt::format(" {} {:+.2f},", c.name, c.shift);
  if (text.ends_with(",")) text.back() = '.';
  return text + "\n";
}

}  // namespace

std::string history_table(const History& history) {
  std::string text =
      "| retrain | began | days until | new steps | champion | its error | challenger's | gain | 95 % "
      "interval "
      "| decision | why |\n|---|---|---|---|---|---|---|---|---|---|---|\n";
  for (const RetrainRecord& retrain : history.retrains()) {
    const Promotion decision = retrain.decision.value_or(Promotion{});
    text += fmt::format("| {} | {} | {} | {} | {} | {} | {} | {} | {} | {} | {} |\n",
                        four_digits(retrain.number), day_of(retrain.began), retrain.until, retrain.new_steps,
                        retrain.champion.empty() ? "-" : retrain.champion, number(decision.champion),
                        number(decision.challenger), percent(decision.gain), interval(decision),
                        verdict(retrain), cell(retrain.decision ? decision.why : retrain.note));
  }
  for (const auto& [from, to] : history.rollbacks())
    text += fmt::format("\nRolled back from version {} to {}.\n", four_digits(from), four_digits(to));
  return text;
}

std::string describe_status(const RetrainFolder& folder, const History& history) {
  if (history.retrains().empty())
    return fmt::format("{}: nothing has been trained yet\n", folder.dir.string());
  std::string text;
  if (const Version* current = history.current())
    text += fmt::format("current: {} (champion {})\n", (folder.bundles() / current->bundle).string(),
                        (folder.runs() / current->run).string());
  else
    text += "current: none yet\n";
  if (const Version* before = history.before_current())
    text += fmt::format("--rollback goes to: {}\n", before->bundle);
  if (const RetrainRecord* open = history.open())
    text += fmt::format("under way: retrain {}, next {}{}\n", open->number, open->next_step(),
                        open->note.empty() ? "" : " (" + open->note + ")");
  return text + "\n" + history_table(history);
}

std::string retrain_report(const RetrainFolder& folder, const History& history,
                           const RetrainRecord& retrain) {
  const Recipe recipe = read_recipe(folder.recipe(retrain.number), {});
  const Promotion& decision = *retrain.decision;
  const Judged challenger = read_judged(folder.of(retrain.number) / "challenger");
  std::optional<Judged> champion;
  if (!retrain.champion.empty()) champion = read_judged(folder.of(retrain.number) / "champion");
  std::string text = fmt::format(
      "# Retrain {}\n\nDays until {}, {} of them new; {} series, {} of them new. Corpus {} ({}).\n\n"
      "**{}**: {}.\n\n",
      four_digits(retrain.number), retrain.until, retrain.new_steps, retrain.series, retrain.new_series,
      recipe.data.corpus, retrain.corpus, decision.promoted ? "Promoted" : "Rejected", decision.why);
  text += fmt::format("In service: bundle {} from run {}. Judged on {}, by {}.\n\n", retrain.version->bundle,
                      retrain.version->run, challenger.protocol, decision.metric);
  text += "## Errors\n\n" + category_table(champion ? &*champion : nullptr, challenger, decision.metric);
  if (decision.worst_loss)
    text += fmt::format("\nOf the categories the champion knew, {} changes most for the worse: {}.\n",
                        decision.worst_category, percent(decision.worst_loss));
  if (champion) text += error_drift(folder, retrain, *champion, decision.metric);
  text += "\n## Data\n";
  const Frequency frequency = data::read_manifest(recipe.data.corpus).info.axis.frequency;
  text += data_drift(measure_drift(recipe.data.source(), retrain.steps - retrain.new_steps,
                                   eval::season_of(recipe.backtest, frequency)));
  return text + "\n## All retrains\n\n" + history_table(history);
}

}  // namespace shelfcast::trainer

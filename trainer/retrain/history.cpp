#include "trainer/retrain/history.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "base/error.h"

namespace shelfcast::trainer {
namespace {

using nlohmann::json;

json or_null(const std::optional<double>& value) { return value ? json(*value) : json(); }

std::optional<double> number(const json& value, const char* key) {
  const auto found = value.find(key);
  return found != value.end() && found->is_number() ? std::optional(found->get<double>()) : std::nullopt;
}

}  // namespace

std::string four_digits(std::int64_t number) { return fmt::format("{:04}", number); }

void to_json(json& value, const Promotion& decision) {
  value = {{"promoted", decision.promoted},
           {"why", decision.why},
           {"metric", decision.metric},
           {"champion", or_null(decision.champion)},
           {"challenger", or_null(decision.challenger)},
           {"gain", or_null(decision.gain)},
           {"low", or_null(decision.low)},
           {"high", or_null(decision.high)},
           {"worst_loss", or_null(decision.worst_loss)},
           {"worst_category", decision.worst_category}};
}

void from_json(const json& value, Promotion& decision) {
  decision.promoted = value.at("promoted");
  decision.why = value.at("why");
  decision.metric = value.value("metric", "");
  decision.champion = number(value, "champion");
  decision.challenger = number(value, "challenger");
  decision.gain = number(value, "gain");
  decision.low = number(value, "low");
  decision.high = number(value, "high");
  decision.worst_loss = number(value, "worst_loss");
  decision.worst_category = value.value("worst_category", "");
}

std::string RetrainRecord::next_step() const {
  if (finished) return "finished";
  if (abandoned) return "abandoned";
  if (!trained) return "training";
  if (!champion_judged || !challenger_judged) return "judging";
  if (!decision) return "deciding";
  if (!version) return "exporting";
  return switched ? "reporting" : "switching";
}

RetrainRecord& History::record(const json& event) {
  const std::int64_t wanted = event.at("retrain");
  const auto found = std::find_if(retrains_.begin(), retrains_.end(),
                                  [&](const RetrainRecord& r) { return r.number == wanted; });
  if (found == retrains_.end())
    throw data_error(fmt::format("the ledger speaks of retrain {}, which never began", wanted), "",
                     "restore ledger.jsonl");
  return *found;
}

void History::apply(const json& event) {
  const std::string kind = event.at("event");
  if (kind == "rolled_back") {
    rollbacks_.emplace_back(event.at("from"), event.at("to"));
    while (!line_.empty() && line_.back() != event.at("to")) line_.pop_back();
    return;
  }
  if (kind == "began") {
    RetrainRecord made;
    made.number = event.at("retrain");
    made.began = event.value("time", 0.0);
    made.recipe = event.at("recipe");
    made.corpus = event.at("corpus");
    made.until = event.at("until");
    made.steps = event.at("steps");
    made.series = event.at("series");
    made.new_steps = event.at("new_steps");
    made.new_series = event.at("new_series");
    made.champion = event.at("champion");
    made.champion_judged = made.champion.empty();
    retrains_.push_back(made);
    return;
  }
  RetrainRecord& own = record(event);
  own.note.clear();
  if (kind == "trained") own.trained = true;
  if (kind == "judged") (event.at("who") == "champion" ? own.champion_judged : own.challenger_judged) = true;
  if (kind == "decided") own.decision = event.get<Promotion>();
  if (kind == "exported") own.version = Version{event.at("version"), event.at("bundle"), event.at("run")};
  if (kind == "switched") {
    own.switched = true;
    line_.push_back(event.at("version"));
  }
  if (kind == "finished") own.finished = true;
  if (kind == "abandoned") own.abandoned = true;
  if (kind == "failed")
    own.note = fmt::format("{} failed: {}", event.at("step").get<std::string>(),
                           event.at("error").get<std::string>());
  if (kind == "left") own.note = fmt::format("asked to leave while {}", event.at("step").get<std::string>());
}

const RetrainRecord* History::open() const {
  if (retrains_.empty() || last().finished || last().abandoned) return nullptr;
  return &last();
}

const RetrainRecord* History::last_finished() const {
  const auto found =
      std::find_if(retrains_.rbegin(), retrains_.rend(), [](const RetrainRecord& r) { return r.finished; });
  return found == retrains_.rend() ? nullptr : &*found;
}

const Version* History::version(std::int64_t number) const {
  for (const RetrainRecord& retrain : retrains_)
    if (retrain.version && retrain.version->number == number) return &*retrain.version;
  return nullptr;
}

const Version* History::current() const { return line_.empty() ? nullptr : version(line_.back()); }

const Version* History::before_current() const {
  return line_.size() < 2 ? nullptr : version(line_[line_.size() - 2]);
}

std::vector<Version> History::kept(std::int64_t keep) const {
  std::vector<Version> kept;
  const auto size = static_cast<std::int64_t>(line_.size());
  for (std::int64_t i = std::max<std::int64_t>(0, size - keep); i < size; ++i)
    if (const Version* one = version(line_[static_cast<std::size_t>(i)])) kept.push_back(*one);
  if (const RetrainRecord* under_way = open();
      under_way != nullptr && under_way->version && !under_way->switched)
    kept.push_back(*under_way->version);
  return kept;
}

}  // namespace shelfcast::trainer

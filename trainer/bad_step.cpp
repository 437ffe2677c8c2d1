#include "trainer/bad_step.h"

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>

#include "base/error.h"
#include "base/log.h"
#include "parallel/gather_texts.h"

namespace shelfcast::trainer {
namespace {

using nlohmann::json;

constexpr std::size_t kMost = 16;  // samples a rank writes down

// Not finite is worse than any number.
bool worse(const SampleLoss& a, const SampleLoss& b) {
  if (std::isfinite(a.loss) != std::isfinite(b.loss)) return !std::isfinite(a.loss);
  return std::isfinite(a.loss) && a.loss > b.loss;
}

// JSON has no word for what is not finite.
json number(double value) { return std::isfinite(value) ? json(value) : json(fmt::format("{}", value)); }

json describe_worst(std::vector<SampleLoss> losses, const data::Corpus& corpus) {
  std::stable_sort(losses.begin(), losses.end(), worse);
  if (losses.size() > kMost) losses.resize(kMost);
  json all = json::array();
  for (const SampleLoss& sample : losses)
    all.push_back({{"series", corpus.series_names()[static_cast<std::size_t>(sample.window.series)]},
                   {"date", format_date(corpus.info().axis.date_of(sample.window.origin))},
                   {"loss", number(sample.loss)},
                   {"rank", log::identity().rank},
                   {"host", log::identity().host}});
  return all;
}

// Every rank's list in one, rank order; of those that are not finite where there are any.
json gather(const json& own, parallel::Communicator& communicator) {
  json all = json::array();
  for (const std::string& text : parallel::gather_texts(communicator, own.dump(), "samples of a bad step"))
    for (const json& sample : json::parse(text)) all.push_back(sample);
  // Where some are not finite, the others are not to blame.
  const auto is_finite = [](const json& sample) { return sample.at("loss").is_number(); };
  if (std::all_of(all.begin(), all.end(), is_finite)) return all;
  json culprits = json::array();
  std::copy_if(all.begin(), all.end(), std::back_inserter(culprits), std::not_fn(is_finite));
  return culprits;
}

// The sample a person should look at first.
const json* worst_of(const json& samples) {
  const json* worst = nullptr;
  for (const json& sample : samples) {
    const auto loss_of = [](const json& s) {
      return s.at("loss").is_number() ? s.at("loss").get<double>() : std::nan("");
    };
    if (worst == nullptr || worse({{}, loss_of(sample)}, {{}, loss_of(*worst)})) worst = &sample;
  }
  return worst;
}

}  // namespace

json to_json(const BadStep& bad) {
  return {{"step", bad.step},
          {"verdict", describe(bad.verdict)},
          {"action", bad.action},
          {"loss", number(bad.loss)},
          {"gradient_norm", number(bad.norm)},
          {"norm_average", number(bad.norm_average)}};
}

std::string report_bad_step(const BadStep& bad, std::vector<SampleLoss> own, const data::Corpus& corpus,
                            MetricsLog* log, parallel::Communicator& communicator) {
  const json all = gather(describe_worst(std::move(own), corpus), communicator);
  if (log != nullptr) {
    json line = to_json(bad);
    line["samples"] = all;
    log->write(line);
  }
  const json* worst = worst_of(all);
  if (worst == nullptr) return "no sample";
  std::string found = fmt::format(
      "series {} forecast from {} on rank {}, loss {}", worst->at("series").get<std::string>(),
      worst->at("date").get<std::string>(), worst->at("rank").get<int>(), worst->at("loss").dump());
  if (bad.verdict == StepVerdict::loss_not_finite && worst->at("loss").is_number())
    return fmt::format("none is so by itself; largest {}", found);
  return found;
}

}  // namespace shelfcast::trainer

#include "eval/result_reader.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <limits>
#include <map>
#include <nlohmann/json.hpp>

#include "base/error.h"
#include "base/files.h"
#include "base/json_file.h"

namespace shelfcast::eval {
namespace {

using Json = nlohmann::json;

constexpr int kFormat = 3;

std::optional<double> number(const Json& json) {
  return json.is_null() ? std::nullopt : std::optional(json.get<double>());
}

double count(const Json& json) { return static_cast<double>(json.get<std::int64_t>()); }

// JSON objects come sorted by key; scores and groups are written in an order that readers should see again.
template <typename Visit>
void in_order(const nlohmann::ordered_json& object, Visit visit) {
  for (const auto& [key, value] : object.items()) visit(key, value);
}

std::vector<Score> scores_of(const nlohmann::ordered_json& json) {
  std::vector<Score> scores;
  in_order(json, [&](const std::string& metric, const nlohmann::ordered_json& score) {
    scores.push_back(
        {metric, score.at("value").is_null() ? std::nullopt : std::optional(score.at("value").get<double>()),
         score.at("n").get<std::int64_t>()});
  });
  return scores;
}

ForecasterResult forecaster_of(const nlohmann::ordered_json& json) {
  ForecasterResult forecaster;
  forecaster.name = json.at("name");
  forecaster.levels = json.at("quantile_levels").get<std::vector<double>>();
  forecaster.says_classes = json.value("classes_from", "median") == "head";  // older files lack it
  forecaster.simpler_windows = json.value("windows_of_simpler_method", std::int64_t{0});
  forecaster.overall = {"overall", "all", scores_of(json.at("overall"))};
  in_order(json.at("by"), [&](const std::string& group, const nlohmann::ordered_json& levels) {
    in_order(levels, [&](const std::string& level, const nlohmann::ordered_json& scores) {
      forecaster.groups.push_back({group, level, scores_of(scores)});
    });
  });
  return forecaster;
}

Comparison comparison_of(const nlohmann::ordered_json& json) {
  Comparison c;
  c.model = json.at("model");
  c.baseline = json.at("baseline");
  c.metric = json.at("metric");
  if (!json.at("category").is_null()) c.category = json.at("category");
  c.difference = number(json.at("relative_difference"));
  c.low = number(json.at("low"));
  c.high = number(json.at("high"));
  const std::string verdict = json.at("verdict");
  c.verdict = verdict == "better" ? Verdict::better : verdict == "worse" ? Verdict::worse : Verdict::unclear;
  c.series = json.at("series");
  if (const auto& test = json.at("diebold_mariano"); !test.is_null())
    c.dates = DieboldMariano{test.at("statistic"), test.at("p"), test.at("dates")};
  return c;
}

Date date_of(const Json& json) {
  const std::optional<Date> date = parse_date(json.get<std::string>());
  if (!date) throw std::runtime_error(fmt::format("'{}' is no date", json.get<std::string>()));
  return *date;
}

void read_corpus(const Json& json, BacktestResult& result) {
  data::CorpusInfo& info = result.corpus;
  info.name = json.at("name");
  info.target = json.value("target", info.target);  // older results lack it
  result.corpus_digest = json.at("digest");
  info.series = json.at("series");
  info.axis = {date_of(json.at("first_date")), parse_frequency(json.at("frequency").get<std::string>())};
  info.steps = info.demand_end = json.at("steps");
  info.notes = json.at("notes");
  result.judgement.history = {count(json.at("cells")), count(json.at("missing")), count(json.at("zeros"))};
  for (const Json& covariate : json.at("covariates")) {
    data::CovariateInfo& c = info.covariates.emplace_back();
    c.name = covariate.at("name");
    c.role = covariate.at("known").get<bool>() ? data::Role::known : data::Role::past;
  }
  for (const Json& fact : json.at("statics")) {
    data::StaticInfo& s = info.statics.emplace_back();
    s.name = fact.at("name");
    s.kind = fact.at("values").is_null() ? data::Kind::numeric : data::Kind::categorical;
    if (s.kind == data::Kind::categorical) s.vocabulary.resize(fact.at("values").get<std::size_t>());
  }
}

void require_size(const char* what, std::size_t size, std::size_t expected) {
  if (size != expected) throw std::runtime_error(fmt::format("it has {} {}, not {}", size, what, expected));
}

void read_combinations(const Json& json, BacktestResult& result) {
  result.combinations.members = json.at("members").get<std::vector<std::string>>();
  for (const Json& weights : json.at("weights")) {
    result.combinations.weights.push_back(
        {weights.at("combination"), weights.at("level"),
         result.corpus.axis.step_at_or_before(date_of(weights.at("origin"))),
         weights.at("weights").get<std::vector<double>>()});
    require_size("weights of a combination", result.combinations.weights.back().weights.size(),
                 result.combinations.members.size());
  }
}

void read_protocol(const Json& json, BacktestResult& result) {
  Judgement& judged = result.judgement;
  const TimeAxis& axis = result.corpus.axis;
  for (const Json& origin : json.at("origins"))
    judged.origins.push_back(axis.step_at_or_before(date_of(origin)));
  judged.horizon = json.at("horizon");
  judged.context = json.at("context");
  judged.validate_end = axis.step_at_or_before(date_of(json.at("first_unseen_date")));
  judged.windows = json.at("windows");
  judged.targets = count(json.at("targets"));
  judged.missing_targets = count(json.at("missing_targets"));
  judged.zero_targets = count(json.at("zero_targets"));
  BacktestConfig& config = result.config;
  config.origins = std::ssize(judged.origins);
  config.stride = json.at("stride");
  config.horizon = judged.horizon;
  config.baselines = json.at("baselines").get<std::vector<std::string>>();
  config.history = json.at("history");
  config.refit_every = json.at("refit_every");
  const Json& combine = json.at("combine");
  config.combine = {combine.at("methods").get<std::vector<std::string>>(),
                    combine.at("of").get<std::vector<std::string>>(),
                    combine.at("by") == "overall" ? CombineBy::overall : CombineBy::category};
  config.season = json.at("season");
  config.window = json.at("moving_average_window");
  config.seasonal_gaps =
      json.at("seasonal_gaps") == "last_season" ? SeasonalGaps::last_season : SeasonalGaps::last_value;
  config.batch = json.at("evaluation_batch");
  config.bootstrap = json.at("bootstrap_resamples");
  config.by = json.at("by").get<std::vector<std::string>>();
  config.views = json.value("views", std::vector<std::string>());  // older files lack them
  config.classes = json.value("classes", std::vector<double>());
  if (!config.classes.empty()) require_size("shares of low and high demand", config.classes.size(), 2);
  config.promotion = json.at("promotion");
  config.price = json.at("price");
  config.orders = {json.at("orders").at("review"), json.at("orders").at("lead"),
                   json.at("orders").at("service")};
  config.hierarchy = json.at("hierarchy").get<std::vector<std::string>>();
}

std::vector<float> values_of(const Json& json) {
  std::vector<float> values;
  for (const Json& value : json)
    values.push_back(value.is_null() ? std::numeric_limits<float>::quiet_NaN() : value.get<float>());
  return values;
}

std::vector<Fan> fans_of(const Json& json, const TimeAxis& axis) {
  std::vector<Fan> fans;
  for (const Json& one : json) {
    Fan& fan = fans.emplace_back();
    fan.series = one.at("series");
    fan.why = one.at("why");
    fan.origin = axis.step_at_or_before(date_of(one.at("origin")));
    fan.history = values_of(one.at("history"));
    fan.target = values_of(one.at("target"));
    for (const Json& forecast : one.at("forecasts")) {
      const Fan::Forecast& read = fan.forecasts.emplace_back(
          Fan::Forecast{forecast.at("name"), forecast.at("quantile_levels").get<std::vector<double>>(),
                        values_of(forecast.at("quantiles")), values_of(forecast.at("median")),
                        values_of(forecast.at("mean"))});
      require_size("steps of a median", read.median_h.size(), fan.target.size());
      require_size("quantiles of a series", read.quantiles_qh.size(), read.levels.size() * fan.target.size());
    }
    if (fan.forecasts.empty()) throw std::runtime_error(fmt::format("it has no forecast of {}", fan.series));
  }
  return fans;
}

std::vector<std::pair<std::string, std::string>> pairs_of(const Json& json) {
  std::vector<std::pair<std::string, std::string>> pairs;
  for (const Json& pair : json) pairs.emplace_back(pair.at(0), pair.at(1));
  return pairs;
}

RunMetadata metadata_of(const Json& json) {
  RunMetadata metadata;
  metadata.title = json.at("title");
  metadata.facts = pairs_of(json.at("facts"));
  metadata.environment = pairs_of(json.at("environment"));
  metadata.commands = json.at("commands").get<std::vector<std::string>>();
  metadata.seconds = json.at("seconds");
  metadata.ranks = json.at("ranks");
  metadata.peak_memory_bytes = json.at("peak_memory_bytes");
  return metadata;
}

BacktestResult result_of(const nlohmann::ordered_json& json) {
  if (json.at("format") != kFormat)
    throw std::runtime_error(fmt::format("its format is {}, not {}", json.at("format").dump(), kFormat));
  BacktestResult result;
  read_corpus(json.at("corpus"), result);
  read_protocol(json.at("protocol"), result);
  result.absent_groups = json.at("absent_groups").get<std::vector<std::string>>();
  result.models = json.at("models");
  if (json.contains("unfinished_trainings"))  // older files lack them
    for (const auto& training : json.at("unfinished_trainings"))
      result.unfinished.push_back({training.at("run"), training.at("step"), training.at("planned")});
  for (const auto& forecaster : json.at("forecasters"))
    result.forecasters.push_back(forecaster_of(forecaster));
  if (result.forecasters.empty() || result.models > result.forecasters.size())
    throw std::runtime_error("it judges nobody");
  read_combinations(json.at("combinations"), result);
  for (const auto& c : json.at("comparisons")) result.comparisons.push_back(comparison_of(c));
  for (const auto& c : json.at("category_comparisons"))
    result.category_comparisons.push_back(comparison_of(c));
  return result;
}

// What `read` makes of a file; whatever it trips over names the file.
template <typename Read>
auto read_or_name(const std::filesystem::path& path, Read read) {
  try {
    return read();
  } catch (const std::exception& error) {
    throw data_error(fmt::format("{} cannot be read", path.string()), error.what(),
                     fmt::format("run the backtest again: shelfcast backtest {}",
                                 path.parent_path().parent_path().string()));
  }
}

// Takes the cells of the first row off `text`, their quotes off them; names of the data may hold line breaks.
void take_row(std::string_view& text, std::vector<std::string>& cells) {
  cells.clear();
  std::string cell;
  bool quoted = false;
  std::size_t i = 0;
  for (; i < text.size() && (quoted || text[i] != '\n'); ++i) {
    if (quoted && text[i] == '"') {
      if (i + 1 < text.size() && text[i + 1] == '"')
        cell += text[++i];
      else
        quoted = false;
    } else if (!quoted && text[i] == '"') {
      quoted = true;
    } else if (!quoted && text[i] == ',') {
      cells.push_back(std::exchange(cell, {}));
    } else {
      cell += text[i];
    }
  }
  cells.push_back(std::move(cell));
  text.remove_prefix(std::min(i + 1, text.size()));
}

double number_of(const std::string& text) {
  double value = 0.0;
  const auto [end, failed] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (failed != std::errc() || end != text.data() + text.size())
    throw std::runtime_error(fmt::format("'{}' is no number", text));
  return value;
}

// Calls `take` with the cells of each row of a model, which stand together.
template <typename Take>
void for_model(const std::filesystem::path& path, const std::string& model, std::size_t columns, Take take) {
  const MappedFile file(path);
  std::string_view text(reinterpret_cast<const char*>(file.bytes().data()), file.bytes().size());
  if (!text.ends_with('\n')) throw std::runtime_error("its last line is torn");  // whoever's it is
  std::vector<std::string> cells;
  bool seen = false;
  take_row(text, cells);  // the header
  for (std::size_t row = 2; !text.empty(); ++row) {
    take_row(text, cells);
    if (cells.size() != columns)
      throw std::runtime_error(fmt::format("row {} has {} cells, not {}", row, cells.size(), columns));
    if (cells[0] == model)
      take(cells);
    else if (seen)
      return;
    seen = cells[0] == model;
  }
}

std::size_t index_of(const std::string& name, std::map<std::string, std::size_t>& indices,
                     std::vector<std::string>& names) {
  const auto [found, added] = indices.try_emplace(name, names.size());
  if (added) names.push_back(name);
  return found->second;
}

// Whether a file is the one that the backtest was written with.
void check_digest(const std::filesystem::path& path, const BacktestFiles& backtest) {
  const auto written = backtest.digests.find(path.filename().string());
  if (written != backtest.digests.end() && digest_file(path) != written->second)
    throw std::runtime_error("it is not the file that result.json beside it was written with");
}

}  // namespace

BacktestFiles read_backtest(const std::filesystem::path& run_folder) {
  const std::filesystem::path folder = run_folder / "backtest", file = folder / "result.json";
  if (!std::filesystem::exists(file))
    throw input_error(fmt::format("{} has no finished backtest", run_folder.string()),
                      fmt::format("there is no {}", file.string()),
                      fmt::format("run: shelfcast backtest {}", run_folder.string()));
  BacktestFiles files;
  files.result = read_or_name(file, [&] {
    const auto json = nlohmann::ordered_json::parse(read_file(file));
    if (json.contains("files")) json.at("files").get_to(files.digests);
    return result_of(json);
  });
  const std::filesystem::path fans = folder / "fans.json", run = folder / "run.json";
  files.result.fans = read_or_name(fans, [&] {
    std::vector<Fan> read = fans_of(read_json(fans), files.result.corpus.axis);
    check_digest(fans, files);
    return read;
  });
  files.metadata = read_or_name(run, [&] { return metadata_of(read_json(run)); });
  return files;
}

ModelLosses read_losses(const std::filesystem::path& run_folder, const std::string& model,
                        const BacktestFiles& backtest) {
  ModelLosses read;
  read.losses.name = model;
  std::map<std::string, std::size_t> categories;
  const std::filesystem::path by_series = run_folder / "backtest" / "series.csv",
                              dates = run_folder / "backtest" / "dates.csv",
                              hierarchy = run_folder / "backtest" / "wrmsse.csv";
  read_or_name(by_series, [&] {
    for_model(by_series, model, 9, [&](const std::vector<std::string>& cells) {
      read.series.push_back(cells[1]);
      SeriesErrors& errors = read.errors.emplace_back();
      errors = {static_cast<std::int64_t>(number_of(cells[2])),
                number_of(cells[3]),
                number_of(cells[4]),
                number_of(cells[5]),
                number_of(cells[7]),
                {}};
      if (!cells[8].empty()) errors.wrmsse = number_of(cells[8]);
      add_series(errors, read.losses);
      read.category_of.push_back(index_of(cells[6], categories, read.categories));
    });
    if (std::ssize(read.series) != backtest.result.corpus.series)
      throw std::runtime_error(fmt::format("it has {} of {} series of {}", read.series.size(),
                                           backtest.result.corpus.series, model));
    check_digest(by_series, backtest);
    return 0;
  });
  read_or_name(dates, [&] {
    read.losses.dates.resize(read.categories.size());
    for_model(dates, model, 7, [&](const std::vector<std::string>& cells) {
      const auto category = categories.find(cells[1]);
      const std::optional<Date> date = parse_date(cells[2]);
      if (category == categories.end() || !date) throw std::runtime_error("it does not fit series.csv");
      read.losses.dates[category->second].push_back({date->time_since_epoch().count(), number_of(cells[3]),
                                                     number_of(cells[4]), number_of(cells[5]),
                                                     number_of(cells[6])});
    });
    check_digest(dates, backtest);
    return 0;
  });
  read_or_name(hierarchy, [&] {
    for_model(hierarchy, model, 3, [&](const std::vector<std::string>& cells) {
      const std::optional<Date> date = parse_date(cells[1]);
      if (!date) throw std::runtime_error(fmt::format("'{}' is no date", cells[1]));
      read.losses.wrmsse_dates.push_back({date->time_since_epoch().count(), number_of(cells[2])});
    });
    check_digest(hierarchy, backtest);
    return 0;
  });
  return read;
}

}  // namespace shelfcast::eval

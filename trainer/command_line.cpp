#include "trainer/command_line.h"

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <charconv>
#include <limits>
#include <memory>

#include "base/dates.h"

#ifndef SHELFCAST_BUILD_ID
#define SHELFCAST_BUILD_ID "unknown"
#endif

namespace shelfcast::trainer {
namespace {

constexpr const char* kAbout =
    "Shelfcast trains and judges one large retail demand model on many GPUs and turns its forecasts into "
    "orders.\n"
    "First steps: shelfcast synth, shelfcast train, shelfcast backtest, shelfcast export, shelfcast-score.";

constexpr std::int64_t kMostSteps = 100'000;  // ahead: 273 years of days
constexpr std::int64_t kMostRanks = 1'000'000;

// CLI11's own check prints the largest double in full.
CLI::Validator whole_number_up_to(std::int64_t most) {
  return CLI::Validator(
      [most](const std::string& text) {
        std::int64_t number = 0;
        const auto [end, failed] = std::from_chars(text.data(), text.data() + text.size(), number);
        const bool whole = failed != std::errc::invalid_argument && end == text.data() + text.size();
        if (!whole) return fmt::format("\"{}\" is not a whole number", text);
        if (number < 1 && failed == std::errc{}) return fmt::format("{} is below 1", text);
        if (number > most || failed != std::errc{}) return fmt::format("{} is beyond {}", text, most);
        return std::string();
      },
      "");
}

CLI::Validator positive() { return whole_number_up_to(std::numeric_limits<std::int64_t>::max()); }

// An option whose values are separated by commas; it may be repeated. An empty value between two commas is a
// slip of the hand that CLI11 would pass over.
template <typename Value>
void add_list(CLI::App* sub, const char* name, std::vector<Value>& values, const std::string& about) {
  sub->add_option_function<std::vector<std::string>>(
         name,
         [name, &values](const std::vector<std::string>& lists) {
           for (const std::string& list : lists) {
             if (fmt::format(",{},", list).find(",,") != std::string::npos)
               throw CLI::ValidationError(name, fmt::format("\"{}\" has an empty item", list));
             for (const std::string& item : CLI::detail::split(list, ',')) {
               Value value{};
               if (!CLI::detail::lexical_cast(item, value)) throw CLI::ConversionError(item, name);
               values.push_back(std::move(value));
             }
           }
         },
         about)
      ->allow_extra_args(false);
}

// A subcommand whose options fill `command`; the one that was named leaves it in `chosen`.
template <typename Filled>
std::pair<CLI::App*, std::shared_ptr<Filled>> add(CLI::App& app, Command& chosen, const char* name,
                                                  const char* about) {
  auto command = std::make_shared<Filled>();
  CLI::App* sub = app.add_subcommand(name, about);
  sub->callback([command, &chosen] { chosen = *command; });
  return {sub, command};
}

void add_synth(CLI::App& app, Command& chosen) {
  const auto [synth, command] =
      add<SynthCommand>(app, chosen, "synth", "Make a synthetic corpus whose truth is known");
  data::MarketConfig& market = command->market;
  command->start = format_date(market.start);
  synth->add_option("--stores", market.stores, "Number of stores")->capture_default_str();
  synth->add_option("--items", market.items, "Number of items, each sold in every store")
      ->capture_default_str();
  synth->add_option("--days", market.days, "Days with observed demand")->capture_default_str();
  synth->add_option("--future", market.future, "Days after them with known covariates (and hidden truth)")
      ->capture_default_str();
  synth->add_option("--start", command->start, "First day")->capture_default_str();
  synth->add_option("--seed", market.seed, "The same seed makes the same corpus, byte for byte")
      ->capture_default_str();
  synth->add_option("--out", command->out, "Folder to make, such as demo.corpus")->required();
}

void add_ingest(CLI::App& app, Command& chosen) {
  const auto [ingest, command] =
      add<IngestCommand>(app, chosen, "ingest", "Read tables (CSV, CSV.gz, CSV.zst, Parquet) into a corpus");
  ingest->add_option("--format", command->format, "What the tables are: m5, rossmann, or long with --map")
      ->required();
  ingest->add_option("--from", command->from, "Folder or file to read")->required();
  ingest->add_option("--out", command->out, "Corpus folder to make")->required();
  ingest->add_flag("--append", command->append, "Add the new days and series to the corpus, which exists");
  ingest->add_option("--map", command->map, "What the columns of a long table are (YAML; docs/ingest.md)");
  ingest->add_option("--frequency", command->frequency,
                     "Sum daily values up: W (weeks ending on Sunday) or M");
  ingest->add_option("--until", command->until, "Leave out what comes after this day (YYYY-MM-DD)");
  ingest->add_option("--series-limit", command->series_limit, "Keep only the first N series")
      ->check(positive());
}

void add_inspect(CLI::App& app, Command& chosen) {
  const auto [inspect, command] = add<InspectCommand>(app, chosen, "inspect", "Tell what a corpus holds");
  inspect->add_option("corpus", command->corpus, "Folder, such as demo.corpus")->required();
  inspect->add_flag("--verify", command->verify, "Also compare every file with its digest");
}

void add_train(CLI::App& app, Command& chosen) {
  const auto [train, command] = add<TrainCommand>(
      app, chosen, "train", "Train a demand model as a recipe says (under mpirun or srun: on all ranks)");
  train->add_option("recipe", command->recipe, "Recipe file (YAML)")->required();
  train->add_option("--set", command->overrides, "Override a key: --set train.steps=100 (may be repeated)")
      ->allow_extra_args(false);
  const auto resume = std::make_shared<std::string>();
  train->add_option("--resume", *resume, "Go on with the run; `--resume auto` starts when there is none")
      ->expected(0, 1)
      ->check(CLI::IsMember({"auto"}));
  train->add_option("--stop-after", command->stop_after, "Save and leave after this step, as a signal would")
      ->check(positive());
  auto* const check = train->add_flag(
      "--check", command->check, "Tell shapes, steps, parameters, memory and cost of the run, and leave");
  train->add_option("--ranks", command->ranks, "With --check: for so many ranks")
      ->check(whole_number_up_to(kMostRanks))
      ->needs(check);
  train
      ->add_option("--assume", command->assumptions,
                   "With --check: what machines to reckon with: --assume network_gb_s=25 (may be repeated; "
                   "docs/scaling.md)")
      ->allow_extra_args(false)
      ->needs(check);
  train->add_flag("--print-recipe", command->print_recipe, "Print the resolved recipe and leave");
  train->add_option("--print", command->print, "Print one value of it and leave: --print run.dir");
  train->callback([&chosen, command = command, train = train, resume] {
    if (train->count("--resume") > 0)
      command->resume = *resume == "auto" ? Resume::automatic : Resume::required;
    chosen = *command;
  });
}

void add_stop(CLI::App& app, Command& chosen) {
  const auto [stop, command] =
      add<StopCommand>(app, chosen, "stop", "Ask a training to save after its current step and leave");
  stop->add_option("run", command->run, "Run folder")->required();
  stop->add_flag("--wait", command->wait, "Return when it has left");
}

template <typename Filled>
void add_covariate_options(CLI::App* sub, Filled& command, const std::string& of) {
  add_list(sub, "--known", command->known,
           fmt::format("Columns of {} that a published model reads, known ahead: price,promo", of));
  add_list(sub, "--past", command->past, "The same for columns known only afterwards: customers");
}

void add_forecast(CLI::App& app, Command& chosen) {
  const auto [forecast, command] = add<ForecastCommand>(
      app, chosen, "forecast", "Forecast a table of recent sales with a run's best model or a published one");
  forecast->add_option("model", command->model, "Run folder, or folder of a published model")->required();
  forecast
      ->add_option("--sales", command->sales,
                   "CSV: long (series,date,value[,covariates]) or wide (one column a date)")
      ->required();
  forecast->add_option("--horizon", command->horizon, "Steps to forecast (default: the model's)")
      ->check(whole_number_up_to(kMostSteps));
  add_list(forecast, "--quantiles", command->quantiles,
           "Levels to forecast: 0.1,0.5,0.9 (default: the model's)");
  add_covariate_options(forecast, command, "the table");
  forecast->add_option("--threads", command->threads, "For published models (default: all cores)")
      ->check(positive());
  forecast->add_option("--out", command->out, "CSV to write: series,date,mean,q0.1,...")->required();
}

void add_backtest(CLI::App& app, Command& chosen) {
  const auto [backtest, command] = add<BacktestCommand>(
      app, chosen, "backtest",
      "Judge a run or a published model on rolling origins (under mpirun: on all ranks)");
  backtest->add_option("model", command->model, "Run folder, or folder of a published model")->required();
  backtest->add_option("--corpus", command->corpus, "Corpus to judge a published model on");
  backtest->add_option("--out", command->out,
                       "Where the backtest goes (default: the run's folder; zero-shot/MODEL)");
  backtest->add_option("--ensemble", command->ensemble,
                       "Runs to average the run's forecasts with, of other seeds, say; needs --out");
  add_covariate_options(backtest, command, "the corpus");
  backtest->add_option("--threads", command->threads, "For published models: threads of each rank")
      ->check(positive())
      ->capture_default_str();
  backtest
      ->add_option("--set", command->overrides, "Override a key of the backtest: --set backtest.origins=5")
      ->allow_extra_args(false);
}

void add_report(CLI::App& app, Command& chosen) {
  const auto [report, command] =
      add<ReportCommand>(app, chosen, "report", "Write one report on runs that were judged alike");
  report->add_option("runs", command->runs, "Run folders with a backtest")->required();
  report->add_option("--out", command->out, "Folder for report.html, .md, .tex, .csv and .json")
      ->capture_default_str();
  report->add_option(
      "--published", command->published,
      "Rows that others published (JSON; docs/evaluation.md); their protocol must be this one");
}

void add_compare(CLI::App& app, Command& chosen) {
  const auto [compare, command] = add<CompareCommand>(
      app, chosen, "compare", "Say whether one run is better than another, by category, beyond chance");
  compare->add_option("first", command->first, "Run folder with a backtest")->required();
  compare->add_option("second", command->second, "Run folder with a backtest")->required();
}

void add_weights(CLI::App& app, Command& chosen) {
  const auto [weights, command] =
      add<WeightsCommand>(app, chosen, "weights", "List a model's tensors and the memory training it takes");
  weights->add_option("model", command->model, "Folder of a published model, run folder or .safetensors file")
      ->required();
}

void add_export(CLI::App& app, Command& chosen) {
  const auto [bundle, command] =
      add<ExportCommand>(app, chosen, "export", "Write a run's best model as a bundle for shelfcast-score");
  bundle->add_option("run", command->run, "Run folder")->required();
  bundle->add_option("--out", command->out, "Bundle folder to write")->required();
}

template <typename Filled>
void add_text_options(CLI::App* sub, Filled& command) {
  sub->add_option("model", command.model, "Published directory of a BERT-family model")->required();
  sub->add_option("--text", command.text, "Texts to read, one a line, UTF-8")->required();
  sub->add_option("--max-len", command.max_length, "Cut texts to so many tokens, special ones included")
      ->check(positive())
      ->capture_default_str();
}

void add_tokenize(CLI::App& app, Command& chosen) {
  const auto [tokenize, command] =
      add<TokenizeCommand>(app, chosen, "tokenize", "Turn texts into the token ids of a text model");
  add_text_options(tokenize, *command);
  tokenize->add_option("--out", command->out,
                       "File to write, one line of ids a text (default: standard output)");
}

void add_embed(CLI::App& app, Command& chosen) {
  const auto [embed, command] =
      add<EmbedCommand>(app, chosen, "embed", "Turn texts into vectors with a text model");
  add_text_options(embed, *command);
  embed->add_option("--out", command->out, "File to write: float32 [texts, width] as .npy")->required();
  embed->add_option("--pooling", command->pooling, "What stands for a text: mean, cls or pooler")
      ->check(CLI::IsMember({"mean", "cls", "pooler"}))
      ->capture_default_str();
  embed->add_flag("--normalize", command->normalize, "Make every vector of length 1");
  embed->add_option("--batch", command->batch, "Texts encoded together by each thread")
      ->check(positive())
      ->capture_default_str();
}

void add_label(CLI::App& app, Command& chosen) {
  const auto [label, command] =
      add<LabelCommand>(app, chosen, "label", "Give texts the classes and tags that a run learned");
  label->add_option("run", command->model, "Run folder of train.task text_labels")->required();
  label->add_option("--text", command->text, "Texts to read, one a line, UTF-8")->required();
  label->add_option("--out", command->out, "CSV to write: text,class,probability,tags")->required();
  label->add_option("--batch", command->batch, "Texts labelled together by each thread")
      ->check(positive())
      ->capture_default_str();
}

void add_sweep(CLI::App& app, Command& chosen) {
  const auto [sweep, command] = add<SweepCommand>(
      app, chosen, "sweep", "Train many variants of a recipe, here or on Slurm, and compare them");
  sweep->add_option("sweep", command->sweep, "Sweep file (YAML), or folder of a sweep that was started")
      ->required();
  auto* const action = sweep->add_option_group("action", "One of");
  action->add_flag("--plan")->description("List the runs and rungs, and leave");
  action->add_flag("--submit")
      ->description("Hand what is not finished to Slurm (again and again, if you like)");
  action->add_flag("--local")->description("Run what is not finished on this machine");
  action->add_flag("--status")->description("Tell where every run stands");
  action->add_flag("--collect")->description("Write the leaderboard (CSV, JSON, Markdown)");
  action->add_option("--task", command->submission)->group("");
  action->require_option(1);
  sweep->callback([&chosen, command = command, action] {
    using Action = SweepCommand::Action;
    for (const auto& [name, value] :
         {std::pair("--plan", Action::plan), std::pair("--submit", Action::submit),
          std::pair("--local", Action::local), std::pair("--status", Action::status),
          std::pair("--collect", Action::collect), std::pair("--task", Action::task)})
      if (action->count(name) > 0) command->action = value;
    chosen = *command;
  });
}

void add_retrain(CLI::App& app, Command& chosen) {
  const auto [retrain, command] = add<RetrainCommand>(
      app, chosen, "retrain", "Append new days, train a challenger, and put it into service if it is better");
  retrain->add_option("retrain", command->retrain, "Retrain file (YAML)")->required();
  retrain->add_option("--until", command->until,
                      "Leave out new days after this one (YYYY-MM-DD): to rehearse the past");
  auto* const action = retrain->add_option_group("action", "Instead of retraining, one of");
  action->add_flag("--status")->description("Tell who is champion, what is under way, and every decision");
  action->add_flag("--rollback")->description("Put the version before the current one into service");
  action->add_flag("--abandon")->description("Give up the retrain under way");
  action->require_option(0, 1);
  retrain->callback([&chosen, command = command, action] {
    using Action = RetrainCommand::Action;
    for (const auto& [name, value] :
         {std::pair("--status", Action::status), std::pair("--rollback", Action::rollback),
          std::pair("--abandon", Action::abandon)})
      if (action->count(name) > 0) command->action = value;
    chosen = *command;
  });
}

void add_doctor(CLI::App& app, Command& chosen) {
  const auto [doctor, command] = add<DoctorCommand>(
      app, chosen, "doctor", "Say what this machine has, what is missing, and what to do about it");
  doctor->add_option("--folder", command->folder, "Where runs and corpora would lie: check its file locks")
      ->capture_default_str();
  doctor->add_flag("--as-rank", command->as_rank)->group("");
}

}  // namespace

std::string build_id() { return SHELFCAST_BUILD_ID " (gcc " __VERSION__ ")"; }

std::variant<Command, int> parse_command_line(int argc, char** argv) {
  Command chosen;
  CLI::App app(kAbout, "shelfcast");
  app.set_version_flag("--version", "shelfcast " + build_id());
  app.require_subcommand(1);
  for (const auto add_command : {add_synth, add_ingest, add_inspect, add_train, add_stop, add_forecast,
                                 add_backtest, add_report, add_compare, add_weights, add_export, add_tokenize,
                                 add_embed, add_label, add_sweep, add_retrain, add_doctor})
    add_command(app, chosen);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? 0 : 2;
  }
  return chosen;
}

}  // namespace shelfcast::trainer

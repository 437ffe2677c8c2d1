#include <memory>

#include "base/dates.h"
#include "base/error.h"
#include "base/log.h"
#include "base/progress.h"
#include "data/synth/synth.h"
#include "trainer/commands/command.h"

namespace shelfcast::trainer {
namespace {

struct SynthOptions {
  data::MarketConfig market;
  std::string start, out;
};

void run_synth(const SynthOptions& options) {
  if (log::identity().rank != 0) return;  // one writer is enough
  data::MarketConfig market = options.market;
  const std::optional<Date> start = parse_date(options.start);
  if (!start)
    throw input_error(fmt::format("--start {} is not a date", options.start), "", "write it as 2022-01-31");
  market.start = *start;
  Progress progress("synth", market.series(), "series");
  data::write_market(market, options.out, {}, [&](std::int64_t done) { progress.update(done); });
  progress.finish();
  log::all("{}: {} stores x {} items, {} days from {} and {} days of covariates beyond; truth in {}/truth",
           options.out, market.stores, market.items, market.days, format_date(market.start), market.future,
           options.out);
}

}  // namespace

void add_synth(CLI::App& app, Program& program) {
  auto options = std::make_shared<SynthOptions>();
  data::MarketConfig& market = options->market;
  options->start = format_date(market.start);
  CLI::App* synth = app.add_subcommand("synth", "make a synthetic corpus whose truth is known");
  synth->add_option("--stores", market.stores, "number of stores")->capture_default_str();
  synth->add_option("--items", market.items, "number of items, each sold in every store")
      ->capture_default_str();
  synth->add_option("--days", market.days, "days with observed demand")->capture_default_str();
  synth->add_option("--future", market.future, "days after them with known covariates (and hidden truth)")
      ->capture_default_str();
  synth->add_option("--start", options->start, "first day")->capture_default_str();
  synth->add_option("--seed", market.seed, "the same seed makes the same corpus, byte for byte")
      ->capture_default_str();
  synth->add_option("--out", options->out, "folder to make, such as demo.corpus")->required();
  synth->callback([options, &program] { program.run = [options] { run_synth(*options); }; });
}

}  // namespace shelfcast::trainer


#include "data/synth/synth.h"
#include "base/dates.h"
#include "base/error.h"
#include "base/log.h"
#include "base/progress.h"
#include "trainer/commands/commands.h"

namespace shelfcast::trainer {

void run(const SynthCommand& options, parallel::Launch&) {
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

}  // namespace shelfcast::trainer

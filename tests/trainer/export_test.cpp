// What an export finds out about a corpus and tells the bundle.
#include "trainer/export.h"

#include <gmock/gmock.h>

#include <cmath>

#include "scorer/bundle.h"
#include "tests/trainer/training_fixture.h"
#include "trainer/demand_dependence.h"
#include "trainer/trained_run.h"

namespace shelfcast::trainer {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

class Export : public Training {
 protected:
  // Another corpus beside the fixture's.
  fs::path corpus(const std::string& name, const SmallCorpusOptions& options) const {
    make_small_corpus(folder_ / name, options);
    return folder_ / name;
  }
  // The bundle of a run on this corpus.
  scorer::Bundle exported(const std::string& run, const fs::path& corpus) const {
    TrainedRun trained = open_run(folder_ / run);
    trained.recipe.data.corpus = corpus.string();
    const fs::path bundle = folder_ / (run + "-" + corpus.filename().string() + ".bundle");
    export_bundle(trained, bundle);
    return scorer::Bundle(bundle);
  }
};

// A corpus in quarters of a kilogram and the same one in units of 16 kg. Models read asinh(1 / scale), so
// forecasts depend on the unit a little, but what is learned of sums must be alike: where days are rounded to
// whole units it is not (0.19 apart).
TEST_F(Export, takes_demand_that_is_not_whole_in_any_unit_alike) {
  const auto in_units_of = [&](float divisor) {
    SmallCorpusOptions options;
    options.change = [divisor](std::int64_t, std::int64_t, float demand) { return demand / divisor; };
    options.all_missing_series = false;
    const std::string name = fmt::format("by-{}.corpus", divisor);
    const fs::path made = corpus(name, options);
    const std::string run = fmt::format("by-{}", divisor);
    train_alone(recipe(run, {"data.corpus=" + made.string(), "train.clip=0",
                             fmt::format("model.scale_floor={}", 0.5 / static_cast<double>(divisor))}));
    return exported(run, made);
  };
  const scorer::Bundle quarters = in_units_of(4), sixty_fourths = in_units_of(64);
  EXPECT_EQ(quarters.info().demand, scorer::DemandKind::continuous);
  EXPECT_EQ(sixty_fourths.info().demand, scorer::DemandKind::continuous);
  const auto& a = quarters.copula();
  const auto& b = sixty_fourths.copula();
  for (std::size_t i = 0; i < a.correlation.values.size(); ++i)
    EXPECT_NEAR(a.correlation.values[i], b.correlation.values[i], 0.12) << i;
  const auto &week = a.recalibration.maps().at(7), &same = b.recalibration.maps().at(7);
  for (std::size_t i = 0; i < week.size(); ++i) EXPECT_NEAR(week[i], same[i], 0.05) << "level " << i;
}

TEST_F(Export, takes_demand_as_counts_where_no_series_has_another_one) {
  EXPECT_EQ(kind_of_demand(data::Corpus(folder_ / "small.corpus")), scorer::DemandKind::counts);
  SmallCorpusOptions options;
  options.series = 600;  // more than are read at a time
  options.change = [](std::int64_t series, std::int64_t step, float demand) {
    return series == 599 && step == 159 ? 2.5F : demand;
  };
  EXPECT_EQ(kind_of_demand(data::Corpus(corpus("one.corpus", options))), scorer::DemandKind::continuous);
}

TEST_F(Export, refuses_a_model_of_one_quantile) {
  train_alone(recipe("one", {"model.heads.quantiles=[0.5]"}));
  try {
    exported("one", folder_ / "small.corpus");
    FAIL() << "a bundle without a distribution";
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::input);
    EXPECT_THAT(error.what(), ::testing::HasSubstr("one quantile"));
  }
}

TEST_F(Export, tells_what_is_not_known_of_the_steps_to_forecast) {
  train_alone(recipe("run"));
  const auto gaps = [](const scorer::Bundle& bundle) {
    std::vector<std::string> texts;
    for (const scorer::FutureGap& gap : bundle.info().future_gaps)
      texts.push_back(fmt::format("{} {}/{}", gap.column, gap.missing, gap.cells));
    return texts;
  };
  // Twelve series, seven steps; weekdays are known for any.
  const scorer::Bundle none = exported("run", folder_ / "small.corpus");
  EXPECT_THAT(gaps(none), ElementsAre("promo 84/84", "event 84/84"));
  EXPECT_EQ(none.info().unobserved_series, 1);
  const auto with_future = [&](std::int64_t steps, bool all_missing_series) {
    SmallCorpusOptions options;
    options.change = [steps](std::int64_t, std::int64_t step, float demand) {
      return step < 160 - steps ? demand : std::nanf("");
    };
    options.all_missing_series = all_missing_series;
    return exported("run", corpus(fmt::format("future-{}.corpus", steps), options));
  };
  EXPECT_THAT(gaps(with_future(3, true)), ElementsAre("promo 48/84", "event 48/84"));
  // No event is one of the things that may be known.
  const scorer::Bundle all = with_future(7, false);
  EXPECT_THAT(gaps(all), IsEmpty());
  EXPECT_EQ(all.info().unobserved_series, 0);
}

TEST_F(Export, keeps_the_day_of_the_month_that_the_corpus_starts_on) {
  SmallCorpusOptions options;
  options.axis = {*parse_date("2010-01-31"), Frequency::monthly};
  options.steps = 159;
  const fs::path made = corpus("months.corpus", options);
  train_alone(recipe("run", {"data.corpus=" + made.string(), "data.calendar=[month]"}));
  const scorer::Bundle bundle = exported("run", made);
  std::string dates;
  for (int step = 0; step < 7; ++step) dates += format_date(bundle.info().date_of(step)) + ' ';
  EXPECT_EQ(dates, "2023-04-30 2023-05-31 2023-06-30 2023-07-31 2023-08-31 2023-09-30 2023-10-31 ");
}

}  // namespace
}  // namespace shelfcast::trainer

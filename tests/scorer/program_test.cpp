// The program itself: what it links, what it writes, what it says.
#include <gtest/gtest.h>
#include <sys/wait.h>

#include <cmath>
#include <cstdio>
#include <fstream>

#include "base/files.h"
#include "scorer/csv.h"
#include "scorer/stock_table.h"
#include "tests/scorer/random_bundle.h"
#include "tests/support/paths.h"

namespace shelfcast::scorer::testing {
namespace {

namespace fs = std::filesystem;

struct Ended {
  int status = -1;
  std::string output;  // stdout and stderr
};

Ended run(const std::string& command) {
  Ended result;
  FILE* pipe = popen((command + " 2>&1").c_str(), "r");
  if (pipe == nullptr) return result;
  char buffer[4096];
  while (const std::size_t count = fread(buffer, 1, sizeof buffer, pipe)) result.output.append(buffer, count);
  const int status = pclose(pipe);
  result.status = WIFEXITED(status) ? WEXITSTATUS(status) : 128;
  return result;
}

std::string program() { return (shelfcast::testing::bin_dir() / "shelfcast-score").string(); }

Ended score(const RandomBundle& bundle, const std::string& arguments) {
  return run("cd " + bundle.scratch().string() + " && " + program() + " bundle " + arguments);
}

TEST(Program, links_none_of_the_trainers_libraries) {
  const Ended ldd = run("ldd " + program() + " | sed 's/ (0x.*//'");  // addresses are hexadecimal: c10
  ASSERT_EQ(ldd.status, 0) << ldd.output;
  for (const char* foreign : {"torch", "c10", "libmpi", "hdf5", "cuda", "nccl", "yaml", "arrow"})
    EXPECT_EQ(ldd.output.find(foreign), std::string::npos) << foreign << " in\n" << ldd.output;
  EXPECT_LT(fs::file_size(program()), 10'000'000U);
}

// Code for one instruction set must not be what other objects call: shared symbols of the three objects have
// names of their own.
TEST(Program, keeps_the_inline_code_of_each_instruction_set_apart) {
  const Ended nm = run("nm --demangle " + program());
  if (nm.status != 0) GTEST_SKIP() << "no nm here";
  for (std::size_t start = 0, end; (end = nm.output.find('\n', start)) != std::string::npos;
       start = end + 1) {
    const std::string line = nm.output.substr(start, end - start);
    EXPECT_EQ(line.find(" Eigen::"), std::string::npos) << line;
  }
}

TEST(Program, writes_one_order_per_row_with_its_reason) {
  const RandomBundle bundle;
  ASSERT_EQ(score(bundle, "--template stock.csv --lead-time 2 --review 3").status, 0);
  const Ended result =
      score(bundle, "--stock stock.csv --out orders.csv --forecast forecast.csv --threads 2");
  ASSERT_EQ(result.status, 0) << result.output;
  EXPECT_NE(result.output.find("of 9 series need an order"), std::string::npos) << result.output;
  const CsvTable orders = read_csv(bundle.scratch() / "orders.csv");
  EXPECT_EQ(orders.header, (std::vector<std::string>{"series", "store", "item", "forecast", "safety_stock",
                                                     "on_hand", "on_order", "level", "order", "reason"}));
  ASSERT_EQ(orders.rows.size(), 9U);
  for (std::size_t i = 0; i < 9; ++i) {
    const auto& cells = orders.rows[i].cells;
    EXPECT_EQ(cells[0], bundle.contents().names.series[i]);
    EXPECT_EQ(cells[1], bundle.contents().names.store[i]);
    EXPECT_NEAR(std::stod(cells[3]) + std::stod(cells[4]), std::stod(cells[7]), 0.011);
    EXPECT_EQ(cells[8], cells[7]) << "nothing on hand: order up to the level";
    EXPECT_NE(cells[9].find("5 days (lead 2 + review 3)"), std::string::npos) << cells[9];
  }
  const CsvTable forecasts = read_csv(bundle.scratch() / "forecast.csv");
  ASSERT_EQ(forecasts.rows.size(), 9U * 6U);
  EXPECT_EQ(forecasts.header, (std::vector<std::string>{"series", "date", "mean", "q0.1", "q0.5", "q0.9"}));
  EXPECT_EQ(forecasts.rows[7].cells[1], "2026-03-03");
}

TEST(Program, writes_the_last_days_of_months_of_a_corpus_that_starts_on_one) {
  const RandomBundle bundle([](BundleContents& c) {
    c.axis = {*parse_date("2015-01-31"), Frequency::monthly};
    c.first_step = 63;
  });
  ASSERT_EQ(score(bundle, "--template stock.csv --lead-time 2 --review 3").status, 0);
  ASSERT_EQ(score(bundle, "--stock stock.csv --out orders.csv --forecast forecast.csv").status, 0);
  const CsvTable forecasts = read_csv(bundle.scratch() / "forecast.csv");
  const std::vector<std::string> days = {"2020-04-30", "2020-05-31", "2020-06-30",
                                         "2020-07-31", "2020-08-31", "2020-09-30"};
  for (std::size_t step = 0; step < days.size(); ++step)
    EXPECT_EQ(forecasts.rows[6 + step].cells[1], days[step]);
}

// The written quantiles give every day's mean, and the mean of a sum is the sum of means: both orders.csv and
// forecast.csv must tell the same, and no day's demand may be rounded to whole units on the way.
TEST(Program, orders_fractional_demand_as_it_is) {
  const RandomBundle bundle([](BundleContents& c) {
    c.demand = DemandKind::continuous;
    c.copula.recalibration = {};
  });
  ASSERT_EQ(score(bundle, "--template stock.csv --lead-time 2 --review 3 --pack-size 0.001").status, 0);
  ASSERT_EQ(score(bundle, "--stock stock.csv --out orders.csv --forecast forecast.csv").status, 0);
  const CsvTable orders = read_csv(bundle.scratch() / "orders.csv"),
                 forecasts = read_csv(bundle.scratch() / "forecast.csv");
  const std::vector<double> levels = {0.1, 0.5, 0.9};
  int fractional = 0;
  for (std::size_t i = 0; i < 9; ++i) {
    double expected = 0.0;
    for (std::size_t day = 0; day < 5; ++day) {
      std::vector<float> values;
      for (std::size_t q = 0; q < 3; ++q)
        values.push_back(std::stof(forecasts.rows[i * 6 + day].cells[3 + q]));
      const Marginal marginal(levels, values);
      for (int k = 0; k < 1024; ++k) expected += marginal.quantile((k + 0.5) / 1024) / 1024;
    }
    const auto& cells = orders.rows[i].cells;
    EXPECT_NEAR(std::stod(cells[3]), expected, 0.0051 + 1e-5 * expected) << cells[0];
    const double level = std::stod(cells[7]), order = std::stod(cells[8]);
    EXPECT_NEAR(order, level, 0.0061) << "packs of a thousandth";
    EXPECT_NEAR(order * 1000, std::round(order * 1000), 1e-6);
    fractional += level != std::round(level);
  }
  EXPECT_GE(fractional, 7);
}

TEST(Program, repeats_what_the_export_warned_of) {
  const RandomBundle bundle([](BundleContents& c) {
    c.future_gaps = {{"price", 30, 54}};
    c.unobserved_series = 1;
  });
  ASSERT_EQ(score(bundle, "--template stock.csv --lead-time 2 --review 3").status, 0);
  const Ended result = score(bundle, "--stock stock.csv --out orders.csv");
  ASSERT_EQ(result.status, 0) << result.output;
  EXPECT_NE(result.output.find("warning: the bundle has no price in 30 of the 54 cells to forecast"),
            std::string::npos)
      << result.output;
  EXPECT_NE(result.output.find("warning: of 1 of the bundle's 9 series nothing was observed in the 22 steps"),
            std::string::npos)
      << result.output;
  // RandomInputs: all of the first series is missing.
  const CsvTable orders = read_csv(bundle.scratch() / "orders.csv");
  for (std::size_t i = 0; i < 9; ++i)
    EXPECT_EQ(orders.rows[i].cells[9].find("nothing of it was observed in the 22 steps before") !=
                  std::string::npos,
              i == 0)
        << orders.rows[i].cells[9];
  const RandomBundle silent;
  ASSERT_EQ(score(silent, "--template stock.csv --lead-time 2 --review 3").status, 0);
  const Ended nothing = score(silent, "--stock stock.csv --out orders.csv");
  EXPECT_EQ(nothing.output.find("warning"), std::string::npos) << nothing.output;
}

TEST(Program, gives_the_same_orders_for_any_threads_and_any_order_of_rows) {
  const RandomBundle bundle;
  std::ofstream(bundle.scratch() / "a.csv")
      << "store,item,on_hand,lead_time,review_period\n店A,item 2,1,1,2\n店B,item 3,4,2,3\n";
  std::ofstream(bundle.scratch() / "b.csv")
      << "store,item,on_hand,lead_time,review_period\n店B,item 3,4,2,3\n店A,item 2,1,1,2\n";
  ASSERT_EQ(score(bundle, "--stock a.csv --out a-orders.csv --threads 1").status, 0);
  ASSERT_EQ(score(bundle, "--stock b.csv --out b-orders.csv --threads 3").status, 0);
  const CsvTable a = read_csv(bundle.scratch() / "a-orders.csv"),
                 b = read_csv(bundle.scratch() / "b-orders.csv");
  EXPECT_EQ(a.rows[0].cells, b.rows[1].cells);
  EXPECT_EQ(a.rows[1].cells, b.rows[0].cells);
}

TEST(Program, orders_new_items_beside_the_known_ones) {
  const RandomBundle bundle;
  std::ofstream(bundle.scratch() / "new.csv") << "store,item,text,brand\n店B,lantern,red paper lantern,b1\n";
  std::ofstream(bundle.scratch() / "stock.csv") << "store,item,on_hand,lead_time,review_period\n"
                                                   "店B,lantern,0,1,2\n店B,item 3,4,2,3\n";
  const Ended result =
      score(bundle, "--new new.csv --stock stock.csv --out orders.csv --forecast forecast.csv");
  ASSERT_EQ(result.status, 0) << result.output;
  EXPECT_NE(result.output.find("1 new series, 1 of them with facts"), std::string::npos) << result.output;
  const CsvTable orders = read_csv(bundle.scratch() / "orders.csv"),
                 forecasts = read_csv(bundle.scratch() / "forecast.csv");
  ASSERT_EQ(orders.rows.size(), 2U);
  EXPECT_EQ(orders.rows[0].cells[0], "店B/lantern");
  EXPECT_EQ(orders.rows[0].cells[2], "lantern");
  EXPECT_EQ(forecasts.rows[0].cells[0], "店B/lantern");
  EXPECT_NE(score(bundle, "--stock stock.csv --out orders.csv").status, 0) << "unknown without --new";
  ASSERT_EQ(score(bundle, "--new new.csv --template all.csv --lead-time 1 --review 2").status, 0);
  const CsvTable all = read_csv(bundle.scratch() / "all.csv");
  ASSERT_EQ(all.rows.size(), 10U);
  EXPECT_EQ(all.rows.back().cells[0], "店B/lantern");
}

TEST(Program, leaves_no_file_and_a_status_when_something_is_wrong) {
  const RandomBundle bundle;
  std::ofstream(bundle.scratch() / "stock.csv") << "series,on_hand\n店A/item 0,-3\n";
  const Ended result = score(bundle, "--stock stock.csv --out orders.csv --forecast forecast.csv");
  EXPECT_NE(result.status, 0);
  EXPECT_NE(result.output.find("stock.csv:2: on_hand is -3"), std::string::npos) << result.output;
  EXPECT_FALSE(fs::exists(bundle.scratch() / "orders.csv"));
  EXPECT_FALSE(fs::exists(bundle.scratch() / "forecast.csv"));
  EXPECT_NE(score(bundle, "--stock absent.csv --out orders.csv").status, 0);
  EXPECT_NE(score(bundle, "--stock stock.csv").status, 0);
  EXPECT_NE(score(bundle, "--stock stock.csv --out orders.csv --policy guess").status, 0);
}

TEST(Program, refuses_to_write_one_file_over_another) {
  const RandomBundle bundle;
  const std::string stock = "series,on_hand,lead_time,review_period\n店A/item 0,3,1,2\n";
  write_file_atomically(bundle.scratch() / "stock.csv", stock);
  for (const char* files : {"--out orders.csv --forecast ./orders.csv", "--out stock.csv",
                            "--out orders.csv --forecast stock.csv"}) {
    const Ended result = score(bundle, std::string("--stock stock.csv ") + files);
    EXPECT_NE(result.status, 0) << files;
    EXPECT_NE(result.output.find("give each a file of its own"), std::string::npos) << result.output;
  }
  EXPECT_EQ(read_file(bundle.scratch() / "stock.csv"), stock);
  EXPECT_FALSE(fs::exists(bundle.scratch() / "orders.csv"));
}

TEST(Program, explains_itself) {
  const Ended help = run(program() + " --help");
  EXPECT_EQ(help.status, 0);
  EXPECT_NE(help.output.find("--stock"), std::string::npos);
}

}  // namespace
}  // namespace shelfcast::scorer::testing

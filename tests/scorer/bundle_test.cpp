// Bundles: what goes in comes out, and whatever is damaged is refused by name.
#include "scorer/bundle.h"

#include <gtest/gtest.h>

#include <cmath>
#include <fstream>
#include <nlohmann/json.hpp>

#include "base/error.h"
#include "base/files.h"
#include "tests/scorer/random_bundle.h"

namespace shelfcast::scorer::testing {
namespace {

namespace fs = std::filesystem;

// What opening a bundle says; empty when it opens.
std::string refusal(const fs::path& folder) {
  try {
    Bundle bundle(folder);
  } catch (const Error& error) {
    return error.what();
  }
  return "";
}

void expect_in(const std::string& part, const std::string& text) {
  EXPECT_NE(text.find(part), std::string::npos) << "\"" << part << "\" is not in: " << text;
}

TEST(Bundle, gives_back_what_was_written) {
  const RandomBundle made;
  const Bundle bundle(made.folder());
  EXPECT_EQ(bundle.info().name, "run-7");
  EXPECT_EQ(bundle.info().series, 9);
  EXPECT_EQ(bundle.info().horizon, 6);
  EXPECT_EQ(format_date(bundle.info().date_of(0)), "2026-03-02");
  EXPECT_EQ(bundle.names().series, made.contents().names.series);
  EXPECT_EQ(bundle.names().store, made.contents().names.store);
  EXPECT_EQ(bundle.copula().correlation.values, made.contents().copula.correlation.values);
  EXPECT_EQ(bundle.copula().recalibration.maps(), made.contents().copula.recalibration.maps());
  for (std::int64_t b = 0; b < 9; ++b)
    for (int c = 0; c < 2; ++c)
      for (int t = 0; t < 28; ++t) {
        const float stored = bundle.inputs().known[c].row(b)[t],
                    given = made.inputs().view.known[c].row(b)[t];
        EXPECT_TRUE(stored == given || (std::isnan(stored) && std::isnan(given))) << stored << " " << given;
      }
  ASSERT_EQ(bundle.inputs().texts, 4);
  for (int text = 0; text < 4; ++text)
    for (int w = 0; w < 32; ++w)
      EXPECT_EQ(bundle.inputs().text.row(text)[w], made.inputs().view.text.row(text)[w]);
  for (std::int64_t b = 0; b < 9; ++b)
    EXPECT_EQ(bundle.inputs().text_row.row(b)[0], made.inputs().view.text_row.row(b)[0]);
}

TEST(Bundle, says_whether_all_demand_was_whole) {
  EXPECT_EQ(Bundle(RandomBundle().folder()).info().demand, DemandKind::counts);
  const RandomBundle made([](BundleContents& c) { c.demand = DemandKind::continuous; });
  EXPECT_EQ(Bundle(made.folder()).info().demand, DemandKind::continuous);
}

// A bundle of a release that did not write `keys` yet.
void rewrite_without(const fs::path& folder, const std::vector<std::string>& keys) {
  nlohmann::json json = nlohmann::json::parse(read_file(folder / "bundle.json"));
  json.erase("digest");
  for (const std::string& key : keys) ASSERT_EQ(json.erase(key), 1U) << key;
  json["digest"] = digest_text(json.dump());
  std::ofstream(folder / "bundle.json") << json.dump(1);
}

TEST(Bundle, of_an_older_release_is_read_as_one_of_whole_demand) {
  const RandomBundle made([](BundleContents& c) { c.demand = DemandKind::continuous; });
  rewrite_without(made.folder(), {"whole_demand"});
  EXPECT_EQ(Bundle(made.folder()).info().demand, DemandKind::counts);
}

std::string dates(const Bundle& bundle) {
  std::string all;
  for (int step = 0; step < 6; ++step) all += format_date(bundle.info().date_of(step)) + ' ';
  return all;
}

TEST(Bundle, of_months_keeps_the_day_that_its_corpus_started_on) {
  const RandomBundle made([](BundleContents& c) {
    c.axis = {*parse_date("2015-01-31"), Frequency::monthly};
    c.first_step = 63;
  });
  EXPECT_EQ(dates(Bundle(made.folder())),
            "2020-04-30 2020-05-31 2020-06-30 2020-07-31 2020-08-31 2020-09-30 ");
  rewrite_without(made.folder(), {"start", "first_step"});  // nobody knows then
  EXPECT_EQ(dates(Bundle(made.folder())),
            "2020-04-30 2020-05-30 2020-06-30 2020-07-30 2020-08-30 2020-09-30 ");
}

TEST(Bundle, whose_axis_begins_another_day_is_refused) {
  const RandomBundle made;
  nlohmann::json json = nlohmann::json::parse(read_file(made.folder() / "bundle.json"));
  json.erase("digest");
  json["first_step"] = 11;
  json["digest"] = digest_text(json.dump());
  std::ofstream(made.folder() / "bundle.json") << json.dump(1);
  expect_in("begins on 2026-03-02 and, by its axis, on 2026-03-03", refusal(made.folder()));
}

TEST(Bundle, keeps_a_column_that_is_the_same_for_all_series_once) {
  const RandomBundle made;
  const Bundle bundle(made.folder());
  EXPECT_NE(bundle.inputs().known[0].stride, 0);
  EXPECT_EQ(bundle.inputs().known_codes[1].stride, 0);  // made alike by RandomBundle
  EXPECT_EQ(bundle.inputs().known_codes[1].row(8)[3], made.inputs().view.known_codes[1].row(8)[3]);
}

TEST(Bundle, refuses_every_truncated_missing_or_flipped_file_by_name) {
  const RandomBundle made;
  std::vector<fs::path> files;
  for (const auto& entry : fs::recursive_directory_iterator(made.folder()))
    if (entry.is_regular_file()) files.push_back(entry.path());
  EXPECT_EQ(files.size(), 16U);
  for (const fs::path& file : files) {
    SCOPED_TRACE(file.string());
    const std::string whole = read_file(file);
    const auto damage = [&](const std::string& bytes) {
      std::ofstream(file, std::ios::binary) << bytes;
      expect_in(file.filename().string(), refusal(made.folder()));
    };
    damage(whole.substr(0, whole.size() / 2));
    damage("");
    for (const std::size_t at : {std::size_t{0}, whole.size() / 3, whole.size() / 2, whole.size() - 2}) {
      std::string flipped = whole;
      flipped[at] = static_cast<char>(flipped[at] ^ 4);
      damage(flipped);
    }
    fs::remove(file);
    expect_in(file.filename().string(), refusal(made.folder()));
    damage(whole + "x");
    std::ofstream(file, std::ios::binary) << whole;
    ASSERT_EQ(refusal(made.folder()), "");
  }
}

TEST(Bundle, says_what_it_is_when_pointed_to_another_folder) {
  const ScratchFolder folder;
  expect_in("is not a bundle", refusal(folder.path()));
  expect_in("there is no bundle", refusal(folder.path() / "nothing"));
}

// A bundle whose golden cases are off at one place.
std::string refusal_with_golden(const std::function<void(BundleContents&)>& change) {
  try {
    const RandomBundle made(change);
  } catch (const Error& error) {
    return error.what();
  }
  return "";
}

TEST(Bundle, refuses_golden_cases_it_does_not_reproduce_naming_series_and_difference) {
  EXPECT_EQ(refusal_with_golden([](BundleContents& c) { c.golden.mean_gh[7] += 1e-6F; }), "");
  const std::string mean = refusal_with_golden([](BundleContents& c) { c.golden.mean_gh[7] += 0.5F; });
  expect_in("the mean of series \"店B/item \"\"5\"\"\", step 2", mean);
  const std::string quantile =
      refusal_with_golden([](BundleContents& c) { c.golden.quantiles_gqh[3] -= 0.1F; });
  expect_in("a quantile of series", quantile);
  expect_in("step 4", quantile);
  const std::string missing =
      refusal_with_golden([](BundleContents& c) { c.golden.mean_gh[0] = std::nanf(""); });
  expect_in("the mean of series", missing);
}

TEST(BundleWriter, leaves_nothing_behind_when_it_refuses) {
  const ScratchFolder folder;
  RandomBundle made;
  BundleContents contents = made.contents();
  contents.names.store.pop_back();
  try {
    write_bundle(folder.path() / "bundle", contents);
    FAIL();
  } catch (const Error& error) {
    expect_in("store names", error.what());
  }
  EXPECT_TRUE(fs::is_empty(folder.path()));
}

TEST(BundleWriter, refuses_a_series_whose_text_is_not_there) {
  const ScratchFolder folder;
  RandomBundle made;
  std::vector<std::int32_t> rows(made.contents().text_row_b.begin(), made.contents().text_row_b.end());
  rows[7] = 4;
  BundleContents contents = made.contents();
  contents.text_row_b = rows;
  try {
    write_bundle(folder.path() / "bundle", contents);
    FAIL();
  } catch (const Error& error) {
    expect_in("series 7 has text 4", error.what());
  }
  EXPECT_TRUE(fs::is_empty(folder.path()));
}

TEST(BundleWriter, does_not_overwrite) {
  const RandomBundle made;
  EXPECT_THROW(write_bundle(made.folder(), made.contents()), Error);
  EXPECT_EQ(refusal(made.folder()), "");
}

TEST(BundleWriter, refuses_names_that_are_not_utf8) {
  const ScratchFolder folder;
  RandomBundle made;
  BundleContents contents = made.contents();
  contents.names.series[2] = "\xC4\xE3";
  try {
    write_bundle(folder.path() / "bundle", contents);
    FAIL();
  } catch (const Error& error) {
    expect_in("not UTF-8", error.what());
  }
  EXPECT_TRUE(fs::is_empty(folder.path()));
}

TEST(Bundle, refuses_a_format_it_does_not_know) {
  const RandomBundle made;
  std::string text = read_file(made.folder() / "bundle.json");
  text.replace(text.find("\"format\": 1"), 11, "\"format\": 2");
  std::ofstream(made.folder() / "bundle.json") << text;
  expect_in("format 2", refusal(made.folder()));
}

}  // namespace
}  // namespace shelfcast::scorer::testing

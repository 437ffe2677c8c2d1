// Small tables and panels for the tests of ingest.
#pragma once

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>
#include <functional>
#include <limits>

#include "base/error.h"
#include "data/ingest/panel.h"
#include "tests/support/temporary_folder.h"

namespace shelfcast::testing {

inline constexpr float kNan = std::numeric_limits<float>::quiet_NaN();

inline std::filesystem::path write_text(const std::filesystem::path& file, const std::string& text) {
  std::ofstream(file, std::ios::binary) << text;
  return file;
}

// What the user would read, or "" when nothing was thrown. Anything but an input error fails the test.
inline std::string message_of(const std::function<void()>& action) {
  try {
    action();
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::input) << error.what();
    return error.what();
  }
  return "";
}

// All rows of a panel at once.
inline data::PanelRows all_rows(const data::Panel& panel) {
  data::PanelRows rows;
  panel.fill(0, panel.info.series, rows);
  return rows;
}

// Equal numbers, NaN equal to NaN.
inline auto same_floats(const std::vector<float>& expected) {
  return ::testing::Pointwise(::testing::NanSensitiveFloatEq(), expected);
}

}  // namespace shelfcast::testing

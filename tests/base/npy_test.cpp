#include "base/npy.h"

#include <gtest/gtest.h>

#include <cstring>

#include "base/error.h"
#include "base/files.h"
#include "tests/support/temporary_folder.h"

namespace shelfcast {
namespace {

// Read back by the format's text: magic, version 1.0, header length, a Python literal, then the numbers.
TEST(Npy, header_and_numbers_stand_where_the_format_says) {
  const testing::TemporaryFolder folder;
  const std::vector<float> values{1.5F, -2.0F, 0.0F, 3.25F, 1e30F, -1e-30F};
  for (const std::vector<std::int64_t>& shape : {std::vector<std::int64_t>{3, 2}, {6}, {1, 6, 1}}) {
    write_npy(folder / "a.npy", values, shape);
    const std::string bytes = read_file(folder / "a.npy");
    ASSERT_EQ(bytes.substr(0, 8), std::string("\x93NUMPY\x01\x00", 8));
    const std::size_t length =
        static_cast<unsigned char>(bytes[8]) + 256U * static_cast<unsigned char>(bytes[9]);
    ASSERT_EQ((10 + length) % 64, 0U);
    ASSERT_EQ(bytes.size(), 10 + length + sizeof(float) * values.size());
    EXPECT_EQ(bytes[10 + length - 1], '\n');
    const std::string header = bytes.substr(10, length);
    std::string dimensions;
    for (const auto one : shape) dimensions += std::to_string(one) + ", ";
    EXPECT_NE(header.find("'descr': '<f4'"), std::string::npos) << header;
    EXPECT_NE(header.find("'fortran_order': False"), std::string::npos) << header;
    EXPECT_NE(header.find("'shape': (" + dimensions + ")"), std::string::npos) << header;
    EXPECT_EQ(std::memcmp(bytes.data() + 10 + length, values.data(), sizeof(float) * values.size()), 0);
  }
}

TEST(Npy, a_place_that_cannot_be_written_is_an_error) {
  const testing::TemporaryFolder folder;
  EXPECT_THROW(write_npy(folder / "absent" / "a.npy", std::vector<float>{1.0F}, {1}), Error);
}

}  // namespace
}  // namespace shelfcast

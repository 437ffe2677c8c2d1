#include "base/shell.h"

#include <gtest/gtest.h>

namespace shelfcast {
namespace {

TEST(Shell, quotes_words_where_it_has_to) {
  EXPECT_EQ(shell_word("runs/a-1"), "runs/a-1");
  EXPECT_EQ(shell_word("runs/a b"), "'runs/a b'");
  EXPECT_EQ(shell_word("it's $5"), "'it'\\''s $5'");
  EXPECT_EQ(shell_word(""), "''");
}

}  // namespace
}  // namespace shelfcast

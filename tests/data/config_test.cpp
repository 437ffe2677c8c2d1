#include "data/config.h"

#include "small_corpus.h"

namespace shelfcast::data {
namespace {

using testing::expect_error;

DataConfig good() {
  DataConfig config;
  config.corpus = "x.corpus";
  return config;
}

TEST(DataConfig, defaults_with_a_corpus_are_valid) { good().validate(); }

TEST(DataConfig, names_the_field_that_is_wrong) {
  const auto refuses = [](const std::vector<std::string>& words, auto change) {
    DataConfig config = good();
    change(config);
    expect_error(ErrorKind::input, words, [&] { config.validate(); });
  };
  refuses({"data.corpus"}, [](DataConfig& c) { c.corpus = ""; });
  refuses({"data.context is 0"}, [](DataConfig& c) { c.context = 0; });
  refuses({"data.horizon is -1"}, [](DataConfig& c) { c.horizon = -1; });
  refuses({"data.min_context"}, [](DataConfig& c) { c.min_context = 0; });
  refuses({"data.superblock"}, [](DataConfig& c) { c.superblock = 0; });
  refuses({"data.chunk_series"}, [](DataConfig& c) { c.chunk_series = 0; });
  refuses({"data.past", "price", "second time"}, [](DataConfig& c) { c.known = c.past = {"price"}; });
  refuses({"data.static", "store"}, [](DataConfig& c) { c.statics = {"store", "store"}; });
  refuses({"data.calendar", "mont"}, [](DataConfig& c) { c.calendar = {"mont"}; });
  refuses({"data.validate_until", "2024-01-01"}, [](DataConfig& c) {
    c.train_until = parse_date("2024-02-01");
    c.validate_until = parse_date("2024-01-01");
  });
}

}  // namespace
}  // namespace shelfcast::data

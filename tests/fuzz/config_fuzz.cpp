// Any bytes as config.json of a published model, read as each kind of model we know.
#include <nlohmann/json.hpp>

#include "models/config.h"
#include "models/series/chronos2_config.h"
#include "models/text/bert_config.h"
#include "tests/fuzz/input_folder.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* bytes, std::size_t size) {
  using shelfcast::fuzz::expect_read_or_refused;
  static const shelfcast::fuzz::InputFolder folder;
  folder.write("config.json", bytes, size);
  expect_read_or_refused([] {
    shelfcast::models::ModelConfig model;
    model.weights = folder.path().string();
    shelfcast::models::tower_for(model, 64, 8).validate();
  });
  expect_read_or_refused([] { shelfcast::models::read_bert_config(folder.path()).validate(); });
  const auto json = nlohmann::json::parse(bytes, bytes + size, nullptr, /*allow_exceptions=*/false);
  if (json.is_discarded()) return 0;
  expect_read_or_refused([&] { shelfcast::models::chronos2_config_from_published_json(json).validate(); });
  expect_read_or_refused([&] { shelfcast::models::bolt_config_from_published_json(json).validate(); });
  expect_read_or_refused([&] { shelfcast::models::demand_model_config_from_json(json).validate(); });
  return 0;
}

// Adapters that the PEFT package wrote, and bottlenecks made of torch modules, on series towers: files of
// tests/golden/make_lora.py.
#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>

#include "base/json_file.h"
#include "models/adapters/adapter.h"
#include "models/adapters/lora.h"
#include "models/adapters/targets.h"
#include "models/demand_model.h"
#include "models/series/chronos2_files.h"
#include "models/series/chronos2_loss.h"
#include "tests/models/adapted_bolt.h"
#include "tests/models/adapter_golden.h"
#include "tests/models/golden.h"
#include "tests/support/temporary_folder.h"

namespace shelfcast::models {
namespace {

namespace fs = std::filesystem;
using testing::Adapted;
using testing::AdaptedBolt;
using testing::adapter_folder;
using testing::base_of;
using testing::digest_error;
using testing::error_of;
using testing::expect_below;
using testing::expect_merged;
using testing::gradient_of;
using testing::keep_for_peft;
using testing::stored;

class AdaptedChronos2 : public Adapted {
 public:
  AdaptedChronos2(const fs::path& base, const fs::path& adapter)
      : inputs_(base / "case.safetensors"), model_(load_chronos2(base)) {
    if (adapter.empty()) return;
    const AdapterConfig config = read_adapter_config(adapter);
    ParameterMaker make(1, ParameterMaker::Fill::draw);
    model_.parameters = attach_adapter(model_.parameters, "", config, make);
    load_adapter(adapter, model_.parameters, "", config, base_digest(base));
  }
  at::Tensor forecast() const override {
    return model_.tower.forward(batch(), nullptr).demand_quantiles_bqh();
  }
  at::Tensor loss() const override {
    const LossSums sums = chronos2_loss(model_.tower.forward(batch(), nullptr), batch(),
                                        stored(inputs_, "target"), {}, model_.tower.config());
    return sums.loss / sums.valid_targets;
  }
  const std::vector<Parameter>& parameters() const override { return model_.parameters; }
  std::string prefix() const override { return ""; }
  void merge() override { model_.parameters = merge_lora(model_.parameters); }

 private:
  Chronos2Inputs batch() const {
    return {stored(inputs_, "context"), stored(inputs_, "group_ids").to(at::kLong), stored(inputs_, "future"),
            model_.tower.config().max_output_patches};
  }
  SafetensorsFile inputs_;
  Chronos2Model model_;
};

class AdapterGolden : public ::testing::TestWithParam<const char*> {
 protected:
  fs::path folder() const { return adapter_folder(GetParam()); }
  SafetensorsFile golden() const { return SafetensorsFile(folder() / "case.safetensors"); }
  // With the base as it is for an empty path.
  std::unique_ptr<Adapted> open(const fs::path& adapter) const {
    const fs::path base = base_of(folder());
    if (std::string(GetParam()) == "chronos2") return std::make_unique<AdaptedChronos2>(base, adapter);
    return std::make_unique<AdaptedBolt>(base, adapter);
  }
  // Parameters that PEFT trains: adapters and modules to save.
  std::vector<Parameter> trained(const Adapted& model) const {
    const AdapterConfig config = read_adapter_config(folder());
    std::vector<Parameter> some;
    for (const Parameter& parameter : model.parameters()) {
      at::Tensor tensor = parameter.tensor;
      tensor.set_requires_grad(parameter.adapter ||
                               is_saved_module(parameter, model.prefix(), modules_to_save_of(config)));
      if (tensor.requires_grad()) some.push_back(parameter);
    }
    return some;
  }
  void expect_forecast(const at::Tensor& got, const std::string& name) const {
    const at::Tensor expected = stored(golden(), name);
    const at::Tensor difference = (got - expected).abs().flatten(1).amax(1);
    const at::Tensor size = expected.abs().flatten(1).amax(1).clamp_min(1.0);
    expect_below("lora forecast", (difference / size).max().item<double>(), 3e-5, name);
  }
};

TEST_P(AdapterGolden, an_adapter_gives_the_reference_forecasts_and_merged_it_gives_them_too) {
  expect_forecast(open({})->forecast(), "base.forecast");
  const std::unique_ptr<Adapted> model = open(folder());
  expect_forecast(model->forecast(), "adapted.forecast");
  if (!can_be_merged(read_adapter_config(folder()))) return;
  model->merge();
  for (const Parameter& parameter : model->parameters()) EXPECT_FALSE(parameter.adapter);
  expect_forecast(model->forecast(), "adapted.forecast");
  expect_merged(golden(), model->parameters(), model->prefix());
}

TEST_P(AdapterGolden, loss_and_every_gradient_equal_the_reference) {
  const SafetensorsFile file = golden();
  const std::unique_ptr<Adapted> model = open(folder());
  const std::vector<Parameter> some = trained(*model);
  const at::Tensor loss = model->loss();
  expect_below("lora loss", std::abs(loss.item<double>() / stored(file, "loss").item<double>() - 1.0), 1e-5);
  loss.backward();
  std::size_t in_file = 0;
  for (const auto& [name, tensor] : file.tensors()) in_file += name.starts_with("gradient.") ? 1 : 0;
  EXPECT_EQ(some.size(), in_file);
  for (const Parameter& parameter : some) {
    const std::string name = parameter.name.substr(model->prefix().size());
    expect_below("lora gradient",
                 digest_error(gradient_of(parameter), stored(file, "gradient." + name), 1e-6), 4e-4, name);
  }
}

TEST_P(AdapterGolden, five_steps_of_adamw_have_the_losses_of_the_reference) {
  const at::Tensor expected = stored(golden(), "losses");
  const std::unique_ptr<Adapted> model = open(folder());
  testing::PlainAdamW optimizer(trained(*model));
  for (std::int64_t step = 0; step < 5; ++step) {
    const at::Tensor loss = model->loss();
    expect_below("lora loss in five steps",
                 std::abs(loss.item<double>() / expected[step].item<double>() - 1.0), 5e-5);
    loss.backward();
    optimizer.step();
  }
}

TEST_P(AdapterGolden, what_is_written_is_read_again_to_the_bit) {
  const std::unique_ptr<Adapted> model = open(folder());
  const shelfcast::testing::TemporaryFolder temporary;
  const fs::path written = temporary.path() / "adapter", base = base_of(folder());
  save_adapter(written, model->parameters(), model->prefix(), read_adapter_config(folder()), base.string(),
               base_digest(base));
  EXPECT_TRUE(at::equal(open(written)->forecast(), model->forecast()));
  keep_for_peft(written, folder());
}

TEST(AdaLora, an_adapter_that_peft_saved_without_what_it_cut_gives_its_forecasts_and_is_written_for_it) {
  const fs::path folder = adapter_folder("adalora_cut");
  const SafetensorsFile golden(folder / "case.safetensors");
  const AdaptedBolt model(base_of(folder), folder);
  expect_below("adalora forecast", error_of(model.forecast(), stored(golden, "adapted.forecast")), 3e-5);
  const shelfcast::testing::TemporaryFolder temporary;
  const fs::path written = temporary.path() / "adapter", base = base_of(folder);
  save_adapter(written, model.parameters(), model.prefix(), read_adapter_config(folder), base.string(),
               base_digest(base));
  EXPECT_TRUE(at::equal(AdaptedBolt(base, written).forecast(), model.forecast()));
  keep_for_peft(written, folder);
}

INSTANTIATE_TEST_SUITE_P(Cases, AdapterGolden,
                         ::testing::Values("bolt", "bolt_patterns", "bolt_regex", "chronos2", "bottleneck",
                                           "adalora", "prefix", "bottleneck_gelu"),
                         [](const auto& chosen) { return std::string(chosen.param); });

}  // namespace
}  // namespace shelfcast::models

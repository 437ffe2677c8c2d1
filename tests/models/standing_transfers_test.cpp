// What lets a device repeat its part of a forward and backward without the host: what is sent stands there,
// and nothing else differs between micro-batches.
#include "models/standing_transfers.h"

#include <ATen/record_function.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <mutex>

#include "models/product.h"
#include "models/recompute.h"
#include "models/transfer.h"
#include "tests/models/adapted_models.h"
#include "tests/models/every_tower.h"
#include "tests/models/meta_device.h"

namespace shelfcast::models {
namespace {

using ::testing::Contains;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;

// Sends these tables to the meta device, one after another.
std::vector<at::Tensor> send(StandingTransfers& standing,
                             const std::vector<std::vector<std::int64_t>>& tables) {
  const StandingTransfers::Scope scope(&standing);
  std::vector<at::Tensor> there;
  for (const auto& table : tables) there.push_back(sent(table, at::kMeta));
  standing.end();
  return there;
}

TEST(StandingTransfers, tables_stay_where_the_first_forward_has_put_them) {
  StandingTransfers standing;
  const std::vector<at::Tensor> first = send(standing, {{1, 2, 3}, {1, 2, 3}, {7}});
  for (int again = 0; again < 2; ++again) {
    const std::vector<at::Tensor> later = send(standing, {{1, 2, 3}, {1, 2, 3}, {7}});
    for (std::size_t i = 0; i < first.size(); ++i) EXPECT_TRUE(later[i].is_same(first[i])) << i;
  }
  EXPECT_THAT(standing.changed(), IsEmpty());
}

TEST(StandingTransfers, a_table_that_changes_is_sent_and_said) {
  StandingTransfers standing;
  const std::vector<at::Tensor> first = send(standing, {{1, 2, 3}, {7}});
  const std::vector<at::Tensor> later = send(standing, {{1, 2, 4}, {7}});
  EXPECT_FALSE(later[0].is_same(first[0]));
  EXPECT_THAT(standing.changed(), HasSubstr("a table of 3 numbers"));
}

TEST(StandingTransfers, more_and_fewer_tables_are_a_change) {
  StandingTransfers more, fewer;
  send(more, {{1}});
  send(more, {{1}, {2}});
  EXPECT_THAT(more.changed(), HasSubstr("what is sent"));
  send(fewer, {{1}, {2}});
  send(fewer, {{1}});
  EXPECT_THAT(fewer.changed(), HasSubstr("what is sent"));
}

TEST(StandingTransfers, outside_of_a_scope_nothing_stands) {
  StandingTransfers standing;
  const at::Tensor first = send(standing, {{1}})[0];
  EXPECT_EQ(StandingTransfers::of_this_thread(), nullptr);
  EXPECT_FALSE(sent(std::vector<std::int64_t>{1}, at::kMeta).is_same(first));
}

// Every way by which a site's keys follow from the windows'.
std::vector<SiteDropout> sites_of(const DropoutKeys& keys) {
  const Dropout dropout(&keys, 0.3);
  const SiteDropout plain = dropout.site("a"), members = dropout.of_members(3).site("b");
  return {plain, plain.split(4), members, members.pick(1, 3, 2), members.pick(0, 3, 2).split(2)};
}

constexpr std::int64_t kElements = 200;

TEST(StandingTransfers, masks_are_those_of_each_micro_batch) {
  StandingTransfers standing;
  for (const DropoutKeys& keys :
       {DropoutKeys{3, 1, {5, 6}}, DropoutKeys{3, 1, {7, 8}}, DropoutKeys{3, 2, {9, 5}}}) {
    standing.renew_keys(keys, at::kCPU);
    const StandingTransfers::Scope scope(&standing);
    for (const SiteDropout& site : sites_of(keys))
      EXPECT_TRUE(at::equal(keep_mask_of_tensors(site, kElements, at::kCPU), site.keep_mask(kElements)));
    standing.end();
  }
  EXPECT_THAT(standing.changed(), IsEmpty());
}

// What a device has taken down reads the same places again, and finds the keys of now.
TEST(StandingTransfers, keys_are_renewed_in_their_places) {
  StandingTransfers standing;
  std::vector<at::Tensor> places;
  for (const DropoutKeys& keys : {DropoutKeys{3, 1, {5, 6}}, DropoutKeys{3, 1, {7, 8}}}) {
    standing.renew_keys(keys, at::kCPU);
    const StandingTransfers::Scope scope(&standing);
    places.clear();
    for (const SiteDropout& site : sites_of(keys)) places.push_back(standing.keys(site, at::kCPU));
    standing.end();
  }
  const DropoutKeys now{4, 9, {1, 2}};
  standing.renew_keys(now, at::kCPU);
  const std::vector<SiteDropout> sites = sites_of(now);
  for (std::size_t i = 0; i < sites.size(); ++i)
    EXPECT_TRUE(at::equal(places[i], at::tensor(as_numbers(sites[i].keys_b), at::kLong))) << i;
}

TEST(StandingTransfers, keys_that_do_not_follow_as_their_site_says_are_a_change) {
  StandingTransfers standing;
  for (const std::int64_t sample : {5, 6}) {
    const DropoutKeys keys{3, 1, {sample}};
    standing.renew_keys(keys, at::kCPU);
    const StandingTransfers::Scope scope(&standing);
    SiteDropout site = Dropout(&keys, 0.3).site("a");
    site.keys_b[0] += static_cast<std::uint64_t>(sample);
    EXPECT_TRUE(at::equal(keep_mask_of_tensors(site, kElements, at::kCPU), site.keep_mask(kElements)));
    standing.end();
  }
  EXPECT_THAT(standing.changed(), HasSubstr("what is sent"));
}

// What LibTorch is asked for while it lives, on any thread: operators with the shapes of what they take and
// the values of all that is not on the meta device.
class Operations {
 public:
  Operations() {
    lines().clear();
    handle_ = at::addGlobalCallback(at::RecordFunctionCallback(note).needsInputs(true).scopes(
        {at::RecordScope::FUNCTION, at::RecordScope::BACKWARD_FUNCTION}));
  }
  ~Operations() { at::removeCallback(handle_); }
  Operations(const Operations&) = delete;
  Operations& operator=(const Operations&) = delete;

  static constexpr const char* kFromHost = " from the host";
  static std::vector<std::string>& lines() {
    static std::vector<std::string> of_process;
    return of_process;
  }

 private:
  static std::string text_of(const c10::IValue& value, bool overwritten) {
    if (value.isTensor()) {
      const at::Tensor& tensor = value.toTensor();
      if (!tensor.defined()) return "none";
      std::string text = fmt::format("{}", fmt::join(tensor.sizes(), "x"));
      if (!tensor.is_meta() && tensor.numel() == 1 && !overwritten)
        text += fmt::format("={}", tensor.item<double>());
      return text;
    }
    if (value.isTensorList()) return fmt::format("{} tensors", value.toTensorList().size());
    std::ostringstream text;
    text << value;
    return text.str();
  }
  static std::unique_ptr<at::ObserverContext> note(const at::RecordFunction& function) {
    static std::mutex mutex;
    const at::RecordFunctionGuard unseen(false);
    std::string line = function.name();
    const bool overwrites = line.ends_with('_');  // its first tensor
    for (const c10::IValue& input : function.inputs())
      line += " " + text_of(input, overwrites && &input == function.inputs().begin());
    if (line.starts_with("aten::copy_") && function.inputs()[0].toTensor().is_meta() &&
        !function.inputs()[1].toTensor().is_meta())
      line += kFromHost;
    const std::lock_guard lock(mutex);
    lines().push_back(line);
    return nullptr;
  }

  at::CallbackHandle handle_;
};

// Forward, loss and backward of `micro_batches` micro-batches on the meta device, each of other windows, from
// what is there already; what was asked of the device for each.
std::vector<std::vector<std::string>> operations_of(const DemandModel& model, StandingTransfers& standing,
                                                    std::int64_t micro_batches) {
  put_on_meta(model.parameters());
  for (const Parameter& parameter : model.parameters())
    if (parameter.tensor.requires_grad())
      at::Tensor(parameter.tensor).mutable_grad() = at::zeros_like(parameter.tensor);
  std::vector<std::vector<std::string>> of_each;
  for (std::int64_t i = 0; i < micro_batches; ++i) {
    const ModelInputs inputs = testing::small_batch(model.config(), 4).to(at::kMeta);
    Targets targets = testing::small_targets(model.config(), 4);
    targets.hidden_bt = testing::small_batch(model.config(), 4).context_bt;
    for (at::Tensor* tensor : targets.tensors())
      if (tensor->defined()) *tensor = sent(*tensor, at::kMeta);
    const DropoutKeys keys{3, i, {4 * i, 4 * i + 1, 4 * i + 2, 4 * i + 3}};
    standing.renew_keys(keys, at::kMeta);
    const Operations operations;
    {
      const StandingTransfers::Scope scope(&standing);
      loss_sums(model.forward(inputs, &keys), targets, model.config()).loss.backward();
    }
    standing.end();
    of_each.push_back(Operations::lines());
  }
  return of_each;
}

void expect_repeatable(const DemandModel& model) {
  StandingTransfers standing;
  const auto of_each = operations_of(model, standing, 4);
  EXPECT_THAT(standing.changed(), IsEmpty());
  const std::vector<std::string>&one = of_each[2], &next = of_each[3];
  EXPECT_GT(one.size(), 100U);
  EXPECT_THAT(of_each[0], Contains(HasSubstr(Operations::kFromHost)));
  EXPECT_THAT(one, Not(Contains(HasSubstr(Operations::kFromHost))));
  const auto [first, other] = std::mismatch(one.begin(), one.end(), next.begin(), next.end());
  EXPECT_TRUE(first == one.end() && other == next.end())
      << "operation " << first - one.begin() << " of " << one.size() << " and " << next.size() << ": "
      << (first == one.end() ? "none" : *first) << " is " << (other == next.end() ? "none" : *other);
}

class RepeatedTower : public ::testing::TestWithParam<Architecture> {};

INSTANTIATE_TEST_SUITE_P(Of, RepeatedTower, testing::every_tower(), testing::tower_in_test_name);

TEST_P(RepeatedTower, a_device_is_asked_for_the_same_with_every_micro_batch) {
  at::manual_seed(5);
  expect_repeatable(DemandModel(testing::small_config(GetParam()), 7));
}

TEST_P(RepeatedTower, the_same_in_bf16_with_activation_checkpointing) {
  at::manual_seed(5);
  const PrecisionScope precision(Precision::bf16);
  const RecomputeScope recompute(true);
  expect_repeatable(DemandModel(testing::small_config(GetParam()), 7));
}

TEST_P(RepeatedTower, the_same_with_every_head_and_days_that_are_closed) {
  at::manual_seed(5);
  DemandModelConfig config = testing::small_config(GetParam());
  testing::switch_all_on(config.model);
  if (!is_published(GetParam())) {
    config.model.masked = false;
    config.model.loss.masked = 0.0;
  }
  config.open_column = 1;
  expect_repeatable(DemandModel(config, 7));
}

TEST(RepeatedAdapter, draws_dropout_of_its_own_by_keys_that_stand) {
  for (const char* base : {"bolt/wide_heads", "chronos2/published"}) {
    at::manual_seed(5);
    DemandModel model = testing::published(base);
    model.add_adapter(LoraConfig{.rank = 2, .dropout = 0.2}, 11);
    expect_repeatable(model);
  }
}

}  // namespace
}  // namespace shelfcast::models

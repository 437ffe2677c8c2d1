#include "models/series/chronos2_tower.h"

namespace shelfcast::models {

namespace {

// A window's rows: its demand, then what is read beside it.
struct Rows {
  std::int64_t windows, members, ahead;

  // What is added to the context's patches of demand [b*n, x], and nothing to the `ahead` of the future nor
  // to other members: [b * members * (n + f), x].
  at::Tensor added_to_demand(const at::Tensor& x) const {
    if (!x.defined()) return x;
    return at::constant_pad_nd(x.view({windows, 1, -1, x.size(1)}), {0, 0, 0, ahead, 0, members - 1}, 0)
        .flatten(0, 2);
  }
  // [b, d] -> [b * members, d], zeros for other members.
  at::Tensor shift_of_demand(const at::Tensor& x) const {
    if (!x.defined() || members == 1) return x;
    return at::constant_pad_nd(x.unsqueeze(1), {0, 0, 0, members - 1}, 0).flatten(0, 1);
  }
  // demand [b, ...], beside [b * (members - 1), ...] -> [b * members, ...].
  at::Tensor together(const at::Tensor& demand, const at::Tensor& beside) const {
    std::vector<std::int64_t> shape = beside.sizes().vec();
    shape.insert(shape.begin(), windows);
    shape[1] = members - 1;
    return at::cat({demand.unsqueeze(1), beside.view(shape)}, 1).flatten(0, 1);
  }
  // [b * members * x, d] -> demand's [b * x, d].
  at::Tensor of_demand(const at::Tensor& states) const {
    if (members == 1) return states;
    return states.view({windows, members, -1}).select(1, 0).reshape({-1, states.size(1)});
  }
  GroupPlan plan() const {
    if (members == 1) return GroupPlan::of(windows, {});
    return GroupPlan::of(windows * members, at::arange(windows).repeat_interleave(members));
  }
};

}  // namespace

Chronos2Tower::Chronos2Tower(const TowerConfig& config, const std::string& prefix, ParameterMaker& make)
    : tower_(chronos2_config(config), prefix, make) {}

at::Tensor Chronos2Tower::states(const TowerInputs& inputs, const Dropout& dropout) const {
  const Chronos2Config& config = tower_.config();
  const at::Tensor& beside = inputs.beside_bct;
  const Rows rows{inputs.demand.scaled_bt.size(0), beside.defined() ? 1 + beside.size(1) : 1,
                  (inputs.horizon + config.patch_size - 1) / config.patch_size};
  Chronos2Patches read = chronos2_patches(inputs.demand, {}, rows.ahead, config);
  if (rows.members > 1) {
    const Chronos2Patches more = chronos2_patches(
        {beside.flatten(0, 1), {}, inputs.beside_future_bch.flatten(0, 1), rows.ahead}, config);
    read.patches = rows.together(read.patches, more.patches);
    read.attended_bl = rows.together(read.attended_bl, more.attended_bl);
  }
  const Chronos2States states =
      tower_.states(read, rows.plan(), rows.members > 1 ? dropout.of_members(rows.members) : dropout,
                    {rows.added_to_demand(inputs.more_hidden), rows.added_to_demand(inputs.more_residual),
                     rows.shift_of_demand(inputs.shift_bd), inputs.change},
                    inputs.context_states != nullptr ? StatesOf::all_patches : StatesOf::future);
  if (inputs.context_states != nullptr) *inputs.context_states = rows.of_demand(states.context);
  return rows.of_demand(states.ahead);
}

at::Tensor Chronos2Tower::quantiles(const at::Tensor& states, std::int64_t windows,
                                    const Dropout& dropout) const {
  return tower_.quantiles(states, windows, dropout);
}

}  // namespace shelfcast::models

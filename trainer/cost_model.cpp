#include "trainer/cost_model.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <set>

#include "base/error.h"
#include "parallel/buckets.h"
#include "parallel/sharding.h"

namespace shelfcast::trainer {
namespace {

constexpr double kGiga = 1e9, kMicro = 1e-6, kHour = 3600;
constexpr double kLeastAssumed = 1e-6, kMostAssumed = 1e9;

struct Field {
  const char* name;
  double CostAssumptions::*value;
};

constexpr Field kFields[] = {
    {"micro_batch_s", &CostAssumptions::micro_batch_s},
    {"backward", &CostAssumptions::backward},
    {"gpus_per_node", &CostAssumptions::gpus_per_node},
    {"node_gb_s", &CostAssumptions::node_gb_s},
    {"node_latency_us", &CostAssumptions::node_latency_us},
    {"network_gb_s", &CostAssumptions::network_gb_s},
    {"network_latency_us", &CostAssumptions::network_latency_us},
    {"memory_gb_s", &CostAssumptions::memory_gb_s},
    {"jitter", &CostAssumptions::jitter},
    {"storage_gb_s", &CostAssumptions::storage_gb_s},
    {"writer_gb_s", &CostAssumptions::writer_gb_s},
    {"mtbf_hours", &CostAssumptions::mtbf_hours},
    {"restart_s", &CostAssumptions::restart_s},
    {"gpu_hour", &CostAssumptions::gpu_hour},
};

// What may be 0; the others are divided by.
bool may_be_zero(const std::string& name) {
  static const std::set<std::string> all = {
      "micro_batch_s", "backward",  "node_latency_us", "network_latency_us",
      "jitter",        "restart_s", "gpu_hour"};
  return all.count(name) != 0;
}

// How the ranks lie on nodes.
struct Layout {
  double ranks, nodes, in_node;
};

Layout layout_of(const CostAssumptions& assumed, std::int64_t ranks) {
  const auto all = static_cast<double>(ranks);
  const double in_node = std::min(all, assumed.gpus_per_node);
  return {all, std::ceil(all / in_node), in_node};
}

// Bytes a second that pass through a GPU in a ring: between nodes there are as many rings as GPUs in a node,
// each over a network card of its own.
double ring_bandwidth(const CostAssumptions& assumed, const Layout& layout) {
  if (layout.nodes == 1) return assumed.node_gb_s * kGiga;
  return std::min(assumed.node_gb_s, assumed.network_gb_s * layout.in_node) * kGiga;
}

// From the first rank of a ring to the last.
double chain_latency_seconds(const CostAssumptions& assumed, const Layout& layout) {
  const double hops_between = layout.nodes == 1 ? 0 : std::min(layout.nodes, layout.ranks - 1);
  return kMicro * (hops_between * assumed.network_latency_us +
                   (layout.ranks - 1 - hops_between) * assumed.node_latency_us);
}

// One turn around the ring: half an all-reduce.
double half_ring_seconds(const CostAssumptions& assumed, const Layout& layout, double bytes) {
  if (layout.ranks == 1) return 0;
  return chain_latency_seconds(assumed, layout) +
         (layout.ranks - 1) / layout.ranks * bytes / ring_bandwidth(assumed, layout);
}

double trees_seconds(const CostAssumptions& assumed, const Layout& layout, double bytes) {
  return 2 * kMicro *
             (std::ceil(std::log2(layout.nodes)) * assumed.network_latency_us +
              (layout.in_node - 1) * assumed.node_latency_us) +
         2 * bytes / ring_bandwidth(assumed, layout);
}

// A sum that one rank keeps: a chain through all ranks, in which parts follow each other.
double rooted_sum_seconds(const CostAssumptions& assumed, const Layout& layout, double bytes) {
  return chain_latency_seconds(assumed, layout) + bytes / ring_bandwidth(assumed, layout);
}

std::int64_t sharers_of(const CostInputs& inputs, std::int64_t ranks) {
  return inputs.sharers == 0 ? ranks : std::min(inputs.sharers, ranks);
}

// Between ranks of different nodes alone, with a network card each.
double across_seconds(CostAssumptions assumed, std::int64_t ranks, double bytes) {
  assumed.gpus_per_node = 1;
  return all_reduce_seconds(assumed, ranks, bytes);
}

// A bucket's gradients to the ranks that keep them: one sum for each, one after the other; and between those
// that keep the same.
double shares_seconds(const CostInputs& inputs, const CostAssumptions& assumed, std::int64_t ranks,
                      const parallel::Bucket& bucket) {
  const std::int64_t sharers = sharers_of(inputs, ranks), groups = (ranks + sharers - 1) / sharers;
  const Layout layout = layout_of(assumed, sharers);
  const std::int64_t share = std::max<std::int64_t>(1, (inputs.elements + sharers - 1) / sharers);
  double seconds = 0;
  for (std::int64_t begin = bucket.first, end = 0; begin < bucket.first + bucket.elements; begin = end) {
    end = std::min(bucket.first + bucket.elements, (begin / share + 1) * share);
    const double bytes = static_cast<double>(end - begin) * inputs.gradient_bytes;
    seconds += rooted_sum_seconds(assumed, layout, bytes) + across_seconds(assumed, groups, bytes);
  }
  return seconds;
}

// Of a step. With ZeRO-2 the gradients of every micro-batch travel, each bucket to the ranks that keep them,
// and there is room for two.
double exposed_gradients(const CostInputs& inputs, const CostAssumptions& assumed, std::int64_t ranks,
                         double backward_s, double micro_batches) {
  std::vector<double> bytes, seconds;
  for (const parallel::Bucket& bucket :
       parallel::cut_buckets(inputs.ranges, inputs.elements, inputs.bucket_bytes)) {
    bytes.push_back(static_cast<double>(bucket.elements) * inputs.gradient_bytes);
    seconds.push_back(inputs.zero < 2 ? all_reduce_seconds(assumed, ranks, bytes.back())
                                      : shares_seconds(inputs, assumed, ranks, bucket));
  }
  return inputs.zero < 2 ? exposed_seconds(backward_s, bytes, seconds)
                         : micro_batches * exposed_seconds(backward_s, bytes, seconds, 2);
}

// The norm reads gradients; AdamW reads and writes weights, gradients (cleared) and two moments.
double update_seconds(const CostInputs& inputs, const CostAssumptions& assumed, std::int64_t ranks) {
  const double bytes = static_cast<double>(inputs.elements) * sizeof(float);
  const std::int64_t sharers = sharers_of(inputs, ranks);
  const double updated = inputs.zero > 0 ? 8.0 / static_cast<double>(sharers) : 8.0,
               read = inputs.zero > 1 ? 1.0 / static_cast<double>(sharers) : 1.0;
  return bytes * (read + updated) / (assumed.memory_gb_s * kGiga) +
         (inputs.zero > 0 ? all_gather_seconds(assumed, sharers, bytes) : 0.0);
}

// `step_s`: of a step without it.
double storage_seconds(const CostInputs& inputs, const CostAssumptions& assumed, double step_s) {
  const double read = std::max(0.0, inputs.bytes_read_a_step / (assumed.storage_gb_s * kGiga) - step_s);
  const double weights = static_cast<double>(inputs.elements) * sizeof(float);
  const double written = std::max(weights / (assumed.writer_gb_s * kGiga),
                                  inputs.checkpoint_bytes / (assumed.storage_gb_s * kGiga));
  const auto between = static_cast<double>(inputs.checkpoint_every);
  return read + std::max(0.0, written - between * step_s) / between;
}

// A failure of any of the ranks costs half of the steps between two checkpoints, and a restart.
double failure_seconds(const CostInputs& inputs, const CostAssumptions& assumed, std::int64_t ranks,
                       double step_s) {
  const double lost = static_cast<double>(inputs.checkpoint_every) * step_s / 2 + assumed.restart_s;
  return step_s * static_cast<double>(ranks) / (assumed.mtbf_hours * kHour) * lost;
}

// A run on `ranks` ranks that sees as many windows as the recipe's.
std::string row(const CostInputs& inputs, const CostAssumptions& assumed, std::int64_t ranks,
                std::int64_t batch) {
  CostInputs there = inputs;
  there.batch = batch;
  const double scale = static_cast<double>(batch) / static_cast<double>(inputs.batch);
  there.bytes_read_a_step *= scale;
  const StepCost step = step_cost(there, assumed, ranks);
  const double steps = static_cast<double>(inputs.steps) / scale, hours = steps * step.total() / kHour;
  const double gpu_hours = hours * static_cast<double>(ranks);
  const auto ms = [](double seconds) { return 1e3 * seconds; };
  return fmt::format(
      "  {:>6}{:>9}{:>10.1f}{:>10.1f}{:>9.2f}{:>9.2f}{:>9.2f}{:>9.2f}{:>9.2f}{:>10.1f} "
      "%{:>9.3g}{:>11.3g}{:>9.3g}\n",
      ranks, batch, ms(step.total()), ms(step.compute), ms(step.exposed), ms(step.stragglers),
      ms(step.update), ms(step.storage), ms(step.failures), 100 * step.compute / step.total(), hours,
      gpu_hours, gpu_hours * assumed.gpu_hour);
}

constexpr std::int64_t kMostRanks = 4096;

// 1, 8, 64, 512, 4096 and the one asked for.
std::set<std::int64_t> ranks_to_show(std::int64_t asked) {
  std::set<std::int64_t> all = {asked};
  for (std::int64_t ranks = 1; ranks <= kMostRanks; ranks *= 8) all.insert(ranks);
  return all;
}

}  // namespace

void CostAssumptions::set(const std::string& assignment) {
  const std::size_t equals = assignment.find('=');
  const std::string name = assignment.substr(0, equals),
                    text = equals == std::string::npos ? "" : assignment.substr(equals + 1);
  const auto* const field = std::find_if(std::begin(kFields), std::end(kFields),
                                         [&](const Field& known) { return name == known.name; });
  if (field == std::end(kFields)) {
    std::vector<std::string> names;
    for (const Field& known : kFields) names.emplace_back(known.name);
    const std::string nearest = nearest_name(name, names);
    throw input_error(fmt::format("--assume: there is no \"{}\"", name),
                      nearest.empty() ? "" : fmt::format("did you mean {}?", nearest),
                      fmt::format("use one of {}", fmt::join(names, ", ")));
  }
  double value = 0;
  const auto [end, failed] = std::from_chars(text.data(), text.data() + text.size(), value);
  const bool number = failed == std::errc() && end == text.data() + text.size() && std::isfinite(value);
  // Beyond these no machine is meant, and what is printed would run into other columns.
  const bool sane = value == 0 ? may_be_zero(name) : value >= kLeastAssumed && value <= kMostAssumed;
  const bool whole = name != "gpus_per_node" || (value >= 1 && value == std::floor(value));
  if (!number || !sane || !whole || (name == "backward" && value > 1))
    throw input_error(fmt::format("--assume {}: \"{}\" cannot be", name, text),
                      name == "backward" ? "it is a share of 1"
                      : name == "gpus_per_node"
                          ? "it is a whole number"
                          : fmt::format("it is a number from {:g} to {:g}", kLeastAssumed, kMostAssumed));
  this->*(field->value) = value;
}

std::vector<std::string> CostAssumptions::list() const {
  std::vector<std::string> all;
  for (const Field& field : kFields)
    all.push_back(fmt::format("{}={:.4g}", field.name, this->*(field.value)));
  return all;
}

double all_reduce_seconds(const CostAssumptions& assumed, std::int64_t ranks, double bytes) {
  const Layout layout = layout_of(assumed, ranks);
  const double ring = 2 * half_ring_seconds(assumed, layout, bytes);
  return layout.nodes == 1 ? ring : std::min(ring, trees_seconds(assumed, layout, bytes));
}

double all_gather_seconds(const CostAssumptions& assumed, std::int64_t ranks, double bytes) {
  return half_ring_seconds(assumed, layout_of(assumed, ranks), bytes);
}

double exposed_seconds(double backward_s, const std::vector<double>& bytes, const std::vector<double>& sent_s,
                       std::size_t room) {
  double all = 0, made = 0;  // bytes, and when the last of them were
  for (const double part : bytes) all += part;
  std::vector<double> ends;
  for (std::size_t i = 0; i < bytes.size(); ++i) {
    if (i >= room) made = std::max(made, ends[i - room]);
    made += backward_s * bytes[i] / all;
    ends.push_back(std::max(made, ends.empty() ? 0.0 : ends.back()) + sent_s[i]);
  }
  return ends.empty() ? 0.0 : std::max(0.0, ends.back() - backward_s);
}

double expected_largest(std::int64_t n) {
  if (n <= 1) return 0;
  // The quantile at Blom's plotting position, by halving.
  const double p = (static_cast<double>(n) - 0.375) / (static_cast<double>(n) + 0.25);
  double low = -1, high = 10;
  for (int i = 0; i < 60; ++i) {
    const double middle = (low + high) / 2;
    (0.5 * std::erfc(-middle / std::sqrt(2.0)) < p ? low : high) = middle;
  }
  return low;
}

StepCost step_cost(const CostInputs& inputs, const CostAssumptions& assumed, std::int64_t ranks) {
  const double micro_batch_s = assumed.micro_batch_s > 0 ? assumed.micro_batch_s : inputs.micro_batch_s;
  const std::int64_t windows = parallel::slice_of(inputs.batch, static_cast<int>(ranks), 0).size();
  // Ranks fill every micro-batch to its size, so nobody asks for larger ones than a rank has windows.
  const std::int64_t micro_batch = std::min(inputs.micro_batch, windows);
  const std::int64_t whole = (windows + micro_batch - 1) / micro_batch;
  const auto micro_batches = static_cast<double>(whole);
  const double one =
      micro_batch_s * static_cast<double>(micro_batch) / static_cast<double>(inputs.micro_batch);
  StepCost cost;
  cost.compute = one * micro_batches;
  cost.stragglers = cost.compute * assumed.jitter * expected_largest(ranks);
  if (ranks > 1)
    cost.exposed = exposed_gradients(inputs, assumed, ranks, one * assumed.backward, micro_batches);
  cost.update = update_seconds(inputs, assumed, ranks);
  cost.storage = storage_seconds(inputs, assumed, cost.total());
  cost.failures = failure_seconds(inputs, assumed, ranks, cost.total());
  return cost;
}

std::string describe_cost(const CostInputs& inputs, CostAssumptions assumed, std::int64_t ranks) {
  const std::int64_t a_rank = parallel::slice_of(inputs.batch, static_cast<int>(ranks), 0).size();
  const bool measured = assumed.micro_batch_s == 0;
  if (measured) assumed.micro_batch_s = inputs.micro_batch_s;
  std::string text =
      fmt::format("cost        a micro-batch of {} takes {:.4g} s ({}), an optimizer step of all it costs:\n",
                  inputs.micro_batch, assumed.micro_batch_s,
                  measured ? fmt::format("measured here on {}", inputs.measured_on) : "assumed");
  const std::string head =
      fmt::format("  {:>6}{:>9}{:>10}{:>10}{:>9}{:>9}{:>9}{:>9}{:>9}{:>12}{:>9}{:>11}{:>9}\n", "ranks",
                  "batch", "step ms", "compute", "exposed", "waiting", "update", "storage", "failures",
                  "computing", "hours", "GPU hours", "cost");
  text += " the recipe's batch shared by all\n" + head;
  for (const std::int64_t n : ranks_to_show(ranks))
    if (n <= inputs.batch) text += row(inputs, assumed, n, inputs.batch);
  text +=
      fmt::format(" {} a rank as on {}, so that the batch grows and steps become fewer\n", a_rank, ranks) +
      head;
  for (const std::int64_t n : ranks_to_show(ranks)) text += row(inputs, assumed, n, a_rank * n);
  return text + fmt::format("assumed     {}\n            (--assume NAME=VALUE changes one; docs/scaling.md)",
                            fmt::join(assumed.list(), " "));
}

}  // namespace shelfcast::trainer

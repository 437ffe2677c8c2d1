// What a run would take on many GPUs: the arithmetic of docs/scaling.md, behind `train --check --ranks N`.
#pragma once

#include <cstdint>
#include <limits>
#include <string>
#include <vector>

#include "parallel/flat_range.h"

namespace shelfcast::trainer {

// What is assumed of machines that are not here. GB are 1e9 bytes; each is set by `--assume NAME=VALUE`.
struct CostAssumptions {
  double micro_batch_s = 0;   // forward and backward of one micro-batch on one rank; 0 = as measured here
  double backward = 2.0 / 3;  // share of it that is backward, which hides transfers
  double gpus_per_node = 8;
  double node_gb_s = 360;      // one GPU to its neighbour in the node
  double node_latency_us = 3;  // of a message there
  double network_gb_s = 45;    // one GPU's share of the network between nodes
  double network_latency_us = 8;
  double memory_gb_s = 2500;   // of a GPU's memory: bounds the optimizer
  double jitter = 0.02;        // standard deviation of a rank's compute from step to step, over its mean
  double storage_gb_s = 100;   // all ranks together
  double writer_gb_s = 1.5;    // one rank writing files
  double mtbf_hours = 50'000;  // between failures of one GPU
  double restart_s = 300;      // from a failure to the first step after it
  double gpu_hour = 2.5;       // price

  // "NAME=VALUE" changes one. Throws Error(input) naming it with the nearest name, or what values there are.
  void set(const std::string& assignment);
  // "NAME=VALUE" of all, in order.
  std::vector<std::string> list() const;
};

// What of a run its cost follows from.
struct CostInputs {
  std::vector<parallel::FlatRange> ranges;  // trained parameters as they lie in the flat buffers
  std::int64_t elements = 0;                // of the flat buffers
  std::int64_t bucket_bytes = 25'000'000;
  std::int64_t zero = 0;                    // ZeRO stage
  std::int64_t sharers = 0;                 // ranks among whom it shares out, every so many alike; 0 = all
  double gradient_bytes = 4;                // that a parameter's gradient travels as
  double micro_batch_s = 0;                 // measured; assumptions may say otherwise
  std::string measured_on = "cpu";          // the device's name
  std::int64_t micro_batch = 1, batch = 1;  // windows
  std::int64_t steps = 1, checkpoint_every = 1;
  double checkpoint_bytes = 0;   // of all ranks' files
  double bytes_read_a_step = 0;  // by all ranks, at most
};

// Seconds of one optimizer step, by cause.
struct StepCost {
  double compute = 0;     // forward and backward of the rank with most windows
  double exposed = 0;     // transfers of gradients that no backward hides
  double stragglers = 0;  // waiting for the slowest of the ranks
  double update = 0;      // norm, optimizer, and with ZeRO the gathering of weights
  double storage = 0;     // reading and checkpoints beyond what runs beside the steps
  double failures = 0;    // lost steps and restarts, spread over all
  double total() const { return compute + exposed + stragglers + update + storage + failures; }
};

// Of `inputs` on `ranks` ranks, which share `inputs.batch` windows: at least one each. Micro-batches are cut
// to what a rank has.
StepCost step_cost(const CostInputs& inputs, const CostAssumptions& assumed, std::int64_t ranks);

// The parts, for whoever compares them with measurements. Bytes are those of the whole buffer, times seconds.
// An all-reduce as a ring, or as double binary trees between nodes (Sanders, Speck and Traff, 2009) where
// that is faster.
double all_reduce_seconds(const CostAssumptions& assumed, std::int64_t ranks, double bytes);
double all_gather_seconds(const CostAssumptions& assumed, std::int64_t ranks, double bytes);
// What a backward of `backward_s`, which makes gradients at an even pace, takes longer for being sent: what
// is left when it ends, and, with room for `room` buckets at a time, what it waits for on the way. `sent_s`
// are the transfers, in order, `bytes` what each sends.
double exposed_seconds(double backward_s, const std::vector<double>& bytes, const std::vector<double>& sent_s,
                       std::size_t room = std::numeric_limits<std::size_t>::max());
// The expected largest of n standard normal numbers (Blom, 1958); 0 for one.
double expected_largest(std::int64_t n);

// A table of step time, efficiency, hours and cost up to 4,096 ranks: with the recipe's batch, and with the
// windows a rank that it has on `ranks` ranks.
std::string describe_cost(const CostInputs& inputs, CostAssumptions assumed, std::int64_t ranks);

}  // namespace shelfcast::trainer

// The blocks of a recipe that belong to the trainer: run, tune, train, parallel.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>

#include "models/adapters/adapter_config.h"
#include "parallel/bfloat16.h"
#include "parallel/world.h"
#include "trainer/recipe/schedule.h"

namespace shelfcast::trainer {

struct RunConfig {
  std::string dir = "runs/run";  // the run folder; its last part is the run's name
  std::int64_t seed = 17;
  std::string start;  // run folder whose best weights this run begins with; empty = those of the model block
};

// What is trained of a model. What a pretrained tower did not bring along (heads, statics, covariates) always
// is.
struct TuneConfig {
  // all; heads: of the tower only its output layer; top: also its last `layers` blocks; lora, adalora,
  // adapter, prefix: nothing of the tower but an adapter of low rank (of ranks cut by importance),
  // bottlenecks behind its sublayers, or keys and values that its attentions read besides.
  std::string method = "all";
  std::int64_t layers = 1;   // top: so many blocks of the encoder and of the decoder
  double layer_decay = 1.0;  // a block's learning rate over that of the block above it
  // The text encoder of model.text.
  enum class Text { frozen, top, all } text = Text::frozen;  // top: its last `text_layers` blocks
  std::int64_t text_layers = 1;
  double text_rate = 1.0;  // its learning rate over that of the rest
  // Keys of the block itself; dropout and modules_to_save of `lora` are every method's.
  models::LoraConfig lora = {};
  models::BottleneckConfig bottleneck = {};
  models::PrefixConfig prefix = {};
  models::RankBudget budget = {};  // adalora: of `lora`; how many steps there are is train.steps
  // A folder with an adapter to begin with, which decides about the keys of its method; empty = a new one.
  std::string adapter = {};

  // What the method puts on the tower; none = nothing.
  std::optional<models::AdapterConfig> adapter_config() const;
  // Takes over the keys of an adapter of this method. Throws Error(input) for one of another.
  void set_adapter_config(const models::AdapterConfig& config);

  // Throws Error(input) naming the field.
  void validate() const;
};

struct OptimizerConfig {
  std::string name = "adamw";  // adamw, sgd, adafactor
  double lr = 1e-3;
  double weight_decay = 0.01;                     // decoupled (Loshchilov and Hutter, 2019)
  double beta1 = 0.9, beta2 = 0.999, eps = 1e-8;  // adamw
  double momentum = 0.9;                          // sgd; 0 = none
  // adafactor: beta2 at step t is 1 - t^-moment_decay; largest root mean square of an update; whether lr is
  // in units of each parameter's own root mean square.
  double moment_decay = 0.8, clip_threshold = 1.0;
  bool scale_parameter = false;

  // Throws Error(input) naming the field.
  void validate() const;
};

// What becomes of a step whose loss or gradient is not finite or whose gradient is a spike.
enum class BadStepAction { stop, skip };
struct GuardConfig {
  BadStepAction action =
      BadStepAction::stop;  // stop: end the run; skip: leave the weights as they are and go on
  double spike = 0;         // gradient norms above this many times their running average are bad; 0 = none is
  std::int64_t most = 10;   // bad steps in a row that may be skipped before the run ends

  // Throws Error(input) naming the field.
  void validate() const;
};

// Elastic weight consolidation (Kirkpatrick et al., "Overcoming catastrophic forgetting in neural networks",
// 2017): the weights of run.start are held where its training windows depended on them.
struct EwcConfig {
  double strength = 0;         // of the penalty strength / 2 * sum of fisher * (weight - start)^2; 0 = none
  std::int64_t windows = 256;  // of the start's training that the Fisher information is estimated on

  // Throws Error(input) naming the field.
  void validate() const;
};

// Windows changed at random while they are trained on (augment.h). Amounts of 0 are off.
struct AugmentConfig {
  double share = 0.5;  // of windows that are changed
  double jitter = 0;   // deviation of noise in the history, over the history's own
  double scale = 0;    // deviation of the logarithm of a factor of history and targets
  double warp = 0;     // share of the history that is stretched to twice or pressed to half of its length
  double mix = 0;      // a of Beta(a, a), whose larger part is a window's own when another is mixed in
  double tokens = 0;   // share of a product text's tokens that are hidden

  bool active() const { return share > 0 && (jitter > 0 || scale > 0 || warp > 0 || mix > 0); }
  bool mixes() const { return share > 0 && mix > 0; }
  // Throws Error(input) naming the field.
  void validate() const;
};

// Adversarial training on the tokens that a series tower reads (adversarial.h). Lengths are those of a
// window's change, over the length of its tokens.
struct AdversarialConfig {
  // fgm: one step of a gradient (Miyato, Dai and Goodfellow, 2017); pgd: several, kept within `epsilon`
  // (Madry et al., 2018).
  enum class Method { none, fgm, pgd } method = Method::none;
  double epsilon = 0.05;
  double weight = 1.0;      // of the loss with changed tokens beside the loss without
  std::int64_t steps = 3;   // pgd
  double step_size = 0.02;  // pgd

  // Of a micro-batch.
  std::int64_t forwards() const;
  // Throws Error(input) naming the field.
  void validate() const;
};

struct TrainConfig {
  // The demand model on windows, the text encoder alone on the corpus' texts, or with heads on labelled
  // texts.
  enum class Task { demand, masked_language, text_labels } task = Task::demand;
  std::int64_t steps = 2000;
  std::int64_t batch = 256;       // windows per optimizer step over all ranks
  std::int64_t micro_batch = 64;  // windows per forward on one rank
  // Share of the context's patches that are hidden, for model.heads.masked to fill in.
  double masked = 0;
  double new_items = 0;  // share of windows that are shown as those of new items (new_items.h)
  AugmentConfig augment;
  AdversarialConfig adversarial;
  std::int64_t threads = 1;  // inside an operation, per rank; part of what bits depend on
  std::string precision = "fp32";
  // Insides of the towers' blocks are computed again in backward and not kept (models/recompute.h).
  bool activation_checkpointing = false;
  // On a GPU micro-batches after which nothing is sent are CUDA graphs (micro_batch_graph.h).
  bool cuda_graphs = false;
  double clip = 1.0;  // largest gradient norm; 0 = no clipping
  double ema = 0.0;   // decay of the moving average of weights that is validated and stored; 0 = the weights
  std::int64_t validate_every = 200;     // steps
  std::int64_t validate_windows = 4096;  // at most so many windows a validation, drawn once by key
  std::int64_t checkpoint_every = 200;   // steps
  std::int64_t keep_last = 2;            // checkpoints kept beside the best
  std::int64_t early_stop = 5;           // validations without a new best before stopping; 0 = never
  std::int64_t log_every = 10;           // steps between lines of metrics.jsonl
  OptimizerConfig optimizer;
  ScheduleConfig schedule;
  GuardConfig guard;
  EwcConfig ewc;

  void validate() const;
};

// Among whom ZeRO shares out: all ranks of the run, or those of a node, every node alike.
enum class ZeroWithin { run, node };

struct ParallelConfig {
  static constexpr std::int64_t kTuned = 0;
  std::string backend = "auto";
  std::string device = "auto";  // auto, cpu, gpu
  bool share_gpus = false;      // several ranks may be on one GPU
  std::int64_t bucket_mb = 25;  // kTuned: found out in the run's first steps
  // Rajbhandari et al., 2020. 1: the optimizer's state is shared out among ranks; 2: gradients, too.
  std::int64_t zero = 0;
  ZeroWithin zero_within = ZeroWithin::run;
  parallel::GradientFormat compress = parallel::GradientFormat::fp32;  // what gradients travel as
  // Gradients are summed in nodes, between one rank of each, and sent back.
  bool hierarchical = false;
  // What a node is: so many ranks that follow each other; kHosts: those on one host.
  static constexpr std::int64_t kHosts = 0;
  std::int64_t node_ranks = kHosts;
  std::chrono::milliseconds start_deadline{900'000};
  std::chrono::milliseconds step_deadline{120'000};
  std::chrono::milliseconds file_deadline{600'000};  // one operation of the file system
  std::chrono::milliseconds heartbeat{1'000};        // how often every rank says what it does
  std::chrono::milliseconds warn_after{30'000};      // a late rank or file system is warned about

  parallel::WorldConfig world() const;
  void validate() const;
  // Throws Error(input) for what does not go with so many ranks.
  void check_ranks(std::int64_t ranks) const;
};

}  // namespace shelfcast::trainer

// The `model` block of a recipe, and what a demand model is built from. Free of torch.
#pragma once

#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

namespace shelfcast::models {

// Chronos-Bolt, Chronos-2, or one of the plain networks they are compared with (models/series/plain_tower.h).
enum class Architecture { chronos_bolt, chronos2, lstm, tcn, transformer };
// "chronos-bolt", "chronos-2", "lstm", "tcn", "transformer".
std::string name_of(Architecture architecture);
// Whether its models are published, so that there is a form of files for them, with blocks and matrices that
// can be tuned by name.
bool is_published(Architecture architecture);

// A series tower; the names are those of Chronos-Bolt's published config.json. Defaults are bolt-tiny's.
// Chronos-2 has no decoder and no position buckets (chronos2_config.h), plain towers no REG token either;
// LSTM and TCN have no heads.
struct TowerConfig {
  Architecture architecture = Architecture::chronos_bolt;
  std::int64_t d_model = 256, d_kv = 64, d_ff = 1024;
  std::int64_t num_layers = 4, num_decoder_layers = 4, num_heads = 4;
  std::int64_t relative_attention_num_buckets = 32, relative_attention_max_distance = 128;
  std::string activation = "relu";  // a name activation_of() knows
  bool gated = false;               // feed-forward layers: activation(wi_0 x) * (wi_1 x)
  double dropout_rate = 0.1, layer_norm_epsilon = 1e-6, initializer_factor = 0.05;
  std::int64_t context_length = 2048, prediction_length = 64;
  std::int64_t input_patch_size = 16, input_patch_stride = 16;
  std::vector<double> quantiles = {0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9};
  bool use_reg_token = true;
  // Of Chronos-2; quantiles of others are never the arcsinh of a scale.
  double rope_theta = 10000.0;
  std::int64_t time_encoding_scale = 8192;
  bool use_arcsinh = false;

  // Throws Error(input) naming the field.
  void validate() const;
};

// Throws Error(input) naming `field` unless levels lie between 0 and 1 and ascend.
void require_levels(const std::vector<double>& levels, const std::string& field);

// "bolt-nano" (64 wide, 2+2 layers: demos and tests), "bolt-tiny", "bolt-mini", "bolt-small", "bolt-base";
// "chronos-2-nano", "chronos-2-small", "chronos-2"; "lstm", "tcn", "transformer". Throws Error(input) with
// the nearest name.
TowerConfig named_tower(const std::string& name);

constexpr std::int64_t kTcnTaps = 3;  // steps that a convolution of a TCN sees
// Blocks that it takes for the last token to see this many.
std::int64_t tcn_layers(std::int64_t tokens);

constexpr double kClosedBelow = -0.5;
constexpr std::int64_t kMostClosed = 20;  // steps in a row; longer closures look alike
constexpr std::int64_t kDemandClasses = 3;
constexpr std::int64_t kNoClass = -1;  // of a step whose demand has none

// How the losses of the heads are added up. A weight of 0 leaves a head's loss out.
struct LossConfig {
  double quantile = 1.0;  // pinball, mean over quantiles
  double mean = 1.0;      // on the mean head
  enum class MeanLoss { mse, mae, huber, tweedie } mean_loss = MeanLoss::mse;
  double huber_delta = 1.0;    // in the normalised scale: larger errors count by their size, not its square
  double tweedie_power = 1.5;  // of the variance, between 1 (Poisson) and 2 (gamma)
  double counts = 0.0;         // negative log likelihood, in nats, of the head of counts
  double cumulated = 0.0;      // pinball of demand added up over the first steps
  double classes = 0.0;        // cross-entropy, in nats, of the head of classes
  double masked = 0.0;         // mean_loss of hidden steps of the context
  double inventory = 0.0;      // mean_loss of stock on hand, in the scale of its window
  // Of the classes, in the cross-entropy: three, none = all alike, or the inverse of how often each is met.
  std::vector<double> class_weights{};
  bool balance_classes = false;
  double label_smoothing = 0.0;  // share of a class's target that is spread over all of them
  // A window weighs its scale to this power: 0 = all series alike, 1 = nearer to errors in units of demand,
  // where large sellers count more.
  double scale_power = 0.0;
  // Sales that a stock-out cut: a bound that demand was above, or nothing at all.
  enum class Censored { bound, mask } censored = Censored::bound;
};

// Losses of the heads on labelled texts, which are there where data.labels names a column.
struct LabelLossConfig {
  double text_class = 1.0, tags = 1.0;  // weights of the cross-entropies, in nats
  // Of classes and of tags, ascending by name: none = all alike, or the inverse of how often each is met.
  std::vector<double> class_weights{}, tag_weights{};
  bool balance_classes = false, balance_tags = false;
  double label_smoothing = 0.0;  // share of a label's target that is spread over all of its head

  // Throws Error(input) naming the field.
  void validate() const;
};

// Recipe block `model` (without weights) and how it meets the data.
struct ModelConfig {
  std::string tower = "bolt-tiny";
  std::int64_t patch = 0;  // input patch size and stride for towers trained from scratch; 0 = the tower's own
  std::string weights;     // published directory or empty = from scratch
  std::vector<double> quantiles = {0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9};
  bool mean_head = true;
  // A distribution of counts about the mean head's mean, or none.
  enum class Counts { none, negative_binomial, zero_inflated } counts = Counts::none;
  // Quantiles of demand added up over the first step, the first two, ... all steps of the horizon.
  bool cumulated = false;
  bool masked = false;     // what patches of the context hold that are hidden in training (train.masked)
  bool inventory = false;  // stock on hand at the end of each step of the horizon
  // Two shares of a series' past, ascending: demand up to the first one's quantile is low, above the second
  // one's high, between them normal. A head says how likely each is; empty = none.
  std::vector<double> classes;
  // What written quantiles are: the head of quantiles', or those of the counts.
  enum class WrittenQuantiles { quantiles, counts } written = WrittenQuantiles::quantiles;
  LossConfig loss;
  double dropout = 0.1;
  std::int64_t static_width = 16;  // width of one static's embedding
  std::int64_t code_width = 4;     // width of one categorical covariate's embedding
  std::int64_t known_hidden = 64;  // hidden width of the known-covariate head
  std::int64_t season = 0;         // steps of a season whose recent means the known head sees; 0 = none
  // The known head sees how many closed steps end right before a step and begin right behind it: what cannot
  // be bought on a holiday is bought around it.
  bool closures = false;
  // Numeric covariates enter a Chronos-2 tower as series of the window's group, as it was pretrained, rather
  // than as columns of the patch embedding.
  bool groups = false;
  bool level = false;  // learn a series' usual level from its statics and text: the scale without a history
  double scale_floor = 0.0;  // smallest divisor of the instance norm in units of demand; 0 = as published
  std::string text;          // published directory of the text encoder; empty = none
  std::string text_pooling = "mean";  // a name pooling_from() of models/text knows
  std::int64_t text_length = 128;     // most tokens of a text; the rest is cut
  // An encoder that is trained begins with the directory's weights, or with weights drawn by the seed.
  enum class TextStart { published, drawn } text_start = TextStart::published;
  LabelLossConfig labels;
  // Of the tower that a recipe asks for: of a published directory what its config.json says. Throws what
  // named_tower or tower_for does.
  Architecture architecture() const;
  // Numbers of the head of counts for each step: dispersion, and the share of further zeros.
  std::int64_t count_parameters() const;
  // Classes that the head of classes tells apart, 0 without it.
  std::int64_t class_count() const;
  // Whether means are kept above 0 (models/likelihoods.h): their loss is one of positive demand.
  bool positive_means() const;
  void validate() const;
};

// Everything a model's shapes follow from; model.json in checkpoints and bundles.
struct DemandModelConfig {
  TowerConfig tower;
  ModelConfig model;
  std::int64_t context = 224, horizon = 28;
  std::int64_t past_numeric = 0, known_numeric = 0;  // column counts
  // Of the known numeric columns, the one that is below kClosedBelow where nothing can be sold (a closed
  // store); -1 = none.
  std::int64_t open_column = -1;
  std::vector<std::int64_t> past_cardinalities,
      known_cardinalities;  // categorical columns: codes 0..cardinality-1
  std::vector<std::int64_t> static_cardinalities;
  std::int64_t static_numbers = 0;  // facts that are numbers: two inputs each
  std::int64_t text_width = 0;      // of a product text's vector; 0 = the model reads no text

  std::int64_t patch_columns() const;      // X: columns beside demand in a patch
  std::int64_t group_members() const;      // series that a tower reads of a window: demand and covariates
  std::int64_t recent_seasons() const;     // whole seasons of the context that recent means are taken over
  std::int64_t known_head_inputs() const;  // Z: inputs of one step of the known-covariate head
  std::int64_t median_index() const;       // of model.quantiles: the level nearest to 0.5
  // For each of model.quantiles its row among tower.quantiles.
  std::vector<std::int64_t> tower_rows() const;
  // Throws Error(input) naming the field.
  void validate() const;
};

// The tower a recipe asks for. From scratch: the named size with the recipe's patch, dropout and quantiles,
// as long a context and as many steps as the data block asks for. With weights: what their config.json says,
// with the recipe's dropout. Throws Error(input) when weights forecast fewer than `horizon` steps, Error(io)
// or Error(data) for their config.json.
TowerConfig tower_for(const ModelConfig& model, std::int64_t context, std::int64_t horizon);

nlohmann::json to_json(const TowerConfig& config);
nlohmann::json to_json(const DemandModelConfig& config);
DemandModelConfig demand_model_config_from_json(const nlohmann::json& json);
// config.json in the published form (loadable by the Python package), and back.
nlohmann::json to_published_json(const TowerConfig& config);
TowerConfig tower_config_from_published_json(const nlohmann::json& json);
// Of Chronos-Bolt alone.
TowerConfig bolt_config_from_published_json(const nlohmann::json& json);

}  // namespace shelfcast::models

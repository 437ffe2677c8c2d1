#include "trainer/recipe/recipe.h"

#include <yaml-cpp/yaml.h>

#include <algorithm>
#include <charconv>
#include <map>

#include "base/dates.h"
#include "base/error.h"
#include "base/files.h"
#include "trainer/recipe/recipe_block.h"
#include "trainer/recipe/recipe_fields.h"

namespace shelfcast::trainer {
namespace {

// Where a value came from, for messages: "m5.yaml:12" or "--set train.steps=x".
struct Origin {
  std::string file;
  std::map<std::string, std::string> overrides;  // "train.steps" -> "--set train.steps=x"

  std::string of(const std::string& path, const YAML::Mark& mark) const {
    for (const auto& [key, text] : overrides)
      if (path == key || path.starts_with(key + ".")) return text;
    return mark.is_null() ? file : fmt::format("{}:{}", file, mark.line + 1);
  }
};

// ---- one value of each type, from a scalar or a list; false = wrong type

bool convert(const YAML::Node& node, std::string& value) {
  if (node.IsNull()) return value.clear(), true;
  return node.IsScalar() && (value = node.Scalar(), true);
}
bool convert(const YAML::Node& node, std::int64_t& value) { return read_number(node, value); }
bool convert(const YAML::Node& node, double& value) { return read_number(node, value); }
bool convert(const YAML::Node& node, bool& value) { return YAML::convert<bool>::decode(node, value); }
bool convert(const YAML::Node& node, std::optional<Date>& value) {
  if (node.IsNull()) return value.reset(), true;
  value = node.IsScalar() ? parse_date(node.Scalar()) : std::nullopt;
  return value.has_value();
}
bool convert(const YAML::Node& node, std::chrono::milliseconds& value) {
  if (!node.IsScalar()) return false;
  const std::string& text = node.Scalar();
  double number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  const std::string unit(end, text.data() + text.size());
  const std::map<std::string, double> units = {
      {"ms", 1}, {"s", 1e3}, {"m", 60e3}, {"min", 60e3}, {"h", 3600e3}};
  if (error != std::errc() || units.count(unit) == 0) return false;
  constexpr double kMost = 3.2e12;  // a hundred years: what is longer is a slip, and would not fit
  if (!(number > 0 && number * units.at(unit) < kMost)) return false;
  value = std::chrono::milliseconds(static_cast<std::int64_t>(number * units.at(unit)));
  return true;
}
template <typename T>
bool convert(const YAML::Node& node, std::vector<T>& values) {
  if (node.IsNull()) return values.clear(), true;
  if (!node.IsSequence()) return false;
  values.clear();
  for (const YAML::Node& element : node) {
    T value{};
    if (!convert(element, value)) return false;
    values.push_back(std::move(value));
  }
  return true;
}

const char* describe(const std::string&) { return "a text"; }
const char* describe(std::int64_t) { return "a whole number"; }
const char* describe(double) { return "a number"; }
const char* describe(bool) { return "true or false"; }
const char* describe(const std::optional<Date>&) { return "a date YYYY-MM-DD"; }
const char* describe(std::chrono::milliseconds) { return "a duration such as 120s, 15min or 1h"; }
const char* describe(const std::vector<std::string>&) { return "a list of names such as [a, b]"; }
const char* describe(const std::vector<double>&) { return "a list of numbers such as [0.1, 0.5]"; }

// Reads one block of the recipe; a key that no field asked for is an error.
class BlockReader {
 public:
  BlockReader(const YAML::Node& node, std::string path, const Origin& origin)
      : node_(node), path_(std::move(path)), origin_(origin) {
    if (!node_.IsNull() && !node_.IsMap())
      throw input_error(
          fmt::format("{}: {} must be a block of keys", origin_.of(path_, node_.Mark()), name()));
    check_duplicates();
  }

  template <typename T>
  void operator()(const char* key, T& value) {
    const YAML::Node node = take(key);
    if (node.IsDefined() && !convert(node, value)) fail(key, node, describe(value));
  }

  // A number, or `word` for the number that stands for it and cannot be written.
  void number_or(const char* key, std::int64_t& value, const char* word, std::int64_t word_value) {
    const YAML::Node node = take(key);
    if (!node.IsDefined()) return;
    if (node.IsScalar() && node.Scalar() == word)
      value = word_value;
    else if (!convert(node, value) || value == word_value)
      fail(key, node, fmt::format("a whole number other than {}, or {}", word_value, word));
  }

  // A list of numbers, or `word`, which `is_word` then says.
  void numbers_or(const char* key, std::vector<double>& values, const char* word, bool& is_word) {
    const YAML::Node node = take(key);
    if (!node.IsDefined()) return;
    is_word = node.IsScalar() && node.Scalar() == word;
    if (is_word)
      values.clear();
    else if (!convert(node, values))
      fail(key, node, fmt::format("{}, or {}", describe(values), word));
  }

  template <typename Enum>
  void choice(const char* key, Enum& value, const std::vector<std::string>& names) {
    const YAML::Node node = take(key);
    if (!node.IsDefined()) return;
    const auto found = node.IsScalar() ? std::find(names.begin(), names.end(), node.Scalar()) : names.end();
    if (found == names.end()) fail(key, node, fmt::format("one of {}", fmt::join(names, ", ")));
    value = static_cast<Enum>(found - names.begin());
  }

  template <typename Block>
  void block(const char* key, Block& value) {
    const YAML::Node node = take(key);
    if (!node.IsDefined()) return;
    BlockReader reader(node, path_of(key), origin_);
    visit(reader, value);
    reader.finish();
  }

  // Throws for keys that no field asked for.
  void finish() const {
    if (!node_.IsMap()) return;
    for (const auto& entry : node_) {
      const std::string key = entry.first.Scalar();
      if (std::find(known_.begin(), known_.end(), key) != known_.end()) continue;
      const std::string near = nearest_name(key, known_);
      throw input_error(
          fmt::format("{}: unknown key \"{}\"", origin_.of(path_of(key), entry.first.Mark()), path_of(key)),
          near.empty() ? fmt::format("{} has: {}", name(), fmt::join(known_, ", ")) : "",
          near.empty() ? "remove it" : fmt::format("did you mean \"{}\"?", path_of(near)));
    }
  }

 private:
  std::string name() const { return path_.empty() ? "the recipe" : "\"" + path_ + "\""; }
  std::string path_of(const std::string& key) const { return path_.empty() ? key : path_ + "." + key; }

  YAML::Node take(const char* key) {
    known_.emplace_back(key);
    return node_.IsMap() ? node_[key] : YAML::Node(YAML::NodeType::Undefined);
  }

  void check_duplicates() const {
    if (!node_.IsMap()) return;
    std::vector<std::string> seen;
    for (const auto& entry : node_) {
      const std::string key = entry.first.Scalar();
      if (std::find(seen.begin(), seen.end(), key) != seen.end())
        throw input_error(fmt::format("{}: key \"{}\" stands twice",
                                      origin_.of(path_of(key), entry.first.Mark()), path_of(key)),
                          "", "keep one of them");
      seen.push_back(key);
    }
  }

  [[noreturn]] void fail(const char* key, const YAML::Node& node, const std::string& wanted) const {
    const std::string found = node.IsScalar() ? "\"" + node.Scalar() + "\""
                              : node.IsNull() ? "empty"
                              : node.IsMap()  ? "a block"
                                              : "a list";
    throw input_error(
        fmt::format("{}: {} must be {}", origin_.of(path_of(key), node.Mark()), path_of(key), wanted),
        "it is " + found);
  }

  YAML::Node node_;
  std::string path_;
  const Origin& origin_;
  std::vector<std::string> known_;
};

// Writes one block: `key: value` lines, nested blocks indented by two.
class BlockWriter {
 public:
  BlockWriter(std::string& text, int depth) : text_(text), depth_(depth) {}

  template <typename T>
  void operator()(const char* key, const T& value) {
    text_ += fmt::format("{:{}}{}: {}\n", "", depth_, key, format(value));
  }
  void number_or(const char* key, std::int64_t value, const char* word, std::int64_t word_value) {
    text_ +=
        fmt::format("{:{}}{}: {}\n", "", depth_, key, value == word_value ? word : fmt::format("{}", value));
  }
  void numbers_or(const char* key, const std::vector<double>& values, const char* word, bool is_word) {
    text_ += fmt::format("{:{}}{}: {}\n", "", depth_, key, is_word ? word : format(values));
  }
  template <typename Enum>
  void choice(const char* key, const Enum& value, const std::vector<std::string>& names) {
    text_ += fmt::format("{:{}}{}: {}\n", "", depth_, key, names[static_cast<std::size_t>(value)]);
  }
  template <typename Block>
  void block(const char* key, Block& value) {
    text_ += fmt::format("{:{}}{}:\n", "", depth_, key);
    BlockWriter writer(text_, depth_ + 2);
    visit(writer, value);
  }

 private:
  static std::string format(const std::string& value) {
    YAML::Emitter emitter;  // quotes where YAML needs it
    if (value.empty()) return "null";
    emitter << value;
    return emitter.c_str();
  }
  static std::string format(std::int64_t value) { return fmt::format("{}", value); }
  static std::string format(double value) { return fmt::format("{}", value); }
  static std::string format(bool value) { return value ? "true" : "false"; }
  static std::string format(const std::optional<Date>& value) { return value ? format_date(*value) : "null"; }
  static std::string format(std::chrono::milliseconds value) { return fmt::format("{}ms", value.count()); }
  template <typename T>
  static std::string format(const std::vector<T>& values) {
    std::string text = "[";
    for (const T& value : values) text += (text.size() > 1 ? ", " : "") + format(value);
    return text + "]";
  }

  std::string& text_;
  int depth_;
};

// Sets `value` (YAML text) at the dotted `path`, making blocks on the way.
void set_path(YAML::Node root, const std::string& path, const YAML::Node& value) {
  const std::size_t dot = path.find('.');
  const std::string key = path.substr(0, dot);
  if (dot == std::string::npos) {
    root[key] = value;
    return;
  }
  if (!root[key].IsDefined() || root[key].IsNull()) root[key] = YAML::Node(YAML::NodeType::Map);
  if (!root[key].IsMap())
    throw input_error(fmt::format("--set {}: \"{}\" is a value, not a block", path, key), "",
                      "name a key inside a block");
  set_path(root[key], path.substr(dot + 1), value);
}

void apply_overrides(YAML::Node& root, const std::vector<std::string>& overrides, Origin& origin) {
  for (const std::string& text : overrides) {
    const std::size_t equals = text.find('=');
    if (equals == 0 || equals == std::string::npos)
      throw input_error(fmt::format("--set {}: no value", text), "", "write --set block.key=value");
    const std::string path = text.substr(0, equals);
    set_path(root, path, load_yaml(text.substr(equals + 1), "--set " + text));
    origin.overrides[path] = "--set " + text;
  }
}

}  // namespace

namespace {

// What the tasks on texts alone cannot serve; `task` is their name.
void refuse_demand_keys(const Recipe& recipe, const char* task) {
  const auto refuse = [task](const char* what, const char* why, const char* advice) {
    throw input_error(fmt::format("train.task is {}, but {}", task, what), why, advice);
  };
  if (recipe.model.text.empty())
    refuse("model.text names no encoder", "a published directory gives its shape and its vocabulary",
           "set model.text");
  if (!recipe.run.start.empty())
    refuse("run.start names a run to begin with", "that is for the demand model",
           "name the run as model.text");
  if (!recipe.model.weights.empty())
    refuse("model.weights names a series model", "there are no series", "leave model.weights out");
  const AugmentConfig& augment = recipe.train.augment;
  if (augment.mix > 0 || augment.jitter > 0 || augment.scale > 0 || augment.warp > 0 || augment.tokens > 0)
    refuse("train.augment changes windows and product texts of the demand model",
           "neither texts nor labels would be changed", "leave train.augment out");
  if (recipe.train.new_items > 0)
    refuse("train.new_items shows windows as those of new items", "there are no windows",
           "leave train.new_items out");
  if (recipe.data.shots > 0)
    refuse("data.shots names windows to train on", "there are no windows", "leave data.shots out");
  if (recipe.train.masked > 0)
    refuse("train.masked hides patches of histories", "there are no histories", "leave train.masked out");
  if (recipe.tune.method != "all")
    refuse("tune.method is that of the demand model's series tower", "there is none",
           "leave tune.method out; tune.text says what of the encoder is trained");
  if (recipe.train.cuda_graphs)
    refuse("train.cuda_graphs is set", "texts are of other lengths in every micro-batch",
           "set train.cuda_graphs: false");
  if (recipe.train.adversarial.method != AdversarialConfig::Method::none)
    refuse("train.adversarial asks for changed tokens", "they are those of the demand model's series tower",
           "set train.adversarial.method: none");
}

void validate_text(const Recipe& recipe) {
  using Task = TrainConfig::Task;
  const bool trained = recipe.tune.text != TuneConfig::Text::frozen;
  const bool labels = !recipe.data.labels.table.empty();
  if (labels && recipe.train.task != Task::text_labels)
    throw input_error("data.labels names a table, but train.task does not read it",
                      "labelled texts are those of train.task: text_labels",
                      "set it, or leave data.labels out");
  switch (recipe.train.task) {
    case Task::masked_language:
      refuse_demand_keys(recipe, "masked_language");
      if (!trained)
        throw input_error("train.task is masked_language, but tune.text is frozen",
                          "nothing would be trained", "set tune.text: all, or top");
      break;
    case Task::text_labels:
      refuse_demand_keys(recipe, "text_labels");
      if (!labels)
        throw input_error("train.task is text_labels, but data.labels names no table",
                          "it learns the labels of texts", "set data.labels.table, text, and class or tags");
      break;
    case Task::demand:
      if (trained && !recipe.data.text)
        throw input_error("tune.text trains the text encoder, but data.text is false",
                          "no text would reach it", "set data.text: true, or tune.text: frozen");
      break;
  }
  if (recipe.model.text_start == models::ModelConfig::TextStart::drawn &&
      recipe.tune.text != TuneConfig::Text::all)
    throw input_error("model.text_start is drawn, but tune.text does not train the whole encoder",
                      "weights that were drawn would stay as they are",
                      "set tune.text: all, or model.text_start: published");
}

// A CUDA graph repeats what the device did, whatever the host would decide now.
void validate_graphs(const Recipe& recipe) {
  if (!recipe.train.cuda_graphs) return;
  const auto refuse = [](const char* what, const char* why, const char* advice) {
    throw input_error(fmt::format("train.cuda_graphs is set, and {}", what), why, advice);
  };
  if (recipe.tune.text != TuneConfig::Text::frozen)
    refuse("tune.text trains the text encoder", "texts are of other lengths in every micro-batch",
           "set tune.text: frozen, or train.cuda_graphs: false");
  if (recipe.train.adversarial.method != AdversarialConfig::Method::none)
    refuse("train.adversarial is on", "its several backward passes are not one piece of work",
           "leave one of the two out");
  if (!recipe.data.censored.empty() && recipe.model.loss.censored != models::LossConfig::Censored::mask)
    refuse("data.censored names stock-outs", "how many there are in a micro-batch is the host's to know",
           "set model.loss.censored: mask, or train.cuda_graphs: false");
}

}  // namespace

void Recipe::validate() const {
  data.validate();
  model.validate();
  tune.validate();
  train.validate();
  parallel.validate();
  backtest.validate();
  if (backtest.horizon > data.horizon)
    throw input_error(
        fmt::format("backtest.horizon {} is longer than data.horizon {}", backtest.horizon, data.horizon),
        "the model forecasts data.horizon steps", "lower the one or raise the other");
  if (!model.classes.empty() && !backtest.classes.empty() && model.classes != backtest.classes)
    throw input_error(fmt::format("backtest.classes is [{}], but the model's head tells apart [{}]",
                                  fmt::join(backtest.classes, ", "), fmt::join(model.classes, ", ")),
                      "its classes would be judged by other thresholds",
                      "give backtest.classes the shares of model.heads.classes");
  if (!model.classes.empty() && train.augment.mix > 0)
    throw input_error("train.augment.mix is on, and model.heads.classes, too",
                      "demand of two series together is neither low nor high by the past of one",
                      "set train.augment.mix: 0, or model.heads.classes: []");
  if (data.text && model.text.empty())
    throw input_error("data.text is true, but model.text names no encoder",
                      "texts become vectors by a published BERT-family model",
                      "set model.text to its directory, or data.text: false");
  validate_text(*this);
  validate_graphs(*this);
  if (train.augment.mixes() && data.shots > 0)
    throw input_error("train.augment.mix is set, but data.shots names the windows to train on",
                      "what is mixed in would be windows beyond them", "leave one of the two out");
  if (train.augment.tokens > 0 && tune.text == TuneConfig::Text::frozen)
    throw input_error("train.augment.tokens is set, but tune.text is frozen",
                      "a frozen encoder makes every text's vector once for all steps",
                      "set tune.text: top or all, or train.augment.tokens: 0");
  if (train.ewc.strength > 0 && run.start.empty())
    throw input_error("train.ewc needs run.start",
                      "it holds the weights of the run that this one begins with",
                      "name that run, or set train.ewc.strength to 0");
  if (tune.adapter_config() && (model.weights.empty() || !run.start.empty()))
    throw input_error(fmt::format("tune.method is {}, but {}", tune.method,
                                  model.weights.empty() ? "model.weights is empty" : "run.start names a run"),
                      "an adapter changes the pretrained model of model.weights",
                      "set model.weights to a published Chronos-Bolt or Chronos-2 directory, such as a run's "
                      "checkpoints/STEP/tower");
  const bool plain = model.weights.empty() && !models::is_published(model.architecture());
  if (plain && (tune.method != "all" || tune.layer_decay < 1))
    throw input_error(fmt::format("tune asks for parts of the tower, which is {}", model.tower),
                      "only the blocks of Chronos-Bolt and Chronos-2 towers are told apart",
                      "leave tune.method: all and tune.layer_decay: 1, or choose one of those");
  if (parallel.zero > 0 && train.optimizer.name == "adafactor")
    throw input_error(
        fmt::format("parallel.zero is {}, but train.optimizer.name is adafactor", parallel.zero),
        "it looks at whole parameters, and its moments are too small to be worth sharing out",
        "set parallel.zero: 0, or another optimizer");
  if (train.micro_batch > train.batch)
    throw input_error(
        fmt::format("train.micro_batch {} is larger than train.batch {}", train.micro_batch, train.batch), "",
        "micro-batches cut a batch into equal forwards");
}

void require_exportable(models::Architecture tower, const std::vector<double>& levels,
                        const std::string& what) {
  if (levels.size() < 2)
    throw input_error(fmt::format("{} cannot be exported", what),
                      "it forecasts one quantile, of which no order can be made",
                      "train with model.heads.quantiles such as [0.1, 0.5, 0.9]; backtest and forecast work "
                      "without a bundle");
  if (models::is_published(tower)) return;
  throw input_error(
      fmt::format("{} cannot be exported", what),
      fmt::format("its tower is {}, and shelfcast-score runs Chronos-Bolt and Chronos-2 towers alone",
                  models::name_of(tower)),
      "train with model.tower=bolt-nano or a larger one; backtest and forecast work without a bundle");
}

Recipe parse_recipe(const std::string& yaml, const std::string& origin,
                    const std::vector<std::string>& overrides) {
  Origin where{origin, {}};
  YAML::Node root = load_yaml(yaml, origin);
  if (root.IsNull()) root = YAML::Node(YAML::NodeType::Map);
  if (!root.IsMap()) throw input_error(fmt::format("{}: a recipe is a block of keys", origin));
  apply_overrides(root, overrides, where);
  Recipe recipe;
  recipe.run.dir = "runs/" + std::filesystem::path(origin).stem().string();
  BlockReader reader(root, "", where);
  visit(reader, recipe);
  reader.finish();
  if (recipe.data.corpus.empty() && recipe.data.labels.table.empty())
    throw input_error(fmt::format("{}: data.corpus is missing", origin),
                      "every key has a default but this one",
                      "name the corpus folder, e.g. data: {corpus: m5.corpus}");
  recipe.validate();
  return recipe;
}

Recipe read_recipe(const std::filesystem::path& file, const std::vector<std::string>& overrides) {
  return parse_recipe(read_file(file), file.string(), overrides);
}

std::string to_yaml(const Recipe& recipe) {
  std::string text;
  BlockWriter writer(text, 0);
  Recipe copy = recipe;  // visitors take fields by reference; the writer does not change them
  visit(writer, copy);
  return text;
}

std::string identity_yaml(Recipe recipe) {
  recipe.run.dir.clear();
  recipe.parallel = {};
  return to_yaml(recipe);
}

std::string value_of(const Recipe& recipe, const std::string& key) {
  YAML::Node node = YAML::Load(to_yaml(recipe));
  std::istringstream parts(key);
  for (std::string part; std::getline(parts, part, '.');) {
    if (!node.IsMap() || !node[part]) {
      std::vector<std::string> names;
      if (node.IsMap())
        for (const auto& entry : node) names.push_back(entry.first.as<std::string>());
      throw input_error(
          fmt::format("a recipe has no key {}", key),
          names.empty() ? "" : fmt::format("beside {} there are {}", part, fmt::join(names, ", ")),
          "--print-recipe shows all keys");
    }
    node.reset(node[part]);
  }
  return node.IsScalar() ? node.Scalar() : YAML::Dump(node);
}

}  // namespace shelfcast::trainer

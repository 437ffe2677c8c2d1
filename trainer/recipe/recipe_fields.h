// Every key of a recipe, once: the reader and the writer both walk these lists.
#pragma once

#include "trainer/recipe/recipe.h"

namespace shelfcast::trainer {

template <typename Visitor>
void visit(Visitor& v, RunConfig& c) {
  v("dir", c.dir);
  v("seed", c.seed);
  v("start", c.start);
}

template <typename Visitor>
void visit(Visitor& v, data::LabelsConfig& c) {
  v("table", c.table);
  v("text", c.text);
  v("class", c.text_class);
  v("tags", c.tags);
  v("split", c.split);
}

template <typename Visitor>
void visit(Visitor& v, data::DataConfig& c) {
  v("corpus", c.corpus);
  v("target", c.target);
  v.block("labels", c.labels);
  v("context", c.context);
  v("horizon", c.horizon);
  v("min_context", c.min_context);
  v("known", c.known);
  v("past", c.past);
  v("calendar", c.calendar);
  v("static", c.statics);
  v("censored", c.censored);
  v("open", c.open);
  v("inventory", c.inventory);
  v("text", c.text);
  v("train_until", c.train_until);
  v("validate_until", c.validate_until);
  v("recent", c.recent);
  v("replay", c.replay);
  v("shots", c.shots);
  v("superblock", c.superblock);
  v("chunk_series", c.chunk_series);
}

// `heads: {quantiles: [...], mean: true, ...}` is a view on fields of the model block.
struct HeadFields {
  models::ModelConfig& model;
};
template <typename Visitor>
void visit(Visitor& v, HeadFields& c) {
  v("quantiles", c.model.quantiles);
  v("mean", c.model.mean_head);
  v.choice("counts", c.model.counts, {"none", "negative_binomial", "zero_inflated"});
  v.choice("written", c.model.written, {"quantiles", "counts"});
  v("cumulated", c.model.cumulated);
  v("masked", c.model.masked);
  v("inventory", c.model.inventory);
  v("classes", c.model.classes);
}

template <typename Visitor>
void visit(Visitor& v, models::LossConfig& c) {
  v("quantile", c.quantile);
  v("mean", c.mean);
  v.choice("mean_loss", c.mean_loss, {"mse", "mae", "huber", "tweedie"});
  v("huber_delta", c.huber_delta);
  v("tweedie_power", c.tweedie_power);
  v("counts", c.counts);
  v("cumulated", c.cumulated);
  v("masked", c.masked);
  v("inventory", c.inventory);
  v("class", c.classes);
  v.numbers_or("class_weights", c.class_weights, "balanced", c.balance_classes);
  v("label_smoothing", c.label_smoothing);
  v("scale_power", c.scale_power);
  v.choice("censored", c.censored, {"bound", "mask"});
}

template <typename Visitor>
void visit(Visitor& v, models::LabelLossConfig& c) {
  v("class", c.text_class);
  v.numbers_or("class_weights", c.class_weights, "balanced", c.balance_classes);
  v("tags", c.tags);
  v.numbers_or("tag_weights", c.tag_weights, "balanced", c.balance_tags);
  v("label_smoothing", c.label_smoothing);
}

template <typename Visitor>
void visit(Visitor& v, models::ModelConfig& c) {
  v("tower", c.tower);
  v("patch", c.patch);
  v("weights", c.weights);
  HeadFields heads{c};
  v.block("heads", heads);
  v.block("loss", c.loss);
  v("dropout", c.dropout);
  v("static_width", c.static_width);
  v("code_width", c.code_width);
  v("known_hidden", c.known_hidden);
  v("season", c.season);
  v("closures", c.closures);
  v("scale_floor", c.scale_floor);
  v("groups", c.groups);
  v("level", c.level);
  v("text", c.text);
  v("text_pooling", c.text_pooling);
  v("text_length", c.text_length);
  v.choice("text_start", c.text_start, {"published", "drawn"});
  v.block("labels", c.labels);
}

template <typename Visitor>
void visit(Visitor& v, models::RankBudget& c) {
  v("target", c.target);
  v("warmup", c.warmup);
  v("final", c.final);
  v("every", c.every);
  v("beta1", c.beta1);
  v("beta2", c.beta2);
  v("orthogonal", c.orthogonal);
}

template <typename Visitor>
void visit(Visitor& v, TuneConfig& c) {
  v("method", c.method);
  v("layers", c.layers);
  v("layer_decay", c.layer_decay);
  v.choice("text", c.text, {"frozen", "top", "all"});
  v("text_layers", c.text_layers);
  v("text_rate", c.text_rate);
  v("rank", c.lora.rank);
  v("alpha", c.lora.alpha);
  v("rslora", c.lora.rslora);
  v("dropout", c.lora.dropout);
  v("targets", c.lora.targets);
  v("modules_to_save", c.lora.modules_to_save);
  v.block("budget", c.budget);
  v("size", c.bottleneck.size);
  v("activation", c.bottleneck.activation);
  v("after", c.bottleneck.after);
  v("prefix", c.prefix.length);
  v("attentions", c.prefix.attentions);
  v("adapter", c.adapter);
}

template <typename Visitor>
void visit(Visitor& v, OptimizerConfig& c) {
  v("name", c.name);
  v("lr", c.lr);
  v("weight_decay", c.weight_decay);
  v("beta1", c.beta1);
  v("beta2", c.beta2);
  v("eps", c.eps);
  v("momentum", c.momentum);
  v("moment_decay", c.moment_decay);
  v("clip_threshold", c.clip_threshold);
  v("scale_parameter", c.scale_parameter);
}

template <typename Visitor>
void visit(Visitor& v, GuardConfig& c) {
  v.choice("action", c.action, {"stop", "skip"});
  v("spike", c.spike);
  v("most", c.most);
}

template <typename Visitor>
void visit(Visitor& v, EwcConfig& c) {
  v("strength", c.strength);
  v("windows", c.windows);
}

template <typename Visitor>
void visit(Visitor& v, ScheduleConfig& c) {
  v("name", c.name);
  v("warmup", c.warmup);
}

template <typename Visitor>
void visit(Visitor& v, AugmentConfig& c) {
  v("share", c.share);
  v("jitter", c.jitter);
  v("scale", c.scale);
  v("warp", c.warp);
  v("mix", c.mix);
  v("tokens", c.tokens);
}

template <typename Visitor>
void visit(Visitor& v, AdversarialConfig& c) {
  v.choice("method", c.method, {"none", "fgm", "pgd"});
  v("epsilon", c.epsilon);
  v("weight", c.weight);
  v("steps", c.steps);
  v("step_size", c.step_size);
}

template <typename Visitor>
void visit(Visitor& v, TrainConfig& c) {
  v.choice("task", c.task, {"demand", "masked_language", "text_labels"});
  v("steps", c.steps);
  v("batch", c.batch);
  v("micro_batch", c.micro_batch);
  v("masked", c.masked);
  v("new_items", c.new_items);
  v.block("augment", c.augment);
  v.block("adversarial", c.adversarial);
  v("threads", c.threads);
  v("precision", c.precision);
  v("activation_checkpointing", c.activation_checkpointing);
  v("cuda_graphs", c.cuda_graphs);
  v("clip", c.clip);
  v("ema", c.ema);
  v("validate_every", c.validate_every);
  v("validate_windows", c.validate_windows);
  v("checkpoint_every", c.checkpoint_every);
  v("keep_last", c.keep_last);
  v("early_stop", c.early_stop);
  v("log_every", c.log_every);
  v.block("optimizer", c.optimizer);
  v.block("schedule", c.schedule);
  v.block("guard", c.guard);
  v.block("ewc", c.ewc);
}

template <typename Visitor>
void visit(Visitor& v, ParallelConfig& c) {
  v("backend", c.backend);
  v("device", c.device);
  v("share_gpus", c.share_gpus);
  v.number_or("bucket_mb", c.bucket_mb, "auto", ParallelConfig::kTuned);
  v("zero", c.zero);
  v.choice("zero_within", c.zero_within, {"run", "node"});
  v.choice("compress", c.compress, {"none", "bf16"});
  v("hierarchical", c.hierarchical);
  v.number_or("node_ranks", c.node_ranks, "host", ParallelConfig::kHosts);
  v("start_deadline", c.start_deadline);
  v("step_deadline", c.step_deadline);
  v("file_deadline", c.file_deadline);
  v("heartbeat", c.heartbeat);
  v("warn_after", c.warn_after);
}

template <typename Visitor>
void visit(Visitor& v, eval::OrderConfig& c) {
  v("review", c.review);
  v("lead", c.lead);
  v("service", c.service);
}

template <typename Visitor>
void visit(Visitor& v, eval::CombineConfig& c) {
  v("methods", c.methods);
  v("of", c.of);
  v.choice("by", c.by, {"overall", "category"});
}

template <typename Visitor>
void visit(Visitor& v, eval::BacktestConfig& c) {
  v("origins", c.origins);
  v("stride", c.stride);
  v("horizon", c.horizon);
  v("batch", c.batch);
  v("baselines", c.baselines);
  v.block("combine", c.combine);
  v("threads", c.threads);
  v("history", c.history);
  v("refit_every", c.refit_every);
  v.number_or("season", c.season, "auto", eval::BacktestConfig::kByFrequency);
  v("window", c.window);
  v("learned_rows", c.learned_rows);
  v("learned_rounds", c.learned_rounds);
  v.choice("seasonal_gaps", c.seasonal_gaps, {"last_season", "last_value"});
  v("by", c.by);
  v("views", c.views);
  v("promotion", c.promotion);
  v("price", c.price);
  v("hierarchy", c.hierarchy);
  v("classes", c.classes);
  v.block("orders", c.orders);
  v("bootstrap", c.bootstrap);
  v("fans", c.fans);
}

template <typename Visitor>
void visit(Visitor& v, Recipe& r) {
  v.block("run", r.run);
  v.block("data", r.data);
  v.block("model", r.model);
  v.block("tune", r.tune);
  v.block("train", r.train);
  v.block("parallel", r.parallel);
  v.block("backtest", r.backtest);
}

}  // namespace shelfcast::trainer

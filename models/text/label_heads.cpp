#include "models/text/label_heads.h"

#include "base/error.h"
#include "models/text/masked_language.h"
#include "models/transfer.h"

namespace shelfcast::models {
namespace {

// Adds the loss of one head.
void add(const at::Tensor& logits, const at::Tensor& targets, const at::Tensor& weights, double of_head,
         double smoothing, LabelLoss& loss) {
  if (!logits.defined()) return;
  const at::Tensor here = sent(targets, logits.device());
  const at::Tensor of_labels =
      weights.defined() ? sent(weights, logits.device()).to(logits.scalar_type()) : at::Tensor();
  const at::Tensor sum =
      at::cross_entropy_loss(logits, here, of_labels, at::Reduction::Sum, kNoLabel, smoothing) * of_head;
  loss.sum = loss.sum.defined() ? loss.sum + sum : sum;
  loss.labels += (targets != kNoLabel).sum().item<std::int64_t>();
}

}  // namespace

LabelHeads::LabelHeads(const BertConfig& config, LabelCounts counts, ParameterMaker& maker)
    : counts_(counts) {
  const auto layer = [&](const std::string& name, std::int64_t labels) {
    if (labels == 0) return Layer();
    return Layer{
        maker.normal("labels." + name + ".weight", {labels, config.hidden_size}, config.initializer_range),
        maker.constant("labels." + name + ".bias", {labels}, 0.0F)};
  };
  classes_ = layer("class", counts.classes);
  tags_ = layer("tags", counts.tags);
  parameters_ = maker.take();
}

// Rows are rounded up like those of texts, for the same reason.
at::Tensor LabelHeads::Layer::operator()(const at::Tensor& x_xw) const {
  const std::int64_t missing = -x_xw.size(0) & (PackedTexts::kRowBlock - 1);
  return at::linear(at::constant_pad_nd(x_xw, {0, 0, 0, missing}), weight, bias).narrow(0, 0, x_xw.size(0));
}

LabelLogits LabelHeads::operator()(const Bert& bert, const at::Tensor& hidden_rw, const PackedTexts& texts,
                                   Pooling pooling, std::span<const std::int64_t> words) const {
  LabelLogits logits;
  if (counts_.classes > 0) logits.class_bc = classes_(bert.pool(hidden_rw, texts, pooling));
  if (counts_.tags > 0) {
    const at::Tensor rows = at::tensor(at::ArrayRef<std::int64_t>(words.data(), words.size()), at::kLong);
    logits.tag_nt = tags_(hidden_rw.index_select(0, sent(rows, hidden_rw.device())));
  }
  return logits;
}

LabelLoss label_loss(const LabelLogits& logits, const LabelTargets& targets, const LabelWeights& weights) {
  LabelLoss loss;
  add(logits.class_bc, targets.class_b, weights.class_c, weights.text_class, weights.smoothing, loss);
  add(logits.tag_nt, targets.tag_n, weights.tag_t, weights.tags, weights.smoothing, loss);
  SHELFCAST_ASSERT(loss.sum.defined());
  return loss;
}

}  // namespace shelfcast::models

// shelfcast embed MODEL --text texts.txt --out embeddings.npy: a vector for every line.
#include "models/text/embed.h"

#include <algorithm>
#include <chrono>
#include <memory>

#include "base/error.h"
#include "base/log.h"
#include "base/npy.h"
#include "base/progress.h"
#include "trainer/commands/commands.h"
#include "trainer/output_file.h"
#include "trainer/text/text_encoder.h"
#include "trainer/text/text_lines.h"

namespace shelfcast::trainer {
namespace {

using models::EmbedOptions;

EmbedOptions options_of(const EmbedCommand& command) {
  EmbedOptions options;
  options.pooling = models::pooling_from(command.pooling);
  options.length = command.normalize ? EmbedOptions::Length::one : EmbedOptions::Length::as_it_is;
  options.max_tokens = command.max_length;
  options.batch = command.batch;
  return options;
}

at::Tensor embed_lines(const EmbedCommand& command, const TextTower& tower,
                       const std::vector<std::string>& texts) {
  std::unique_ptr<Progress> progress;
  try {
    return models::embed(tower.bert, tower.tokenizer, texts, options_of(command),
                         [&progress](std::int64_t done, std::int64_t of) {
                           if (!progress) progress = std::make_unique<Progress>("embed", of, "texts");
                           progress->update(done);
                         });
  } catch (const Error& error) {
    throw Error(error.kind(), fmt::format("{}: {}", command.text, error.problem()), error.why(),
                error.advice());
  }
}

}  // namespace

void run(const EmbedCommand& command, parallel::Launch&) {
  if (log::identity().rank != 0) return;
  check_output(command.out, command.text);
  const TextTower tower = open_text_tower(command.model);
  const std::vector<std::string> texts = read_text_lines(command.text);
  const auto started = std::chrono::steady_clock::now();
  const at::Tensor vectors = embed_lines(command, tower, texts);
  const std::chrono::duration<double> took = std::chrono::steady_clock::now() - started;
  write_npy(command.out, {vectors.const_data_ptr<float>(), static_cast<std::size_t>(vectors.numel())},
            {vectors.size(0), vectors.size(1)});
  log::all("{}: {} texts as vectors of {}, {:.0f} texts/s", command.out, vectors.size(0), vectors.size(1),
           static_cast<double>(texts.size()) / std::max(took.count(), 1e-9));
}

}  // namespace shelfcast::trainer

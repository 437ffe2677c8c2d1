// shelfcast tokenize MODEL --text texts.txt: the ids of every line.
#include <fmt/ranges.h>

#include <cerrno>
#include <cstdio>

#include "base/error.h"
#include "base/files.h"
#include "base/log.h"
#include "data/text/tokenizer.h"
#include "trainer/commands/commands.h"
#include "trainer/output_file.h"
#include "trainer/text/text_encoder.h"
#include "trainer/text/text_lines.h"

namespace shelfcast::trainer {

void run(const TokenizeCommand& options, parallel::Launch&) {
  if (log::identity().rank != 0) return;
  if (!options.out.empty()) check_output(options.out, options.text);
  const data::Tokenizer tokenizer(text_model_folder(options.model));
  const std::vector<std::string> texts = read_text_lines(options.text);
  std::string result;
  for (std::size_t i = 0; i < texts.size(); ++i) {
    try {
      result += fmt::format("{}\n", fmt::join(tokenizer.encode(texts[i], options.max_length).ids, " "));
    } catch (const Error& error) {
      throw Error(error.kind(), fmt::format("{}:{}: {}", options.text, i + 1, error.problem()), error.why(),
                  error.advice());
    }
  }
  if (!options.out.empty()) {
    write_file_atomically(options.out, result);
  } else if (std::fwrite(result.data(), 1, result.size(), stdout) != result.size() ||
             std::fflush(stdout) != 0) {
    throw io_error("cannot write the ids to standard output", errno);
  }
}

}  // namespace shelfcast::trainer

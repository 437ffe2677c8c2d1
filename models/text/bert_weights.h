// Published BERT weights: names of all generations, and every tensor of the file accounted for.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "models/text/bert.h"

namespace shelfcast::models {

// The file of the weights in a published directory. Throws Error(input) when it is not there.
std::filesystem::path bert_weights_file(const std::filesystem::path& folder);

// Which parts the file holds. Throws Error(io), Error(data).
BertParts bert_parts(const std::filesystem::path& file);

// Copies the file's tensors (float32, float16, bfloat16) to `parameters`, whose names are the published ones
// behind `prefix`. The file's names may begin with "bert." and may have the old LayerNorm.gamma and .beta;
// heads (cls.*), a pooler nobody wants and embeddings.position_ids may be left over. Throws Error(data)
// naming the missing, surplus, misshapen or not finite tensor; nothing has been changed then.
void load_bert_weights(const std::filesystem::path& file, const std::vector<Parameter>& parameters,
                       const std::string& prefix);

}  // namespace shelfcast::models

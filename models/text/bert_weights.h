// Published BERT weights: names of all generations, and every tensor of the file accounted for.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "models/text/bert.h"

namespace shelfcast::models {

// Which parts the file holds. Throws Error(io), Error(data).
BertParts bert_parts(const std::filesystem::path& file_or_folder);

// Copies the file's tensors (float32, float16, bfloat16) to `parameters`, whose names are the published ones
// behind `prefix`. The file's names may begin with "bert." and may have the old LayerNorm.gamma and .beta;
// heads (cls.*), a pooler nobody wants and embeddings.position_ids may be left over. Throws Error(data)
// naming the missing, surplus, misshapen or not finite tensor.
void load_bert_weights(const std::filesystem::path& file_or_folder, const std::vector<Parameter>& parameters,
                       const std::string& prefix);

}  // namespace shelfcast::models

#include "trainer/unseen_words.h"

#include <algorithm>
#include <unordered_set>

namespace shelfcast::trainer {
namespace {

void add(const std::string& column, const std::vector<std::string>& seen,
         const std::vector<std::string>& there, std::vector<UnseenWords>& all) {
  const std::unordered_set<std::string> known(seen.begin(), seen.end());
  UnseenWords unseen{column, 0, {}};
  for (const std::string& word : there) {
    if (known.contains(word)) continue;
    if (unseen.count++ == 0) unseen.first = word;
  }
  if (unseen.count > 0) all.push_back(std::move(unseen));
}

}  // namespace

std::vector<UnseenWords> unseen_words(const data::FeatureSpec& spec, const data::CorpusInfo& corpus) {
  std::vector<UnseenWords> all;
  for (const auto* columns : {&spec.past_categorical, &spec.known_categorical})
    for (const data::FeatureColumn& column : *columns)
      if (const auto found = std::ranges::find(corpus.covariates, column.name, &data::CovariateInfo::name);
          found != corpus.covariates.end())
        add(column.name, column.vocabulary, found->vocabulary, all);
  for (const data::StaticColumn& column : spec.statics)
    if (const auto found = std::ranges::find(corpus.statics, column.name, &data::StaticInfo::name);
        found != corpus.statics.end())
      add(column.name, column.vocabulary, found->vocabulary, all);
  return all;
}

}  // namespace shelfcast::trainer

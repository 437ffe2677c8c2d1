#include "data/config.h"

#include <fmt/format.h>

#include <set>

#include "base/error.h"
#include "data/calendar.h"

namespace shelfcast::data {
namespace {

void require_positive(std::int64_t value, const char* field) {
  if (value < 1) throw input_error(fmt::format("data.{} is {}", field, value), "it must be at least 1");
}

void require_distinct(const std::vector<std::string>& names, const char* field, std::set<std::string>& seen) {
  for (const std::string& name : names) {
    if (name.empty()) throw input_error(fmt::format("data.{} holds an empty name", field));
    if (!seen.insert(name).second)
      throw input_error(fmt::format("data.{} lists \"{}\" a second time", field, name), {}, "remove one");
  }
}

}  // namespace

void LabelsConfig::validate() const {
  const std::pair<const std::string*, const char*> columns[] = {
      {&text, "text"}, {&text_class, "class"}, {&tags, "tags"}, {&split, "split"}};
  if (table.empty()) {
    for (const auto& [column, field] : columns)
      if (!column->empty())
        throw input_error(fmt::format("data.labels.{} names a column, but data.labels.table no table", field),
                          {}, "name the table, or leave data.labels out");
    return;
  }
  if (text.empty())
    throw input_error("data.labels.text is missing", {},
                      "name the column of data.labels.table with the texts");
  for (const auto& [a, field] : columns)
    for (const auto& [b, other] : columns)
      if (a < b && !a->empty() && *a == *b)
        throw input_error(
            fmt::format("data.labels.{} and data.labels.{} are the same column {}", field, other, *a),
            "each is read for what it is", "name another, or leave one of them out");
  if (text_class.empty() && tags.empty())
    throw input_error("data.labels names neither a class column nor one of tags", "nothing could be learned",
                      "set data.labels.class, data.labels.tags or both");
}

void DataConfig::validate() const {
  labels.validate();
  if (corpus.empty() && labels.table.empty())
    throw input_error("data.corpus is missing", {}, "name the corpus folder");
  require_positive(context, "context");
  require_positive(horizon, "horizon");
  require_positive(min_context, "min_context");
  require_positive(superblock, "superblock");
  require_positive(chunk_series, "chunk_series");
  if (recent != 0 && recent < horizon)
    throw input_error(fmt::format("data.recent {} is shorter than data.horizon {}", recent, horizon),
                      "no window's targets fit into it", "raise it, or set it to 0 for all windows");
  if (!(replay >= 0 && replay < 1))
    throw input_error("data.replay must be at least 0 and below 1", fmt::format("it is {}", replay));
  if (replay > 0 && recent == 0)
    throw input_error("data.replay needs data.recent", "without it every old window is trained on anyway",
                      "say how many recent steps are trained on, or leave replay out");
  if (shots < 0)
    throw input_error("data.shots is negative", fmt::format("it is {}", shots), "0 = all windows");
  std::set<std::string> covariates, days, facts;
  require_distinct(known, "known", covariates);
  require_distinct(past, "past", covariates);  // in both lists: the later one is the second time
  require_distinct(calendar, "calendar", days);
  require_distinct(statics, "static", facts);
  for (const std::string& name : calendar) calendar_columns(name);
  if (train_until && validate_until && *validate_until < *train_until)
    throw input_error(fmt::format("data.validate_until ({}) is before data.train_until ({})",
                                  format_date(*validate_until), format_date(*train_until)),
                      "what is validated on lies between the two",
                      "move data.validate_until behind it, or leave it out for the first backtest origin");
}

}  // namespace shelfcast::data

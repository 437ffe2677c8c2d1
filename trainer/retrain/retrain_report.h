// What a retrain has to say to people: the table of all, and a report of each.
#pragma once

#include <string>

#include "trainer/retrain/retrain.h"

namespace shelfcast::trainer {

// One line a retrain (Markdown): its days, both errors, gain and interval, decision, version; rollbacks
// below.
std::string history_table(const History& history);

// `shelfcast retrain --status`: who is champion, what `current` points to, what is under way, the table.
std::string describe_status(const RetrainFolder& folder, const History& history);

// report.md of a retrain: decision, errors by category, how the champion's error and the data drifted since
// the last one. Reads both backtests and the corpus.
std::string retrain_report(const RetrainFolder& folder, const History& history, const RetrainRecord& retrain);

}  // namespace shelfcast::trainer

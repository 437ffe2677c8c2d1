#include "trainer/run/run_folder.h"

#include "base/error.h"
#include "base/files.h"
#include "trainer/run/agreement.h"

namespace shelfcast::trainer {

std::filesystem::path RunFolder::log(int rank) const {
  return path_ / "log" / fmt::format("rank-{}.jsonl", rank);
}

bool RunFolder::goes_on(const Recipe& wanted, Resume resume) const {
  if (exists()) {
    if (resume == Resume::never)
      throw input_error(fmt::format("the run folder {} exists", path_.string()), "a run is never overwritten",
                        "add --resume to go on with it, or choose another folder with --set run.dir=...");
    const std::string difference =
        first_difference(identity_yaml(stored_recipe()), identity_yaml(wanted), "in the run", "now");
    if (!difference.empty())
      throw input_error(fmt::format("the recipe is not the one that {} was started with", path_.string()),
                        difference,
                        "resume with the stored recipe.yaml, or start a new run in another folder");
    return true;
  }
  if (resume == Resume::required)
    throw input_error(fmt::format("there is no run to resume in {}", path_.string()), "it has no recipe.yaml",
                      "leave --resume out, or use --resume auto");
  return false;
}

void RunFolder::make() const {
  std::error_code failed;
  std::filesystem::create_directories(path_ / "log", failed);
  std::filesystem::create_directories(checkpoints(), failed);
  if (failed) throw io_error(fmt::format("cannot make the run folder {}", path_.string()), failed.value());
}

void RunFolder::begin(const Recipe& wanted) const { write_file_atomically(recipe(), to_yaml(wanted)); }

Recipe RunFolder::stored_recipe() const {
  if (!std::filesystem::exists(path_))
    throw input_error(fmt::format("there is no folder {}", path_.string()), "",
                      "name the folder that `shelfcast train` made, e.g. runs/m5");
  if (!exists())
    throw input_error(fmt::format("{} is not a run folder", path_.string()), "it has no recipe.yaml",
                      "name the folder that `shelfcast train` made, e.g. runs/m5");
  return read_recipe(recipe(), {});
}

}  // namespace shelfcast::trainer

#include "models/adapters/targets.h"

#include <algorithm>
#include <cctype>
#include <set>

#include "base/error.h"
#include "models/adapters/lora_config.h"

namespace shelfcast::models {
namespace {

// Whether `short_name` is `module` or what it lies in: "output_patch_embedding" holds
// "output_patch_embedding.hidden_layer".
bool holds_module(const std::string& short_name, std::string module) {
  while (true) {
    if (module_matches(module, short_name)) return true;
    const std::size_t dot = module.rfind('.');
    if (dot == std::string::npos) return false;
    module.resize(dot);
  }
}

[[noreturn]] void fail_unmatched(const char* field, const std::string& name,
                                 const std::vector<std::string>& modules) {
  std::set<std::string> ends;  // every way to name one of them
  std::set<std::string> last;
  for (const std::string& module : modules) {
    for (std::size_t from = 0; from != std::string::npos;) {
      ends.insert(module.substr(from));
      const std::size_t dot = module.find('.', from);
      from = dot == std::string::npos ? dot : dot + 1;
    }
    const std::string end = module.substr(module.rfind('.') + 1);
    if (std::isdigit(static_cast<unsigned char>(end.front())) == 0) last.insert(end);
  }
  const std::string near = nearest_name(name, {ends.begin(), ends.end()});
  throw input_error(fmt::format("{}: \"{}\" matches no tensor of the model", field, name),
                    near.empty() ? "" : fmt::format("nearest is \"{}\"", near),
                    fmt::format("name some of {}, or longer ends of their names", fmt::join(last, ", ")));
}

}  // namespace

std::string module_of(const Parameter& parameter, const std::string& prefix) {
  const std::string& name = parameter.name;
  if (!name.starts_with(prefix) || parameter.adapter) return "";
  const std::size_t dot = name.rfind('.');
  return dot == std::string::npos || dot < prefix.size() ? ""
                                                         : name.substr(prefix.size(), dot - prefix.size());
}

bool is_named(const std::string& module, const std::vector<std::string>& short_names) {
  return std::any_of(short_names.begin(), short_names.end(),
                     [&](const std::string& name) { return module_matches(module, name); });
}

void require_modules(const char* field, const std::vector<std::string>& short_names,
                     const std::vector<std::string>& modules) {
  for (const std::string& name : short_names) {
    const bool found = std::any_of(modules.begin(), modules.end(),
                                   [&](const auto& module) { return module_matches(module, name); });
    if (!found) fail_unmatched(field, name, modules);
  }
}

void require_modules_to_save(const std::vector<Parameter>& parameters, const std::string& prefix,
                             const std::vector<std::string>& short_names) {
  std::vector<std::string> all;  // what holds modules, too
  for (const Parameter& parameter : parameters)
    for (std::string part = module_of(parameter, prefix); !part.empty();
         part.resize(part.find('.') == std::string::npos ? 0 : part.rfind('.')))
      all.push_back(part);
  require_modules("tune.modules_to_save", short_names, all);
}

bool is_saved_module(const Parameter& parameter, const std::string& prefix,
                     const std::vector<std::string>& short_names) {
  const std::string module = module_of(parameter, prefix);
  return !module.empty() && std::any_of(short_names.begin(), short_names.end(),
                                        [&](const std::string& name) { return holds_module(name, module); });
}

std::vector<Parameter> attach_to_matrices(
    const std::vector<Parameter>& parameters, const std::string& prefix,
    const std::vector<std::string>& short_names, const std::vector<std::string>& modules_to_save,
    ParameterMaker& make,
    const std::function<void(const Parameter& matrix, const std::string& module)>& put) {
  std::vector<Parameter> all;
  for (const Parameter& parameter : parameters) {
    all.push_back(parameter);
    const std::string module = module_of(parameter, prefix);
    if (!parameter.slot || module.empty() || !is_named(module, short_names) ||
        is_saved_module(parameter, prefix, modules_to_save))
      continue;
    put(parameter, module);
    for (Parameter& made : make.take()) {
      made.adapter = true;
      all.push_back(std::move(made));
    }
  }
  return all;
}

}  // namespace shelfcast::models

// An HTML page that carries its plots and the library that draws them.
#pragma once

#include <string>
#include <vector>

#include "eval/report/plots.h"

namespace shelfcast::eval {

class Page {
 public:
  // A plot in a frame; a line that says so where there is nothing to draw.
  std::string figure(const Spec& spec, const std::string& style = "wide", const std::string& caption = {});
  // All of it: `head` and `body` inside header and main, then the specifications and the script.
  std::string html(const std::string& title, const std::string& head, const std::string& body) const;

 private:
  std::vector<std::string> specs_;
};

}  // namespace shelfcast::eval

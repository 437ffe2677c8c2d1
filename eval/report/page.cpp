#include "eval/report/page.h"

#include <fmt/format.h>

#include "eval/report/style.h"
#include "eval/report/text.h"
#include "eval/report/vega.h"

namespace shelfcast::eval {
namespace {

// Draws every specification into its place, and says in the document's element how many are drawn.
constexpr const char* kDraw = R"js(
for (const script of document.querySelectorAll('script[data-plot]')) {
  const place = document.getElementById(script.dataset.plot);
  new vega.View(vega.parse(JSON.parse(script.textContent)), {renderer: 'svg', container: place})
    .runAsync()
    .then(() => { document.documentElement.dataset.drawn = 1 + Number(document.documentElement.dataset.drawn || 0); })
    .catch(error => console.error(script.dataset.plot, error));
}
)js";

// JSON that cannot end the element it stands in.
std::string within_script(const std::string& json) {
  std::string safe;
  for (const char c : json) {
    if (c == '<')
      safe += "\\u003c";
    else
      safe += c;
  }
  return safe;
}

}  // namespace

std::string Page::figure(const Spec& spec, const std::string& style, const std::string& caption) {
  if (spec.is_null()) return "<p class=\"empty\">n = 0: nothing could be judged.</p>\n";
  specs_.push_back(spec.dump());
  return fmt::format("<figure class=\"{}\">{}<div class=\"plot\" id=\"plot-{}\"></div></figure>\n", style,
                     caption, specs_.size());
}

std::string Page::html(const std::string& title, const std::string& head, const std::string& body) const {
  std::string html =
      "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n"
      "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n"
      "<link rel=\"icon\" href=\"data:,\">\n";  // keeps browsers from asking a server for one
  html += fmt::format("<title>{}</title>\n<style>{}</style>\n</head>\n<body>\n", escape_html(title),
                      kReportStyle);
  html += "<header class=\"top\">" + head + "</header>\n";
  html +=
      "<noscript><main><p class=\"empty\">The plots need scripts; the tables do not.</p></main></noscript>\n";
  html += "<main>\n" + body + "</main>\n";
  for (std::size_t i = 0; i < specs_.size(); ++i)
    html += fmt::format("<script type=\"application/json\" data-plot=\"plot-{}\">{}</script>\n", i + 1,
                        within_script(specs_[i]));
  html += "<script>";
  html += vega_script();
  html += "</script>\n<script>";
  html += kDraw;
  return html + "</script>\n</body>\n</html>\n";
}

}  // namespace shelfcast::eval

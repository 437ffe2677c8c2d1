// Pieces that Vega specifications are put together from.
#pragma once

#include <string>
#include <vector>

#include "eval/report/plots.h"

namespace shelfcast::eval {

// Six significant digits: what a plot can show, in a third of the bytes.
double rounded(double value);

// An empty drawing in pixels; `description` is what a screen reader says.
Spec new_spec(double width, double height, const std::string& description);

enum class Zero { included, free };
// Over one field of a data set.
Spec linear_scale(const std::string& name, const std::string& range, const std::string& data,
                  const std::string& field, Zero zero);

Spec axis(const std::string& orient, const std::string& scale, const std::string& title);
// With lines through the plot; `format` is one of d3-format, empty for Vega's own.
Spec grid_axis(const std::string& orient, const std::string& scale, const std::string& title,
               const std::string& format = {});

// `properties` are set when the mark enters.
Spec mark(const std::string& type, const std::string& data, const Spec& properties);
// A thin line at one value of a scale, from edge to edge.
Spec rule_at(const std::string& scale, double value);

// Scales "colour" and "dash" over names, in the order of the page's styles.
void add_style_scales(const std::vector<std::string>& names, Spec& spec);
// Rows {x, y, name, tip} as one line for each name (a null breaks it), and as dots with tips.
Spec lines_by_name(const std::string& data, double width);
Spec dots(const std::string& data, double size);

}  // namespace shelfcast::eval

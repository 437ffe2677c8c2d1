# Puts Vega's modules (Debian: libjs-vega) together to one script for reports:
#   cmake -DFROM=/usr/share/javascript/vega -DCOPYRIGHT=FILE -DTO=vega.js -P vega_bundle.cmake
# Each module is written for `require`; here it finds those before it. Only what reports draw with is taken.
set(modules util time format loader dataflow statistics scale canvas scenegraph expression selection event-selector
  functions runtime transforms encode view-transforms view parser)

set(notice "Vega, https://vega.github.io - see its licence where this program's packages come from.")
if(EXISTS "${COPYRIGHT}")
  file(READ "${COPYRIGHT}" notice)
  string(REPLACE "*/" "* /" notice "${notice}")
endif()
# No address in a page that must not ask for one.
string(REGEX REPLACE "https?://" "" notice "${notice}")
file(WRITE ${TO}.partial "/*! Vega and the parts of D3 within it:\n${notice}*/\n"
  "const vega=(()=>{const m={},require=n=>m[n]||{},module={};\n")
foreach(module IN LISTS modules)
  file(READ ${FROM}/vega-${module}.min.js source)
  string(REGEX REPLACE "//# sourceMappingURL=[^\n]*" "" source "${source}")
  set(name vega-${module})
  if(module STREQUAL "selection")
    set(name vega-selections)  # what others call it
  endif()
  file(APPEND ${TO}.partial "(exports=>{${source}\n})(m[\"${name}\"]={});\n")
endforeach()
file(APPEND ${TO}.partial
  "Object.assign(m[\"vega-dataflow\"].transforms,m[\"vega-transforms\"],m[\"vega-encode\"],m[\"vega-view-transforms\"]);\n"
  "return{parse:m[\"vega-parser\"].parse,View:m[\"vega-view\"].View}})();\n")
file(RENAME ${TO}.partial ${TO})

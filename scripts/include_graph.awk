# Reads sources and headers (paths from the repository's root) and prints for each one line:
#   FILE <tab> torch|plain <tab> the project's headers it includes, directly or not, separated by blanks
# Usage: git ls-files '*.h' '*.cpp' | xargs awk -f scripts/include_graph.awk
FNR == 1 { known[FILENAME] = 1; order[++files] = FILENAME }
/^[ \t]*#[ \t]*include[ \t]*"/ {
  split($0, part, "\"")
  direct[FILENAME] = direct[FILENAME] " " part[2]
}
/^[ \t]*#[ \t]*include[ \t]*<(torch|ATen|c10)\// { torch[FILENAME] = 1 }

function visit(file, seen, names, count, i) {
  if (file in seen) return
  seen[file] = 1
  count = split(direct[file], names, " ")
  for (i = 1; i <= count; ++i)
    if (names[i] in known) visit(names[i], seen)
}

END {
  for (f = 1; f <= files; ++f) {
    split("", seen)
    visit(order[f], seen)
    kind = "plain"
    headers = ""
    for (name in seen) {
      if (name in torch) kind = "torch"
      if (name != order[f]) headers = headers " " name
    }
    print order[f] "\t" kind "\t" substr(headers, 2)
  }
}

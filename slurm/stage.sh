#!/bin/bash
# Copies a corpus (or a table of texts) to this node: stage.sh CORPUS FOLDER. Afterwards the recipe's relative paths hold in FOLDER, too: the corpus
# lies there under its own name, everything else beside it is a link to where this was started.
set -euo pipefail
corpus=$1 stage=$2 here=$PWD
[[ $corpus == /* ]] || corpus=$(realpath -ms --relative-to=. -- "$corpus")  # "./data/x.corpus/" is "data/x.corpus"
[[ $corpus != /* && $corpus != .. && $corpus != ../* && $corpus != . ]] ||
  { echo "stage: $corpus must be a path below $here" >&2; exit 1; }
mkdir -p "$stage"

# link_beside SOURCE TARGET PATH: links all of SOURCE into TARGET but the first part of PATH, and goes down into that one.
link_beside() {
  local source=$1 target=$2 first=${3%%/*} entry
  mkdir -p "$target"
  for entry in "$source"/*; do
    [[ ${entry##*/} == "$first" || ! -e $entry ]] || ln -sfn "$entry" "$target/${entry##*/}"
  done
  [[ $3 != */* ]] || link_beside "$source/$first" "$target/$first" "${3#*/}"
}
link_beside "$here" "$stage" "$corpus"

# Beside and renamed: a job that is killed here finds nothing half-copied when it comes back.
if [[ ! -e $stage/$corpus ]]; then
  rm -rf "$stage/$corpus.partial"
  cp -rL "$here/$corpus" "$stage/$corpus.partial"
  mv "$stage/$corpus.partial" "$stage/$corpus"
fi
echo "stage: $(hostname): $corpus, $(du -shL "$stage/$corpus" | cut -f1), in $stage"

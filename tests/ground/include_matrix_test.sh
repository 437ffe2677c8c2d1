#!/usr/bin/env bash
# The include matrix holds for the sources, and its script does find what it should.
set -euo pipefail
check=$1/scripts/include_matrix.sh
"$check" "$1"
careless=$(cd "$1" && find base parallel data models scorer eval trainer -name '*.h' -exec grep -L '^#pragma once' {} +)
[[ -z $careless ]] || { echo "headers without #pragma once: $careless"; exit 1; }

tree=$(mktemp -d)
trap 'rm -rf "$tree"' EXIT
# refuses FILE INCLUDE: a tree with just this line must fail and name the file; allows: must pass.
only() {
  rm -rf "${tree:?}"/*
  mkdir -p "$tree/$(dirname "$1")"
  printf '#include %s\n' "$2" >"$tree/$1"
}
refuses() {
  only "$1" "$2"
  local said
  if said=$("$check" "$tree"); then echo "$1 may include $2, but must not"; exit 1; fi
  [[ $said == "$1:1: "* ]] || { echo "the message does not name $1:1 but says: $said"; exit 1; }
}
allows() {
  only "$1" "$2"
  "$check" "$tree" >/dev/null || { echo "$1 may not include $2, but should"; exit 1; }
}

refuses base/log.cpp '"data/corpus.h"'
refuses data/loader.cpp '"parallel/communicator.h"'
refuses data/batch.h '<torch/types.h>'
refuses data/corpus.cpp '<arrow/api.h>'
refuses data/text/tokenizer.cpp '"data/corpus.h"'
refuses models/losses.cpp '"eval/metrics.h"'
refuses models/losses.cpp '<torch/torch.h>'
refuses parallel/launch.cpp '<torch/types.h>'
refuses scorer/main.cpp '<torch/types.h>'
refuses scorer/main.cpp '<mpi.h>'
refuses scorer/bundle.cpp '<hdf5.h>'
refuses scorer/bundle.cpp '<yaml-cpp/yaml.h>'
refuses scorer/bundle.cpp '"data/corpus.h"'
refuses scorer/orders/policies.cpp '"scorer/bundle.h"'
refuses eval/backtest.cpp '"scorer/bundle.h"'
refuses trainer/trainer.cpp '<yaml-cpp/yaml.h>'
refuses trainer/run/checkpoint.cpp '<torch/types.h>'
refuses trainer/recipe/recipe.cpp '"trainer/trainer.h"'
refuses trainer/trainer.cpp '"trainer.h"'
allows trainer/recipe/recipe.cpp '<yaml-cpp/yaml.h>'
allows parallel/flat_buffers.cpp '<torch/types.h>'
allows eval/costs.cpp '"scorer/orders/policies.h"'
allows data/ingest/table_reader.cpp '<arrow/api.h>'
echo "the script refuses and allows what it should"

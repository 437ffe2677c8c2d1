#!/usr/bin/env bash
# Checks who includes whom: which of our rooms, and which outside libraries, each room may include. Prints every
# violation as file:line and exits 1. Usage: scripts/include_matrix.sh [ROOT]
set -euo pipefail
cd "${1:-$(dirname "$0")/..}"

# room | our rooms it may include besides itself | outside libraries it may include (those not named here: see awk)
matrix='
base             |                                                        | spdlog xxhash
parallel         | base parallel/gpu parallel/nccl                        | mpi
parallel/gpu     | base                                                   | cuda nccl
parallel/nccl    | base parallel parallel/gpu                             |
data             | base                                                   | hdf5 xxhash
data/text        | base                                                   | utf8proc xxhash
data/ingest      | base data data/text                                    | arrow
data/synth       | base data                                              |
models           | base                                                   | torch
models/text      | base models data/text                                  | torch
scorer           | base data/text scorer/orders                           | eigen cli
scorer/orders    | base                                                   |
eval             | base parallel data models scorer/orders                | torch xgboost
trainer          | base parallel parallel/gpu data data/text data/ingest data/synth models models/text eval scorer scorer/orders trainer/recipe trainer/run trainer/text | torch cli
trainer/recipe   | base parallel data eval models                         | yaml
trainer/run      | base parallel trainer/recipe                           |
trainer/text     | base parallel data data/text data/ingest models models/text eval trainer trainer/recipe trainer/run | torch
trainer/sweep    | base data trainer trainer/recipe trainer/run           |
trainer/retrain  | base data eval trainer trainer/sweep trainer/recipe trainer/run |
'
# Single files that may include one library more: the reason a room's rule has an exception stands here.
exceptions='
parallel/bucket_transfers.cpp torch
parallel/gpu/graph_module.cpp torch
parallel/flat_buffers.h     torch
parallel/flat_buffers.cpp   torch
parallel/summed_tensor.h    torch
parallel/summed_tensor.cpp  torch
parallel/gradient_sync.h    torch
parallel/gradient_sync.cpp  torch
trainer/sweep/sweep_file    yaml
trainer/retrain/retrain_file yaml
'

rooms=()
for room in base parallel data models scorer eval trainer; do [[ -d $room ]] && rooms+=("$room"); done
find "${rooms[@]}" \( -name '*.h' -o -name '*.cpp' -o -name '*.cu' \) -type f |
  sort | xargs grep -nHE '^[[:space:]]*#[[:space:]]*include[[:space:]]*[<"]' |
  awk -v matrix="$matrix" -v exceptions="$exceptions" '
  function trim(text) { gsub(/^ +| +$/, "", text); return text }
  # The innermost room of the matrix that a path lies in.
  function room_of(path) {
    while (sub(/\/[^\/]*$/, "", path)) if (path in ours) return path
    return ""
  }
  function library_of(header) {
    if (header ~ /^(torch|ATen|c10|caffe2)\//) return "torch"
    if (header ~ /^(hdf5.*\.h|H5.*\.h)$/) return "hdf5"
    if (header ~ /^(arrow|parquet)\//) return "arrow"
    if (header ~ /^mpi.*\.h$/) return "mpi"
    if (header ~ /^nccl/) return "nccl"
    if (header ~ /^(cuda|nvml|nvrtc|cub\/|thrust\/)/) return "cuda"
    if (header ~ /^yaml-cpp\//) return "yaml"
    if (header ~ /^CLI\//) return "cli"
    if (header ~ /^(Eigen|unsupported\/Eigen)/) return "eigen"
    if (header ~ /^utf8proc/) return "utf8proc"
    if (header ~ /^xgboost\//) return "xgboost"
    if (header ~ /^spdlog\//) return "spdlog"
    if (header ~ /^xxh/) return "xxhash"
    if (header ~ /^(gtest|gmock|benchmark)\//) return "gtest"
    return ""  # the standard library, the system, fmt and nlohmann-json are open to all
  }
  function excepted(path, library, i) {
    for (i in exception) if (index(path, i) == 1 && exception[i] == library) return 1
    return 0
  }
  function complain(what) { print file ":" line ": " what; ++violations }
  BEGIN {
    rows = split(matrix, row, "\n")
    for (i = 1; i <= rows; ++i) if (split(row[i], part, "|") == 3) {
      ours[trim(part[1])] = " " trim(part[1]) " " trim(part[2]) " "
      outside[trim(part[1])] = " " trim(part[3]) " "
    }
    rows = split(exceptions, row, "\n")
    for (i = 1; i <= rows; ++i) if (split(row[i], part, " ") == 2) exception[part[1]] = part[2]
  }
  {
    file = $0; sub(/:.*/, "", file)
    line = substr($0, length(file) + 2); rest = line; sub(/:.*/, "", line)
    match(rest, /[<"][^>"]*/); quote = substr(rest, RSTART, 1); header = substr(rest, RSTART + 1, RLENGTH - 1)
    room = room_of(file)
    ++includes
    if (quote == "\"") {
      if (header !~ /\//) { complain("\"" header "\" is not named from the root"); next }
      target = room_of(header)
      if (target == "") complain(room " includes \"" header "\", which lies in no room of the matrix")
      else if (index(ours[room], " " target " ") == 0) complain(room " may not include " target " (\"" header "\")")
    } else {
      library = library_of(header)
      if (library != "" && index(outside[room], " " library " ") == 0 && !excepted(file, library))
        complain(room " may not include " library " (<" header ">)")
      if (header == "torch/torch.h") complain("<torch/torch.h> takes 25 s to compile; include <torch/types.h> or narrower")
    }
  }
  END {
    if (includes == 0) { print "no sources found"; exit 1 }
    if (violations) exit 1
    print includes " includes, all within the matrix"
  }'

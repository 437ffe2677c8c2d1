#!/usr/bin/env bash
# Runs the benchmarks that need nothing but this tree; peers in Python are run by hand (README.md says how).
set -euo pipefail
cd "$(dirname "$0")/.."
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT

echo "== loader"
build/bin/bench_loader "$folder/loader" 4000000
echo "== scorer against LibTorch, one thread"
build/bin/bench_scorer 1
echo "== the trainer beside the model"
build/bin/bench_trainer optimizer
build/bin/bench_trainer checkpoint "$folder/checkpoints"
build/bin/bench_trainer overhead "$folder/overhead"
build/bin/bench_trainer text

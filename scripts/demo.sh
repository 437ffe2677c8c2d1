#!/usr/bin/env bash
# The demo: synthetic stores -> training on two MPI ranks -> backtest report -> bundle -> orders.
# Everything it makes lies in demo/ and runs/demo/; a second call starts over.
set -euo pipefail
cd "$(dirname "$0")/.."

bin=build/bin
corpus=demo/demo.corpus
run=runs/demo
ranks=2

mpirun_options=(--bind-to none -n "$ranks")
((EUID == 0)) && mpirun_options+=(--allow-run-as-root)
(($(nproc) < ranks)) && mpirun_options+=(--oversubscribe)
export OMP_NUM_THREADS=1
# A rank a GPU: with fewer of them, the CPU.
gpus=$(nvidia-smi --list-gpus 2>/dev/null | wc -l || true)
((gpus >= ranks)) || export CUDA_VISIBLE_DEVICES=

say() { printf '\n\033[1m%s\033[0m\n' "$*"; }

started=$SECONDS
rm -rf demo "$run"
mkdir -p demo runs

say "1/5  a corpus of 20 stores x 300 items x 900 days"
$bin/shelfcast synth --stores 20 --items 300 --days 900 --out $corpus

say "2/5  training on $ranks MPI ranks (recipes/demo.yaml)"
mpirun "${mpirun_options[@]}" $bin/shelfcast train recipes/demo.yaml

say "3/5  backtest on three rolling origins"
mpirun "${mpirun_options[@]}" $bin/shelfcast backtest $run
$bin/shelfcast report $run --out demo/report

say "4/5  export: a bundle that needs no LibTorch"
$bin/shelfcast export $run --out demo/bundle

say "5/5  orders"
$bin/shelfcast-score demo/bundle --template demo/stock.csv
$bin/shelfcast-score demo/bundle --stock demo/stock.csv --out demo/orders.csv

say "The results (all series, three origins)"
awk -F, '$2 == "overall" && $4 ~ /^(mae|mse|bias|wape|mase)$/ {
    if (!($1 in row)) order[++models] = $1
    row[$1] = row[$1] sprintf("%12.4f", $5); n[$1] = $6
    if (models == 1) head = head sprintf("%12s", toupper($4))
  }
  END {
    printf "%-20s%s%12s\n", "", head, "n"
    for (i = 1; i <= models; ++i) printf "%-20s%s%12d\n", order[i], row[order[i]], n[order[i]]
  }' $run/backtest/metrics.csv

say "The first orders"
head -n 6 demo/orders.csv | column -s, -t | cut -c1-160

say "Done in $((SECONDS - started)) s. What is where:"
printf '  %-12s %s\n' corpus $corpus run $run report demo/report/report.html bundle demo/bundle stock demo/stock.csv orders demo/orders.csv

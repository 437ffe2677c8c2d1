#!/usr/bin/env bash
# docs/benchmarks anew: ingest, training, backtest beside all baselines, report, figures. Needs chromium for the figures.
#   scripts/benchmark_report.sh rossmann rossmann.parquet
#   scripts/benchmark_report.sh m5 sales.parquet              (calendar and sell_prices beside it)
# Everything it makes on the way lies in runs/benchmarks/NAME; runs that are whole are not trained again.
set -euo pipefail
root=$(cd "$(dirname "$0")/.." && pwd)
bin=${SHELFCAST_BIN:-$root/build/bin}
out=${OUT:-$root/docs/benchmarks}
usage() {
  sed -n 's/^#   //p' "$0" >&2
  exit 2
}
[[ $# == 2 && -e $2 ]] || usage
name=$1 data=$(realpath "$2")
cores=$(nproc)
export OMP_NUM_THREADS=1

seeds=(17 18 19 20 21)
case $name in
rossmann)
  recipe=$root/recipes/rossmann-1d.yaml
  chosen="Variants of the recipe were compared on the protocol's own origins (bench/README.md, \"Real data\"), so the figures flatter it a little; published rows were not chosen so. Training ends before the first origin and learns from all that lies before it, without a validation."
  ;;
m5)
  recipe=$root/recipes/m5-benchmark.yaml
  chosen="The weight of large sellers was chosen on the three windows before these; the moving average of weights and the mean of five seeds were tried on these windows (bench/README.md, \"Real data\"), so that the figures may flatter them a little. Training and validation end before the first origin."
  ;;
*) usage ;;
esac

mkdir -p "$root/runs/benchmarks/$name" "$out"
cd "$root/runs/benchmarks/$name"
[[ -d $name.corpus ]] || "$bin/shelfcast" ingest --format "$name" --from "$data" --out "$name.corpus"

# The plain towers learn from the same windows; they take longest, so they come first.
plain=(lstm tcn transformer) ensemble=("${seeds[@]/#/seed-}")
runs=("${plain[@]}" "${ensemble[@]}")
# One rank a run, as many at a time as there are cores.
train() {
  local options=(--set "model.tower=$1" --set model.patch=0)
  [[ $1 != seed-* ]] || options=(--set "run.seed=${1#seed-}")
  "$bin/shelfcast" train "$recipe" --resume auto --set "run.dir=$1" "${options[@]}" >"$1.log" 2>&1
}
export -f train
export bin recipe
printf '%s\n' "${runs[@]}" | xargs -P "$cores" -I{} bash -c 'train {}'
minutes() { # all runs together, without pauses of more than ten minutes, as the report counts
  for run in "$@"; do
    grep -o '"time":[0-9.]*' "$run/metrics.jsonl" |
      awk -F: 'NR > 1 && $2 - before <= 600 { sum += $2 - before } { before = $2 } END { print sum }'
  done | awk '{ sum += $1 } END { printf "%.0f", sum / 60 }'
}
trained=$(minutes "${ensemble[@]}") plain_trained=$(minutes "${plain[@]}")

started=$SECONDS
first=${ensemble[0]}
"$bin/shelfcast" backtest "$first" --ensemble "${ensemble[@]:1}" --out ensemble >ensemble.log
for run in "$first" "${plain[@]}"; do
  "$bin/shelfcast" backtest "$run" --set 'backtest.baselines=[]' --set 'backtest.combine={methods: []}' >"$run-judged.log"
done
"$bin/shelfcast" report ensemble "$first" "${plain[@]}" --out report >report.log
judged=$((SECONDS - started))

# Figures: drawings of the report that carry their own labels, with its colours for light and dark.
chromium --headless --no-sandbox --disable-gpu --no-first-run --user-data-dir="$PWD/chromium" --virtual-time-budget=20000 \
  --dump-dom "file://$PWD/report/report.html" >page.html 2>chromium.log
rm -rf chromium
figure() { # figure HEADING FILE: the first drawing under it
  HEADING=$1 perl -0777 -ne '
    my ($colours) = /<style>.*?(:root \{.*?\n\}\n\@media.*?\n\})/s;
    /<h2[^>]*>\Q$ENV{HEADING}\E.*?(<svg.*?<\/svg>)/s or die "no figure under $ENV{HEADING}\n";
    my $svg = $1;
    $svg =~ s/(<svg[^>]*>)/$1<style>$colours svg { background: var(--card); }<\/style>/;
    print "$svg\n";' page.html >"$out/$name-$2.svg"
}
figure "Is the difference more than chance?" significance
figure "Are the quantiles honest?" calibration
figure "Forecasts against the truth" forecast

{
  echo "<!-- Made by scripts/benchmark_report.sh $name; not written by hand. -->"
  sed '1s/.*/# Benchmark: '"$name"'/' report/report.md
  cat <<END

## Figures

Relative differences with their 95 % intervals; share of demand at or below each quantile; one series from the last origin.

![Is the difference more than chance?]($name-significance.svg)

![Are the quantiles honest?]($name-calibration.svg)

![A forecast against the truth]($name-forecast.svg)

## How the recipe was chosen

$chosen

All of this page again: \`make benchmark-report NAME=$name DATA=FILE\`, which ingests, trains, judges and draws.

## Time taken

${#seeds[@]} seeds trained from [$(basename "$recipe")](../../recipes/$(basename "$recipe")), one thread each, $trained minutes in all, the plain towers $plain_trained; fitting baselines and judging everybody $((judged / 60)) minutes on $cores cores.
END
} >"$out/$name.md"
echo "$out/$name.md"

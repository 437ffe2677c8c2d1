#!/usr/bin/env bash
# What do promotions known ahead do for the days of promotions? bench/promotions.sh [FOLDER [SEED ...]]
#
# For each seed a market of 4 stores x 60 items and runs of a small model on it that know less and less ahead. Prints the pinball
# loss on the days of promotions and on the others.
set -euo pipefail
cd "$(dirname "$0")/.."
shelfcast=${SHELFCAST_BIN:-$PWD/build/bin}/shelfcast
folder=${1:-build/promotions}
seeds=("${@:2}")
[[ -n ${seeds[0]:-} ]] || seeds=(1 2 3)
rm -rf "$folder"
mkdir -p "$folder"
cd "$folder"
export OMP_NUM_THREADS=1
cat >run.yaml <<END
data:  {context: 112, horizon: 28, calendar: [weekday, yearday], static: [store, category, item], censored: stockout}
model: {tower: bolt-nano, patch: 14, dropout: 0.0, scale_floor: 0.5, season: 7}
train: {steps: 800, batch: 128, micro_batch: 128, validate_every: 100, checkpoint_every: 800, early_stop: 0, optimizer: {lr: 2.0e-3}, schedule: {name: cosine, warmup: 30}}
backtest: {origins: 3, stride: 28, horizon: 28, by: [promotion], promotion: promo}
END
score() { # score RUN LEVEL
  awk -F, -v level="$2" -v run="$1" '$2 == "promotion" && $3 == level && $4 == "pinball" && $1 == run {print $5}' "$1/backtest/metrics.csv"
}
printf '%-8s %5s %14s %10s\n' known seed "promotion days" others
for seed in "${seeds[@]}"; do
  "$shelfcast" synth --stores 4 --items 60 --days 700 --seed "$seed" --out "m$seed.corpus" >/dev/null
  for known in all no-promo event; do
    name=$known-$seed columns='[price, promo, event]'
    [[ $known != no-promo ]] || columns='[price, event]'
    [[ $known != event ]] || columns='[event]'
    "$shelfcast" train run.yaml --set data.corpus="m$seed.corpus" --set run.dir="$name" --set run.seed="$seed" --set "data.known=$columns" >"$name.log" 2>&1
    "$shelfcast" backtest "$name" >>"$name.log" 2>&1
    printf '%-8s %5s %14s %10s\n' "$known" "$seed" "$(score "$name" promotion)" "$(score "$name" 'no promotion')"
  done
done

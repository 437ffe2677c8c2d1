#!/usr/bin/env bash
# Do demand and stock on hand learned together make cheaper orders than demand alone? bench/joint_stock.sh [FOLDER [SEED ...]]
#
# For each seed a market of 4 stores x 40 items and runs of a small model on it: on demand alone without the columns of stock
# (blind), on demand alone with them (joint0), and with the head of stock on hand beside it. Prints order cost, fill rate, MAE of
# demand and of stock on hand of every run.
set -euo pipefail
cd "$(dirname "$0")/.."
shelfcast=$PWD/build/bin/shelfcast
folder=${1:-build/joint-stock}
seeds=("${@:2}")
[[ -n ${seeds[0]:-} ]] || seeds=(1 2 3)
rm -rf "$folder"
mkdir -p "$folder"
cd "$folder"
cat >run.yaml <<END
data:  {context: 84, horizon: 14, known: [price, promo, event], past: [stock, stockout], calendar: [weekday], static: [store, category], censored: stockout}
model: {tower: bolt-nano, patch: 7, dropout: 0.1, scale_floor: 0.5}
train: {steps: 800, batch: 128, micro_batch: 128, validate_every: 100, checkpoint_every: 800, early_stop: 0, optimizer: {lr: 2.0e-3}, schedule: {name: cosine, warmup: 30}}
backtest: {origins: 6, stride: 14, horizon: 14, baselines: [seasonal_naive]}
END
score() { # score RUN GROUP LEVEL METRIC
  awk -F, -v group="$2" -v level="$3" -v metric="$4" -v run="$1" '
    $2 == group && $3 == level && $4 == metric && $1 == run {print $5}' "$1/backtest/metrics.csv"
}
printf '%-10s %5s %10s %9s %8s %10s\n' run seed order_cost fill_rate mae stock_mae
for seed in "${seeds[@]}"; do
  "$shelfcast" synth --stores 4 --items 40 --days 500 --seed "$seed" --out "m$seed.corpus" >/dev/null
  for kind in blind joint0 joint0.1 joint0.5; do
    name=$kind-$seed options=()
    case $kind in
      blind) options=(--set data.past=[]) ;;
      joint0) ;;
      *) options=(--set data.inventory=stock --set model.heads.inventory=true --set model.loss.inventory="${kind#joint}") ;;
    esac
    "$shelfcast" train run.yaml --set data.corpus="m$seed.corpus" --set run.dir="$name" --set run.seed="$seed" "${options[@]}" >"$name.log" 2>&1
    "$shelfcast" backtest "$name" >>"$name.log" 2>&1
    printf '%-10s %5s %10s %9s %8s %10s\n' "$kind" "$seed" "$(score "$name" overall all order_cost)" \
      "$(score "$name" overall all fill_rate)" "$(score "$name" overall all mae)" "$(score "$name" inventory all mae)"
  done
done

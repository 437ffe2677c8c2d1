#!/usr/bin/env bash
# Do product texts help on items launched after training? bench/new_items.sh BIN ENCODER [SEED ...]
#
# For each seed a market of 3 stores x 400 items and three runs of a small model on it: without texts, without texts but trained
# on windows shown as new items, and with both. BIN holds shelfcast and bench_new_items, ENCODER is a published directory.
set -euo pipefail
bin=$(realpath "$1") encoder=$(realpath "$2")
shift 2
seeds=("${@:-}")
[[ -n ${seeds[0]} ]] || seeds=(5 6 7)
cd "$(mktemp -d)"
export OMP_NUM_THREADS=1
cat >run.yaml <<'END'
data:  {context: 56, horizon: 14, known: [price, promo, event], calendar: [weekday], static: [store, category], censored: stockout,
        train_until: 2022-05-01, validate_until: 2022-05-16}
model: {tower: bolt-nano, patch: 7, dropout: 0.0, scale_floor: 0.5, heads: {quantiles: [0.1, 0.3, 0.5, 0.7, 0.9], mean: true}}
train: {steps: 500, batch: 128, micro_batch: 128, validate_every: 100, checkpoint_every: 500, early_stop: 0,
        optimizer: {lr: 2.0e-3}, schedule: {name: cosine, warmup: 30}}
backtest: {origins: 1, stride: 14, horizon: 14}
END
train() { # train SEED NAME [--set ...]
  local seed=$1 name=$2
  shift 2
  "$bin/shelfcast" train run.yaml --set data.corpus="m$seed.corpus" --set run.dir="$name-$seed" "$@" >"$name-$seed.log" 2>&1
}
for seed in "${seeds[@]}"; do
  "$bin/shelfcast" synth --out "m$seed.corpus" --stores 3 --items 400 --days 240 --future 0 --seed "$seed" >/dev/null
  train "$seed" off &
  train "$seed" off-new --set train.new_items=0.15 &
  wait
  train "$seed" on-new --set train.new_items=0.15 --set data.text=true --set "model.text=$encoder"
  "$bin/bench_new_items" "off-$seed" "off-new-$seed" "on-new-$seed"
done

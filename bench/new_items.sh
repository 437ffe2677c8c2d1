#!/usr/bin/env bash
# Do product texts help on items launched after training? bench/new_items.sh [FOLDER [SEED ...]]
#
# For each seed a market of 3 stores x 1,200 items and runs of a small model on it: without texts, without texts but trained on
# windows shown as new items, with both, and with the level that statics and texts let expect. Texts are in English, French and
# Chinese, so their encoder is one that knows the words of all three: small, its weights drawn, trained with the rest. ENCODER: a
# published directory in its place, frozen. Prints pinball losses by the days since the launch at which the forecast is made.
set -euo pipefail
cd "$(dirname "$0")/.."
bin=${SHELFCAST_BIN:-$PWD/build/bin} encoder=${ENCODER:+$(realpath "$ENCODER")}
folder=${1:-build/new-items}
seeds=("${@:2}")
[[ -n ${seeds[0]:-} ]] || seeds=(5 6 7)
rm -rf "$folder"
mkdir -p "$folder"
cd "$folder"
export OMP_NUM_THREADS=1
cat >run.yaml <<'END'
data:  {context: 56, horizon: 14, known: [price, promo, event], calendar: [weekday], static: [store, category], censored: stockout,
        train_until: 2022-05-01, validate_until: 2022-05-16}
model: {tower: bolt-nano, patch: 7, dropout: 0.0, scale_floor: 0.5, heads: {quantiles: [0.1, 0.3, 0.5, 0.7, 0.9], mean: true}}
train: {steps: 1000, batch: 128, micro_batch: 128, validate_every: 100, checkpoint_every: 1000, early_stop: 0, ema: 0.99,
        optimizer: {lr: 2.0e-3}, schedule: {name: cosine, warmup: 30}}
backtest: {origins: 1, stride: 14, horizon: 14}
END
new=(--set train.new_items=0.15) level=(--set model.level=true) text=(--set data.text=true)
for seed in "${seeds[@]}"; do
  "$bin/shelfcast" synth --out "m$seed.corpus" --stores 3 --items 1200 --days 240 --future 0 --seed "$seed" >/dev/null
done
if [[ -n $encoder ]]; then
  text+=(--set "model.text=$encoder")
else
  corpora=("${seeds[@]/#/m}")
  "$bin/bench_new_items" --encoder encoder "${corpora[@]/%/.corpus}"
  text+=(--set model.text=encoder --set model.text_start=drawn --set tune.text=all)
fi
train() { # train SEED NAME [--set ...]
  local seed=$1 name=$2
  shift 2
  "$bin/shelfcast" train run.yaml --set data.corpus="m$seed.corpus" --set run.dir="$name-$seed" "$@" >"$name-$seed.log" 2>&1
}
for seed in "${seeds[@]}"; do
  (train "$seed" off && train "$seed" off-new "${new[@]}" && train "$seed" off-level "${new[@]}" "${level[@]}") &
  train "$seed" on-new "${new[@]}" "${text[@]}"
  train "$seed" on-level "${new[@]}" "${text[@]}" "${level[@]}"
  wait $!
  "$bin/bench_new_items" {off,off-new,off-level,on-new,on-level}-"$seed"
done

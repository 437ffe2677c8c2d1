#!/usr/bin/env bash
# train --check: what it foretells about memory is what training then takes, within 10 percent, for three models.
source "$(dirname "$0")/lib.sh"

"$bin/shelfcast" synth --stores 4 --items 100 --days 900 --out s.corpus >/dev/null
recipe() {
  cat <<Y
data: {corpus: s.corpus, context: 224, horizon: 28, known: [price, promo], static: [store, item]}
model: {tower: $1, patch: 16}
train: {steps: 3, batch: $2, micro_batch: $2, validate_every: 3, validate_windows: 64, checkpoint_every: 1, log_every: 1}
backtest: {origins: 2, stride: 28, horizon: 28, batch: 32}
Y
}
for model in "bolt-tiny 64" "bolt-mini 32" "bolt-small 16"; do
  read -r tower batch <<<"$model"
  recipe "$tower" "$batch" >r.yaml
  "$bin/shelfcast" train r.yaml --check >check.txt
  [[ ! -e runs ]] || fail "--check left a run folder"
  "$bin/shelfcast" train r.yaml >train.txt 2>&1 || fail "$(cat train.txt)"
  measured=$(grep -o '"peak_memory_bytes":[0-9]*' runs/r/metrics.jsonl | tail -1 | cut -d: -f2)
  awk -v measured="$measured" -v model="$model" '/together/ { foretold = $2 * 1e6 } END {
    printf "%s: %.0f MB foretold, %.0f MB measured\n", model, foretold / 1e6, measured / 1e6
    exit !(foretold > 0.9 * measured && foretold < 1.1 * measured) }' check.txt || fail "memory of $model: $(cat check.txt)"
  rm -rf runs
done

recipe bolt-tiny 256 >r.yaml
"$bin/shelfcast" train r.yaml --check --ranks 64 >many.txt
grep -q "256 windows on 64 ranks: up to 4 a rank" many.txt || fail "$(cat many.txt)"
grep -q "M trained" many.txt || fail "$(cat many.txt)"
refused "257 ranks" "train.batch" -- "$bin/shelfcast" train r.yaml --check --ranks 257
refused "requires --check" -- "$bin/shelfcast" train r.yaml --ranks 64

# What it would cost on up to 4,096 ranks, by assumptions that are listed and can be set.
"$bin/shelfcast" train r.yaml --check --ranks 64 --assume micro_batch_s=0.5 --assume network_gb_s=12.5 >cost.txt
grep -q "takes 0.5 s (assumed)" cost.txt || fail "$(cat cost.txt)"
grep -q "network_gb_s=12.5" cost.txt || fail "$(cat cost.txt)"
grep -qE "^ +4096 +16384 " cost.txt || fail "$(cat cost.txt)"
refused "network_gbs" "did you mean network_gb_s" -- "$bin/shelfcast" train r.yaml --check --assume network_gbs=3
refused "requires --check" -- "$bin/shelfcast" train r.yaml --assume network_gb_s=3

# Two ranks that share the optimizer out, gradients too, or nothing: the memory of rank 0 is foretold, and the weights are the
# same.
recipe bolt-small 16 >r.yaml
for zero in 0 1 2; do
  options=(--set parallel.zero=$zero --set train.micro_batch=8)
  "$bin/shelfcast" train r.yaml --check --ranks 2 "${options[@]}" >check.txt
  ranks 2 "$bin/shelfcast" train r.yaml "${options[@]}" --set run.dir=runs/zero-$zero >train.txt 2>&1 || fail "$(cat train.txt)"
  measured=$(grep -o '"peak_memory_bytes":[0-9]*' runs/zero-$zero/metrics.jsonl | tail -1 | cut -d: -f2)
  awk -v measured="$measured" -v zero=$zero '/together/ { foretold = $2 * 1e6 } END {
    printf "parallel.zero %d: %.0f MB foretold, %.0f MB measured\n", zero, foretold / 1e6, measured / 1e6
    exit !(foretold > 0.95 * measured && foretold < 1.05 * measured) }' check.txt || fail "memory: $(cat check.txt)"
done
for zero in 1 2; do
  cmp runs/zero-{0,$zero}/checkpoints/3/tower/model.safetensors || fail "parallel.zero: $zero changes bits"
done

# Gradients of several micro-batches, in 16 bits and by node, on three MPI ranks: nearly the same losses.
losses() { grep -o '"loss":[0-9.e+-]*' "runs/$1/metrics.jsonl" | cut -d: -f2; }
recipe bolt-tiny 24 >r.yaml
ranks 3 "$bin/shelfcast" train r.yaml --set run.dir=runs/plain >train.txt 2>&1 || fail "$(cat train.txt)"
ranks 3 "$bin/shelfcast" train r.yaml --set run.dir=runs/shares --set parallel.zero=2 --set train.micro_batch=3 \
  --set parallel.compress=bf16 --set parallel.hierarchical=true --set parallel.node_ranks=2 >train.txt 2>&1 || fail "$(cat train.txt)"
paste <(losses plain) <(losses shares) | awk '{ d = $1 - $2; if (d < 0) d = -d; if (d > 0.01 * $1) bad = 1; n++ }
  END { exit bad || n != 3 }' || fail "losses: $(paste <(losses plain) <(losses shares))"

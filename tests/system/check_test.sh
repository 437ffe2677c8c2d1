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

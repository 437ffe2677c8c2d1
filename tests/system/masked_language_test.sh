#!/usr/bin/env bash
# A text encoder trained on a corpus' texts with the real program: it learns, resumes to the bit on two ranks, and is read
# afterwards like a published one.
recipe=$(cd "$(dirname "$0")/../../recipes" && pwd)/texts.yaml
golden=$(cd "$(dirname "$0")/../golden/bert" && pwd)
source "$(dirname "$0")/lib.sh"

"$bin/shelfcast" synth --out shop.corpus --stores 1 --items 600 --days 30 --future 0
common=(--set data.corpus=shop.corpus --set "model.text=$golden/uncased" --set train.optimizer.lr=2.0e-3
  --set train.validate_every=40 --set train.checkpoint_every=40)
"$bin/shelfcast" train "$recipe" "${common[@]}" --set train.steps=120 --check --ranks 2 | tee check.txt
grep -q "training texts" check.txt || fail "--check does not speak of texts"

"$bin/shelfcast" train "$recipe" "${common[@]}" --set train.steps=120 --set run.dir=runs/long
loss() { grep validation_loss "runs/$1/metrics.jsonl" | sed -n "$2p" | grep -o '"validation_loss":[0-9.]*' | cut -d: -f2; }
# Before the first step the encoder knows nothing of these texts, at last what stands beside what.
awk "BEGIN { exit !($(loss long 4) < 0.5 * $(loss long 1)) }" || fail "the loss fell from $(loss long 1) to $(loss long 4) only"

short=("${common[@]}" --set train.steps=30 --set train.validate_every=15 --set train.checkpoint_every=10)
ranks 2 "$bin/shelfcast" train "$recipe" "${short[@]}" --set run.dir=runs/whole
for stop in 10 20 30; do
  ranks 2 "$bin/shelfcast" train "$recipe" "${short[@]}" --set run.dir=runs/parts --resume auto --stop-after $stop
done
for file in text/model.safetensors optimizer-00001-of-00002.safetensors; do
  cmp "runs/whole/checkpoints/30/$file" "runs/parts/checkpoints/30/$file" || fail "resumed training ends in other bits of $file"
done

printf 'WHITE heart\ngreen tea, family pack\n' >texts.txt
"$bin/shelfcast" embed runs/long --text texts.txt --out long.npy --normalize
"$bin/shelfcast" embed runs/long/checkpoints/120/text --text texts.txt --out folder.npy --normalize
cmp long.npy folder.npy || fail "a run's vectors are not those of its best checkpoint"
"$bin/shelfcast" tokenize runs/long --text texts.txt --out ids.txt
cmp ids.txt <("$bin/shelfcast" tokenize "$golden/uncased" --text texts.txt) || fail "the vocabulary changed on the way"
"$bin/shelfcast" weights runs/long | grep -q BertForMaskedLM || fail "weights does not show the encoder"

refused "forecasts nothing" -- "$bin/shelfcast" backtest runs/long
refused "tune.text is frozen" -- "$bin/shelfcast" train "$recipe" "${common[@]}" --set tune.text=frozen
refused "nowhere" -- "$bin/shelfcast" train "$recipe" "${common[@]}" --set model.text=nowhere
cp -r "$golden/uncased" broken && truncate -s -10 broken/model.safetensors
refused "broken/model.safetensors" -- "$bin/shelfcast" train "$recipe" "${common[@]}" --set model.text=broken
[[ ! -e runs/texts ]] || fail "a refused recipe left a run folder"
echo "a text encoder learns from the texts of a corpus"

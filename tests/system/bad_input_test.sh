#!/usr/bin/env bash
# Bad input to the real programs: one clear message, an exit code that is not 0, nothing half-written.
source "$(dirname "$0")/lib.sh"

"$bin/shelfcast" synth --stores 2 --items 10 --days 200 --out s.corpus
recipe() { printf 'run: {dir: runs/%s}\ndata: {corpus: s.corpus, context: 28, horizon: 14}\nmodel: {tower: bolt-nano, patch: 7, scale_floor: 0.5}\ntrain: {steps: 4, batch: 8, micro_batch: 8, validate_every: 2, checkpoint_every: 2}\nbacktest: {origins: 2, stride: 14, horizon: 14, batch: 16}\n' "$1"; }

recipe a >a.yaml
sed 's/horizon: 14}$/horizont: 14}/' a.yaml >typo.yaml
refused "typo.yaml:2" "horizont" "data.horizon" -- "$bin/shelfcast" train typo.yaml
refused "train.steps" "whole number" -- "$bin/shelfcast" train a.yaml --set train.steps=often
refused "nothing.yaml" -- "$bin/shelfcast" train nothing.yaml
refused "nothing.corpus" -- "$bin/shelfcast" train a.yaml --set data.corpus=nothing.corpus
refused "pricee" "price" -- "$bin/shelfcast" train a.yaml --set data.known=[pricee]
refused "no training window" -- "$bin/shelfcast" train a.yaml --set data.horizon=190
refused "train.batch 2" "3 ranks" -- ranks 3 "$bin/shelfcast" train a.yaml --set train.batch=2 --set train.micro_batch=2
[[ ! -e runs ]] || fail "a refused training left $(find runs)"

"$bin/shelfcast" train a.yaml
refused "exists" "--resume" -- "$bin/shelfcast" train a.yaml
refused "training" -- "$bin/shelfcast" backtest runs/a --set backtest.origins=8
refused "not a run folder" -- "$bin/shelfcast" backtest s.corpus

# A damaged newest checkpoint is named and the one before it used.
truncate -s 100 runs/a/checkpoints/4/tower/model.safetensors
"$bin/shelfcast" train a.yaml --resume 2>&1 | tee resumed.txt
grep -q "checkpoints/4 is damaged" resumed.txt || fail "the damaged checkpoint is not named"

# Corpora that are not whole.
for file in s.corpus/segment-*.h5; do
  cp -r s.corpus cut.corpus
  truncate -s -1000 "cut.corpus/$(basename "$file")"
  refused "$(basename "$file")" -- "$bin/shelfcast" inspect cut.corpus
  rm -rf cut.corpus
done
cp -r s.corpus foreign.corpus
head -c 4096 /dev/urandom >foreign.corpus/segment-000000.h5
refused "segment-000000.h5" -- "$bin/shelfcast" inspect foreign.corpus
refused "exists" -- "$bin/shelfcast" synth --stores 2 --items 10 --days 200 --out s.corpus

# Tables.
map() { printf 'series: [series]\ndate: date\ntarget: value\n' >map.yaml; }
map
ingest() { "$bin/shelfcast" ingest --format long --map map.yaml --from "$1" --out t.corpus; }
printf 'series,date,value\na,2023-01-01,1\na,2023-01-01,2\n' >twice.csv
refused "2023-01-01" -- ingest twice.csv
printf 'series,date,value\na,2023-13-01,1\n' >date.csv
refused "date.csv" "2023-13-01" -- ingest date.csv
printf 'series,day,value\na,2023-01-01,1\n' >column.csv
refused "date" -- ingest column.csv
printf 'series,date,value\n' >empty.csv
refused "empty" -- ingest empty.csv
refused "absent.csv" -- ingest absent.csv
[[ ! -e t.corpus ]] || fail "a refused ingest left a corpus"

# A full disk: a small tmpfs where that can be mounted.
if ((EUID == 0)) && mkdir full && mount -t tmpfs -o size=1m tmpfs full 2>/dev/null; then
  trap 'umount "$scratch/full" 2>/dev/null || true; rm -rf "$scratch"' EXIT
  refused "space" -- "$bin/shelfcast" synth --stores 10 --items 100 --days 400 --out full/s.corpus
  [[ -z $(ls full) ]] || fail "a full disk was left with $(ls full)"
  refused "space" -- "$bin/shelfcast" train a.yaml --set run.dir=full/run --set model.tower=bolt-tiny
  [[ -z $(find full -name '*.partial*') ]] || fail "a full disk was left with half a checkpoint"
  umount full
else
  echo "no tmpfs can be mounted here: the full disk is not tested"
fi
echo "bad input is refused"

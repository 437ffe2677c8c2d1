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
refused "does not take data.horizon" "keys of backtest, parallel" -- "$bin/shelfcast" backtest runs/a --set data.horizon=7
refused "did you mean backtest.origins" -- "$bin/shelfcast" backtest runs/a --set bactest.origins=1
refused "backtest.by names 'store' twice" -- "$bin/shelfcast" backtest runs/a --set 'backtest.by=[store, store]'

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

# One window of training data cannot feed two ranks.
{
  echo "series,date,value"
  for ((day = 0; day < 70; ++day)); do echo "a,$(date -u -d "2023-01-01 +$day days" +%F),$((day % 7))"; done
} >one.csv
"$bin/shelfcast" ingest --format long --map map.yaml --from one.csv --out one.corpus
refused "2 ranks for 1 training windows" -- ranks 2 "$bin/shelfcast" train a.yaml --set run.dir=runs/one \
  --set data.corpus=one.corpus --set data.min_context=14
[[ ! -e runs/one ]] || fail "a refused training left a run folder"

# Series without any demand, with constant demand and shorter than a patch go the whole way; no forecast is NaN.
{
  echo "series,date,value"
  for ((day = 0; day < 90; ++day)); do
    date=$(date -u -d "2023-01-01 +$day days" +%F)
    for series in north south east west; do echo "$series,$date,$(((day * 7 + ${#series}) % 11))"; done
    echo "Größe 小店,$date,5"
    echo "nothing,$date,"
    ((day < 86)) || echo "young,$date,$day"
  done
} >odd.csv
"$bin/shelfcast" ingest --format long --map map.yaml --from odd.csv --out odd.corpus
"$bin/shelfcast" inspect odd.corpus >odd.txt
"$bin/shelfcast" train a.yaml --set run.dir=runs/odd --set data.corpus=odd.corpus
"$bin/shelfcast" backtest runs/odd >/dev/null
"$bin/shelfcast" forecast runs/odd --sales odd.csv --horizon 14 --out odd-forecast.csv
"$bin/shelfcast" export runs/odd --out odd-bundle/
"$bin/shelfcast-score" odd-bundle --template odd-stock.csv
"$bin/shelfcast-score" odd-bundle --stock odd-stock.csv --out odd-orders.csv
[[ $(wc -l <odd-orders.csv) == 8 ]] || fail "odd-orders.csv has $(wc -l <odd-orders.csv) lines"
for file in odd-forecast.csv odd-orders.csv; do
  grep -q "^Größe 小店," $file || fail "$file has lost a name"
  ! grep -iwE "nan|inf" $file || fail "$file holds numbers that are none"
done

# A stock that cannot be.
sed '2s/,0,/,-3,/' odd-stock.csv >negative.csv
refused "negative.csv:2" "-3" -- "$bin/shelfcast-score" odd-bundle --stock negative.csv --out negative-orders.csv
[[ ! -e negative-orders.csv ]] || fail "refused orders left a file"

# A full disk: a small tmpfs where that can be mounted.
if ((EUID == 0)) && mkdir full && mount -t tmpfs -o size=1m tmpfs full 2>/dev/null; then
  trap 'umount "$scratch/full" 2>/dev/null || true; rm -rf "$scratch"' EXIT
  refused "space" -- "$bin/shelfcast" synth --stores 10 --items 100 --days 400 --out full/s.corpus
  [[ -z $(ls full) ]] || fail "a full disk was left with $(ls full)"
  refused "space" -- "$bin/shelfcast" train a.yaml --set run.dir=full/run --set model.tower=bolt-tiny
  [[ -z $(find full -name '*.partial*') ]] || fail "a full disk was left with half a checkpoint"
  rm -rf full/*
  head -c 900k /dev/zero >full/taken
  refused "space" -- "$bin/shelfcast" export runs/odd --out full/bundle
  [[ $(ls full) == taken ]] || fail "a full disk was left with $(ls full)"
  # HDF5 files that cannot even be closed.
  for left in 4 12 20; do
    rm -rf full/*
    head -c 2m /dev/zero >full/taken 2>/dev/null || true
    truncate -s "-${left}k" full/taken
    refused "space" -- "$bin/shelfcast" synth --stores 2 --items 10 --days 400 --out full/s.corpus
  done
  umount full
else
  echo "no tmpfs can be mounted here: the full disk is not tested"
fi
echo "bad input is refused"

#!/usr/bin/env bash
# Published models from the command line: tensors listed, forecasts at any level and horizon, the zero-shot row.
root=$(cd "$(dirname "$0")/../.." && pwd)
source "$root/tests/system/lib.sh"
golden=$root/tests/golden/bolt

"$bin/shelfcast" weights "$golden/gated_overlap" >weights.txt
grep -q "ChronosBoltModelForForecasting" weights.txt || fail "no architecture: $(cat weights.txt)"
grep -qE "encoder.block.0.layer.1.DenseReluDense.wi_0.weight +F32 +384 +\[24, 16\]" weights.txt ||
  fail "no tensor: $(cat weights.txt)"
grep -qE "^[0-9]+ tensors, [0-9]+ parameters" weights.txt || fail "no sums: $(cat weights.txt)"
ranks 2 "$bin/shelfcast" weights "$golden/gated_overlap" >twice.txt
cmp weights.txt twice.txt || fail "two ranks list the tensors differently: $(cat twice.txt)"
"$bin/shelfcast" weights "$root/tests/golden/bert/chinese" >bert.txt
counted=$(awk '/ (F16|F32) / { sum += $3 } END { print sum }' bert.txt)
grep -q "I64" bert.txt || fail "no tensor of integers: $(cat bert.txt)"
grep -q " tensors, $counted parameters" bert.txt || fail "integers are counted as parameters: $(cat bert.txt)"
code=0
"$bin/shelfcast" weights "$golden/gated_overlap" >/dev/full 2>full.txt || code=$?
((code == 1)) || fail "a list that could not be written ends with code $code"
grep -q "cannot write" full.txt || fail "no word of a full disk: $(cat full.txt)"

# 40 days of two series; one has gaps and the other ends early.
{
  echo "series,date,value"
  for ((day = 0; day < 40; ++day)); do
    date=$(date -u -d "2024-01-01 +$day days" +%F)
    ((day % 5)) && echo "Käse/1,$date,$((10 + day % 7))"
    ((day < 30)) && echo "b,$date,$((day % 3))"
  done
} >sales.csv
forecast() { "$bin/shelfcast" forecast "$golden/wide_heads" --sales sales.csv --threads 1 "$@"; }
forecast --horizon 20 --quantiles 0.05,0.5,0.97 --out f.csv
[[ $(head -1 f.csv) == "series,date,mean,q0.05,q0.5,q0.97" ]] || fail "header $(head -1 f.csv)"
[[ $(wc -l <f.csv) == 41 ]] || fail "rows: $(wc -l <f.csv)"
awk -F, 'NR > 1 && !(0 <= $4 && $4 <= $5 && $5 <= $6 && $3 == $5) { print; bad = 1 } END { exit bad }' f.csv ||
  fail "quantiles cross, are negative or the median is not the mean"
grep -q "^Käse/1,2024-02-10," f.csv || fail "the first day is not the one after the last: $(sed -n 2p f.csv)"
forecast --out g.csv
[[ $(wc -l <g.csv) == 17 ]] || fail "the default horizon is the model's: $(wc -l <g.csv)"

"$bin/shelfcast" forecast "$root/tests/golden/chronos2/published" --sales sales.csv --horizon 300 --quantiles 0.1,0.33,0.9 \
  --threads 1 --out c.csv
[[ $(wc -l <c.csv) == 601 ]] || fail "Chronos-2's rows: $(wc -l <c.csv)"

"$bin/shelfcast" synth --stores 2 --items 10 --days 200 --out s.corpus >/dev/null
backtest() { "$@" "$bin/shelfcast" backtest "$golden/wide_heads" --corpus s.corpus --set backtest.origins=2 --set backtest.batch=8 --out "$out"; }
out=one backtest env >table.txt
grep -q "wide_heads" table.txt || fail "no row: $(cat table.txt)"
grep -q "Seasonal Naive" table.txt || fail "no baseline: $(cat table.txt)"
[[ -s one/report/report.html ]] || fail "no report"
out=three backtest ranks 3 >/dev/null
for file in result.json metrics.csv series.csv dates.csv fans.json; do
  cmp "one/backtest/$file" "three/backtest/$file" || fail "$file depends on the number of ranks"
done

"$bin/shelfcast" backtest "$root/tests/golden/chronos2/published" --corpus s.corpus --set backtest.origins=2 --out c2 >c2.txt
grep -q "^published" c2.txt || fail "no row of Chronos-2: $(cat c2.txt)"

# Numbers and names stay apart where they fill their columns: squares of a revenue, a long category.
long="Home and garden, in the kitchen"
{
  echo "series,date,value,group"
  for ((day = 0; day < 90; ++day)); do
    date=$(date -u -d "2024-01-01 +$day days" +%F)
    for series in a b; do echo "$series,$date,$((70000 + 9000 * ((day * 5 + ${#series}) % 7))),\"$long\""; done
    echo "c,$date,$((40000 + 1000 * (day % 5))),other"
  done
} >revenue.csv
printf 'series: [series]\ndate: date\ntarget: value\nstatic: {group: group}\nlevels: {category: group}\n' >revenue.yaml
"$bin/shelfcast" ingest --format long --map revenue.yaml --from revenue.csv --out revenue.corpus
for model in wide_heads gated_overlap; do
  "$bin/shelfcast" backtest "$golden/$model" --corpus revenue.corpus --set backtest.origins=2 --set backtest.stride=7 --set backtest.horizon=7 --out "revenue.$model" >revenue.txt
  grep -qE "^$model( +-?[0-9]+\.[0-9]{4}){6} +42$" revenue.txt || fail "numbers run into each other: $(cat revenue.txt)"
done
"$bin/shelfcast" compare revenue.wide_heads revenue.gated_overlap >compare.txt
grep -q "^$long mae " compare.txt || fail "a category runs into its metric: $(cat compare.txt)"

# Covariates, for models that read them.
c2=$root/tests/golden/chronos2/published
for n in 1 3; do
  ranks "$n" "$bin/shelfcast" backtest "$c2" --corpus s.corpus --known price,promo,event --past stock --set backtest.origins=2 --set backtest.batch=8 --out "c2.$n" >/dev/null
done
cmp c2.1/backtest/metrics.csv c2.3/backtest/metrics.csv || fail "covariates make metrics depend on the number of ranks"
cmp -s c2/backtest/metrics.csv c2.1/backtest/metrics.csv && fail "covariates change nothing"
grep -q "^    shelfcast backtest .* --known price,promo,event --past stock" c2.1/report/report.md || fail "the report's command has lost its covariates"
{
  echo "series,date,value,price,weather"
  for ((day = 0; day < 50; ++day)); do
    date=$(date -u -d "2024-01-01 +$day days" +%F)
    echo "Käse/1,$date,$( ((day < 40)) && echo $((10 + day % 7))),$((3 + day / 45)).5,$( ((day % 3)) && echo Schnee || echo 雨)"
  done
} >covariates.csv
with() { "$bin/shelfcast" forecast "$c2" --sales covariates.csv --horizon 10 --threads 1 --out w.csv "$@"; }
with
mv w.csv none.csv
with --known price,weather
[[ $(wc -l <w.csv) == 11 ]] || fail "rows with covariates: $(wc -l <w.csv)"
cmp -s w.csv none.csv && fail "the table's covariates change nothing"
with --known price,weather >ahead.txt 2>&1
grep -q "no price" ahead.txt && fail "a warning of a future that is there: $(cat ahead.txt)"
sed -n 1,41p covariates.csv >no-future.csv
"$bin/shelfcast" forecast "$c2" --sales no-future.csv --known price,weather --horizon 10 --threads 1 --out n.csv >ahead.txt 2>&1
for column in price weather; do
  grep -q "no-future.csv has no $column in 10 of the 10 cells to forecast" ahead.txt || fail "no warning of a missing future: $(cat ahead.txt)"
done
refused "column \"price\" is named twice" -- with --known price,price
refused "column \"price\" is named twice" -- with --known price --past price
refused "no column \"prise\"" "price, weather" -- with --known prise
refused "reads no covariates" -- "$bin/shelfcast" forecast "$golden/wide_heads" --sales covariates.csv --known price --out h.csv

# An adapter: trained, listed, judged, exported; the bundle is one like any other.
cat >lora.yaml <<END
data:     {corpus: s.corpus, context: 64, horizon: 7}
model:    {weights: $golden/wide_heads}
tune:     {method: lora, rank: 2}
train:    {steps: 4, batch: 16, micro_batch: 8, validate_every: 2, checkpoint_every: 2, schedule: {warmup: 0}}
backtest: {origins: 2, stride: 7, horizon: 7}
END
ranks 2 "$bin/shelfcast" train lora.yaml >/dev/null
"$bin/shelfcast" weights runs/lora >lora.txt
grep -q "encoder.block.0.layer.0.SelfAttention.q.lora_A.weight" lora.txt || fail "no adapter: $(cat lora.txt)"
"$bin/shelfcast" weights "$root/tests/golden/lora/bolt" >peft.txt
grep -q "lora_B.weight" peft.txt || fail "an adapter's folder is not listed: $(cat peft.txt)"
"$bin/shelfcast" backtest runs/lora >/dev/null
"$bin/shelfcast" forecast runs/lora --sales sales.csv --horizon 7 --out l.csv
"$bin/shelfcast" export runs/lora --out lora.bundle
"$bin/shelfcast-score" lora.bundle --template lora-stock.csv --lead-time 3 --review 4 || fail "the scorer refuses the bundle"
refused "matches no tensor" "nearest is \"SelfAttention.q\"" -- \
  "$bin/shelfcast" train lora.yaml --set "tune.targets=[SelfAtention.q]" --set run.dir=runs/wrong
[[ ! -e runs/wrong ]] || fail "a refused recipe left a run folder"

refused "--ensemble averages runs" -- "$bin/shelfcast" backtest "$golden/wide_heads" --corpus s.corpus --ensemble runs/lora --out e
refused "knows no corpus" "--corpus" -- "$bin/shelfcast" backtest "$golden/wide_heads"
refused "s.corpus is not a run folder, nor a published model" "config.json" -- "$bin/shelfcast" forecast s.corpus --sales sales.csv --out h.csv
for command in "forecast nope --sales sales.csv --known price --out h.csv" "backtest nope --corpus s.corpus --out n" \
  "backtest nope" "export nope --out n" "weights nope"; do
  # shellcheck disable=SC2086  # words
  refused "no folder nope\|cannot read nope" -- "$bin/shelfcast" $command
done
refused "^--horizon: 0 is below 1$" -- forecast --horizon 0 --out h.csv
refused "^--horizon: 1000000000000 is beyond 100000$" -- forecast --horizon 1000000000000 --out h.csv
refused "^--threads: \"two\" is not a whole number$" -- forecast --threads two --out h.csv
refused "--quantiles: \"0.1,,0.9\" has an empty item" -- forecast --quantiles 0.1,,0.9 --out h.csv
refused "--known: \"price,\" has an empty item" -- with --known price,
refused "ascend" -- forecast --quantiles 0.5,0.1 --out h.csv
refused "between 0 and 1" -- forecast --quantiles 0.5,1.5 --out h.csv
broken() { # broken NAME: a copy of a published model to damage
  rm -rf "$1"
  cp -r "$golden/wide_heads" "$1"
}
broken torn && truncate -s -5 torn/model.safetensors
refused "torn/model.safetensors" "truncated" -- "$bin/shelfcast" forecast torn --sales sales.csv --out h.csv
broken bare && rm bare/model.safetensors
refused "bare" "model.safetensors" -- "$bin/shelfcast" forecast bare --sales sales.csv --out h.csv
broken odd && sed -i 's/"dense_act_fn": "relu"/"dense_act_fn": "reluu"/' odd/config.json
refused "reluu" "relu" -- "$bin/shelfcast" forecast odd --sales sales.csv --out h.csv
broken narrow && sed -i 's/"d_ff": 32/"d_ff": 31/' narrow/config.json
refused "wi.weight\|hidden_layer" "shape" -- "$bin/shelfcast" forecast narrow --sales sales.csv --out h.csv
cp -r "$golden/gated_overlap" shard && rm shard/model-00002-of-00005.safetensors
refused "model-00002-of-00005.safetensors" -- "$bin/shelfcast" forecast shard --sales sales.csv --out h.csv
[[ ! -e h.csv ]] || fail "a refused forecast left a table"
echo "ok"

#!/usr/bin/env bash
# The whole way with the real programs: synth, train on two ranks, resume, backtest on 1, 2, 3 and 5 ranks, forecast, export,
# orders.
source "$(dirname "$0")/lib.sh"

"$bin/shelfcast" synth --stores 3 --items 20 --days 300 --out s.corpus
"$bin/shelfcast" inspect s.corpus >inspect.txt
grep -q "60" inspect.txt || fail "inspect does not tell the number of series"

cat >r.yaml <<END
run: {dir: runs/r}
data: {corpus: s.corpus, context: 56, horizon: 28, known: [price, promo, event], calendar: [weekday], static: [store, category],
       censored: stockout, chunk_series: 8, superblock: 4}
model: {tower: bolt-nano, patch: 14, dropout: 0.1, scale_floor: 0.5, heads: {quantiles: [0.025, 0.25, 0.5, 0.75, 0.975]}}
train: {steps: 40, batch: 32, micro_batch: 16, validate_every: 20, checkpoint_every: 20}
backtest: {origins: 2, stride: 28, horizon: 28, batch: 32}
END
ranks 2 "$bin/shelfcast" train r.yaml --stop-after 20
"$bin/shelfcast" backtest runs/r >/dev/null 2>half.txt
grep -q "it trained 20 of 40 steps" half.txt || fail "nobody says that the training had not ended: $(cat half.txt)"
grep -q '"planned": 40' runs/r/backtest/result.json || fail "result.json does not say that the training had not ended"
grep -q "shelfcast train .* --stop-after 20$" runs/r/report/report.md || fail "the report's commands do not stop where the training did"
grep -q "r trained 20 of 40 steps" runs/r/report/report.md || fail "the report does not say that the training had not ended"
refused "run folder runs/r exists" "--resume" -- "$bin/shelfcast" train r.yaml
ranks 2 "$bin/shelfcast" train r.yaml --resume
[[ -d runs/r/checkpoints/40 ]] || fail "no checkpoint of step 40"

for n in 1 2 3 5; do
  if ((n == 1)); then "$bin/shelfcast" backtest runs/r; else ranks $n "$bin/shelfcast" backtest runs/r; fi >/dev/null
  cp runs/r/backtest/result.json "result-$n.json"
  cp runs/r/backtest/metrics.csv "metrics-$n.csv"
  cmp result-1.json "result-$n.json" || fail "the backtest on $n ranks differs"
  cmp metrics-1.csv "metrics-$n.csv" || fail "the metrics on $n ranks differ"
done
! grep -q "had not ended" runs/r/report/report.md || fail "the report says that a whole training had not ended"
grep -q data-plot runs/r/report/report.html || fail "the report has no plots"

# Averaged with a run of another seed; with itself it stays what it was.
"$bin/shelfcast" train r.yaml --set run.seed=18 --set run.dir=runs/other
"$bin/shelfcast" backtest runs/other >/dev/null
"$bin/shelfcast" backtest runs/r --ensemble runs/r --out self/r >/dev/null
cmp metrics-1.csv self/r/backtest/metrics.csv || fail "a run averaged with itself is another"
"$bin/shelfcast" backtest runs/r --ensemble runs/other --out runs/both >/dev/null
cp runs/both/backtest/metrics.csv both.csv
ranks 3 "$bin/shelfcast" backtest runs/r --ensemble runs/other --out runs/both >/dev/null
cmp both.csv runs/both/backtest/metrics.csv || fail "an ensemble depends on the number of ranks"
overall() { awk -F, -v run="$1" -v metric="$2" '$1 == run && $2 == "overall" && $4 == metric { print $5 }' "runs/$1/backtest/metrics.csv"; }
# Jensen: squared and pinball losses of a mean are at most the mean of the losses.
for metric in mse pinball; do
  awk -v a="$(overall r $metric)" -v b="$(overall other $metric)" -v both="$(overall both $metric)" \
    'BEGIN { exit !(both > 0 && both <= (a + b) / 2 && a != b) }' || fail "$metric of the ensemble is not below its members' mean"
done
"$bin/shelfcast" report runs/both runs/r runs/other --out report >/dev/null
grep -q '^| other in both | 40 | .* rank hours' report/report.md || fail "the report does not say what the members' trainings took"
grep -q '"ranks":2' runs/r/metrics.jsonl || fail "the log does not say how many ranks were at work"
# The commands that a report names make the same numbers again, beside what is there.
"$bin/shelfcast" report runs/both --out again-report >/dev/null
grep -o '^    .*shelfcast \(train\|backtest\|report\) .*' again-report/report.md >commands.sh
(($(wc -l <commands.sh) == 4)) || fail "the report of two runs averaged names: $(cat commands.sh)"
(
  PATH=$bin:$PATH
  mpirun() { command mpirun --allow-run-as-root --oversubscribe --bind-to none "$@"; }
  # shellcheck source=/dev/null
  source commands.sh
) >commands.txt 2>&1 || fail "commands of the report: $(cat commands.sh commands.txt)"
cut -d, -f2- runs/both/backtest/metrics.csv >was.csv
cut -d, -f2- runs/both-again/backtest/metrics.csv | cmp - was.csv || fail "the commands of a report make other numbers: $(cat commands.sh)"
refused "--out" -- "$bin/shelfcast" backtest runs/r --ensemble runs/other
"$bin/shelfcast" train r.yaml --set run.dir=runs/odd --set train.steps=2 --set 'model.heads.quantiles=[0.1, 0.5, 0.9]'
refused "cannot be averaged" "model.heads.quantiles" -- "$bin/shelfcast" backtest runs/r --ensemble runs/odd --out runs/o
"$bin/shelfcast" train r.yaml --set run.dir=runs/blind --set train.steps=2 --set 'data.known=[price]'
refused "cannot be averaged" "what they see" -- "$bin/shelfcast" backtest runs/r --ensemble runs/blind --out runs/o
[[ ! -e runs/o ]] || fail "a refused backtest left a folder"

# Every head is judged and written, and a bundle reads past those that orders have no use for.
"$bin/shelfcast" train r.yaml --set run.dir=runs/heads --set train.steps=4 --set train.validate_every=4 --set train.masked=0.2 --set train.activation_checkpointing=true \
  --set 'data.past=[stock]' --set data.inventory=stock --set model.heads.inventory=true --set model.loss.inventory=0.5 --set model.heads.masked=true --set model.loss.masked=0.3 \
  --set model.heads.cumulated=true --set model.loss.cumulated=1 --set 'model.heads.classes=[0.25, 0.75]' --set model.loss.class=1
"$bin/shelfcast" backtest runs/heads >/dev/null
for group in cumulated inventory; do
  grep -q "^heads,$group,.*,mae,[0-9]" runs/heads/backtest/metrics.csv || fail "the backtest does not judge $group"
done
grep -q '"classes_from": "head"' runs/heads/backtest/result.json || fail "the backtest does not judge the head of classes"
"$bin/shelfcast" export runs/heads --out heads-bundle >/dev/null
"$bin/shelfcast-score" heads-bundle --template heads-stock.csv

{
  echo "series,date,value"
  for day in 01 02 03 04 05 06 07 08 09 10 11 12 13 14; do echo "小店/Äpfel,2023-01-$day,$((10#$day % 7))"; done
} >sales.csv
"$bin/shelfcast" forecast runs/r --sales sales.csv --horizon 28 --out forecast.csv
[[ $(wc -l <forecast.csv) == 29 ]] || fail "forecast.csv has $(wc -l <forecast.csv) lines"
head -n 1 forecast.csv | grep -q '^series,date,mean,q0.025,' || fail "header of forecast.csv: $(head -n 1 forecast.csv)"
sed -n 2p forecast.csv | grep -q '^小店/Äpfel,2023-01-15,' || fail "first row: $(sed -n 2p forecast.csv)"
refused "horizon 60" "28" -- "$bin/shelfcast" forecast runs/r --sales sales.csv --horizon 60 --out f2.csv
[[ ! -e f2.csv ]] || fail "a refused forecast left a file"

"$bin/shelfcast" export runs/r --out bundle
"$bin/shelfcast-score" bundle --template stock.csv
"$bin/shelfcast-score" bundle --stock stock.csv --out orders.csv
[[ $(wc -l <orders.csv) == 61 ]] || fail "orders.csv has $(wc -l <orders.csv) lines"
head -n 1 orders.csv | grep -q 'forecast.*safety_stock.*on_hand.*on_order.*level.*order.*reason' || fail "header of orders.csv"
refused "bundle" "exists" -- "$bin/shelfcast" export runs/r --out bundle
echo "the spine holds"

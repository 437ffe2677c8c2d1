#!/usr/bin/env bash
# Plain towers with the real programs: the recipes' sweep trains them, each stands in the table of one report, the scorer's bundle
# refuses them. Beside them one of Chronos-2, which it takes.
recipes=$(cd "$(dirname "$0")/../../recipes" && pwd)
source "$(dirname "$0")/lib.sh"

"$bin/shelfcast" synth --stores 2 --items 12 --days 400 --out demo/demo.corpus
cp "$recipes/demo.yaml" .
sed 's/^set:.*/set: {model.patch: 0, train.steps: 20, train.batch: 16, train.micro_batch: 8, backtest.origins: 1}/' \
  "$recipes/sweep-towers.yaml" >sweep-towers.yaml
"$bin/shelfcast" sweep sweep-towers.yaml --local >sweep.txt 2>&1 || fail "$(cat sweep.txt)"
runs=(runs/towers/*/checkpoints)
((${#runs[@]} == 3)) || fail "the sweep left ${#runs[@]} runs"

ranks 2 "$bin/shelfcast" train demo.yaml --set run.dir=runs/towers/x --set model.tower=chronos-2-nano --set train.steps=20 \
  --set train.batch=16 --set train.micro_batch=4 --set parallel.zero=1 --set backtest.origins=1 >/dev/null 2>&1 ||
  fail "chronos-2-nano was not trained"
"$bin/shelfcast" weights "runs/towers/x/checkpoints/20/tower" >weights.txt || fail "the tower is no published directory"
grep -q "encoder.block.1.layer.1.self_attention.v" weights.txt || fail "not a Chronos-2 tower: $(head -n 20 weights.txt)"
runs+=(runs/towers/x/checkpoints)

for run in "${runs[@]%/checkpoints}"; do
  tower=$(grep -o 'tower: [a-z0-9-]*' "$run/recipe.yaml" | cut -d' ' -f2)
  "$bin/shelfcast" backtest "$run" >/dev/null
  cp "$run/backtest/result.json" one.json
  ranks 2 "$bin/shelfcast" backtest "$run" >/dev/null
  cmp one.json "$run/backtest/result.json" || fail "the backtest of $tower on two ranks differs"
  if [[ $tower == chronos-2-nano ]]; then
    "$bin/shelfcast" export "$run" --out bundle >/dev/null || fail "$tower was not exported"
  else
    refused "cannot be exported" "its tower is $tower" -- "$bin/shelfcast" export "$run" --out bundle
  fi
  mv "$run" "runs/$tower"
done
"$bin/shelfcast" report runs/lstm runs/tcn runs/transformer runs/chronos-2-nano --out report
for row in lstm tcn transformer chronos-2-nano "Seasonal Naive"; do
  grep -q "^| \**$row\**" report/report.md || fail "no row of $row in the report: $(head -n 40 report/report.md)"
done
echo "plain towers stand beside the others"

#!/usr/bin/env bash
# What each way of fine-tuning gains on a market that the published model has not seen: bench/tuning_proof.sh [FOLDER [KNOWN [WAYS]]]
# KNOWN: covariates that the tuned models read and the published one cannot, such as [price,promo,event]; default none ([]).
# WAYS: a regular expression; only ways that match it are measured. STEPS: of the tuning; default 120.
# FIRST, SECOND: corpora of daily demand in the place of the two synthetic markets.
#
# A bolt-nano is trained on demand that nothing stands beside (one market), its tower stands for the published model. Then every
# way tunes it on another market, three seeds each; the frozen model is what each run validates first. Prints the best validation
# loss over the frozen model's: mean, smallest, largest.
set -euo pipefail
cd "$(dirname "$0")/.."
shelfcast=$PWD/build/bin/shelfcast encoder=$PWD/tests/golden/bert/uncased
folder=${1:-build/tuning-proof} known=${2:-[]} wanted=${3:-.}
first=${FIRST:+$(realpath "$FIRST")} second=${SECOND:+$(realpath "$SECOND")}
rm -rf "$folder"
mkdir -p "$folder"
cd "$folder"

[[ -n $first ]] || "$shelfcast" synth --stores 4 --items 40 --days 500 --seed 1 --out "${first:=first.corpus}" >/dev/null
[[ -n $second ]] || "$shelfcast" synth --stores 3 --items 40 --days 500 --seed 2 --out "${second:=second.corpus}" >/dev/null
common="--set data.context=56 --set data.horizon=14 --set backtest.horizon=14 --set backtest.stride=14 --set model.heads.mean=false --set model.dropout=0 --set model.scale_floor=0.5
  --set train.micro_batch=64 --set train.validate_windows=512 --set train.early_stop=0 --set train.log_every=100"
cat >base.yaml <<END
data:  {corpus: $first}
model: {tower: bolt-nano, patch: 7}
train: {batch: 128, steps: 300, validate_every: 150, checkpoint_every: 300, optimizer: {lr: 2.0e-3}, schedule: {warmup: 30}}
END
"$shelfcast" train base.yaml $common --set run.dir=base >/dev/null
cat >tune.yaml <<END
data:  {corpus: $second, known: $known}
model: {weights: base/checkpoints/300/tower}
train: {batch: 64, steps: ${STEPS:-120}, validate_every: 40, checkpoint_every: ${STEPS:-120}, schedule: {warmup: 10}}
END

# A small encoder with weights drawn by the seed, trained with the rest.
text="--set data.text=true --set model.text=$encoder --set model.text_start=drawn --set tune.text=all"
ways=(
  "all          --set train.optimizer.lr=1e-3"
  "top          --set train.optimizer.lr=1e-3 --set tune.method=top"
  "heads        --set train.optimizer.lr=2e-3 --set tune.method=heads"
  "lora         --set train.optimizer.lr=3e-3 --set tune.method=lora"
  "rslora       --set train.optimizer.lr=2e-3 --set tune.method=lora --set tune.rslora=true --set tune.targets=[q,k,v,o,wi,wo]"
  "lora+output  --set train.optimizer.lr=3e-3 --set tune.method=lora --set tune.targets=[q,k,v,o,wi,wo,hidden_layer,output_layer,residual_layer]"
  "adalora      --set train.optimizer.lr=3e-3 --set tune.method=adalora --set tune.targets=[q,k,v,o,wi,wo] --set tune.budget.warmup=20 --set tune.budget.final=40 --set tune.budget.every=5"
  "adapter      --set train.optimizer.lr=3e-3 --set tune.method=adapter"
  "prefix       --set train.optimizer.lr=1e-2 --set tune.method=prefix"
  "lora+head    --set train.optimizer.lr=3e-3 --set tune.method=lora --set tune.modules_to_save=[output_patch_embedding]"
  "adalora+head --set train.optimizer.lr=3e-3 --set tune.method=adalora --set tune.targets=[q,k,v,o,wi,wo] --set tune.budget.warmup=20 --set tune.budget.final=40 --set tune.budget.every=5 --set tune.modules_to_save=[output_patch_embedding]"
  "adapter+head --set train.optimizer.lr=3e-3 --set tune.method=adapter --set tune.modules_to_save=[output_patch_embedding]"
  "prefix+head  --set train.optimizer.lr=1e-2 --set tune.method=prefix --set tune.modules_to_save=[output_patch_embedding]"
  "all+ema      --set train.optimizer.lr=1e-3 --set train.ema=0.98"
  "adafactor    --set train.optimizer.lr=1e-3 --set train.optimizer.name=adafactor"
  "sgd          --set train.optimizer.lr=3e-2 --set train.optimizer.name=sgd --set train.optimizer.weight_decay=0"
  "jitter       --set train.optimizer.lr=1e-3 --set train.augment.jitter=0.1"
  "scaling      --set train.optimizer.lr=1e-3 --set train.augment.scale=0.2"
  "warp         --set train.optimizer.lr=1e-3 --set train.augment.warp=0.2"
  "mix          --set train.optimizer.lr=1e-3 --set train.augment.mix=0.4"
  "fgm          --set train.optimizer.lr=1e-3 --set train.adversarial.method=fgm"
  "pgd          --set train.optimizer.lr=1e-3 --set train.adversarial.method=pgd"
  "text         --set train.optimizer.lr=1e-3 $text"
  "text+tokens  --set train.optimizer.lr=1e-3 $text --set train.augment.tokens=0.2"
  "masked       --set train.optimizer.lr=1e-3 --set train.masked=0.2 --set model.heads.masked=true --set model.loss.masked=0.3"
  "layer_decay  --set train.optimizer.lr=1e-3 --set tune.layer_decay=0.8"
)
printf '%-12s %8s %8s %8s %8s\n' way frozen mean least most
for way in "${ways[@]}"; do
  read -r name options <<<"$way"
  [[ $name =~ $wanted ]] || continue
  for seed in 1 2 3; do
    "$shelfcast" train tune.yaml $common $options --set run.dir="$name-$seed" --set run.seed=$seed >/dev/null
    sed -n 's/.*"step":\([0-9]*\).*"validation_loss":\([0-9.e+-]*\).*/\1 \2/p' "$name-$seed/metrics.jsonl" |
      awk '$1 == 0 {frozen = $2} best == "" || $2 < best {best = $2} END {print frozen, best / frozen}'
  done | awk -v name="$name" '{f += $1; s += $2; if (NR == 1 || $2 < l) l = $2; if ($2 > m) m = $2}
      END {printf "%-12s %8.4f %8.3f %8.3f %8.3f\n", name, f / NR, s / NR, l, m}'
done

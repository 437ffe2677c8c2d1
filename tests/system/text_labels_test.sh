#!/usr/bin/env bash
# Classes and tags of texts with the real programs: a table is learned on two ranks, resumed to the bit, swept over, and its run
# labels texts it has not seen.
recipe=$(cd "$(dirname "$0")/../../recipes" && pwd)/text-labels.yaml
golden=$(cd "$(dirname "$0")/../golden/bert" && pwd)
source "$(dirname "$0")/lib.sh"

# A thing decides the class; a colour is an entity of one word, a size one of one or two words.
awk 'BEGIN {
  split("heart tea apple", thing); split("vintage retro organic classic", maker); split("white green red blue black", colour)
  size[0] = "small"; size[1] = "large"; size[2] = "party size"; size[3] = "family pack"
  print "text,department,tags,split"
  for (i = 0; i < 480; ++i) {
    n = int(i / 12) % 4
    print maker[int(i / 3) % 4 + 1] " " colour[i % 5 + 1] " " thing[i % 3 + 1] " " size[n] "," thing[i % 3 + 1] "s,O S-colour O " \
      (n < 2 ? "S-size" : "B-size I-size") "," (i % 8 == 0 ? "validation" : "train")
  } }' >labels.csv
common=(--set data.labels.table=labels.csv --set data.labels.tags=tags --set "model.text=$golden/uncased" --set train.optimizer.lr=1.0e-2 --set tune.text_rate=1.0
  --set train.schedule.warmup=5 --set train.validate_every=50 --set train.checkpoint_every=50)
"$bin/shelfcast" train "$recipe" "${common[@]}" --set train.steps=150 --check --ranks 2 | tee check.txt
grep -q "training texts" check.txt || fail "--check does not speak of texts"

ranks 2 "$bin/shelfcast" train "$recipe" "${common[@]}" --set train.steps=150 --set run.dir=runs/whole
for stop in 50 100 150; do
  ranks 2 "$bin/shelfcast" train "$recipe" "${common[@]}" --set train.steps=150 --set run.dir=runs/parts --resume auto --stop-after $stop
done
for file in text/model.safetensors labels/model.safetensors optimizer-00001-of-00002.safetensors; do
  cmp "runs/whole/checkpoints/150/$file" "runs/parts/checkpoints/150/$file" || fail "resumed training ends in other bits of $file"
done

printf 'organic black tea party size\nRETRO white heart large\n\n' >texts.txt
"$bin/shelfcast" label runs/whole --text texts.txt --out found.csv && cat found.csv
"$bin/shelfcast" label runs/parts --text texts.txt --out again.csv
cmp found.csv again.csv || fail "equal weights label otherwise"
grep -qE '^organic black tea party size,teas,0\.[0-9]+,O S-colour O B-size I-size$' found.csv || fail "the tea is not found: $(cat found.csv)"
grep -qE '^RETRO white heart large,hearts,0\.[0-9]+,O S-colour O S-size$' found.csv || fail "the heart is not found: $(cat found.csv)"

cat >sweep.yaml <<END
recipe: $recipe
dir: runs/sweep
set: {data.labels.table: labels.csv, model.text: $golden/uncased, train.steps: 20, train.validate_every: 10, train.checkpoint_every: 20, train.schedule.warmup: 2}
keys: {train.optimizer.lr: [1.0e-3, 5.0e-3]}
END
"$bin/shelfcast" sweep sweep.yaml --local
[[ $(grep -c '"event":"result"' runs/sweep/ledger.jsonl) == 2 ]] || fail "the sweep did not finish: $(cat runs/sweep/ledger.jsonl)"

sed -i '2s/heart small,hearts/heart small,apples/; 2s/,hearts,/,apples,/' labels.csv
refused "the table in data.labels.table has changed" -- ranks 2 "$bin/shelfcast" train "$recipe" "${common[@]}" --set train.steps=150 --set run.dir=runs/whole --resume auto
refused "changed under the sweep" -- "$bin/shelfcast" sweep sweep.yaml --local
printf 'text,department,tags\nred tea,teas,O\nred heart,hearts,O O O\n' >short.csv
refused "short.csv" -- "$bin/shelfcast" train "$recipe" "${common[@]}" --set data.labels.table=short.csv --set data.labels.split=null --set run.dir=runs/none
refused "nowhere.csv does not exist" -- "$bin/shelfcast" train "$recipe" --set data.labels.table=nowhere.csv --set run.dir=runs/none
[[ ! -e runs/none ]] || fail "a refused recipe left a run folder"
refused "not UTF-8" -- "$bin/shelfcast" label runs/whole --text <(printf 'tea\n\xff\n') --out none.csv
[[ ! -e none.csv ]] || fail "refused texts left a file"
echo "a table teaches classes and tags of texts"

#!/usr/bin/env bash
# Texts to ids and vectors with the real program, on a small published model; what it refuses.
golden=$(cd "$(dirname "$0")/../golden/bert" && pwd)
source "$(dirname "$0")/lib.sh"
model=$golden/uncased

printf 'WHITE heart\nCafé crème 250g\n\nWHITE heart\r\nred' >texts.txt
"$bin/shelfcast" tokenize "$model" --text texts.txt >ids.txt
[[ $(wc -l <ids.txt) == 5 ]] || fail "5 texts gave $(wc -l <ids.txt) lines"
[[ $(sed -n 1p ids.txt) == "$(sed -n 4p ids.txt)" ]] || fail "a line end of Windows counts as text"
# [CLS] and [SEP] by their places in the vocabulary.
cls=$(($(grep -nxF '[CLS]' "$model/vocab.txt" | cut -d: -f1) - 1)) sep=$(($(grep -nxF '[SEP]' "$model/vocab.txt" | cut -d: -f1) - 1))
[[ $(sed -n 3p ids.txt) == "$cls $sep" ]] || fail "the empty text is $(sed -n 3p ids.txt)"
"$bin/shelfcast" tokenize "$model" --text texts.txt --max-len 3 --out short.txt
[[ $(sed -n 2p short.txt | wc -w) == 3 ]] || fail "--max-len 3 gave $(sed -n 2p short.txt)"

"$bin/shelfcast" embed "$model" --text texts.txt --out a.npy --normalize
"$bin/shelfcast" embed "$model" --text texts.txt --out b.npy --normalize --batch 1
cmp a.npy b.npy || fail "the batch changes the vectors"
OMP_NUM_THREADS=3 "$bin/shelfcast" embed "$model" --text texts.txt --out b.npy --normalize --batch 2
cmp a.npy b.npy || fail "the number of threads changes the vectors"
# 5 vectors of 32 floats behind a header of 128 bytes; equal texts have equal vectors.
[[ $(stat -c %s a.npy) == $((128 + 5 * 32 * 4)) ]] || fail "a.npy has $(stat -c %s a.npy) bytes"
row() { tail -c +$((129 + $1 * 128)) a.npy | head -c 128; }
cmp <(row 0) <(row 3) || fail "equal texts have different vectors"
if cmp -s <(row 0) <(row 4); then fail "different texts have equal vectors"; fi
"$bin/shelfcast" embed "$golden/chinese" --text texts.txt --out c.npy --pooling pooler --max-len 64

embed() { "$bin/shelfcast" embed "$@" --out x.npy; }
printf 'tea\ncaf\xe9\n' >latin.txt
refused "latin.txt:2" "byte 3" "iconv" -- "$bin/shelfcast" tokenize "$model" --text latin.txt
refused "latin.txt" "text 2" "byte 3" -- embed "$model" --text latin.txt
refused "absent.txt" -- embed "$model" --text absent.txt
refused "absent" -- embed absent --text texts.txt
refused "no vocabulary" -- embed . --text texts.txt
refused "pooler" "mean or cls" -- embed "$golden/cased" --text texts.txt --pooling pooler --max-len 64
refused "positions" -- embed "$golden/chinese" --text texts.txt --max-len 100
refused "pooling" -- embed "$model" --text texts.txt --pooling max
cp -r "$model" broken
truncate -s -10 broken/model.safetensors
refused "broken/model.safetensors" -- embed broken --text texts.txt
cp "$model/model.safetensors" broken
printf 'tea\nred\n' >broken/vocab.txt
refused "broken/vocab.txt" "\[UNK\]" -- embed broken --text texts.txt
cp "$golden/uncased/vocab.txt" broken
echo surplus >>broken/vocab.txt
refused "701 tokens" "knows 700" -- embed broken --text texts.txt
head -n 300 "$golden/uncased/vocab.txt" >broken/vocab.txt
"$bin/shelfcast" embed broken --text texts.txt --out short.npy >said 2>&1 || fail "$(cat said)"
grep -q "holds 300 of the 700 tokens" said || fail "a vocabulary cut short is not said: $(cat said)"
cp texts.txt own.txt
! "$bin/shelfcast" embed "$model" --text own.txt --out own.txt 2>said || fail "an input was overwritten"
grep -q "is the file that is read" said && cmp -s texts.txt own.txt || fail "$(cat said)"
! "$bin/shelfcast" embed "$model" --text texts.txt --out nowhere/x.npy 2>said || fail "a file in no folder"
grep -q "there is no folder nowhere" said || fail "$(cat said)"
[[ ! -e x.npy ]] || fail "a refused command left a file"
echo "texts become ids and vectors"

#!/usr/bin/env bash
# Fuzzes the readers of files from outside (safetensors, config.json, vocabularies): scripts/fuzz.sh [SECONDS]
#
# SECONDS is for all of them together (default 60). Starts from the small published files of tests/golden and from what
# earlier calls kept in build/fuzz/corpus. An input that a reader crashes, hangs or misbehaves on is left in
# build/fuzz/found, and the exit status is 1.
set -euo pipefail
cd "$(dirname "$0")/.."
seconds=${1:-60}

scripts/configure.sh fuzz
targets=(safetensors_fuzz config_fuzz vocabulary_fuzz)
ninja -C build/fuzz "${targets[@]}" >build/fuzz/build.log || {
  tail -n 40 build/fuzz/build.log
  exit 1
}

corpus=build/fuzz/corpus found=build/fuzz/found
mkdir -p $found $corpus/{safetensors,config,vocabulary}
seed() {  # seed TARGET PREFIX FILE: the file as an input, behind the byte by which the target tells its readers apart
  { printf '%s' "$2"; head -c 65536 "$3"; } >"$corpus/$1/seed-$(basename "$(dirname "$3")")-$(basename "$3")"
}
for folder in tests/golden/*/*/; do
  for file in "$folder"config.json "$folder"*.index.json "$folder"model*.safetensors "$folder"vocab.txt "$folder"tokens.json; do
    [[ -f $file ]] || continue
    case $file in
      */config.json) seed config '' "$file" ;;
      */vocab.txt) seed vocabulary v "$file" ;;
      */tokens.json) seed vocabulary t "$file" ;;
      *) (($(stat -c %s "$file") <= 65536)) && seed safetensors '' "$file" ;;
    esac
  done
done

failed=0
for target in "${targets[@]}"; do
  name=${target%_fuzz}
  if build/fuzz/bin/"$target" -max_total_time=$((seconds / ${#targets[@]})) -timeout=10 -rss_limit_mb=2048 -max_len=65536 \
    -artifact_prefix=$found/"$name"- -print_final_stats=1 "$corpus/$name" >"build/fuzz/$name.log" 2>&1; then
    echo "fuzz: $name clean, $(awk '/stat::number_of_executed_units/ { print $2 }' "build/fuzz/$name.log") inputs"
  else
    failed=1
    echo "fuzz: $name found something; the input is in $found"
    grep -nE -A 25 'ERROR: |runtime error:|terminate called|deadly signal' "build/fuzz/$name.log" | head -n 60
  fi
done
rm -rf /dev/shm/shelfcast-fuzz-*
exit $failed

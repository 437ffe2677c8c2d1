#!/usr/bin/env bash
# Checks the sources: clang-format, clang-tidy, cppcheck. Prints what is wrong and exits 1.
#
#   scripts/lint.sh                everything
#   scripts/lint.sh --fix-format   only rewrite the sources in the house style
#
# clang-tidy remembers files that were clean, by digest of the file, the project's headers it includes and the checks,
# in $SHELFCAST_CACHE/lint: only what changed is checked again. LINT_SECONDS caps the time clang-tidy may take; the files
# that changed last are checked first, and what the cap left out is counted.
set -uo pipefail
cd "$(dirname "$0")/.."

jobs=${JOBS:-$(nproc)}
cache=${SHELFCAST_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/shelfcast}/lint
failed=0
mapfile -t sources < <(git ls-files -co --exclude-standard '*.h' '*.cpp' '*.cu' | while read -r file; do
  [[ -f $file ]] && echo "$file"
done)

if [[ ${1:-} == --fix-format ]]; then
  printf '%s\0' "${sources[@]}" | xargs -0 -P "$jobs" -n 16 clang-format -i
  exit
fi

begin() { part=$1; started=$SECONDS; }
end() {
  if (($1)); then failed=1; echo "lint: $part found something ($((SECONDS - started)) s)"; else
    echo "lint: $part clean ($((SECONDS - started)) s)"; fi
}

begin clang-format
if unformatted=$(printf '%s\0' "${sources[@]}" | xargs -0 clang-format --dry-run -Werror 2>&1); then
  end 0
else
  grep -oE '^[^:]+:[0-9]+' <<<"$unformatted" | awk -F: '!seen[$1]++ { print $1 ":" $2 ": not in the house style - run make format" }'
  end 1
fi

# --- clang-tidy -------------------------------------------------------------------------------------------------------
# A file that includes LibTorch makes clang-tidy walk all of LibTorch: those get a precompiled header and only checks
# that are cheap there. Tests are left to the compiler's warnings and cppcheck.
build=build/lint
cheap='-*,bugprone-use-after-move,bugprone-dangling-handle,bugprone-infinite-loop,bugprone-undelegated-constructor,bugprone-integer-division,performance-for-range-copy,performance-unnecessary-copy-initialization,performance-move-const-arg'

torch_header() {
  local command
  # The flags of any file that includes LibTorch, as the build has them.
  command=$(grep -m1 -E '"command": .*libtorch|"command": .*/torch/include' $build/compile_commands.json |
    grep -oE -- '-(idirafter +[^ ]+|std=[^ ]+|O[0-3]|g1?|fPIC|D_[A-Z_]+)( |")' | tr -d '"' | tr '\n' ' ')
  # Written once: clang refuses a precompiled header whose source is younger.
  [[ -f $build/torch.h ]] ||
    printf '#include <torch/types.h>\n#include <torch/csrc/autograd/custom_function.h>\n' >$build/torch.h
  local wanted
  wanted=$(clang-tidy --version | sha256sum)$command
  # The last one finds system headers that were replaced meanwhile.
  # shellcheck disable=SC2086  # the flags are words
  if [[ ! -f $build/torch.pch || $(cat $build/torch.pch.flags 2>/dev/null) != "$wanted" ]] ||
    ! clang++ -x c++ $command -I. -include-pch $build/torch.pch -fsyntax-only /dev/null 2>/dev/null; then
    # shellcheck disable=SC2086
    clang++ -x c++-header $command -I. $build/torch.h -o $build/torch.pch && echo "$wanted" >$build/torch.pch.flags
  fi
}

tidy_one() {
  local file=$1 kind=$2 headers=$3 key options=()
  # shellcheck disable=SC2086  # headers are words
  key=$({ echo "$kind $cheap"; clang-tidy --version; cat .clang-tidy "$file" $headers; } | sha256sum | cut -c1-40)
  [[ -e $cache/$key ]] && return 0
  if ((EPOCHSECONDS > deadline)); then
    echo "$file" >>$build/unchecked
    return 0
  fi
  if [[ $kind == torch ]]; then
    options=(--checks="$cheap")
    # The precompiled header was made without OpenMP, which is part of the language.
    grep -F "\"file\": \"$PWD/$file\"" -B 2 $build/compile_commands.json | grep -q -- '-fopenmp[ "]' ||
      options+=(--extra-arg=-include-pch "--extra-arg=$PWD/$build/torch.pch")
  fi
  local said status
  said=$(clang-tidy -p $build --quiet "${options[@]}" "$file" 2>&1)
  status=$?
  if ((status == 0)); then
    : >"$cache/$key"
  else
    printf '%s: clang-tidy ended with %d\n%s\n' "$file" $status "$(grep -vE '^[0-9]+ warnings? ' <<<"$said" | tail -n 60)"
    return 1
  fi
}
export -f tidy_one
# Paths, those changed last first: uncommitted ones, then by commit.
by_recency() {
  { git ls-files -mo --exclude-standard; git log --format= --name-only; } | awk '!seen[$0]++'
}

begin clang-tidy
mkdir -p "$cache"
find "$cache" -type f -mtime +60 -delete
# ninja configures again when a build file changed.
if scripts/configure.sh lint && ninja -C $build build.ninja >$build/configure.log; then
  mapfile -t work < <(printf '%s\n' "${sources[@]}" | xargs awk -f scripts/include_graph.awk |
    grep -vE '^(tests|bench)/' | grep -E '^[^	]*\.cpp	' | while IFS=$'\t' read -r file kind headers; do
    # A source that no target builds has no flags; the build would complain where it matters.
    grep -q "\"file\": \"$PWD/$file\"" $build/compile_commands.json && printf '%s\t%s\t%s\n' "$file" "$kind" "$headers"
  done)
  [[ "${work[*]}" != *$'\ttorch\t'* ]] || torch_header
  deadline=$((EPOCHSECONDS + ${LINT_SECONDS:-86400}))
  export cheap cache build deadline
  : >$build/unchecked
  awk -F '\t' 'NR == FNR { row[$1] = $0; next } $1 in row { print row[$1]; delete row[$1] }
    END { for (file in row) print row[file] }' <(printf '%s\n' "${work[@]}") <(by_recency) | tr '\n' '\0' | xargs -0 -P "$jobs" -I{} bash -c 'IFS=$'"'\t'"' read -r f k h <<<"$1"; tidy_one "$f" "$k" "$h"' _ {}
  found=$((PIPESTATUS[2] != 0))
  echo "lint: ${#work[@]} sources for clang-tidy, $(wc -l <$build/unchecked) of them left for a run with more time"
  end $found
else
  end 1
fi

begin cppcheck
mkdir -p build/lint/cppcheck
printf '%s\n' "${sources[@]}" | grep -E '\.cpp$' >build/lint/cppcheck-files
cppcheck --quiet -j "$jobs" --std=c++20 --language=c++ --enable=warning,performance,portability --inline-suppr \
  --error-exitcode=1 --cppcheck-build-dir=build/lint/cppcheck -I . --file-list=build/lint/cppcheck-files \
  --suppress=missingIncludeSystem --suppress=unknownMacro --suppress=internalAstError \
  --suppress=syntaxError --template='{file}:{line}: {severity}: {message} [{id}]' -DTEST=void -D__GNUC__=12
end $?

exit $failed

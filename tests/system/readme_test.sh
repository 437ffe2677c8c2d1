#!/usr/bin/env bash
# The README's first run on one's own data, command by command as it stands there (with fewer training steps).
readme=$(cd "$(dirname "$0")/../.." && pwd)/README.md
source "$(dirname "$0")/lib.sh"
PATH=$bin:$PATH

echo "series,date,value,price" >sales.csv
for series in store1/apple store1/pear Köln/梨; do
  for ((day = 0; day < 300; ++day)); do
    echo "$series,$(date -u -d "2023-01-02 + $day days" +%F),$((5 + day % 7 + RANDOM % 3)),1.99"
  done
done >>sales.csv

# The indented block from the first `cat` to the training; what follows it runs under mpirun as this machine allows.
sed -n '/^    cat > map.yaml/,/^    mpirun .* train my.yaml/p' "$readme" | sed 's/^    //' >commands.sh
grep -v mpirun commands.sh >preparation.sh
[[ $(wc -l <preparation.sh) -ge 10 ]] || fail "the README's block was not found"
bash -e preparation.sh
ranks 2 shelfcast train my.yaml --set train.steps=20
ranks 2 shelfcast backtest runs/my
eval "$(grep -o 'shelfcast forecast runs/my .*' "$readme")"
[[ $(wc -l <forecast.csv) == 85 ]] || fail "forecast.csv has $(wc -l <forecast.csv) lines"
echo "the README holds"

#!/usr/bin/env bash
# An installation is complete in itself: it needs nothing of the build, is loaded as a module and trains. What a container is
# built by is read by the shell that will run it.
tree=$(cd "$(dirname "$0")/../.." && pwd)
source "$tree/tests/system/lib.sh"
build=$(dirname "$bin")
cmake --install "$build" --prefix "$scratch/software" >install.log || fail "$(tail -n 20 install.log)"

# Libraries come from the installation or from the system.
for program in software/bin/* software/libexec/*; do
  ldd "$program" >libraries
  ! grep "not found" libraries || fail "$program lacks libraries"
  from=$(awk '$2 == "=>" { print $3 }' libraries | grep -vE "^(/usr)?/lib|^$scratch/software/" || true)
  [[ -z $from ]] || fail "$program takes $from"
done
for program in "$bin"/bench_*; do
  [[ ! -e software/bin/$(basename "$program") ]] || fail "$program is installed"
done

# The GPU module opens from the installation alone: its libraries are there, and not only where it was built.
missing=$(env -i ldd software/lib/libshelfcast_gpu.so | grep -E "libnccl.*(not found|=> $HOME/)" || true)
[[ -z $missing ]] || fail "the installed GPU module wants $missing"

# So does LibTorch's CUDA library, with the driver's to come from the machine: of LibTorch's own files in any case, of NVIDIA's
# where the toolchain is the one for GPUs, which alone has cuDNN.
torch_cuda=software/lib/shelfcast/libtorch_cuda.so
if [[ -e $torch_cuda ]]; then
  wanted='lib(torch|c10)'
  [[ -z $(compgen -G 'software/lib/shelfcast/libcudnn.so*') ]] || wanted='.'
  missing=$(env -i ldd "$torch_cuda" | grep -E "^\s*$wanted.*not found" | grep -v 'libcuda\.so' || true)
  [[ -z $missing ]] || fail "the installed $torch_cuda wants $missing"
fi

# The module of slurm/, with the clusters' own modules stood in for.
mkdir -p modules/{shelfcast,openmpi,hdf5}
sed "s|^local prefix = .*|local prefix = \"$scratch/software\"|" software/share/shelfcast/slurm/modulefile.lua >modules/shelfcast/0.1.lua
touch modules/openmpi/4.1.lua modules/hdf5/1.10.lua
lmod=/usr/share/lmod/lmod/init/bash
[[ -e $lmod ]] || fail "no lmod here - run: scripts/packages.sh check"
in_module() { env -u LD_LIBRARY_PATH bash -c 'source "$1"; module use "$2"; module load shelfcast || exit; shift 2; "$@"' _ "$lmod" "$scratch/modules" "$@"; }
[[ $(in_module bash -c 'type -p shelfcast') == "$scratch/software/bin/shelfcast" ]] || fail "the module finds $(in_module bash -c 'type -p shelfcast')"

# The installation's own recipe, cut short.
recipe=software/share/shelfcast/recipes/demo.yaml
in_module shelfcast synth --stores 2 --items 6 --days 400 --out demo/demo.corpus >synth.log 2>&1 || fail "$(cat synth.log)"
in_module shelfcast train "$recipe" --set train.steps=4 --set train.micro_batch=8 --set train.batch=8 >train.log 2>&1 || fail "$(cat train.log)"
in_module shelfcast export runs/demo --out bundle >export.log 2>&1 || fail "$(cat export.log)"
in_module shelfcast-score bundle --template stock.csv >score.log 2>&1 || fail "$(cat score.log)"
in_module shelfcast-score bundle --stock stock.csv --out orders.csv >score.log 2>&1 || fail "$(cat score.log)"
[[ $(wc -l <orders.csv) == 13 ]] || fail "not twelve orders: $(cat orders.csv)"

awk '/^%post/ { on = 1; next } /^%/ { on = 0 } on' "$tree/slurm/shelfcast.def" >post.sh
[[ -s post.sh ]] && sh -n post.sh || fail "the container's %post cannot be read"
echo "the installation is complete"

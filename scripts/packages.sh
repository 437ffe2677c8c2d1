#!/usr/bin/env bash
# Installs the Debian/Ubuntu packages that are missing, or says which ones to install.
#
#   scripts/packages.sh build           what building and running need
#   scripts/packages.sh build check     also what the tests and `make lint` need
set -euo pipefail

build=(build-essential cmake ninja-build ccache mold pkg-config python3-venv git tzdata
  libopenmpi-dev openmpi-bin libhdf5-dev libyaml-cpp-dev libspdlog-dev libfmt-dev libcli11-dev nlohmann-json3-dev
  libutf8proc-dev libeigen3-dev libxgboost-dev libxxhash-dev libgtest-dev libgmock-dev libjs-vega)
check=(libbenchmark-dev clang clang-format clang-tidy cppcheck chromium fonts-dejavu-core zstd
  slurmctld slurmd slurm-client munge lmod)

wanted=()
for set in "${@:-build}"; do
  case $set in
    build) wanted+=("${build[@]}") ;;
    check) wanted+=("${check[@]}") ;;
    *) echo "packages: unknown set '$set' - use build or check" >&2; exit 2 ;;
  esac
done

if ! command -v dpkg-query >/dev/null; then
  echo "packages: not a Debian or Ubuntu machine, nothing checked. Needed (Debian names): ${wanted[*]}" >&2
  echo "packages: on a cluster try: module load cmake gcc openmpi hdf5" >&2
  exit 0
fi

installed=$(dpkg-query -W -f '${Package} ${db:Status-Status}\n' "${wanted[@]}" 2>/dev/null |
  awk '$2 == "installed" { print $1 }' || true)
missing=()
for package in "${wanted[@]}"; do
  grep -qxF "$package" <<<"$installed" || missing+=("$package")
done
((${#missing[@]})) || exit 0

# Ubuntu's chromium is a transitional package for a snap; any installed browser will do there.
if [[ " ${missing[*]} " == *" chromium "* ]] && command -v chromium google-chrome chromium-browser >/dev/null; then
  missing=("${missing[@]/#chromium/}")
  read -ra missing <<<"${missing[*]}"
  ((${#missing[@]})) || exit 0
fi

as_root=()
if [[ $(id -u) != 0 ]]; then
  if command -v sudo >/dev/null && sudo -n true 2>/dev/null; then
    as_root=(sudo -n)
  else
    echo "packages: these Debian packages are missing and there is no root or password-free sudo here:" >&2
    echo "    ${missing[*]}" >&2
    echo "packages: ask an administrator to run: apt-get install ${missing[*]}" >&2
    echo "packages: on a cluster the same often comes with: module load cmake gcc openmpi hdf5" >&2
    exit 1
  fi
fi

echo "packages: installing ${missing[*]}" >&2
apt() {
  ${as_root[@]+"${as_root[@]}"} env DEBIAN_FRONTEND=noninteractive apt-get -qq -o Dpkg::Use-Pty=0 \
    -o DPkg::Lock::Timeout=600 "$@" >&2
}
# Fresh images come without a package list, old machines with one that names files no longer there.
if ! compgen -G "/var/lib/apt/lists/*_Packages*" >/dev/null; then apt update; fi
apt install --no-install-recommends -y "${missing[@]}" || {
  apt update
  apt install --no-install-recommends -y "${missing[@]}"
}

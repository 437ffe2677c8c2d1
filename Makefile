# The front door. `make help` lists the doors.
#
# GPU=1           take the GPU toolchain even without a GPU in this machine
# PREFIX=/path    where `make install` puts things (default ~/.local)
# JOBS=n          parallel jobs (default: all cores)
SHELL := /bin/bash
.DEFAULT_GOAL := help
JOBS ?= $(shell nproc)
PREFIX ?= $(HOME)/.local
SEED ?= 1
FUZZ_SECONDS ?= 60
PROGRAMS := shelfcast shelfcast-score shelfcast_gpu
# One build folder for programs, tests and benchmarks: what is tested is what runs, and nothing is compiled twice.
CONFIGURE = scripts/configure.sh release $(if $(CI),-DSHELFCAST_WERROR=ON)
export GPU JOBS

.PHONY: help build demo test bench benchmark-report golden parity fuzz sanitize lint format install clean packages packages-check build-tests

help: ## this list
	@grep -hE '^[a-z-]+:.* ## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.* ## /  make \1\t/' | expand -t 18

packages:
	@scripts/packages.sh build

packages-check:
	@scripts/packages.sh build check

build: packages ## the programs, optimised, in build/bin
	@$(CONFIGURE)
	@cmake --build build -j $(JOBS) --target $(PROGRAMS)

demo: build ## synthetic stores -> training on two ranks -> backtest report -> orders
	@scripts/demo.sh

build-tests: packages-check
	@$(CONFIGURE)
	@cmake --build build -j $(JOBS)

test: build-tests ## all tests: the quick ones, then the slow ones
	@ctest --test-dir build --output-on-failure --no-tests=error -j $(JOBS) -LE slow
	@ctest --test-dir build --output-on-failure --no-tests=ignore -j $(JOBS) -L slow

bench: packages-check ## the benchmarks of bench/README.md
	@$(CONFIGURE) -DSHELFCAST_BENCH=ON
	@cmake --build build -j $(JOBS)
	@bench/run.sh

benchmark-report: build ## NAME=rossmann|m5 DATA=file: docs/benchmarks anew, on real data
	@scripts/benchmark_report.sh $(NAME) $(DATA)

golden: ## tests/golden anew from the reference Python packages (installed into the cache)
	@python=$$(scripts/reference.sh) && for model in bolt chronos2 bert lora; do \
	  $$python -O tests/golden/make_$$model.py tests/golden/$$model || exit 1; done; \
	  $$python tests/golden/make_baselines.py tests/golden/baselines.safetensors && \
	  $$python tests/golden/make_classes.py tests/golden/classes.csv && \
	  $$python tests/golden/make_diebold_mariano.py tests/golden/diebold_mariano.csv && \
	  $$python tests/golden/make_events.py tests/golden/events.tfevents && \
	  $$python tests/golden/make_optimizers.py tests/golden/optimizers.safetensors

parity: build-tests ## SEED=n: us beside the reference packages on fresh random checkpoints, with the worst errors
	@tests/golden/parity.sh $(SEED)

fuzz: packages-check ## FUZZ_SECONDS=n: damaged weight files, configs and vocabularies against their readers
	@scripts/fuzz.sh $(FUZZ_SECONDS)

sanitize: packages-check ## tests under the thread sanitizer, then under the address and undefined-behaviour sanitizers
	@scripts/sanitize.sh thread
	@scripts/sanitize.sh address

lint: packages-check ## formatting, clang-tidy, cppcheck
	@scripts/lint.sh

format: packages-check ## rewrite the sources in the house style
	@scripts/lint.sh --fix-format

install: build ## programs and the libraries they need under PREFIX; no root needed
	@cmake --install build --prefix "$(PREFIX)"

clean: ## remove build outputs (the toolchain cache, runs/ and demo/ stay)
	@rm -rf build

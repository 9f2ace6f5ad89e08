# The front door. Every target is a script of tools/, where the work and the reasons are.
.POSIX:
.PHONY: help run build test test-long bench lint fmt docs asan tsan fuzz cov install clean

DATA = data
PREFIX = /usr/local
DESTDIR =
FUZZ_SECONDS ?= 60

help: ## this list
	@sed -n 's/^\([a-z-]*\):.*## /  make \1\t/p' Makefile | expand -t 20
	@echo 'Variables: DATA=dir (run), PREFIX=dir DESTDIR=dir (install), FUZZ_SECONDS=n (fuzz, test-long)'

run: ## installs what is missing, builds, makes demo data if there is none, serves the API on :8000
	@tools/run.sh '$(DATA)'

build: ## the program, build/release/src/kol
	@tools/build.sh release package

test: ## everything but the long tests; does its own set-up
	@tools/test.sh quick

test-long: ## the long tests, then FUZZ_SECONDS of each fuzz target
	@FUZZ_SECONDS='$(FUZZ_SECONDS)' tools/test.sh long

bench: ## every benchmark under bench/, as tables
	@tools/build.sh release
	@tools/venv.sh
	@bench/run

lint: ## format, shell scripts, clang-tidy
	@tools/lint.sh full

fmt: ## formats the C sources
	@tools/lint.sh fmt

docs: ## writes the generated pages of docs/ anew
	@tools/docs.sh

asan: ## a build with AddressSanitizer and UBSan, build/asan/src/kol
	@tools/build.sh asan

tsan: ## a build with ThreadSanitizer, build/tsan/src/kol
	@tools/build.sh tsan

fuzz: ## FUZZ_SECONDS of each fuzz target; new inputs stay in build/fuzz-corpus
	@FUZZ_SECONDS='$(FUZZ_SECONDS)' tools/fuzz.sh

cov: ## line coverage of src/ by the tests
	@tools/cov.sh

install: ## program, DuckDB library, presets, man page, shell completion into DESTDIR/PREFIX
	@tools/prefix.sh '$(PREFIX)' '$(DESTDIR)'

clean: ## removes build/; .deps, .venv and the data stay
	rm -rf build

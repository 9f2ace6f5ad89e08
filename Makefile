# The front door. Every target is a script of tools/, where the work and the reasons are.
.POSIX:
.PHONY: help build
DATA = data

help: ## this list
	@sed -n 's/^\([a-z-]*\):.* ## /\1\t/p' Makefile | expand -t 12

build: ## the program, in build/release/src/kol
	@tools/build.sh release src/kol

# The project's commands. Each installs what it lacks, says what it is doing, and stops at the first thing that fails.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.PHONY: help setup setup-build setup-demo setup-test demo test chaos bench

# Whatever is fetched lies here, outside the clone, and serves every clone.
CACHE := $(or $(XDG_CACHE_HOME),$(HOME)/.cache)/latentd

# Builds go to target/, or where CARGO_TARGET_DIR says. On a build server, whose clones do not last, they go to the cache.
ifndef CARGO_TARGET_DIR
ifneq ($(CI),)
export CARGO_TARGET_DIR := $(CACHE)/target
endif
endif
TARGET := $(or $(CARGO_TARGET_DIR),target)

# Programs that are unpacked and not installed (Prometheus).
export PATH := $(CACHE)/tools/bin:$(PATH)

# Where the tests find Apache Kafka's jars and the data sets; a test that needs them fails without them.
export LATENTD_TEST_KAFKA_LIBS ?= $(CACHE)/kafka/4.3.1/libs
export LATENTD_TEST_DATA ?= $(CACHE)/data
# libtorch, which trains networks; one of your own is taken instead. The programs remember where it lay when they were built.
export LIBTORCH ?= $(CACHE)/libtorch/2.13.0
# Where the demo finds the records that it feeds.
export LATENTD_DATA ?= $(LATENTD_TEST_DATA)

say = printf '\n== %s\n'

help:  ## show this list
	@sed -nE 's/^([a-z]+): .*##|^([a-z]+):  ##/make \1\2\t/p' $(firstword $(MAKEFILE_LIST)) | expand -t 14

demo: setup-demo  ## see the main job at work on real records, with Kafka inside; Ctrl-C ends it with a summary
	@$(say) "building latentd (release; several minutes the first time)"
	@cargo build --locked --release --bin latentd
	@$(say) "latentd demo"
	@exec "$(TARGET)/release/latentd" demo

test: setup-test  ## run every check and test, against a real Apache Kafka
	@$(say) "formatting: cargo fmt"
	@cargo fmt --check
	@$(say) "lints: cargo clippy"
	@cargo clippy --locked --all-targets -- -D warnings
	@$(say) "the codec path alone, without the daemon"
	@cargo build --locked --no-default-features --features decode --lib --example decode
	@$(say) "the daemon without libtorch"
	@cargo check --locked --no-default-features --features daemon --bin latentd
	@$(say) "documentation: cargo doc"
	@RUSTDOCFLAGS="-D warnings" cargo doc --locked --no-deps --lib
	@$(say) "tests: cargo test"
	@cargo test --locked --no-fail-fast

chaos: setup-test  ## sixty faults against the daemon and the broker, from a seed: nothing lost, nothing doubled
	@$(say) "faults: cargo test --test kafka chaos"
	@LATENTD_CHAOS_ROUNDS="$${LATENTD_CHAOS_ROUNDS:-60}" cargo test --locked --test kafka chaos -- --nocapture

bench: setup-test  ## measure codecs, container and the whole way through the real broker
	@$(say) "benchmarks: cargo bench"
	@cargo bench --locked

setup: setup-test  ## fetch and install whatever the commands above need, and nothing else

setup-build:
	@$(say) "preparing this machine"
	@command -v cargo >/dev/null || { echo "setup: error: no cargo on PATH: install Rust 1.95 or newer (rustup.rs)" >&2; exit 1; }
	@deploy/setup/debian.sh build data
	@deploy/setup/libtorch.sh >/dev/null

setup-demo: setup-build
	@deploy/setup/data.py --folder "$(LATENTD_DATA)" flights mnist >/dev/null

setup-test: setup-build
	@deploy/setup/debian.sh test
	@deploy/setup/kafka.sh >/dev/null
	@deploy/setup/moto.sh >/dev/null
	@deploy/setup/data.py --folder "$(LATENTD_TEST_DATA)" all >/dev/null

# Rotunda. `make demo` and `make test` do all their own set-up; `make help` lists the rest.
#
# Every cargo call covers the whole workspace with the lock file as it is: features then unify the same way each time, so
# RocksDB, by far the largest dependency, is compiled once for demo, tests, lints and docs alike.

SHELL := /bin/sh
.DEFAULT_GOAL := help
.PHONY: help old-programs dashboards dashboards-drift setup demo build test bench bench-peers look goals instructions mutants failpoints chaos soak check fix fmt clippy deny doc edges contract contract-drift contract-files streams strangers picture deb image deploy-check
.NOTPARALLEL:

CARGO ?= cargo
FLAGS := --workspace --locked
# Arguments for `rotunda demo`, as in: make demo DEMO_ARGS="--nodes 5 --for 60"
DEMO_ARGS ?=
# Arguments for the test binaries, as in: make test TEST_ARGS="-- --nocapture"
TEST_ARGS ?=
# Arguments for `rotunda-chaos mutants`, as in: make mutants MUTANTS_ARGS="--only FollowerRead --budget 120"
MUTANTS_ARGS ?=

# Arguments for `rotunda-bench run`, as in: make bench BENCH_ARGS="spread --door grpc --seconds 60"
BENCH_ARGS ?= hot
# Arguments for `rotunda-bench peers`, as in: make bench-peers PEERS_ARGS="--seconds 60"
PEERS_ARGS ?=
# Arguments for `rotunda-bench look`, as in: make look LOOK_ARGS="--seconds 60"
LOOK_ARGS ?=
# Arguments for `rotunda-bench strangers`, as in: make strangers STRANGERS_ARGS="--quota 20/2s"
STRANGERS_ARGS ?=
# Arguments for `rotunda-bench streams`, as in: make streams STREAMS_ARGS="--streams 1000"
STREAMS_ARGS ?=
# Arguments for `rotunda-bench goals`, as in: make goals GOALS_ARGS="--only s1,s5 --seconds 20"
GOALS_ARGS ?=

# Arguments for the contract test, as in: make contract CONTRACT_ARGS="--minutes 30 --seed 7"
CONTRACT_ARGS ?=

# What `make deploy-check` tries, of systemd, deb, helm and docker; all of it where this is empty.
PARTS ?=

# How long `make soak` goes on.
HOURS ?= 1

# Where cargo puts its output, asked of cargo, which knows every way to set it.
TARGET = $(shell $(CARGO) metadata --format-version 1 --no-deps --locked 2>/dev/null | sed -n 's/.*"target_directory":"\([^"]*\)".*/\1/p')
BIN = $(TARGET)/debug

help: ## what there is to make
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | while IFS='	' read -r name what; do printf '  make %-12s %s\n' "$$name" "$$what"; done

setup: ## looks for compilers and libclang, installs them where it may
	@.ci/setup
	@target='$(TARGET)'; set -- "$$target"/debug/build/librocksdb-sys-*/out/librocksdb.a; \
	if [ ! -e "$$1" ]; then \
	    echo "First build: RocksDB is compiled from source, once, about 15 minutes on two cores;" >&2; \
	    echo "cargo shows its own progress and waits longest at librocksdb-sys." >&2; \
	fi

demo: setup ## builds, starts a cluster of real processes, imports a museum network, prints a curl line that books
	@$(CARGO) build $(FLAGS) --bins
	@exec '$(BIN)/rotunda' demo $(DEMO_ARGS)

build: setup ## the three binaries: rotunda, rotunda-node, rotunda-router
	@$(CARGO) build $(FLAGS) --bins
	@for name in rotunda rotunda-node rotunda-router; do test -x '$(BIN)'/$$name && echo '$(BIN)'/$$name || exit 1; done

test: setup ## every test, the end-to-end ones with real processes included
	@.ci/setup prometheus '$(TARGET)/tools' || true
	@.ci/setup lab || true
	@.ci/setup valgrind || true
	@.ci/setup zbar || true
	@.ci/setup browser || true
	@.ci/setup systemd || true
	@.ci/setup old '$(TARGET)/old' || true
	@# The end-to-end tests start the real binaries, which cargo does not build for tests of another crate.
	@$(CARGO) build $(FLAGS) --bins
	@PATH='$(TARGET)/tools':"$$PATH" $(CARGO) test $(FLAGS) --no-fail-fast $(TEST_ARGS)

bench: setup ## one benchmark on a cluster of real processes, audited; `rotunda-bench run --help` says which
	@$(CARGO) build $(FLAGS) --bins
	@'$(BIN)/rotunda-bench' run $(BENCH_ARGS)

instructions: setup ## the rules alone: instructions for each hold of a hot slot, on a leader and on a follower (callgrind)
	@.ci/setup valgrind
	@$(CARGO) build $(FLAGS) --example apply
	@for role in leader follower; do \
	    out=$$(valgrind --tool=callgrind --toggle-collect='*measured*' --callgrind-out-file='$(TARGET)'/callgrind.$$role \
	        '$(BIN)/examples/apply' $$role 2>&1) || { echo "$$out" >&2; exit 1; }; \
	    echo "$$out" | awk -v role=$$role '/^[0-9]+$$/ { holds = $$1 } /Collected/ { printf "%-8s %d instructions a hold\n", role, $$NF / holds }'; \
	done

bench-peers: setup ## PostgreSQL, Redis, etcd and Rotunda on this machine, one after the other, with ratios
	@.ci/setup peers || true
	@$(CARGO) build $(FLAGS) --bins
	@'$(BIN)/rotunda-bench' peers $(PEERS_ARGS)

look: setup ## visitors look at one museum's month, at the router and at nginx, with the ratio
	@.ci/setup peers || true
	@$(CARGO) build $(FLAGS) --bins
	@'$(BIN)/rotunda-bench' look $(LOOK_ARGS)

streams: setup ## five thousand event streams on one router while places are sold: what they see, how late, what one costs
	@$(CARGO) build $(FLAGS) --bins
	@'$(BIN)/rotunda-bench' streams $(STREAMS_ARGS)

strangers: setup ## a million addresses ask one router: what its limiter costs in memory
	@$(CARGO) build $(FLAGS) --bins
	@'$(BIN)/rotunda-bench' strangers $(STRANGERS_ARGS)

picture: setup ## the README's pictures of the admin port's page: an on-sale, and a leader that was just killed
	@.ci/setup browser
	@$(CARGO) build $(FLAGS) --bins
	@$(CARGO) test $(FLAGS) --test e2e -- --ignored --nocapture overview::picture

goals: setup ## the goals for speed, S1 to S9, in one run of an hour, beside what is reached
	@.ci/setup peers || true
	@$(CARGO) build $(FLAGS) --bins
	@'$(BIN)/rotunda-bench' goals $(GOALS_ARGS)

chaos: setup ## 200 simulated clusters, then every scenario once on real processes (as root: namespaces, disks that lose power)
	@$(CARGO) build $(FLAGS) --bins
	@.ci/setup lab || true
	@'$(BIN)/rotunda-chaos' simulate --seeds 1..200 --minutes 10
	@'$(BIN)/rotunda-chaos' run --scenario all

soak: setup ## random faults on real processes for HOURS hours, as in: make soak HOURS=8
	@$(CARGO) build $(FLAGS) --bins
	@.ci/setup lab || true
	@'$(BIN)/rotunda-chaos' run --random --seed "$${SEED:-$$(date +%s)}" --for $$(( $(HOURS) * 60 ))

# Builds with features of their own share the dependencies with all others. What they make is moved out of the way, so that
# nobody takes it for what is released; the next plain build puts that back. The folder is emptied first: cargo's next copy
# of an unchanged program is a hard link to the same file, and `mv` will not move a file onto itself.
mutants: setup ## turns on seeded bugs one at a time; the simulator has to find each
	@$(CARGO) build $(FLAGS) --features rotunda-chaos/mutants --bin rotunda-chaos
	@$(CARGO) test $(FLAGS) --features rotunda-chaos/mutants --test mutants
	@rm -rf '$(TARGET)/mutants' && mkdir -p '$(TARGET)/mutants' && mv -f '$(BIN)/rotunda-chaos' '$(TARGET)/mutants/'
	@'$(TARGET)/mutants/rotunda-chaos' mutants $(MUTANTS_ARGS)

old-programs: setup ## the programs that an upgrade starts from, built from the repository's history, for the test that upgrades and goes back
	@.ci/setup old '$(TARGET)/old'
	@$(CARGO) build $(FLAGS) --bins

failpoints: setup ## real nodes die in the middle of what they do, under load, and are audited
	@$(CARGO) build $(FLAGS) --bin rotunda-router
	@$(CARGO) build $(FLAGS) --features rotunda-node/failpoints --bin rotunda-node
	@rm -rf '$(TARGET)/failpoints' && mkdir -p '$(TARGET)/failpoints'
	@cp -f '$(BIN)/rotunda-router' '$(TARGET)/failpoints/' && mv -f '$(BIN)/rotunda-node' '$(TARGET)/failpoints/'
	@ROTUNDA_BIN_DIR='$(TARGET)/failpoints' $(CARGO) test $(FLAGS) --test e2e -- --ignored --nocapture failpoints::

check: setup fmt clippy doc edges contract-drift dashboards-drift deny ## looks and never edits: formatting, lints, docs, crate edges, the committed contract and dashboards

fmt:
	@$(CARGO) fmt --version >/dev/null 2>&1 || { echo 'rustfmt is missing: rustup component add rustfmt' >&2; exit 1; }
	$(CARGO) fmt --all --check

clippy:
	@$(CARGO) clippy --version >/dev/null 2>&1 || { echo 'clippy is missing: rustup component add clippy' >&2; exit 1; }
	$(CARGO) clippy $(FLAGS) --all-targets -- -D warnings

doc:
	RUSTDOCFLAGS='--cfg tokio_unstable -D warnings -A rustdoc::private_intra_doc_links' $(CARGO) doc $(FLAGS) --no-deps

# The crate edges and what may be named where are held by a test that needs nothing but cargo.
edges:
	PATH='$(TARGET)/tools':"$$PATH" $(CARGO) test $(FLAGS) --quiet --test house

# The committed OpenAPI document and page of problems are what the code says.
contract-drift:
	$(CARGO) test $(FLAGS) --quiet --test contract_files

# The committed dashboards are what is made of the metrics' constants.
dashboards-drift:
	$(CARGO) build $(FLAGS) --quiet --bin rotunda-dashboards
	'$(BIN)/rotunda-dashboards' --check dashboards

dashboards: setup ## writes the Grafana dashboards anew, from the constants that register the metrics
	@$(CARGO) build $(FLAGS) --bin rotunda-dashboards
	@'$(BIN)/rotunda-dashboards' dashboards

contract-files: setup ## writes router/openapi.json and router/PROBLEMS.md anew, from the code
	UPDATE_GOLDEN=1 $(CARGO) test $(FLAGS) --quiet --test contract_files

contract: setup ## schemathesis against a demo of its own: every answer is one that the OpenAPI document describes
	@.ci/setup contract '$(TARGET)/tools'
	@$(CARGO) build $(FLAGS) --bins
	@PATH='$(TARGET)/tools/schemathesis/bin':"$$PATH" chaos-tests/contract/run '$(BIN)' $(CONTRACT_ARGS)

deb: setup ## a Debian package of all three programs, and where it is (needs cargo-deb)
	@$(CARGO) build $(FLAGS) --bins
	@PATH="$$PATH":'$(TARGET)/tools/cargo-deb/bin' deploy/deb/build '$(BIN)' '$(TARGET)/debian'

image: setup ## the image rotunda:latest, as Docker has it then
	@$(CARGO) build $(FLAGS) --bins
	@deploy/docker/build '$(BIN)'

deploy-check: setup ## units, package, chart and containers, tried for real as far as this machine can, as in: make deploy-check PARTS="helm docker"
	@.ci/setup deploy '$(TARGET)/tools' || true
	@$(CARGO) build $(FLAGS) --bins
	@deploy/check '$(BIN)' '$(TARGET)/tools' $(PARTS)

# Licences and sources besides, where cargo-deny is installed; it takes minutes to build, so nothing installs it.
deny:
	@if $(CARGO) deny --version >/dev/null 2>&1; then \
	    set -x; $(CARGO) deny --workspace --locked check bans licenses sources; \
	else \
	    echo 'cargo-deny is not installed: licences and sources not checked (the crate edges are, by a test).'; \
	fi

fix: setup ## edits: formatting, and the lints that clippy can mend by itself
	$(CARGO) clippy $(FLAGS) --all-targets --fix --allow-dirty --allow-staged
	$(CARGO) fmt --all

# `make` lists the targets. Needed: a Rust toolchain; everything else is found or brought up by scripts/services.sh.

SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
.NOTPARALLEL:
MAKEFLAGS += --no-print-directory

# Options for every cargo command, for instance CARGO_FLAGS=--locked.
CARGO_FLAGS ?=
# Arguments for the command behind a target: make test ARGS='--test http', make run ARGS='--http 127.0.0.1:9000'.
ARGS ?=

# These two are for services.sh. In the environment of Purser itself they would look like unknown settings.
unexport PURSER_INSTANCE PURSER_SERVICES
SERVICES := $(if $(PURSER_INSTANCE),PURSER_INSTANCE=$(PURSER_INSTANCE)) $(if $(PURSER_SERVICES),PURSER_SERVICES=$(PURSER_SERVICES)) scripts/services.sh
ENV_FILE := .local/$(if $(PURSER_INSTANCE),$(PURSER_INSTANCE)/)env
PURSER = $${CARGO_TARGET_DIR:-target}/release/purser

define say
@printf '\n==> %s\n' '$(1)'
endef

.PHONY: help
help: ## List the targets
	@printf 'make TARGET, one of:\n\n'
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  %-14s %s\n", $$1, $$2 }' Makefile
	@printf '\nARGS=... is handed to the command behind run, test, bench and schemathesis.\n'

.PHONY: run
run: services ## Build, prepare the database, add demo data and serve on 127.0.0.1:8080
	$(call say,building the release binary)
	@cargo build --release $(CARGO_FLAGS)
	$(call say,creating and upgrading the tables)
	@source $(ENV_FILE); $(PURSER) migrate
	$(call say,adding the demo data that is missing)
	@source $(ENV_FILE); $(PURSER) seed
	$(call say,serving: Ctrl-C stops Purser; make services-down stops PostgreSQL and RabbitMQ)
	@source $(ENV_FILE); $(PURSER) serve $(ARGS)

.PHONY: test
test: services ## Run every test, on real PostgreSQL and RabbitMQ
	$(call say,running the tests)
	@source $(ENV_FILE); cargo test $(CARGO_FLAGS) $(ARGS)

.PHONY: check
check: ## Check formatting, lints, documentation, scripts and dependencies; needs no services
	$(call say,formatting: cargo fmt --check)
	@# The dialects and their tests are declared by a macro, which rustfmt does not look into.
	@cargo fmt --all --check -- src/http/dialects/*.rs tests/golden/*/mod.rs
	$(call say,lints: cargo clippy)
	@cargo clippy --all-targets $(CARGO_FLAGS) -- -D warnings
	$(call say,documentation: cargo doc)
	@RUSTDOCFLAGS='-D warnings' cargo doc --no-deps $(CARGO_FLAGS)
	$(call say,scripts: shellcheck)
	@if command -v shellcheck >/dev/null; then shellcheck scripts/*.sh .ci/run; else echo 'skipped: shellcheck is not installed'; fi
	$(call say,dependencies: cargo deny)
	@if cargo deny --version >/dev/null 2>&1; then \
	  cargo deny --offline check bans licenses sources; \
	else \
	  echo 'skipped: cargo-deny is not installed; make audit says how to install it'; \
	fi

.PHONY: bench
bench: services ## Run the benchmarks
	$(call say,running the benchmarks)
	@source $(ENV_FILE); cargo bench $(CARGO_FLAGS) $(ARGS)

.PHONY: schemathesis
schemathesis: services ## Ask a live server everything that its OpenAPI document allows and forbids (needs Python and PyPI)
	$(call say,building)
	@cargo build $(CARGO_FLAGS)
	$(call say,asking: schemathesis, all checks)
	@source $(ENV_FILE); scripts/schemathesis.sh $(ARGS)

.PHONY: services
services: ## Bring PostgreSQL and RabbitMQ up and write .local/env
	$(call say,bringing up PostgreSQL and RabbitMQ)
	@$(SERVICES) up

.PHONY: services-down
services-down: ## Stop PostgreSQL and RabbitMQ, keep their data
	$(call say,stopping PostgreSQL and RabbitMQ)
	@$(SERVICES) down

.PHONY: audit
audit: ## Check the dependencies for known vulnerabilities and licenses (needs cargo-deny and the network)
	$(call say,dependencies: cargo deny check)
	@cargo deny --version >/dev/null 2>&1 || { echo 'cargo-deny is not installed; install it with: cargo install --locked cargo-deny' >&2; exit 1; }
	@cargo deny check

.PHONY: clean-local
clean-local: ## Stop all local services and DELETE their data (.local)
	$(call say,deleting .local)
	@for state in .local/*/state; do \
	  if [[ -e $$state ]]; then instance=$${state#.local/}; PURSER_INSTANCE=$${instance%/state} scripts/services.sh wipe; fi; \
	done
	@scripts/services.sh wipe
	@rm -rf .local

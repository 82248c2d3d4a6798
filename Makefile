# A machine needs Rust and Python 3; the rest is fetched by what needs it.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DELETE_ON_ERROR:

PYTHON ?= python3
VENV := $(CURDIR)/target/lab-venv
IN_VENV := PYTHONDONTWRITEBYTECODE=1 $(VENV)/bin/python
LAB_ENV = env DR_LAB_VENV=$(VENV) DR_LAB_PYTHON=$(VENV)/bin/python DR_LAB_REQUIRED=1 $$($(DATABASES) || echo DR_DATABASES=none)
HAS = $(shell command -v $(1))

# A region is lost in the lab, and recovered: everything on loopback, nothing left behind.
DEMO := target/debug/dr --state target/demo
ACCOUNT := 000000000001

# PostgreSQL, MariaDB, and what makes certificates for them.
DATABASES = ls /usr/lib/postgresql/*/bin/initdb /usr/sbin/mariadbd /usr/bin/openssl >/dev/null 2>&1

.PHONY: help demo build dist test databases editor page picture lint bench python

help:
	@echo "make demo | build | dist | test | lint | bench"

demo: $(VENV)/.made-from
	cargo build --locked --bin dr
	-$(DEMO) lab down 2>/dev/null
	rm -rf target/demo
	DR_LAB_VENV=$(VENV) $(DEMO) lab up
	trap '$(DEMO) lab down' EXIT; \
	eval "$$($(DEMO) lab env $(ACCOUNT))"; \
	$(DEMO) lab seed $(ACCOUNT) --for runbooks/region_failover.yaml > target/demo/params; \
	$(DEMO) lab region eu-west-1 down; \
	eval "set -- $$(tr '\n' ' ' < target/demo/params)"; \
	$(DEMO) execute runbooks/region_failover.yaml "$$@" --param hold=2s --param every=200ms --incident-at -4m --yes; \
	run="$$(ls target/demo/runs | tail -n 1)"; \
	$(DEMO) report "$$run"; \
	$(DEMO) report "$$run" --format html > target/demo/report.html; \
	echo "the report as a page: target/demo/report.html"

# target/release/dr
build:
	cargo build --release --locked --bin dr

# Packages for other machines, in target/packages; fat LTO of the AWS crates takes a quarter of an hour.
dist: | python
	.ci/dist

# Each runner's own last lines say how many tests there were.
test: $(VENV)/.made-from | databases
ifneq ($(call HAS,cargo-nextest),)
	$(LAB_ENV) cargo nextest run --workspace --locked --no-fail-fast
else
	$(LAB_ENV) cargo test --workspace --locked --lib --bins --tests
endif
	cargo test --workspace --locked --doc
	cd drills && $(IN_VENV) -m unittest discover -t . -s lab
	$(MAKE) --no-print-directory editor page

# Debian's packages of these names, where this user may install them.
apt = if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
  apt-get update -qq && apt-get install -y -qq --no-install-recommends $(1) || true; \
fi
# Node.js packages into target/$(1), at exactly the versions of its package-lock.json.
npm_ci = if ! cmp -s engine/cli/tests/$(1)/package-lock.json target/$(1)/.made-from; then \
  mkdir -p target/$(1); \
  cp engine/cli/tests/$(1)/package.json engine/cli/tests/$(1)/package-lock.json target/$(1); \
  npm ci --prefix target/$(1) --ignore-scripts --no-audit --no-fund --loglevel error; \
  cp target/$(1)/package-lock.json target/$(1)/.made-from; \
fi

# What `verify.sql` is tried against. Servers run for a test alone, in its folder.
databases:
	@$(DATABASES) || { $(call apt,postgresql mariadb-server-core openssl); }
	@$(DATABASES) || \
	  echo "NOT RUN: verify.sql against databases (sudo apt-get install postgresql mariadb-server-core openssl)"

# The schema in the language server that editors ask.
EDITOR_ENV := DR_EDITOR_SERVER=$(CURDIR)/target/editor/node_modules/.bin/yaml-language-server
editor:
	@command -v npm >/dev/null || { $(call apt,nodejs npm); }
	@if ! command -v npm >/dev/null; then \
	  echo "NOT RUN: the tests of the schema in an editor (Node.js and npm: sudo apt-get install nodejs npm)"; exit; \
	fi; \
	$(call npm_ci,editor); \
	$(EDITOR_ENV) cargo test --workspace --locked --test editor -- --ignored

# The report's page and the pictures of plans in a browser; what it showed lies in target/page/seen.
BROWSER := command -v chromium || command -v chromium-browser || command -v google-chrome
PAGE_ENV = DR_PAGE_BROWSER="$$($(BROWSER))" DR_PAGE_MODULES=$(CURDIR)/target/page/node_modules
page: $(VENV)/.made-from
	@command -v npm >/dev/null || { $(call apt,nodejs npm); }
	@{ $(BROWSER); } >/dev/null || { $(call apt,chromium fonts-dejavu-core); }
	@if ! command -v npm >/dev/null || ! { $(BROWSER); } >/dev/null; then \
	  echo "NOT RUN: the report's page in a browser (sudo apt-get install nodejs npm chromium fonts-dejavu-core)"; exit; \
	fi; \
	$(call npm_ci,page); \
	rm -rf target/page/seen; \
	$(PAGE_ENV) DR_PAGE_SEEN=$(CURDIR)/target/page/seen $(LAB_ENV) \
	  cargo test --workspace --locked --test page -- --ignored --nocapture

# README's picture of a report, made anew; `make page` has fetched what it needs.
picture: demo
	$(PAGE_ENV) node engine/cli/tests/page/page.mjs picture target/demo/report.html engine/cli/tests/page/report.png

# Ratios against the machine's limits and the peers, measured in turn; eight minutes.
bench:
	cargo bench --locked -p dr-cli --bench bench

lint: | python
	cargo fmt --all --check
	cargo clippy --workspace --all-targets --locked -- -D warnings
ifneq ($(call HAS,cargo-deny),)
	cargo deny --log-level error check bans licenses sources
else
	@echo "NOT RUN: cargo deny check bans licenses sources (cargo install --locked cargo-deny)"
endif
	PYTHONPYCACHEPREFIX=$(CURDIR)/target/pycache $(PYTHON) -m compileall -q drills/lab

# What the tests of the lab and of mail run in: exactly the versions that requirements.txt names.
$(VENV)/.made-from: drills/lab/requirements.txt | python
	$(PYTHON) -m venv --clear $(VENV)
	$(VENV)/bin/python -m pip install --quiet --disable-pip-version-check --no-input --no-deps -r $<
	cp $< $@

# Debian keeps venv in a package of its own.
python:
	@if ! $(PYTHON) -c 'import venv, ensurepip' 2>/dev/null; then \
	  if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
	    apt-get update -qq && apt-get install -y -qq --no-install-recommends python3 python3-venv; \
	  else \
	    echo "the lab needs Python 3 with venv: sudo apt-get install python3 python3-venv" >&2; exit 1; \
	  fi; \
	fi

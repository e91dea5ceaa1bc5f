# make labs   install pktlab into .venv, run every lab, write captures/
# make test   install what the tests need too, and run them
# make bench  install the peers too, measure, write docs/benchmarks.md; make bench-quick takes less than a minute
#
# As root the Debian packages are installed; an ordinary user is told which ones to have.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.ONESHELL:
MAKEFLAGS += --no-print-directory

VENV ?= .venv
# The first Python that is new enough and can make a virtual environment: rather the system's, since one that lies in
# root's home serves nobody else.
PYTHON ?= $(shell for p in /usr/bin/python3 python3; do \
	$$p -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && { echo $$p; break; }; done)
LAB_PACKAGES := iproute2 nftables net-tools bridge-utils dnsmasq-base iptables containernetworking-plugins etcd-server haproxy nginx-light conntrack busybox bird2 tcpdump procps iputils-ping
TEST_PACKAGES := $(LAB_PACKAGES) tshark chromium graphviz shellcheck
BENCH_PACKAGES := $(TEST_PACKAGES) wireshark-common tcpreplay mininet
PYTEST_OPTIONS ?=
BENCH_OPTIONS ?=

.PHONY: labs test bench bench-quick check format lock clean

labs: $(VENV)/.labs
	@packages='$(LAB_PACKAGES)'; $(ensure_packages)
	$(VENV)/bin/pktlab run --all --captures captures

test: $(VENV)/.test
	@packages='$(TEST_PACKAGES)'; $(ensure_packages)
	$(VENV)/bin/pytest $(PYTEST_OPTIONS)

# BENCH_OPTIONS: some of star capture injection query experiment start-up, --json FILE, --rounds N, --only-pktlab.
bench: $(VENV)/.test $(VENV)-bench/.peers
	@packages='$(BENCH_PACKAGES)'; $(ensure_packages)
	BENCH_VENV=$(VENV)-bench $(VENV)/bin/python -m benchmarks --page docs/benchmarks.md $(BENCH_OPTIONS)

bench-quick: $(VENV)/.test $(VENV)-bench/.peers
	@packages='$(BENCH_PACKAGES)'; $(ensure_packages)
	BENCH_VENV=$(VENV)-bench $(VENV)/bin/python -m benchmarks --quick $(BENCH_OPTIONS)

# Format, lint and types; the tests run these too.
check: $(VENV)/.test
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/mypy

format: $(VENV)/.test
	$(VENV)/bin/ruff check --fix .
	$(VENV)/bin/ruff format .

# The versions that CI uses: the newest that pyproject.toml allows.
lock:
	@new=$$(mktemp -d)
	trap 'rm -rf "$$new"' EXIT
	$(PYTHON) -m venv "$$new"
	"$$new"/bin/pip install -q '.[test]'
	"$$new"/bin/pip freeze --exclude pktlab --exclude pip --exclude setuptools > requirements.lock

clean:
	rm -rf $(VENV) $(VENV)-bench .pytest_cache .mypy_cache .ruff_cache .hypothesis

$(VENV)/bin/python:
	@if [ -z '$(PYTHON)' ]; then
		echo 'no Python 3.11 with venv found: apt-get install python3 python3-venv (or set PYTHON=)' >&2
		exit 1
	fi
	$(PYTHON) -m venv $(VENV)

$(VENV)/.labs: $(VENV)/bin/python pyproject.toml requirements.lock
	$(VENV)/bin/pip install -q --disable-pip-version-check -c requirements.lock -e .
	touch $@

$(VENV)/.test: $(VENV)/bin/python pyproject.toml requirements.lock
	$(VENV)/bin/pip install -q --disable-pip-version-check -c requirements.lock -e '.[test]'
	touch $@ $(VENV)/.labs

# Peers that are Python packages, in an environment of their own; where they cannot be had they are skipped by name.
$(VENV)-bench/.peers: $(VENV)/bin/python
	$(PYTHON) -m venv $(VENV)-bench
	$(VENV)-bench/bin/pip install -q --disable-pip-version-check nest || echo 'NeST cannot be installed' >&2
	touch $@

# Installs the packages that dpkg does not know, quietly; or names them. No service is started: labs start their own.
define ensure_packages
missing=''
for p in $$packages; do dpkg-query -W -f '$${Status}' $$p 2>/dev/null | grep -q ' installed$$' || missing+=" $$p"; done
if [ -n "$$missing" ]; then
	if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
		echo "installing:$$missing" >&2
		export DEBIAN_FRONTEND=noninteractive RUNLEVEL=1
		if ! apt-get install -qq -y --no-install-recommends $$missing >/dev/null 2>&1; then
			apt-get update -qq
			known=''
			for p in $$missing; do
				if apt-cache policy $$p | grep -q 'Candidate: [^(]'; then known+=" $$p"; else
					echo "not in this release's archive: $$p -- what needs it is skipped" >&2
				fi
			done
			[ -z "$$known" ] || apt-get install -qq -y --no-install-recommends $$known >/dev/null
		fi
	else
		echo "not installed:$$missing -- what needs them is skipped; as root: apt-get install$$missing" >&2
	fi
fi
endef

# The commands of the project. Each sets up what it needs; nothing has to be installed before but Python 3.11 and make.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
PIP    := $(BIN)/python -m pip --disable-pip-version-check install -q
ROOT   := $(filter 0,$(shell id -u))
APT    := DEBIAN_FRONTEND=noninteractive apt-get

.PHONY: help dev demo test test-fast lint format ui docs bench clean
help:
	@echo "make demo    simulate a nickel exposure, reduce it, compare with the truth"
	@echo "make test    all tests            make test-fast  those that need no browser and no patience"
	@echo "make dev     only the set-up for developing (pytest, ruff, pyright in .venv/bin)"
	@echo "make lint    ruff, pyright, import contracts      make format  ruff format"
	@echo "make ui      the web apps         make docs       the documentation"
	@echo "make bench   every performance claim, ours beside the peer's"

# Debian splits venv off python3: as root we bring it, otherwise the message of python says what to do.
$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Python 3.11 or newer is needed: make PYTHON=python3.11 ..."; exit 1; }
	@$(PYTHON) -c 'import ensurepip' 2>/dev/null || $(if $(ROOT),{ $(APT) update -qq && $(APT) install -y -qq python3-venv; },true)
	$(PYTHON) -m venv $(VENV)

$(VENV)/.apps: pyproject.toml | $(BIN)/python
	$(PIP) -e ".[pdf,ui]"
	@touch $@

$(VENV)/.dev: pyproject.toml $(VENV)/.apps
	$(PIP) -e ".[pdf,ui,stream,postgres,cwl,dev]"
	@touch $@

$(VENV)/.peers: pyproject.toml $(VENV)/.apps
	$(PIP) -e ".[pdf,ui,peers]"
	@touch $@

$(VENV)/.docs: pyproject.toml $(VENV)/.apps
	$(PIP) -e ".[pdf,ui,docs]"
	@touch $@

# The page is tested in a real browser; as root on Debian we bring one.
$(VENV)/.browser: | $(BIN)/python
	@command -v chromium >/dev/null || $(if $(ROOT),{ $(APT) update -qq && $(APT) install -y -qq chromium fonts-dejavu-core; },echo "chromium not found: browser tests will be skipped")
	@touch $@

dev: $(VENV)/.dev

demo: $(VENV)/.apps
	$(BIN)/python -m daisy_pdf.demo --out demo-output

# toil and cwltool do not go into one environment.
.venv-toil/.made: | $(BIN)/python
	$(PYTHON) -m venv .venv-toil
	.venv-toil/bin/python -m pip --disable-pip-version-check install -q "toil[cwl]==9.6.0"
	@touch $@

test: $(VENV)/.dev $(VENV)/.browser .venv-toil/.made
	$(BIN)/pytest -q

test-fast: $(VENV)/.dev
	$(BIN)/pytest -q -m "not slow and not e2e"

lint: $(VENV)/.dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/pyright
	$(BIN)/lint-imports

format: $(VENV)/.dev
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

ui: $(VENV)/.apps
	$(BIN)/daisy ui

docs: $(VENV)/.docs
	$(BIN)/sphinx-build -W -q -b html docs docs/_build/html
	@echo "open docs/_build/html/index.html"

bench: $(VENV)/.peers
	$(BIN)/python benchmarks/run_all.py

clean:
	rm -rf $(VENV) .venv-wheel .venv-toil dist demo-output docs/_build

# make run    sets everything up and starts a demo lesson; a second run starts in seconds
# make test   sets everything up and passes every test
# make check  linters and type checkers only
# make bench  every benchmark in short settings (benchmarks/README.md)

PYTHON ?= python3
VENV   := .venv
ENGINE := mediaserver/engine
WEB    := clients/web
INDEPENDENT := tests/e2e/independent

export PYO3_PYTHON := $(CURDIR)/$(VENV)/bin/python

ENGINE_SOURCES := $(ENGINE)/Cargo.toml $(ENGINE)/Cargo.lock $(shell find $(ENGINE)/src -type f)
WEB_SOURCES    := $(wildcard $(WEB)/*.json $(WEB)/*.ts $(WEB)/*.js $(WEB)/index.html) \
                  $(shell find $(WEB)/src $(WEB)/public -type f 2> /dev/null)

.PHONY: run test check bench setup tools clean

run: setup
	@$(VENV)/bin/kelian demo $(ARGS)

test: setup check $(INDEPENDENT)/node_modules/.package-lock.json
	cd $(ENGINE) && cargo test --quiet
	cd $(WEB) && npm test
	$(VENV)/bin/python -m pytest $(ARGS)

check: setup
	$(VENV)/bin/ruff check .
	$(VENV)/bin/mypy
	cd $(ENGINE) && cargo clippy --all-targets --quiet -- -D warnings
	cd $(WEB) && npm run check

bench: tools .stamps/python
	$(VENV)/bin/python -m benchmarks $(ARGS)

setup: tools .stamps/python $(WEB)/dist/index.html

# Asked for each time, because it costs nothing and what is missing should be one line.
tools:
	@PYTHON=$(PYTHON) deploy/tools.sh

# Python packages and the engine, which maturin builds. Python sources need no new install.
.stamps/python: pyproject.toml $(ENGINE_SOURCES) $(VENV)/pyvenv.cfg | tools
	@echo "课联 | Kelian: 安装 Python 包并编译引擎（首次约几分钟） | installing packages, building the engine (minutes, once)"
	@$(VENV)/bin/python -m pip --disable-pip-version-check --quiet install --editable '.[dev]'
	@mkdir -p .stamps && touch $@

$(VENV)/pyvenv.cfg: | tools
	@$(PYTHON) -m venv $(VENV)

$(WEB)/node_modules/.package-lock.json: $(WEB)/package-lock.json | tools
	@echo "课联 | Kelian: 安装网页依赖 | installing what the pages need"
	@cd $(WEB) && npm ci --no-audit --no-fund --loglevel=error
	@touch $@

$(WEB)/dist/index.html: $(WEB_SOURCES) $(WEB)/node_modules/.package-lock.json
	@echo "课联 | Kelian: 编译网页 | building the pages"
	@cd $(WEB) && npm run --silent build -- --logLevel warn
	@touch $@

# A WebRTC client of another implementation, which only tests use.
$(INDEPENDENT)/node_modules/.package-lock.json: $(INDEPENDENT)/package-lock.json | tools
	@cd $(INDEPENDENT) && npm ci --ignore-scripts --no-audit --no-fund --loglevel=error
	@touch $@

clean:
	rm -rf .stamps $(VENV) $(INDEPENDENT)/node_modules $(WEB)/node_modules $(WEB)/dist $(ENGINE)/target

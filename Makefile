# Two commands matter: `make serve` and `make test`. Both set up what is missing the first time and start
# in seconds, offline, from then on.
VENV ?= .venv
PY := $(VENV)/bin/python
PORT ?= 8080

.PHONY: serve test check format doctor bench clean setup

setup: $(VENV)/.serve-ready

$(VENV)/.serve-ready: pyproject.toml requirements.lock bootstrap.sh
	@VENV=$(VENV) sh bootstrap.sh serve

$(VENV)/.test-ready: pyproject.toml requirements.lock bootstrap.sh
	@VENV=$(VENV) sh bootstrap.sh test

serve: $(VENV)/.serve-ready
	@$(VENV)/bin/handstream serve --port $(PORT) $(ARGS)

test: $(VENV)/.test-ready check
	$(PY) -m pytest $(ARGS)

check: $(VENV)/.test-ready
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/mypy

format: $(VENV)/.test-ready
	$(VENV)/bin/ruff check --fix .
	$(VENV)/bin/ruff format .

doctor: $(VENV)/.serve-ready
	@$(VENV)/bin/handstream doctor

bench: $(VENV)/.test-ready
	$(PY) -m benchmarks.frame_budget
	$(PY) -m benchmarks.retarget
	$(PY) -m benchmarks.latency
	$(PY) -m benchmarks.viewers

clean:
	rm -rf $(VENV) build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache

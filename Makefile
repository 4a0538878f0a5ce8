.PHONY: demo test lint check bench interop spark deep fuzz golden docs simulate torture setup clean
PY ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed

setup: $(STAMP)

$(STAMP): pyproject.toml
	@test -x $(BIN)/python || $(PY) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --upgrade pip
	@PYTHONDONTWRITEBYTECODE= $(BIN)/python -m pip install --quiet --disable-pip-version-check --compile -e '.[dev]'
	@touch $(STAMP)

demo: $(STAMP)
	$(BIN)/tieout demo

test: $(STAMP)
	PYTHONDONTWRITEBYTECODE= $(BIN)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder

lint: $(STAMP)
	$(BIN)/ruff format --check tieout tests benchmarks
	$(BIN)/ruff check tieout tests benchmarks
	$(BIN)/lint-imports
	$(BIN)/mypy

check: lint
	$(BIN)/python -m pytest -q tests/architecture

bench: $(STAMP)
	$(BIN)/python -m benchmarks

interop: $(STAMP)
	$(BIN)/python -m tests.interop.run

spark: $(STAMP)
	@java -version 2>/dev/null || { echo "Spark needs Java 17 or newer: apt install openjdk-17-jre-headless"; exit 2; }
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[spark]'
	$(BIN)/python -m pytest -q --timeout 1800 tests/spark/same.py

deep: $(STAMP)
	HYPOTHESIS_PROFILE=deep $(BIN)/python -m pytest -n 2 --timeout 7200 tests/property tests/fuzz tests/external tests/faults \
		tests/scenarios tests/cli/test_bad_days.py tests/cli/test_howto.py tests/unit/compare tests/unit/sync/test_store.py \
		tests/unit/connectors/test_quickbooks_pull.py tests/unit/connectors/test_quickbooks_switches.py \
		tests/unit/connectors/test_sage_x3_switches.py

fuzz: $(STAMP)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[fuzz]' || echo "no atheris here: seeds are changed at random"
	$(BIN)/python -m tests.fuzz --minutes $(or $(MINUTES),20) $(if $(SEED),--seed $(SEED))

simulate: $(STAMP)
	$(BIN)/python -m tests.simulation run --schedules $(or $(SCHEDULES),2000) --json docs/figures/simulation.json $(if $(MINUTES),--minutes $(MINUTES))

torture: $(STAMP)
	$(BIN)/python -m tests.torture; failed=$$?; $(BIN)/python -m tests.torture --write; exit $$failed

golden: $(STAMP)
	$(BIN)/python -m tests.golden $(ONLY) $(if $(UPDATE),--update)

docs: $(STAMP)
	$(BIN)/python -m docs.generate

clean:
	rm -rf $(VENV) .venv-bench .mypy_cache .ruff_cache .import_linter_cache .pytest_cache .hypothesis .fuzz demo-output

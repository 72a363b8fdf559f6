# `make app` opens the studio, `make test` runs every test. Both install what they need, once.
PYTHON ?= python3
VENV := .venv
PIP := $(VENV)/bin/python -m pip install --quiet --disable-pip-version-check -c constraints.txt

.PHONY: app test lint

app: $(VENV)/app.installed
	$(VENV)/bin/python app.py

test: $(VENV)/dev.installed
	$(VENV)/bin/python -m pytest -n 2 --dist loadfile

lint: $(VENV)/dev.installed
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/ruff check .

$(VENV)/app.installed: requirements.txt constraints.txt
	@# An environment that was cut short has no pip, and is made anew.
	$(VENV)/bin/python -m pip --version >/dev/null 2>&1 || $(PYTHON) -m venv --clear $(VENV)
	$(PIP) -r requirements.txt
	touch $@

$(VENV)/dev.installed: requirements-dev.txt $(VENV)/app.installed
	$(PIP) -r requirements-dev.txt
	touch $@

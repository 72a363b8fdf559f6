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
	test -x $(VENV)/bin/python || $(PYTHON) -m venv $(VENV)
	$(PIP) -r requirements.txt
	touch $@

$(VENV)/dev.installed: requirements-dev.txt $(VENV)/app.installed
	$(PIP) -r requirements-dev.txt
	touch $@

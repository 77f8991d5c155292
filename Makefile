# One command each: `make demo`, `make test`, `make check`. All of them start from nothing but Python 3.11 and make.
PYTHON ?= python3
VENV := .venv
RUN := $(VENV)/bin/python
PIP := $(RUN) -m pip install --quiet --disable-pip-version-check
DEMO := .venv-demo
STUDIES := $(filter-out _% contract,$(notdir $(basename $(sort $(wildcard shoal/study/*.py)))))
BENCHES := $(filter-out _%,$(notdir $(basename $(sort $(wildcard bench/*.py)))))

.PHONY: help venv kernels demo test matrix search check browser arm studies bench clean
.DELETE_ON_ERROR:

help:
	@echo "make demo     classify photos over an emulated fleet; installs only what that needs"
	@echo "make test     every test but those of make matrix, from nothing"
	@echo "make matrix   every strategy on every light model: an hour"
	@echo "make search   the property tests with other, and ten times as many, examples"
	@echo "make check    format, lint, strict types, import rows"
	@echo "make bench    the measurements, one after another"
	@echo "make studies  published systems: claims against what is obtained here; keeps the results"
	@echo "make clean    remove what these commands made"

venv: $(VENV)/done

# Of pnnx only the program is used: without --no-deps it would bring along the newest PyTorch, with CUDA.
KERNELS := CMakeLists.txt $(wildcard shoal/kernels/native/* shoal/kernels/native/lowbit/*)

$(VENV)/done: pyproject.toml $(KERNELS)
	@echo "installing into $(VENV)"
	@$(PYTHON) -m venv $(VENV)
	@$(PIP) -e '.[dev,ncnn,evolve,mpi,photos,ilp,fit,cycles,live,serve]'
	@$(PIP) torch==2.13.0 'scikit-learn>=1.5' 'safetensors>=0.5' 'transformers>=5.20' 'gguf>=0.17' 'openai>=2'
	@$(PIP) --no-deps pnnx
	@touch $@

$(DEMO)/done: pyproject.toml $(KERNELS)
	@echo "installing into $(DEMO)"
	@$(PYTHON) -m venv $(DEMO)
	@$(DEMO)/bin/python -m pip install --quiet --disable-pip-version-check -e '.[photos]'
	@touch $@

# The native kernels beside their sources, for working on them or with a plain PYTHONPATH. Needs cmake, ninja, nanobind.
kernels:
	@cmake -S . -B build/kernels -G Ninja -DSHOAL_INPLACE=ON -DPython_EXECUTABLE="$$(command -v $(PYTHON))" >/dev/null
	@ninja -C build/kernels

demo: $(DEMO)/done
	@$(DEMO)/bin/python -m examples.demo

# Both halves run even if the first fails; a half without tests (5) is no failure.
test: $(VENV)/done browser arm
	@status=0; \
	$(RUN) -m pytest -q -n 2 -m 'not serial and not matrix' || status=$$?; \
	$(RUN) -m pytest -q -m serial || { code=$$?; [ $$code -eq 5 ] || status=$$code; }; \
	exit $$status

# Every strategy on every light model over 2, 3 and 4 units: an hour.
matrix: $(VENV)/done
	@$(RUN) -m pytest -q -n 2 -m matrix

# Ten times the examples of the property tests, others every time.
search: $(VENV)/done
	@$(RUN) -m pytest -q -n 2 -m 'hypothesis and not serial and not matrix' --hypothesis-profile search

check: $(VENV)/done
	@status=0; step() { echo "$$1"; shift; "$$@" || status=1; }; \
	step format $(VENV)/bin/ruff format --check --quiet .; \
	step lint $(VENV)/bin/ruff check --quiet .; \
	step types $(VENV)/bin/mypy; \
	PYTHONPATH=. step rows $(VENV)/bin/lint-imports --no-logo; \
	exit $$status

# The report is opened in Chromium by some tests; without it they are skipped and say so.
browser:
	@for name in chromium chromium-browser google-chrome; do \
	  if command -v $$name >/dev/null; then exit 0; fi; done; \
	if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
	  echo "installing Chromium"; export DEBIAN_FRONTEND=noninteractive; \
	  { apt-get update && apt-get install -y --no-install-recommends chromium fonts-dejavu-core; } \
	    >/dev/null 2>&1 </dev/null || echo "Chromium could not be installed: its tests will be skipped"; \
	else echo "no Chromium here: its tests will be skipped"; fi

# The kernels for 64-bit ARM are compiled and run in an emulator by a test; without these it is skipped and says so.
arm:
	@if command -v aarch64-linux-gnu-g++ >/dev/null && command -v qemu-aarch64-static >/dev/null; then exit 0; fi; \
	if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
	  echo "installing a compiler and an emulator for ARM"; export DEBIAN_FRONTEND=noninteractive; \
	  { apt-get update && apt-get install -y --no-install-recommends g++-aarch64-linux-gnu qemu-user-static; } \
	    >/dev/null 2>&1 </dev/null || echo "they could not be installed: that test will be skipped"; \
	else echo "no compiler for ARM here: its test will be skipped"; fi

# A bench that ends with 77 lacks what it compares with: the others go on, and the last line names it.
bench: $(VENV)/done
	@lacking=; for name in $(BENCHES); do echo "== bench/$$name.py"; \
	  $(RUN) -m bench.$$name || { [ $$? -eq 77 ] || exit 1; lacking="$$lacking $$name"; }; done; \
	echo "== $(words $(BENCHES)) tried$${lacking:+; NOT MEASURED, as what they compare with is not installed:$$lacking}"

# Every study, each in a process of its own; one that fails stops no other.
studies: $(VENV)/done
	@status=0; for name in $(STUDIES); do echo "== $$name"; $(VENV)/bin/shoal study $$name --keep || status=$$?; done; \
	$(VENV)/bin/shoal study; exit $$status

clean:
	rm -rf $(VENV) $(DEMO) build dist out shoal/kernels/*.so .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

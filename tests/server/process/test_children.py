"""The services' process is started again until it runs, also if a start hangs or fails."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from typing import TYPE_CHECKING

import pytest
from structlog.testing import capture_logs

from server.process import children
from server.process.children import LOOK_S, SILENT_LOOKS, START_TIMEOUT_S, EmbeddedProcess

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

# Tells which start it was, but says nothing at the second one. Ends when its input does.
SERVICES = """#!/bin/sh
starts=$(($(cat "$0.starts" 2>/dev/null || echo 0) + 1))
echo $starts > "$0.starts"
[ $starts = 2 ] || printf '{"bound": {}}\\n{"down": {"start": "%s"}}\\n' $starts
exec cat > /dev/null
"""


@pytest.fixture(autouse=True)
def _services_are_a_script(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    script = tmp_path / "services"
    script.write_text(SERVICES, encoding="utf-8")
    script.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(script))
    monkeypatch.setattr(children, "RESTART_DELAYS_S", (0.0,))


@pytest.fixture(autouse=True)
def _loop_of_asyncio() -> Iterator[None]:
    """Its clock can be moved, unlike uvloop's."""
    before = asyncio.get_event_loop_policy()
    asyncio.set_event_loop_policy(asyncio.DefaultEventLoopPolicy())
    yield
    asyncio.set_event_loop_policy(before)


async def until(true: Callable[[], bool], watching: asyncio.Task[None]) -> None:
    while not true():
        assert not watching.done(), "nobody starts it again"
        await asyncio.sleep(0)


async def settled() -> None:
    """Let the loop run all that is due."""
    for _ in range(10):
        await asyncio.sleep(0)


def killed(services: EmbeddedProcess) -> int:
    assert services._process is not None
    os.kill(services._process.pid, signal.SIGKILL)
    return services._process.pid


async def test_a_restart_that_hangs_is_tried_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    loop = asyncio.get_running_loop()
    now_s = loop.time()
    monkeypatch.setattr(loop, "time", lambda: now_s)
    services = EmbeddedProcess({}, tmp_path, os.environ, {})
    async with asyncio.TaskGroup() as group:
        await services.start()
        watching = group.create_task(services.watch(), name="watch")
        first = killed(services)
        await until(lambda: services._process is not None and services._process.pid != first, watching)
        now_s += START_TIMEOUT_S + 1
        await until(lambda: services.down == {"start": "3"}, watching)
        await services.stop()


async def test_so_is_one_that_closes_its_output_and_goes_on(tmp_path: Path) -> None:
    """The second start does, and here its time is not over before that is noticed."""
    services = EmbeddedProcess({}, tmp_path, os.environ, {})
    async with asyncio.TaskGroup() as group:
        await services.start()
        watching = group.create_task(services.watch(), name="watch")
        killed(services)
        await until(lambda: services.down == {"start": "3"}, watching)
        await services.stop()


async def test_so_is_one_for_which_there_is_no_process(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    services = EmbeddedProcess({}, tmp_path, os.environ, {})
    (tmp_path / "services.starts").write_text("2", encoding="utf-8")
    async with asyncio.TaskGroup() as group:
        await services.start()
        watching = group.create_task(services.watch(), name="watch")
        with capture_logs() as logged, monkeypatch.context() as broken:
            broken.setattr(sys, "executable", str(tmp_path / "missing"))
            killed(services)
            await until(
                lambda: any(line["event"] == "embedded services did not start again" for line in logged), watching
            )
        await until(lambda: services.down == {"start": "4"}, watching)
        await services.stop()


async def test_services_that_hang_are_killed_and_started_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """They run, but none of them does anything: the line that they write every few seconds does not come."""
    (tmp_path / "services").write_text(SERVICES.replace("exec cat > /dev/null", "exec cat"), encoding="utf-8")
    loop = asyncio.get_running_loop()
    now_s = loop.time()
    monkeypatch.setattr(loop, "time", lambda: now_s)
    services = EmbeddedProcess({}, tmp_path, os.environ, {})

    async def lines(number: int) -> None:
        assert services._process is not None
        assert services._process.stdin is not None
        for _ in range(number):
            services._process.stdin.write(b"{}\n")  # `cat` writes it
            await until(lambda: bool(heard), watching)
            heard.clear()

    heard: list[bytes] = []
    read = asyncio.StreamReader.readline

    async def heard_line(reader: asyncio.StreamReader) -> bytes:
        line = await read(reader)
        heard.append(line)
        return line

    async with asyncio.TaskGroup() as group:
        await services.start()
        monkeypatch.setattr(asyncio.StreamReader, "readline", heard_line)
        watching = group.create_task(services.watch(), name="watch")
        first = services._process
        for _ in range(SILENT_LOOKS):
            await lines(1)
            now_s += LOOK_S - 1
        for _ in range(SILENT_LOOKS - 1):
            now_s += LOOK_S + 1
            await settled()
        assert services._process is first
        await lines(1)
        with capture_logs() as logged:
            for _ in range(SILENT_LOOKS):
                now_s += LOOK_S + 1
                await settled()
            await until(lambda: services._process is not first, watching)
        assert [line["event"] for line in logged] == [
            "embedded services hang and are killed",
            "embedded services died and are started again",
        ]
        now_s += START_TIMEOUT_S + 1
        await until(lambda: services.down == {"start": "3"}, watching)
        await services.stop()

"""What all commands together may use of the machine's memory."""

from __future__ import annotations

import asyncio
from collections import Counter
from contextlib import suppress
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from server.embedded.callers import bind_caller
from server.embedded.executor import FullError
from server.embedded.os import process as os_process
from server.embedded.os.service import (
    AT_ONCE,
    OTHERS_AT_ONCE,
    OWN_AT_ONCE,
    OWN_OTHERS_AT_ONCE,
    RUN_AT_ONCE,
    CommandParameters,
    OsService,
)
from tests.server.embedded.executing import config

if TYPE_CHECKING:
    from pathlib import Path

USERS = 2 * RUN_AT_ONCE // OWN_AT_ONCE
GIB = 1024**3


class Running:
    """Stands for commands that run until `go` is set. `most`: how many there were at once, of each user and of all ("")."""

    def __init__(self) -> None:
        self.go = asyncio.Event()
        self.now: Counter[str] = Counter()
        self.most: Counter[str] = Counter()

    async def run(self, _executable: str, _name: str, arguments: list[str], *_rest: Any) -> os_process.Ended:
        names = ("", arguments[-1])
        self.now.update(names)
        self.most |= self.now
        try:
            await self.go.wait()
        finally:
            self.now.subtract(names)
        return os_process.Ended(0, "", "", 0, truncated=False)


@pytest.fixture
def running(monkeypatch: pytest.MonkeyPatch) -> Running:
    running = Running()
    monkeypatch.setattr(os_process, "run", running.run)
    monkeypatch.setattr("server.embedded.os.service.TURN_S", 0.0)
    return running


async def ask(service: OsService, name: str, user: str, *args: str) -> None:
    bind_caller("test", [("x-user-id", user)])
    task: Any = SimpleNamespace(tell=None)
    await service.perform(name, CommandParameters(args=[*args, user]), task)


async def test_so_many_commands_on_files_run_at_once(tmp_path: Path, running: Running) -> None:
    assert OWN_AT_ONCE * os_process.MAX_MEMORY_BYTES <= GIB // 4
    assert RUN_AT_ONCE * os_process.MAX_MEMORY_BYTES <= GIB
    service = OsService(config(tmp_path / "kept", OS_ROOT=str(tmp_path)))
    await service.start()
    async with asyncio.TaskGroup() as group:
        given_up = [group.create_task(ask(service, "grep", "u0", "-E", "x"), name=f"gone {n}") for n in range(9)]
        while running.now["u0"] < OWN_AT_ONCE:
            await asyncio.sleep(0)
        for task in given_up:
            task.cancel()
        for task in given_up:
            with suppress(asyncio.CancelledError):
                await task
        assert +running.now == Counter()
        for number in range(USERS * 2 * OWN_AT_ONCE):
            group.create_task(ask(service, "grep", f"u{number % USERS}", "-E", "x"), name=f"command {number}")
        while running.now[""] < RUN_AT_ONCE:
            await asyncio.sleep(0)
        running.go.set()
    await service.stop()
    assert running.most.pop("") == RUN_AT_ONCE
    assert set(running.most) == {f"u{number}" for number in range(USERS)}
    assert max(running.most.values()) == OWN_AT_ONCE


async def test_who_waits_uses_no_place_of_those_that_use_little(tmp_path: Path, running: Running) -> None:
    service = OsService(config(tmp_path / "kept", OS_ROOT=str(tmp_path)))
    await service.start()
    many = OWN_OTHERS_AT_ONCE
    assert many > RUN_AT_ONCE + AT_ONCE
    async with asyncio.TaskGroup() as group:
        for number in range(many):
            group.create_task(ask(service, "echo", "u0"), name=f"command {number}")
        while running.now["u0"] < many:
            await asyncio.sleep(0.001)
        running.go.set()
    await service.stop()
    assert running.most["u0"] == many


async def test_other_commands_leave_descriptors_to_the_services(tmp_path: Path, running: Running) -> None:
    assert 2 * OTHERS_AT_ONCE <= 256
    service = OsService(config(tmp_path / "kept", OS_ROOT=str(tmp_path)))
    await service.start()
    users = OTHERS_AT_ONCE // OWN_OTHERS_AT_ONCE
    async with asyncio.TaskGroup() as group:
        for number in range(2 * OTHERS_AT_ONCE):
            group.create_task(ask(service, "echo", f"u{number % users}"), name=f"command {number}")
        while running.now[""] < OTHERS_AT_ONCE:
            await asyncio.sleep(0.001)
        running.go.set()
    await service.stop()
    assert running.most.pop("") == OTHERS_AT_ONCE
    assert max(running.most.values()) == OWN_OTHERS_AT_ONCE


async def test_who_has_no_place_gets_that_of_the_longest_command(
    tmp_path: Path, running: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("server.embedded.os.places.KEPT_S", 0.0)
    service = OsService(config(tmp_path / "kept", OS_ROOT=str(tmp_path)))
    await service.start()
    async with asyncio.TaskGroup() as group:
        users = [f"u{number // OWN_AT_ONCE}" for number in range(RUN_AT_ONCE)]
        tasks = []
        for number, user in enumerate(users):  # one after the other: the first is the longest
            tasks.append(group.create_task(outcome(service, user), name=f"command {number}"))
            while running.now[""] <= number:
                await asyncio.sleep(0)
        more = group.create_task(outcome(service, "u0"), name="more of the first user")
        late = group.create_task(outcome(service, "late"), name="late")
        while not running.now["late"]:
            await asyncio.sleep(0)
        assert (running.now["u0"], running.now[""]) == (OWN_AT_ONCE - 1, RUN_AT_ONCE)
        running.go.set()
    await service.stop()
    assert [task.result() for task in (*tasks, more, late)] == [
        "grep was ended after 0 s, because others wait for its place",
        *[""] * (RUN_AT_ONCE + 1),
    ]


async def outcome(service: OsService, user: str) -> str:
    """Why the command was ended."""
    try:
        await ask(service, "grep", user, "x")
    except FullError as full:
        return str(full)
    return ""

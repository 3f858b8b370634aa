"""Between the check of a command and its end, no other command makes its names lead elsewhere."""

from __future__ import annotations

import asyncio
import fcntl
import os
from contextlib import AsyncExitStack
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from protos import os_pb2_grpc
from server.embedded.os import held_names
from server.embedded.os import process as os_process
from server.embedded.os.commands import COMMANDS
from server.embedded.os.held_names import Names
from server.embedded.os.process import Ended
from server.embedded.os.service import CommandParameters, OsService
from tests.server.embedded.executing import config, refused, serving

if TYPE_CHECKING:
    from contextlib import AbstractAsyncContextManager
    from pathlib import Path

MANY = 200  # iterations of the loop: what waits for nothing is over by then

ARGUMENTS = {
    "grep": ["x", "A/f"],
    "find": ["A"],
    "cp": ["A/f", "A/g"],
    "mv": ["A/f", "A/g"],
    "mkdir": ["A/d"],
    "rmdir": ["A/e"],
}


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A folder and its double, in which the same name leads out."""
    root = tmp_path / "root"
    (root / "A/e").mkdir(parents=True)
    (root / "A/f").write_text("inside")
    (root / "B").mkdir()
    (root / "B/f").symlink_to(tmp_path / "outside")
    (tmp_path / "outside").write_text("hush")
    return root


async def told(*_words: str, **_output: str) -> None: ...


async def spin() -> None:
    for _ in range(MANY):
        await asyncio.sleep(0)


@pytest.mark.parametrize("name", sorted(name for name, command in COMMANDS.items() if command.most > command.words))
async def test_no_command_opens_another_file_than_was_checked(
    root: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """Every command that is told names, with folders swapped as soon as it has been checked; without processes and threads."""
    service = OsService(config(root.parent / "kept", OS_ROOT=str(root)))
    await service.start()
    service._executables = dict.fromkeys(COMMANDS, "")
    task: Any = SimpleNamespace(tell=told)
    opened: list[str] = []

    async def at_once(work: Any, *arguments: Any) -> Any:
        return work(*arguments)

    async def swap() -> None:
        for names in (["A", "T"], ["B", "A"]):
            await service.perform("mv", CommandParameters(args=names), task)

    async def run(_executable: str, _name: str, arguments: list[str], *_rest: Any) -> Ended:
        if arguments in (["A", "T"], ["B", "A"]):
            (root / arguments[0]).rename(root / arguments[1])
        else:
            group.create_task(swap(), name="swap")
            await spin()
            opened.append((root / "A/f").read_text())
        return Ended(0, "", "", 0, truncated=False)

    monkeypatch.setattr(asyncio, "to_thread", at_once)
    monkeypatch.setattr(os_process, "run", run)
    async with asyncio.TaskGroup() as group:
        await service.perform(name, CommandParameters(args=ARGUMENTS.get(name, ["A/f"])), task)
    assert opened == ["inside"]
    assert (root / "A/f").read_text() == "hush"  # the swap came behind it


async def test_who_looks_up_names_does_not_wait_for_others_who_do(tmp_path: Path) -> None:
    names = Names(tmp_path)
    async with asyncio.TaskGroup() as group:
        order = Order(group)
        async with names.looked_up():
            await order.start("look", names.looked_up())
        order.log.append("the first ends")
    assert order.log == ["look", "look ends", "the first ends"]


class Order:
    """Who had the names, in their order."""

    def __init__(self, group: asyncio.TaskGroup) -> None:
        self.log: list[str] = []
        self._group = group

    def start(self, name: str, held: AbstractAsyncContextManager[None]) -> asyncio.Task[None]:
        async def use() -> None:
            async with held:
                self.log.append(name)
                await asyncio.sleep(0)
                self.log.append(f"{name} ends")

        return self._group.create_task(use(), name=name)


async def test_a_flood_does_not_keep_out_who_changes_names(tmp_path: Path) -> None:
    names = Names(tmp_path)
    async with asyncio.TaskGroup() as group:
        order = Order(group)
        async with names.looked_up():
            order.start("change", names.changed())
            await spin()
            order.start("look", names.looked_up())
            order.start("another change", names.changed())
            await spin()
            assert order.log == []
    assert order.log[:2] == ["change", "change ends"]
    assert order.log[2:] == ["look", "look ends", "another change", "another change ends"]


async def test_a_long_command_and_one_that_waits_to_change_names_hold_up_nobody(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(held_names, "PATIENCE_S", 0.0)
    names = Names(tmp_path)
    async with asyncio.TaskGroup() as group:
        order = Order(group)
        async with names.looked_up():
            order.start("change", names.changed())
            await spin()
            await order.start("look", names.looked_up())
            assert order.log == ["look", "look ends"]
        monkeypatch.undo()
    assert order.log[2:] == ["change", "change ends"]


async def test_who_is_cancelled_while_waiting_keeps_nobody_out(tmp_path: Path) -> None:
    names = Names(tmp_path)
    async with asyncio.TaskGroup() as group:
        order = Order(group)
        async with names.looked_up():
            changes = [order.start("change", names.changed()) for _ in range(2)]
            await spin()
            looks = order.start("look", names.looked_up())
            await spin()
            looks.cancel()
            for change in changes:
                change.cancel()
            await asyncio.wait({looks, *changes})
        await order.start("last", names.changed())
    assert order.log == ["last", "last ends"]


async def test_two_services_of_one_machine_do_so_together(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(held_names, "LOOK_AGAIN_S", 0.0)
    here, there = Names(tmp_path), Names(tmp_path)
    async with asyncio.TaskGroup() as group:
        order = Order(group)
        async with here.looked_up():
            await order.start("look", there.looked_up())
            order.start("change", there.changed())
            await spin()
            assert order.log == ["look", "look ends"]
        while len(order.log) < 4:
            await asyncio.sleep(0)
        async with here.changed():
            order.start("late", there.looked_up())
            await spin()
            assert order.log[2:] == ["change", "change ends"]
    assert order.log[4:] == ["late", "late ends"]


async def test_a_file_system_without_locks_of_folders_is_no_obstacle(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_arguments: object) -> None:
        raise OSError

    monkeypatch.setattr(fcntl, "flock", refuse)
    async with asyncio.TaskGroup() as group:
        order = Order(group)
        order.start("change", Names(tmp_path).changed())
    assert order.log == ["change", "change ends"]


async def test_a_client_that_does_not_read_holds_no_names(tmp_path: Path) -> None:
    names, read = Names(tmp_path), asyncio.Event()
    (tmp_path / "long").write_text("x" * 2 * os_process.MAX_OUTPUT_BYTES)
    heard: list[str] = []

    async def listener(message: str = "", *, stream: str = "", data: str = "") -> None:
        await read.wait()
        assert stream or message == "running cat"
        heard.append(data)

    async with asyncio.TaskGroup() as group, AsyncExitStack() as stack:
        await stack.enter_async_context(names.looked_up())
        running = group.create_task(
            os_process.run("/bin/cat", "cat", ["long"], tmp_path, listener, stack.aclose), name="cat"
        )
        async with names.changed():
            assert not heard
        read.set()
        ended = await running
    assert ended.truncated
    assert "".join(heard) == ended.stdout


async def test_what_opening_would_wait_for_is_refused(root: Path) -> None:
    os.mkfifo(root / "pipe")
    async with serving(OsService(config(root.parent / "kept", OS_ROOT=str(root)))) as channel:
        stub = os_pb2_grpc.OsExecutorStub(channel)
        for name, args in (("cat", ["pipe"]), ("cp", ["A/f", "pipe"]), ("grep", ["x", "pipe"])):
            assert await refused(stub, name, {"args": args}) == ("INVALID_ARGUMENT", "args: pipe is no file")

"""A name leads where it was checked to lead, whatever other commands do until the command ends. Nobody waits for that."""

from __future__ import annotations

import asyncio
import os
import shutil
import stat
import subprocess
import tempfile
from itertools import count, product
from pathlib import Path
from threading import Event
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from protos import os_pb2_grpc
from server.embedded.callers import bind_caller
from server.embedded.executor import WrongParametersError
from server.embedded.os import closed as os_closed
from server.embedded.os import process as os_process
from server.embedded.os import service as os_service
from server.embedded.os.closed import ClosedPaths, Search, TooManyFilesError
from server.embedded.os.commands import COMMANDS, RefusedArgumentError, checked
from server.embedded.os.lasting_names import (
    HOLDS_WHAT_STAYS,
    MAX_LEVELS,
    NowhereError,
    followed,
    is_plain,
    why_it_stays,
)
from server.embedded.os.process import Ended
from server.embedded.os.service import AT_ONCE, CommandParameters, OsService
from tests.server.embedded.executing import config, execute, refused, serving

if TYPE_CHECKING:
    from collections.abc import Iterator

ARGUMENTS = {
    "grep": ["x", "A/f"],
    "find": ["A"],
    "cp": ["A/f", "A/g"],
    "mv": ["A/f", "A/g"],
    "mkdir": ["A/d"],
    "rmdir": ["A/e"],
}
NAMES = (
    "A",
    "A/f",
    "A/e",
    "B",
    "B/f",
    "C",
    "C/f",
    "link",
    "note",
    "hard",
    "pipe",
    "free",
    "shut",
    "shut/f",
    "A/../f",
    ".",
)
CHANGES = [
    *((name, names) for name in ("mv", "cp") for names in product(NAMES, NAMES)),
    *((name, (only,)) for name in ("mkdir", "rmdir", "touch") for only in NAMES),
]


def filled(base: Path) -> Path:
    """A root with a folder and others, in which the same names lead elsewhere: out, to a closed file, to what is no file."""
    root = base / "root"
    for folder in ("A/e", "B", "C/d", "shut"):
        (root / folder).mkdir(parents=True)
    (root / "A/f").write_text("inside")
    (base / "outside").write_text("hush")
    (root / "shut/f").write_text("hush")
    (root / "B/f").symlink_to(base / "outside")
    (root / "link").symlink_to("C/d")
    (root / "note").symlink_to("A/f")
    os.link(root / "shut/f", root / "C/f")
    os.link(root / "shut/f", root / "hard")
    os.mkfifo(root / "pipe")
    return root


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return filled(tmp_path)


def fixed(root: Path, closed: ClosedPaths) -> set[tuple[str, str]]:
    """All that checks rely on, with its place."""
    found = set()
    for where, folders, files in os.walk(root):
        for path in (Path(where) / name for name in folders + files):
            if path.is_symlink():
                found.add((str(path), str(path.readlink())))
            elif not is_plain(path) or closed.holds(path, Search()):
                found.add((str(path), oct(stat.S_IFMT(path.lstat().st_mode))))
    return found


class Changed:
    """A root in which commands change names."""

    def __init__(self, base: Path) -> None:
        self.root = filled(base)
        self._closed = ClosedPaths([self.root / "shut", self.root / "free/f"], self.root)
        self._before = self._seen()

    def _seen(self) -> tuple[set[tuple[str, str]], list[Path]]:
        places = [(self.root / name).resolve() for name in (*NAMES, "link/../f", "link/x")]
        return fixed(self.root, self._closed), places

    def allows(self, name: str, names: tuple[str, ...]) -> bool:
        """Run the command if it is allowed; whatever it is, it must change nothing that checks rely on."""
        try:
            told = checked(name, list(names), self.root, self._closed)
        except RefusedArgumentError:
            return False
        subprocess.run([name, *told], cwd=self.root, capture_output=True, check=False)
        assert self._seen() == self._before
        return True


def test_no_command_changes_where_a_checked_name_leads(tmp_path: Path) -> None:
    trees = count()
    changed = Changed(tmp_path / "0")
    allowed = 0
    for name, names in CHANGES:
        if changed.allows(name, names):
            allowed += 1
            changed = Changed(tmp_path / f"{next(trees) + 1}")
    assert 40 < allowed < len(CHANGES) / 2


@given(st.lists(st.sampled_from(CHANGES), min_size=2, max_size=30))
@settings(max_examples=30)
def test_nor_do_many_after_each_other(changes: list[tuple[str, tuple[str, ...]]]) -> None:
    with tempfile.TemporaryDirectory() as base:
        changed = Changed(Path(base).resolve())
        for name, names in changes:
            changed.allows(name, names)


@pytest.mark.parametrize("name", sorted(name for name, command in COMMANDS.items() if command.named))
async def test_no_command_opens_another_file_than_was_checked(
    root: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """Every command that is told names, with folders swapped as soon as it has been checked; without processes."""
    service = OsService(config(root.parent / "kept", OS_ROOT=str(root)))
    await service.start()
    service._executables = dict.fromkeys(COMMANDS, "")
    task: Any = SimpleNamespace(tell=None)
    opened: list[str] = []
    swaps = [["A", "T"], ["B", "A"]]

    async def run(_executable: str, _name: str, arguments: list[str], *_rest: Any) -> Ended:
        if arguments in swaps:
            (root / arguments[0]).rename(root / arguments[1])
        else:
            await service.perform("mv", CommandParameters(args=swaps[0]), task)
            with pytest.raises(WrongParametersError, match="B holds links"):
                await service.perform("mv", CommandParameters(args=swaps[1]), task)
            opened.extend(path.read_text() for path in (root / "A/f", root / "T/f") if path.exists())
        return Ended(0, "", "", 0, truncated=False)

    monkeypatch.setattr(os_process, "run", run)
    await service.perform(name, CommandParameters(args=ARGUMENTS.get(name, ["A/f"])), task)
    await service.stop()
    assert opened == ["inside"]


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (["B", "T"], "B holds links or closed files, so it is not moved"),
        (["C", "T"], "C holds links or closed files, so it is not moved"),
        (["link", "T"], "link is a link or no file, so it stays as it is"),
        (["link/", "T"], "link/ is a link or no file, so it stays as it is"),
        (["pipe", "T"], "pipe is a link or no file, so it stays as it is"),
        (["A/f", "note"], "note is a link or no file, so it stays as it is"),
        (["A/f", "pipe"], "pipe is a link or no file, so it stays as it is"),
        (["A/f", "B"], "B/f lies outside"),
        (["hard", "T"], "hard may hold secrets"),
        (["A/f", "hard"], "hard may hold secrets"),
        (["A", "later"], "later may hold secrets"),  # it would bring what is closed there, under that name
        (["A/f", "later"], "later/f may hold secrets"),
    ],
)
async def test_what_checks_rely_on_is_not_moved_or_replaced(root: Path, args: list[str], words: str) -> None:
    options = {"OS_ROOT": str(root), "OS_CLOSED_PATHS": os.pathsep.join([str(root / "shut"), str(root / "later/f")])}
    async with serving(OsService(config(root.parent / "kept", **options))) as channel:
        status, details = await refused(os_pb2_grpc.OsExecutorStub(channel), "mv", {"args": args})
    assert status == "INVALID_ARGUMENT"
    assert words in details


async def test_a_folder_that_closed_files_will_be_in_is_not_removed(root: Path) -> None:
    (root / "later").mkdir()
    options = {"OS_ROOT": str(root), "OS_CLOSED_PATHS": str(root / "later/f")}
    async with serving(OsService(config(root.parent / "kept", **options))) as channel:
        stub = os_pb2_grpc.OsExecutorStub(channel)
        assert await refused(stub, "rmdir", {"args": ["A/e", "later"]}) == (
            "INVALID_ARGUMENT",
            "args: later may hold secrets",
        )
        assert (await execute(stub, "rmdir", {"args": ["A/e"]})).status == "ok"


async def test_plain_files_and_folders_are_moved_through_links_too(root: Path) -> None:
    async with serving(OsService(config(root.parent / "kept", OS_ROOT=str(root)))) as channel:
        stub = os_pb2_grpc.OsExecutorStub(channel)
        for args in (["A", "T"], ["T/f", "link/f"], ["T", "link"], ["link/T", "A"]):
            assert (await execute(stub, "mv", {"args": args})).status == "ok", args
    assert (root / "C/d/f").read_text() == "inside"
    assert (root / "A/e").is_dir()
    assert checked("mv", ["A", "link"], root, ClosedPaths((), root)) == [
        "A",
        "./C/d",
    ]  # so that the link is never replaced


def test_a_folder_that_cannot_be_looked_through_is_not_moved(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    listdir = os.listdir
    reasons: dict[str, type[OSError]] = {}

    def listed(path: str) -> list[str]:
        if Path(path).name in reasons:
            raise reasons[Path(path).name]
        return listdir(path)

    closed = ClosedPaths([root / "shut"], root)
    monkeypatch.setattr(os, "listdir", listed)
    assert not why_it_stays(root / "A", MAX_LEVELS, closed, Search())
    reasons["e"] = PermissionError
    assert why_it_stays(root / "A", MAX_LEVELS, closed, Search()) == HOLDS_WHAT_STAYS
    reasons["e"] = FileNotFoundError  # another command has moved it
    assert not why_it_stays(root / "A", MAX_LEVELS, closed, Search())
    monkeypatch.setattr(os_closed, "MAX_WALKED", 2)
    with pytest.raises(RefusedArgumentError, match="too many files for mv"):
        checked("mv", ["A", "T"], root, closed)


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("A/f", "A/f"),
        ("./A//f", "./A//f"),
        ("link/x", "link/x"),
        ("up/f", "up/f"),  # the folder with a link does not move, nor do those above it
        ("A/../A/f", "./A/f"),  # A may be elsewhere, when `..` is looked up
        ("A/../-n", "./-n"),
        ("link/../f", "./C/f"),
        ("back", "./A/f"),
        ("back/../e", "./A/e"),
    ],
)
def test_no_command_goes_back_up_from_a_folder_that_may_move(root: Path, name: str, told: str) -> None:
    (root / "C/d/up").symlink_to("../../A")
    (root / "up").symlink_to("C/d/up")
    (root / "back").symlink_to("A/../A/f")
    assert followed(name, root).told == told
    assert followed(name, root).path == (root / name).resolve()


def test_a_way_through_too_many_links_leads_nowhere(root: Path) -> None:
    (root / "loop").symlink_to("loop")
    for number in range(50):
        (root / f"l{number}").symlink_to(f"l{number + 1}")
    for name in ("loop", "l0", "loop/../A"):
        with pytest.raises(NowhereError, match="leads nowhere"):
            followed(name, root)
    assert followed("l20", root).path == root / "l50"


async def test_a_long_command_holds_up_no_other(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not even those that rename what it looks at, of the same user or of another service."""
    services = [OsService(config(root.parent / kept, OS_ROOT=str(root))) for kept in ("here", "there")]
    task: Any = SimpleNamespace(tell=None)
    begun, over = asyncio.Event(), asyncio.Event()

    async def run(_executable: str, name: str, *_rest: Any) -> Ended:
        if name == "find":
            begun.set()
            await over.wait()
        return Ended(0, "", "", 0, truncated=False)

    monkeypatch.setattr(os_process, "run", run)
    async with asyncio.TaskGroup() as group:
        await services[0].start()
        await services[1].start()
        long = group.create_task(services[0].perform("find", CommandParameters(args=["A"]), task), name="find")
        await begun.wait()
        for service in services:
            for name, args in (("mv", ["A", "T"]), ("mkdir", ["A/d"]), ("rmdir", ["A/e"]), ("find", ["."])):
                if name != "find":
                    await service.perform(name, CommandParameters(args=args), task)
        assert not long.done()
        over.set()
    for service in services:
        await service.stop()


@pytest.fixture
def held() -> Iterator[Event]:
    event = Event()
    yield event
    event.set()


async def test_a_user_whose_checks_take_long_is_not_in_the_way_of_another(
    root: Path, monkeypatch: pytest.MonkeyPatch, held: Event
) -> None:
    service = OsService(config(root.parent / "kept", OS_ROOT=str(root)))
    await service.start()
    monkeypatch.setattr(os_service, "TURN_S", 0.0)
    order: list[str] = []

    def check(_name: str, args: list[str], *_rest: Any) -> list[str]:
        order.append(args[0])
        held.wait()
        return args

    async def run(*_arguments: Any) -> Ended:
        return Ended(0, "", "", 0, truncated=False)

    monkeypatch.setattr(os_service, "checked", check)
    monkeypatch.setattr(os_process, "run", run)
    task: Any = SimpleNamespace(tell=None)

    async def asking(user: str) -> None:
        bind_caller("test", [("x-user-id", user)])
        await service.perform("find", CommandParameters(args=[user]), task)

    async with asyncio.TaskGroup() as group:
        for number in range(10 * AT_ONCE):
            group.create_task(asking("many"), name=f"many {number}")
        while len(order) < AT_ONCE:
            await asyncio.sleep(0)
        group.create_task(asking("one"), name="one")
        await asyncio.sleep(0)
        held.set()
    await service.stop()
    assert order.index("one") <= 3 * AT_ONCE


async def test_long_searches_of_a_user_hold_up_nobody_else(
    root: Path, monkeypatch: pytest.MonkeyPatch, held: Event
) -> None:
    """Neither what is checked at once, nor a search of another user's; and a search that nobody waits for ends."""
    service = OsService(config(root.parent / "kept", OS_ROOT=str(root)))
    await service.start()
    monkeypatch.setattr(os_service, "FEW_FILES", 0)
    (root / "B").mkdir(exist_ok=True)
    for folder in ("A", "B"):
        (root / folder / "file").touch()
    below = ClosedPaths.below
    begun: list[Search] = []

    def looking(paths: ClosedPaths, folder: Path, search: Search, levels: int | None = None) -> list[Path]:
        found = below(paths, folder, search, levels)
        if folder.name == "A":
            begun.append(search)
            held.wait()
        return found

    async def run(*_arguments: Any) -> Ended:
        return Ended(0, "", "", 0, truncated=False)

    monkeypatch.setattr(ClosedPaths, "below", looking)
    monkeypatch.setattr(os_process, "run", run)
    task: Any = SimpleNamespace(tell=None)

    async def asking(user: str, name: str, *args: str) -> None:
        bind_caller("test", [("x-user-id", user)])
        await service.perform(name, CommandParameters(args=list(args)), task)

    async with asyncio.TaskGroup() as group:
        many = [group.create_task(asking("many", "find", "A"), name=f"many {n}") for n in range(2 * AT_ONCE)]
        while not begun:
            await asyncio.sleep(0)
        for name, *args in (("date",), ("ls", "A"), ("find", "B")):
            await group.create_task(asking("one", name, *args), name="one")
        assert len(begun) == 1
        for one in many:
            one.cancel()
    with pytest.raises(TooManyFilesError):
        begun[0].step()
    held.set()
    await service.stop()


async def test_a_client_that_does_not_read_holds_up_no_command(tmp_path: Path) -> None:
    (tmp_path / "long").write_text("x" * os_process.MAX_OUTPUT_BYTES)
    (tmp_path / "bin").mkdir()
    program = tmp_path / "bin/cat"
    program.write_text(f'#!/bin/sh\n{shutil.which("cat")} "$@" && touch done\n')
    program.chmod(0o755)
    read, heard = asyncio.Event(), []

    async def listener(message: str = "", *, stream: str = "", data: str = "") -> None:
        await read.wait()
        assert stream or message == "running cat"
        heard.append(data)

    async with asyncio.TaskGroup() as group:
        running = group.create_task(os_process.run(str(program), "cat", ["long"], tmp_path, listener), name="cat")
        while not (tmp_path / "done").exists():
            await asyncio.sleep(0)
        assert not heard
        read.set()
        ended = await running
    assert not ended.truncated
    assert "".join(heard) == ended.stdout


async def test_what_opening_would_wait_for_is_refused(root: Path) -> None:
    async with serving(OsService(config(root.parent / "kept", OS_ROOT=str(root)))) as channel:
        stub = os_pb2_grpc.OsExecutorStub(channel)
        for name, args in (("cat", ["pipe"]), ("cp", ["A/f", "pipe"]), ("grep", ["x", "pipe"])):
            assert await refused(stub, name, {"args": args}) == ("INVALID_ARGUMENT", "args: pipe is no file")

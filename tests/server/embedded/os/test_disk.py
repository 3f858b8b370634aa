"""Nobody fills the disk by commands, and no command leaves half of a file."""

from __future__ import annotations

import asyncio
import shutil
import signal
import sys
from typing import TYPE_CHECKING, Any

import pytest

from protos import os_pb2_grpc
from server.embedded.executor import FullError
from server.embedded.os import disk
from server.embedded.os import process as os_process
from server.embedded.os.copies import Copy, new_file
from server.embedded.os.disk import NAME_BYTES, DiskRoom, Writes
from server.embedded.os.service import OsService
from tests.server.embedded.executing import config, execute, refused, request, serving

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

HALF_COPY = """
import os, sys, time
goal = sys.argv[-1]
with open(os.path.join(goal, "a") if os.path.isdir(goal) else goal, "w") as file:
    file.write("half")
print(sys.argv[1:], flush=True)
time.sleep(60)
"""


@pytest.fixture
def root(tmp_path: Path) -> Path:
    folder = tmp_path / "root"
    (folder / "d").mkdir(parents=True)
    (folder / "a").write_text("x" * 1_000)
    return folder


@pytest.fixture
def service(root: Path) -> OsService:
    return OsService(config(root.parent / "kept", OS_ROOT=str(root)))


@pytest.fixture
def slow_copy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A `cp` that never comes to an end."""
    (tmp_path / "bin").mkdir()
    program = tmp_path / "bin" / "cp"
    program.write_text(f"#!{sys.executable}\n{HALF_COPY}")
    program.chmod(0o755)
    monkeypatch.setattr(os_process, "SAFE_PATH", f"{program.parent}:{os_process.SAFE_PATH}")


@pytest.fixture
def full(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """No volume has as much free as commands leave."""
    with monkeypatch.context() as patched:
        patched.setattr(disk, "KEPT_FREE_PART", 1)
        patched.setattr(disk, "KEPT_FREE_BYTES", 1 << 60)
        yield


async def test_a_user_copies_so_much_within_an_hour(service: OsService, root: Path, monkeypatch: Any) -> None:
    monkeypatch.setattr("server.embedded.os.service.SHARE_BYTES", 2_500)
    service = OsService(service.config)
    async with serving(service) as channel:
        stub = os_pb2_grpc.OsExecutorStub(channel)
        for args in (["a", "b"], ["-n", "a", "d"]):
            assert (await execute(stub, "cp", {"args": args})).status == "ok"
        assert await refused(stub, "cp", {"args": ["a", "c"]}) == (
            "RESOURCE_EXHAUSTED",
            "a user may copy 1,024 MiB within an hour",
        )
        assert not (root / "c").exists()
        assert (await execute(stub, "touch", {"args": ["a", "e"]})).status == "ok"


@pytest.mark.usefixtures("full")
async def test_commands_leave_some_of_the_disk_free(service: OsService, root: Path) -> None:
    async with serving(service) as channel:
        stub = os_pb2_grpc.OsExecutorStub(channel)
        for name, args in (("cp", ["a", "b"]), ("cp", ["a", "d"]), ("touch", ["n"]), ("mkdir", ["-p", "d/e/f"])):
            status, words = await refused(stub, name, {"args": args})
            assert status == "RESOURCE_EXHAUSTED"
            assert words.startswith("the disk is nearly full: commands leave ")
        assert {path.name for path in root.rglob("*")} == {"a", "d"}
        for name, args in (("touch", ["a"]), ("mv", ["a", "b"]), ("rmdir", ["d"]), ("ls", [])):
            assert (await execute(stub, name, {"args": args})).status == "ok"


def test_what_runs_has_its_room(root: Path) -> None:
    free = shutil.disk_usage(root).free
    room = DiskRoom()
    much = Writes(copy=Copy(root / "b", 0o600, free // 3), places=(root / "b",))
    with room.promised(much):
        with room.promised(much), pytest.raises(FullError), room.promised(much):
            pass
        with room.promised(much):
            pass
    assert +room._promised == {}
    assert Writes(made=2, copy=much.copy).taken_bytes == free // 3 + 2 * NAME_BYTES


async def test_a_file_that_grows_is_not_copied(service: OsService, root: Path, monkeypatch: Any) -> None:
    run = os_process.run

    async def grown(*given: Any) -> os_process.Ended:
        (root / "a").write_bytes(b"x" * 1_000_000)
        return await run(*given)

    monkeypatch.setattr(os_process, "run", grown)
    async with serving(service) as channel:
        done = await execute(os_pb2_grpc.OsExecutorStub(channel), "cp", {"args": ["a", "b"]})
        assert (done.status, done.values["exit_code"]) == ("failed", -signal.SIGXFSZ)
        assert done.message == "cp was ended: there was more to write than before it began"
        assert not (root / "b").exists()


@pytest.mark.parametrize(("name", "most"), [("cp", 700), ("cp", 0)])
async def test_no_command_writes_longer_files_than_it_may(root: Path, name: str, most: int) -> None:
    async def listener(*_: Any, **__: Any) -> None:
        pass

    program = shutil.which(name)
    assert program is not None
    ended = await os_process.run(program, name, ["a", "b"], root, listener, most)
    assert ended.exit_code == -signal.SIGXFSZ
    assert (root / "b").stat().st_size <= most + 1


async def test_nothing_is_moved_to_another_file_system(service: OsService, root: Path, monkeypatch: Any) -> None:
    monkeypatch.setattr("server.embedded.os.commands._device", lambda folder: len(folder.parts))
    async with serving(service) as channel:
        stub = os_pb2_grpc.OsExecutorStub(channel)
        for goal in ("d", "d/b"):
            assert await refused(stub, "mv", {"args": ["a", goal]}) == (
                "INVALID_ARGUMENT",
                f"args: {goal} is on another file system: nothing is moved there",
            )
        assert (await execute(stub, "mv", {"args": ["a", "b"]})).status == "ok"


async def said(call: Any) -> str:
    """The first line of output."""
    await call.read()
    line: str = (await call.read()).progress.data
    return line.strip()


@pytest.mark.usefixtures("slow_copy")
@pytest.mark.parametrize(
    ("flags", "told"), [([], []), (["-n"], []), (["-nv"], ["-v"]), (["-v", "--no-clobber"], ["-v"])]
)
async def test_half_a_copy_is_removed(service: OsService, root: Path, flags: list[str], told: list[str]) -> None:
    (root / "there").write_text("kept")
    async with serving(service) as channel:
        stub = os_pb2_grpc.OsExecutorStub(channel)
        for goal, path in (("b", "b"), ("d", "d/a"), ("d/c", "d/c")):
            call = stub.Execute(request("cp", {"args": [*flags, "a", goal]}))
            assert await said(call) == str([*told, "a", goal])
            assert (root / path).read_text() == "half"
            call.cancel()
            while (root / path).exists():
                await asyncio.sleep(0.01)
        call = stub.Execute(request("cp", {"args": [*flags, "a", "there"]}))
        assert await said(call) == str([*flags, "a", "there"])
        call.cancel()
    assert (root / "there").exists()


async def test_a_copy_that_cannot_be_leaves_nothing(service: OsService, root: Path) -> None:
    async with serving(service) as channel:
        stub = os_pb2_grpc.OsExecutorStub(channel)
        for args in (["d", "b"], ["none", "b"], ["a", "none/b"]):
            assert (await execute(stub, "cp", {"args": args})).status == "failed"
    assert {path.name for path in root.rglob("*")} == {"a", "d"}


async def test_only_what_was_made_for_the_copy_is_removed(root: Path) -> None:
    copy = Copy(root / "b", 0o640, 5)
    async with new_file(copy) as new:
        assert new.made
        (root / "b").write_text("half")
        (root / "b").rename(root / "moved")
        (root / "b").write_text("another")
    assert ((root / "b").read_text(), (root / "moved").read_text()) == ("another", "")
    async with new_file(copy) as new:
        assert not new.made
    assert (root / "b").read_text() == "another"
    (root / "link").symlink_to("nowhere")
    async with new_file(Copy(root / "link", 0o640, 5)) as new:
        assert not new.made
    async with new_file(Copy(root / "c", 0o640, 5)) as new:
        new.whole = True
    assert (root / "c").stat().st_mode & 0o777 == 0o640


async def test_who_may_not_write_the_source_can_copy_it(service: OsService, root: Path) -> None:
    """The command opens the file that was made for it: without u+w, only root can."""
    for source_mode in (0o444, 0o640):
        async with new_file(Copy(root / "b", source_mode, 5)) as new:
            assert (root / "b").stat().st_mode & 0o777 == source_mode | 0o200
            new.whole = True
        assert (root / "b").stat().st_mode & 0o777 == source_mode
        (root / "b").unlink()
    (root / "a").chmod(0o444)
    async with serving(service) as channel:
        stub = os_pb2_grpc.OsExecutorStub(channel)
        for args in (["a", "b"], ["-p", "a", "c"], ["-n", "a", "d"]):
            assert (await execute(stub, "cp", {"args": args})).status == "ok"
    assert [(root / name).stat().st_mode & 0o777 for name in ("b", "c", "d/a")] == [0o444] * 3
    assert [(root / name).read_text() for name in ("b", "c", "d/a")] == ["x" * 1_000] * 3

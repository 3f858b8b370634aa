"""Whoever gives a command that does nothing is told so, also where the command itself says nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from protos import os_pb2_grpc
from server.embedded.os.service import OsService
from tests.server.embedded.executing import config, execute, serving

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def root(tmp_path: Path) -> Path:
    folder = tmp_path / "root"
    for name in ("a", "b", "d/a", "d/e/x", "e/x"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(name)
    (folder / "link").symlink_to("b")
    return folder


def contents(root: Path) -> dict[str, str]:
    return {str(path.relative_to(root)): path.read_text() if path.is_file() else "" for path in root.rglob("*")}


@pytest.mark.parametrize(
    ("command", "status", "message"),
    [
        ("mv -n a b", "failed", "mv: nothing is moved to ‘b’: File exists"),
        ("mv -nv a b", "failed", "mv: nothing is moved to ‘b’: File exists"),
        ("mv --no-clobber a d/", "failed", "mv: nothing is moved to ‘d/a’: File exists"),
        ("mv -n e d", "failed", "mv: nothing is moved to ‘d/e’: File exists"),
        ("mv -n a a", "failed", "mv: nothing is moved to ‘a’: File exists"),
        ("cp -n a b", "failed", "cp: nothing is copied to ‘b’: File exists"),
        ("cp -pn a link", "failed", "cp: nothing is copied to ‘link’: File exists"),
        ("cp --no-clobber a ./d/", "failed", "cp: nothing is copied to ‘d/a’: File exists"),
        ("mkdir -p d", "ok", "mkdir: nothing new is made at ‘d’: File exists"),
        ("mkdir -p d/e d", "ok", "mkdir: nothing new is made at ‘d/e’: File exists"),
        ("touch a", "ok", "touch: nothing new is made at ‘a’: File exists"),
        ("touch d/", "ok", "touch: nothing new is made at ‘d/’: File exists"),
        ("touch -c none", "ok", "touch: nothing is marked at ‘none’: No such file or directory"),
        ("mv none b", "failed", "mv: cannot stat 'none': No such file or directory"),
        ("mv -n none b", "failed", "mv: cannot stat 'none': No such file or directory"),
        ("cp -n e f", "failed", "cp: -r not specified; omitting directory 'e'"),
        ("grep z a b", "ok", ""),
        ("grep z none", "failed", "grep: none: No such file or directory"),
    ],
)
async def test_what_has_done_nothing_says_so(root: Path, command: str, status: str, message: str) -> None:
    before = contents(root)
    async with serving(OsService(config(root.parent, OS_ROOT=str(root)))) as channel:
        name, *args = command.split()
        run = await execute(os_pb2_grpc.OsExecutorStub(channel), name, {"args": args})
    assert (run.status, run.message) == (status, message)
    assert contents(root) == before


@pytest.mark.parametrize(
    "command",
    ["mv -n a c", "mv -n e f", "mv a b", "cp -n a c", "cp -n a e", "cp a b", "mkdir -p d f/g", "touch c", "touch -c a"],
)
async def test_what_has_done_something_does_not(root: Path, command: str) -> None:
    async with serving(OsService(config(root.parent, OS_ROOT=str(root)))) as channel:
        name, *args = command.split()
        run = await execute(os_pb2_grpc.OsExecutorStub(channel), name, {"args": args})
    assert (run.status, run.message) == ("ok", "")

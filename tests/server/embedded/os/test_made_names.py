"""The folder is everybody's: nobody fills it with names within an hour."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from protos import os_pb2_grpc
from server.embedded.os.closed import MAX_WALKED, ClosedPaths, Search
from server.embedded.os.commands import COMMANDS, RefusedArgumentError, checked
from server.embedded.os.lasting_names import MAX_LEVELS
from server.embedded.os.made_names import MAX_MADE, SHARE, missing
from server.embedded.os.service import OsService
from tests.server.embedded.executing import config, execute, refused, serving

if TYPE_CHECKING:
    from pathlib import Path


def deep(name: str, folders: int) -> str:
    return "/".join([name, *["a"] * (folders - 1)])


async def test_folders_in_folders_are_counted_too(tmp_path: Path) -> None:
    root = tmp_path / "root"
    root.mkdir()
    async with serving(OsService(config(tmp_path, OS_ROOT=str(root)))) as channel:
        stub = os_pb2_grpc.OsExecutorStub(channel)
        half = MAX_MADE // 2
        made = await execute(stub, "mkdir", {"args": ["-p", deep("x", half), deep("y", half)]})
        assert (made.status, len(list(root.rglob("*")))) == ("ok", MAX_MADE)
        many = [deep(name, 60) for name in "vwxz"]
        assert await refused(stub, "mkdir", {"args": ["-p", *many]}) == (
            "INVALID_ARGUMENT",
            f"args: mkdir makes at most {MAX_MADE} files and folders, not {3 * 60 + 60 - half}",
        )
        around = "/".join(f"d{number}/.." for number in range(MAX_LEVELS // 2))
        await execute(stub, "mkdir", {"args": ["-p", f"{around}/e"]})
        assert len(list(root.rglob("*"))) == MAX_MADE + 1


async def test_a_user_makes_so_many_names_within_an_hour(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("server.embedded.os.service.SHARE", 3)
    (tmp_path / "there").touch()
    async with serving(OsService(config(tmp_path / "kept", OS_ROOT=str(tmp_path)))) as channel:
        stub = os_pb2_grpc.OsExecutorStub(channel)
        for name, args in (("touch", ["a", "there"]), ("mkdir", ["-p", "b"]), ("cp", ["a", "c"])):
            assert (await execute(stub, name, {"args": args})).status == "ok"
        for name, args in (("touch", ["d"]), ("mkdir", ["d"]), ("cp", ["a", "d"])):
            assert (await refused(stub, name, {"args": args}))[0] == "RESOURCE_EXHAUSTED"
        for name, args in (
            ("touch", ["a"]),
            ("touch", ["-c", "x", "y"]),
            ("mv", ["a", "e"]),
            ("ls", []),
            ("cp", ["c", "e"]),
        ):
            assert (await execute(stub, name, {"args": args})).status == "ok"


def test_every_command_that_makes_something_is_counted(tmp_path: Path) -> None:
    (tmp_path / "a").touch()
    closed = ClosedPaths((), tmp_path)
    for name, command in COMMANDS.items():
        if command.kind == "change" and not command.moves and not command.removes:
            search = Search()
            checked(name, ["a", "b"][-command.least :], tmp_path, closed, search)
            assert search.writes.made == 1, name
    (tmp_path / "folder").mkdir()
    search = Search()
    checked("cp", ["a", "folder"], tmp_path, closed, search)
    assert search.writes.made == 1
    assert SHARE * 100 <= MAX_WALKED


def test_what_is_missing(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    assert [missing(tmp_path / path, tmp_path) for path in (".", "a", "a/b", "c/d/e")] == [0, 0, 1, 3]
    with pytest.raises(RefusedArgumentError, match="at most"):
        checked(
            "mkdir", ["-p", deep("y", MAX_MADE // 2), deep("z", MAX_MADE // 2 + 1)], tmp_path, ClosedPaths((), tmp_path)
        )

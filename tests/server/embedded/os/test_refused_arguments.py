"""What no command can be run with is its caller's mistake: after five faults of the service the gateway asks it for nobody any longer."""

from __future__ import annotations

import errno
import os
from typing import TYPE_CHECKING, Any

import pytest

from protos import os_pb2_grpc
from server.embedded.os import process as os_process
from server.embedded.os.closed import ClosedPaths
from server.embedded.os.commands import COMMANDS, RefusedArgumentError, checked
from server.embedded.os.service import OsService
from tests.server.embedded.executing import config, execute, refused, serving

if TYPE_CHECKING:
    from pathlib import Path

NO_TEXT = ("a\0b", "x" * 1025, "a\udce9\ud800b")
PLACES = [
    *((name, before) for name, command in COMMANDS.items() for before in ([], *([flag] for flag in command.valued))),
    ("grep", ["x"]),
    ("find", [".", "-type", "f", "-iname"]),
]


@pytest.mark.parametrize("text", NO_TEXT)
@pytest.mark.parametrize(("name", "before"), PLACES)
def test_every_argument_is_a_text_wherever_it_stands(tmp_path: Path, name: str, before: list[str], text: str) -> None:
    with pytest.raises(RefusedArgumentError, match="an argument has"):
        checked(name, [*before, text], tmp_path, ClosedPaths((), tmp_path))


async def test_a_zero_byte_in_the_value_of_a_flag_is_no_fault_of_the_service(tmp_path: Path) -> None:
    async with serving(OsService(config(tmp_path, OS_ROOT=str(tmp_path)))) as channel:
        stub = os_pb2_grpc.OsExecutorStub(channel)
        status, details = await refused(stub, "find", {"args": [".", "-name", "a\0b"]})
        assert (status, details[:20]) == ("INVALID_ARGUMENT", "args: an argument ha")


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (ValueError("embedded null byte"), "INVALID_ARGUMENT"),
        (UnicodeEncodeError("utf-8", "\ud800", 0, 1, "surrogates not allowed"), "INVALID_ARGUMENT"),
        *((OSError(number, os.strerror(number)), "INVALID_ARGUMENT") for number in (errno.E2BIG, errno.ENAMETOOLONG)),
        *((OSError(number, os.strerror(number)), "RESOURCE_EXHAUSTED") for number in (errno.EAGAIN, errno.EMFILE)),
        (OSError(errno.ENOENT, os.strerror(errno.ENOENT)), "UNAVAILABLE"),
    ],
)
async def test_what_does_not_start_is_told_to_its_caller(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception, status: str
) -> None:
    async def start(*_: Any) -> None:
        raise error

    monkeypatch.setattr(os_process, "_start", start)
    async with serving(OsService(config(tmp_path, OS_ROOT=str(tmp_path)))) as channel:
        assert (await refused(os_pb2_grpc.OsExecutorStub(channel), "pwd"))[0] == status


async def test_no_file_is_made_where_a_folder_was_named(tmp_path: Path) -> None:
    """A slash at the end names a folder: without one, the file would take its name."""
    root = tmp_path / "root"
    (root / "d").mkdir(parents=True)
    (root / "a").write_text("one")
    async with serving(OsService(config(tmp_path / "kept", OS_ROOT=str(root)))) as channel:
        stub = os_pb2_grpc.OsExecutorStub(channel)
        for name in ("cp", "mv"):
            for goal in ("none/", "none/.", "a/", "d/../none/"):
                assert await refused(stub, name, {"args": ["a", goal]}) == (
                    "INVALID_ARGUMENT",
                    f"args: {goal} is no folder",
                )
            assert (await execute(stub, name, {"args": ["a/", "b"]})).status == "failed"
        for name, args in (("touch", ["none/"]), ("cat", ["a/"]), ("cp", ["d", "none/"])):
            assert (await execute(stub, name, {"args": args})).status == "failed"
        assert {path.name for path in root.rglob("*")} == {"a", "d"}
        for name, args in (("cp", ["a", "d/"]), ("mkdir", ["e/"]), ("mv", ["e/", "f/"]), ("mv", ["a", "f/../d/"])):
            assert (await execute(stub, name, {"args": args})).status == "ok", (name, args)
    assert {str(path.relative_to(root)) for path in root.rglob("*")} == {"d", "d/a", "f"}

"""Folders in folders: each command, check and walk looks up all that are above a file."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from server.embedded.os.closed import ClosedPaths
from server.embedded.os.commands import COMMANDS, RefusedArgumentError, checked
from server.embedded.os.lasting_names import MAX_LEVELS

if TYPE_CHECKING:
    from pathlib import Path


def deep(levels: int, name: str = "a") -> str:
    return "/".join([name] * levels)


def refusal(root: Path, name: str, *args: str) -> str:
    with pytest.raises(RefusedArgumentError) as caught:
        checked(name, list(args), root, ClosedPaths((), root))
    return str(caught.value)


@pytest.mark.parametrize("name", sorted(name for name, command in COMMANDS.items() if command.named))
def test_no_command_is_told_a_longer_way(tmp_path: Path, name: str) -> None:
    first = ["x"] if name == "grep" else []
    root = tmp_path.resolve()
    (root / deep(MAX_LEVELS - 2)).mkdir(parents=True)
    paths = [f"{deep(MAX_LEVELS - 2)}/{leaf}" for leaf in "bc"]
    assert checked(name, [*first, *paths], root, ClosedPaths((), root))
    assert "lies in more than 64 folders" in refusal(root, name, *first, paths[0], deep(MAX_LEVELS + 1))
    for long in ("a/../" * 200 + "a", "/".join(map(str, range(250))), deep(500)):
        assert "has more than 64 parts" in refusal(root, name, *first, paths[0], long)


def test_a_link_leads_no_deeper(tmp_path: Path) -> None:
    root = tmp_path.resolve()
    (root / deep(40)).mkdir(parents=True)
    (root / "link").symlink_to(deep(40))
    closed = ClosedPaths((), root)
    assert checked("mkdir", ["-p", f"link/{deep(20)}"], root, closed)
    assert "lies in more than" in refusal(root, "mkdir", "-p", f"link/{deep(30)}")


def test_nothing_is_moved_deeper(tmp_path: Path) -> None:
    root = tmp_path.resolve()
    (root / deep(40)).mkdir(parents=True)
    (root / deep(40, "b")).mkdir(parents=True)
    closed = ClosedPaths((), root)
    assert "a would lie in more than 64 folders, so it is not moved" in refusal(root, "mv", "a", deep(40, "b"))
    assert "a would lie in more than 64 folders, so it is not moved" in refusal(root, "mv", "a", f"{deep(30, 'b')}/new")
    assert checked("mv", ["a", deep(24, "b")], root, closed)

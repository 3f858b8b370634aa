"""Keeps closed paths out of what recursive commands list: their names and sizes are nobody's business either."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from server.embedded.os.closed import ClosedPaths, Search

_GLOB = re.compile(r"([\\*?\[\]])")
_EXPRESSION = ("(", ")", "!", ",")  # where find takes an argument for its expression
_LS_RECURSES = re.compile(r"-[a-zA-Z1]*R[a-zA-Z1]*|--recursive")


def hiding(
    name: str,
    options: Sequence[str],
    operands: Sequence[str],
    folders: Sequence[Path],
    closed: ClosedPaths,
    search: Search,
) -> list[str]:
    """The arguments with which a command leaves out what is closed. `folders`: the operands, resolved.

    Raises TooManyFilesError.
    """
    if name in ("find", "du"):  # `find a//` prints `a//b`, which no pattern made of `a/` matches
        operands = [operand.rstrip("/") or "/" for operand in operands]
    if name == "find":
        return _find(options, operands, folders, closed, search)
    if name == "du":
        patterns = (_escaped(path) for path in _below(operands, folders, closed, search))
        return [*options, *(f"--exclude={pattern}" for pattern in patterns), *operands]
    if name == "ls" and any(map(_LS_RECURSES.fullmatch, options)):
        names = {path.rpartition("/")[2] for path in _below(operands, folders, closed, search)}
        return [*options, *(f"--ignore={_escaped(hidden)}" for hidden in sorted(names)), *operands]
    return [*options, *operands]


def _find(
    options: Sequence[str], operands: Sequence[str], folders: Sequence[Path], closed: ClosedPaths, search: Search
) -> list[str]:
    """Paths, then -maxdepth, then the closed paths that are not entered, then the tests."""
    pairs = list(options)
    depth = pairs.index("-maxdepth") if "-maxdepth" in pairs else None
    maxdepth = pairs[depth : depth + 2] if depth is not None else []
    tests = pairs[:depth] + pairs[depth + 2 :] if depth is not None else pairs
    operands = [f"./{operand}" if operand.startswith(_EXPRESSION) else operand for operand in operands]
    levels = int(maxdepth[1]) if maxdepth else None
    patterns = [_escaped(path) for path in _below(operands, folders, closed, search, levels)]
    if not patterns:
        return [*operands, *maxdepth, *tests]
    alternatives = " -o ".join("-path {}" for _ in patterns).split(" ")
    filled = iter(patterns)
    pruned = [next(filled) if part == "{}" else part for part in alternatives]
    return [*operands, *maxdepth, "(", *pruned, ")", "-prune", "-o", *tests, "-print"]


def _below(
    operands: Sequence[str], folders: Sequence[Path], closed: ClosedPaths, search: Search, levels: int | None = None
) -> list[str]:
    """The closed paths below the operands, as the command prints them."""
    found = {folder: closed.below(folder, search, levels) for folder in dict.fromkeys(folders)}
    return [
        f"{operand.rstrip('/')}/{path.relative_to(folder)}"
        for operand, folder in zip(operands, folders, strict=True)
        for path in found[folder]
    ]


def _escaped(path: str) -> str:
    return _GLOB.sub(r"\\\1", path)

"""The whitelist of OS commands: flags that are harmless, how many arguments, whether they name files."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

MAX_ARGUMENTS = 16
MAX_ARGUMENT_CHARS = 1_024


class RefusedArgumentError(ValueError):
    """An argument that the whitelist does not admit; the text names it."""


@dataclass(frozen=True, slots=True)
class Command:
    """`flags` a pattern for what begins with -, `paths` arguments are files below the root, `words` plain text."""

    description: str
    kind: str = "read"
    flags: str = r"(?!)"
    most: int = 0
    paths: bool = False
    least: int = 0


COMMANDS: dict[str, Command] = {
    "ls": Command("List files", flags=r"-[1alhRrtS]+", most=4, paths=True),
    "pwd": Command("Tell the current directory"),
    "date": Command("Tell date and time", flags=r"-u|--iso-8601|--rfc-3339=seconds"),
    "whoami": Command("Tell the user"),
    "uptime": Command("Tell how long the machine is up", flags=r"-p|-s"),
    "uname": Command("Tell the system's name", flags=r"-[asnrvm]+"),
    "df": Command("Tell free disk space", flags=r"-[hTi]+"),
    "du": Command("Tell how much space files take", flags=r"-[hsac]+", most=2, paths=True),
    "cat": Command("Show a file", flags=r"-n", most=4, paths=True, least=1),
    "head": Command("Show the first lines of a file", flags=r"-n\d{1,5}|-\d{1,5}", most=1, paths=True, least=1),
    "tail": Command("Show the last lines of a file", flags=r"-n\d{1,5}|-\d{1,5}", most=1, paths=True, least=1),
    "wc": Command("Count lines, words and bytes", flags=r"-[lwcm]+", most=4, paths=True, least=1),
    "echo": Command("Say something back", flags=r"-n", most=MAX_ARGUMENTS),
    "sleep": Command("Wait", most=1, least=1),
    "mkdir": Command("Make a folder", "change", flags=r"-p", most=1, paths=True, least=1),
    "touch": Command("Make an empty file", "change", most=1, paths=True, least=1),
    "cp": Command("Copy a file", "change", flags=r"-n", most=2, paths=True, least=2),
    "mv": Command("Move a file", "change", flags=r"-n", most=2, paths=True, least=2),
}


def check_arguments(name: str, arguments: list[str], root: Path) -> None:
    """Raises RefusedArgumentError."""
    command = COMMANDS[name]
    operands = [argument for argument in arguments if not argument.startswith("-")]
    for argument in arguments:
        if len(argument) > MAX_ARGUMENT_CHARS or "\0" in argument:
            raise RefusedArgumentError(f"an argument has at most {MAX_ARGUMENT_CHARS} characters, and no zero byte")
        if argument.startswith("-") and not re.fullmatch(command.flags, argument):
            raise RefusedArgumentError(f"{name} is not run with {argument}")
    if not command.least <= len(operands) <= command.most:
        raise RefusedArgumentError(f"{name} takes {command.least} to {command.most} arguments")
    if command.paths:
        for operand in operands:
            _check_path(operand, root)


def _check_path(operand: str, root: Path) -> None:
    """Below the root, symbolic links followed."""
    resolved = (root / operand).resolve()
    if resolved != root and root not in resolved.parents:
        raise RefusedArgumentError(f"{operand} lies outside of the folder that may be seen")

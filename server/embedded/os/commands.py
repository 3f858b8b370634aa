"""The whitelist of OS commands: harmless flags, the number of arguments, and which of them are files below the root."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from server.embedded.os.closed import ClosedPaths

MAX_ARGUMENTS = 16
MAX_ARGUMENT_CHARS = 1_024

NEVER = r"(?!)"
COUNT = r"\d{1,6}"
# Names of files with secrets, which are not read even through a symbolic link with another name. Safety's policies apply the
# same rule to the requested name; this one applies to the file it leads to.
_SECRET_NAME = re.compile(
    r"\.env(\..*)?|\.(ssh|gnupg|aws|azure|kube|docker|netrc|pgpass|npmrc|pypirc|git|git-credentials|htpasswd)"
    r"|id_(rsa|dsa|ecdsa|ed25519)|.*\.(pem|key|p12|pfx|kdbx)|g?shadow-?|sudoers|users\.json|credentials(\..*)?"
    r"|(.*[._-])?secrets?([._-].*)?",
    re.IGNORECASE,
)


_KERNEL = (Path("/proc"), Path("/sys"), Path("/dev"))  # environments of processes, other paths to files, raw disks


class RefusedArgumentError(ValueError):
    """An argument that the whitelist does not allow; the text names it."""


@dataclass(frozen=True, slots=True)
class Command:
    """One command.

    `kind`: its effect on the machine. `flags`: pattern of whole flags; `valued`: flags, with the pattern of the argument that follows.
    There are `least` to `most` other arguments. The first `words` of them match the pattern `word`; the rest are paths below the
    root.
    """

    description: str
    kind: Literal["read", "change"] = "read"
    flags: str = NEVER
    valued: Mapping[str, str] = field(default_factory=dict)
    least: int = 0
    most: int = 0
    words: int = 0
    word: str = r"(?s:.*)"
    opens: bool = False  # reads the files' contents, not only their names
    moves: bool = False  # renames the first path, with everything below it
    keeps: str | None = None  # pattern of the flag without which the command may remove or overwrite files

    def destroys(self, arguments: list[str]) -> bool:
        """True if data may be lost for good."""
        return self.keeps is not None and not any(re.fullmatch(self.keeps, argument) for argument in arguments)


_LINES = {"-n": COUNT, "-c": COUNT, "--lines": COUNT, "--bytes": COUNT}
_NO_CLOBBER = r"-[vp]*n[nvp]*|--no-clobber"
_LINE_FLAGS = r"-[nc]?\d{1,6}|--(lines|bytes)=\d{1,6}|-[qv]"

COMMANDS: Mapping[str, Command] = {
    "ls": Command("List files", flags=r"-[1aAlhRrtSdFp]+|--(all|almost-all|human-readable|reverse|recursive)", most=8),
    "pwd": Command("Tell the current directory"),
    "date": Command(
        "Tell date and time",
        flags=r"-u|--utc|-I(date|hours|minutes|seconds)?|-R|--iso-8601(=\w+)?|--rfc-3339=\w+",
        most=1,
        words=1,
        word=r"\+[-+%\w :/.,]+",
    ),
    "cal": Command("Show a calendar", flags=r"-[13my]", most=2, words=2, word=r"\d{1,4}"),
    "whoami": Command("Tell the user"),
    "hostname": Command("Tell the machine's name", flags=r"-[sf]"),
    "uptime": Command("Tell how long the machine is up", flags=r"-[ps]|--pretty|--since"),
    "uname": Command("Tell the system's name", flags=r"-[asnrvmo]+"),
    "nproc": Command("Tell the number of processors", flags=r"--all"),
    "free": Command("Tell free memory", flags=r"-[bkmghtw]+"),
    "df": Command("Tell free disk space", flags=r"-[hHTik]+", most=2),
    "du": Command("Tell how much space files take", flags=r"-[hsack]+", valued={"-d": r"\d{1,2}"}, most=4),
    "cat": Command("Show files", flags=r"-[nbsAET]+", least=1, most=8, opens=True),
    "head": Command("Show the first lines of files", flags=_LINE_FLAGS, valued=_LINES, least=1, most=8, opens=True),
    "tail": Command("Show the last lines of files", flags=_LINE_FLAGS, valued=_LINES, least=1, most=8, opens=True),
    "wc": Command("Count lines, words and bytes", flags=r"-[lwcmL]+", least=1, most=8, opens=True),
    "grep": Command(
        "Find lines in files",
        flags=r"-[inclwxvoHhFE]+",
        valued={"-m": COUNT, "-A": COUNT, "-B": COUNT, "-C": COUNT},
        least=2,
        most=9,
        words=1,
        opens=True,
    ),
    "find": Command(
        "Find files by name",
        valued={
            "-name": r"[^/]+",
            "-iname": r"[^/]+",
            "-type": r"[fdl]",
            "-maxdepth": r"\d{1,2}",
            "-mtime": r"[+-]?\d{1,5}",
            "-size": r"[+-]?\d{1,9}[ckMG]?",
        },
        flags=r"-empty",
        most=4,
    ),
    "stat": Command("Tell size, owner and times of files", least=1, most=8),
    "file": Command("Tell what kind of files they are", flags=r"-[bi]+", least=1, most=8, opens=True),
    "sha256sum": Command("Tell the checksum of files", least=1, most=8, opens=True),
    "echo": Command("Say something back", flags=r"-n", most=MAX_ARGUMENTS, words=MAX_ARGUMENTS),
    "sleep": Command("Wait some seconds", least=1, most=1, words=1, word=r"\d{1,3}(\.\d{1,3})?"),
    "mkdir": Command("Make folders", "change", flags=r"-p|--parents", least=1, most=4),
    "rmdir": Command("Remove empty folders", "change", least=1, most=4, keeps=NEVER),
    "touch": Command("Make empty files, or mark files as changed now", "change", flags=r"-c", least=1, most=4),
    "cp": Command(
        "Copy a file", "change", flags=r"-[nvp]+|--no-clobber", least=2, most=2, opens=True, keeps=_NO_CLOBBER
    ),
    "mv": Command(
        "Move or rename a file or folder",
        "change",
        flags=r"-[nv]+|--no-clobber",
        least=2,
        most=2,
        moves=True,
        keeps=_NO_CLOBBER,
    ),
}


def check_arguments(name: str, arguments: list[str], root: Path, closed: ClosedPaths) -> None:
    """Check a command's arguments. Raises RefusedArgumentError."""
    command = COMMANDS[name]
    operands = list(_operands(name, command, arguments))
    if not command.least <= len(operands) <= command.most:
        raise RefusedArgumentError(f"args: {name} takes {_number(command)}, not {len(operands)}")
    for word in operands[: command.words]:
        if not re.fullmatch(command.word, word):
            raise RefusedArgumentError(f"args: {name} is not run with {word[:80]}")
    paths = [_resolved(operand, root) for operand in operands[command.words :]]
    for operand, path in zip(operands[command.words :], paths, strict=True):
        if _holds_secrets(path, command, root, closed):
            raise RefusedArgumentError(f"args: {operand[:80]} may hold secrets")
    if command.moves and closed.is_below(paths[0]):
        raise RefusedArgumentError(f"args: {operands[0][:80]} may hold secrets")


def _operands(name: str, command: Command, arguments: list[str]) -> Iterator[str]:
    """The arguments that are neither flags nor their values."""
    rest = iter(arguments)
    for argument in rest:
        _check_text(argument)
        if not argument.startswith("-") or argument == "":
            yield argument
        elif argument in command.valued:
            value = next(rest, None)
            if value is None or not re.fullmatch(command.valued[argument], value):
                raise RefusedArgumentError(f"args: {name} is not run with {argument} {(value or '')[:80]}".rstrip())
        elif not re.fullmatch(command.flags, argument):
            raise RefusedArgumentError(f"args: {name} is not run with {argument[:80]}")


def _check_text(argument: str) -> None:
    if len(argument) > MAX_ARGUMENT_CHARS or "\0" in argument:
        raise RefusedArgumentError(f"args: an argument has at most {MAX_ARGUMENT_CHARS} characters, and no zero byte")


def _number(command: Command) -> str:
    if command.most == 0:
        return "no arguments"
    span = f"{command.least}" if command.least == command.most else f"{command.least} to {command.most}"
    return f"{span} arguments" if command.most > 1 else f"{span} argument"


def _resolved(operand: str, root: Path) -> Path:
    """The path with symbolic links resolved. Raises RefusedArgumentError if it is not below the root."""
    try:
        resolved = (root / operand).resolve()
    except (OSError, RuntimeError):  # RuntimeError: links that form a loop
        raise RefusedArgumentError(f"args: {operand[:80]} leads nowhere") from None
    if operand == "" or not resolved.is_relative_to(root):
        raise RefusedArgumentError(f"args: {operand[:80]} lies outside of the folder that may be seen")
    return resolved


def _holds_secrets(path: Path, command: Command, root: Path, closed: ClosedPaths) -> bool:
    """Closed paths are closed to all commands. Files that are secret by their name may be listed, but not read or changed."""
    if closed.holds(path):
        return True
    if not command.opens and command.kind == "read":
        return False
    named = any(_SECRET_NAME.fullmatch(part) for part in path.relative_to(root).parts)
    return named or any(map(path.is_relative_to, _KERNEL))


def synopsis(name: str) -> str:
    """How the command is called, for people and language models."""
    command = COMMANDS[name]
    parts = [] if command.flags == NEVER else [f"flags fitting {command.flags}"]
    parts += [f"{flag} with a value fitting {pattern}" for flag, pattern in command.valued.items()]
    paths = "words" if command.words >= command.most else "paths below the root"
    if 0 < command.words < command.most:
        paths = "arguments, the first a pattern and then paths below the root"
    parts.append(f"{command.least} to {command.most} {paths}" if command.most else "no other arguments")
    return f"{name}: " + "; ".join(parts)

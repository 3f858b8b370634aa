"""The whitelist of OS commands: harmless flags, the number of arguments, and which of them are files below the root."""

from __future__ import annotations

import os
import re
import stat
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from server.embedded.os.closed import Search, TooManyFilesError
from server.embedded.os.copies import Copy
from server.embedded.os.disk import Writes
from server.embedded.os.hiding import hiding
from server.embedded.os.lasting_names import MAX_LEVELS, Name, NowhereError, followed, is_plain, levels, why_it_stays
from server.embedded.os.made_names import MAX_MADE, missing
from server.embedded.os.nothing_done import keeping, making, marking
from server.embedded.secret_names import is_secret_name

if TYPE_CHECKING:
    from collections.abc import Mapping

    from server.embedded.os.closed import ClosedPaths
    from server.embedded.os.nothing_done import Kept, Nothing

MAX_ARGUMENTS = 16
MAX_ARGUMENT_CHARS = 1_024

NEVER = r"(?!)"
COUNT = r"\d{1,6}"


class RefusedArgumentError(ValueError):
    """An argument that the whitelist does not allow; the text names it."""


class TooMuchToCheckError(RefusedArgumentError):
    """Too many files would have to be looked through to check the command."""


@dataclass(frozen=True, slots=True)
class OsCommand:
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
    copies: bool = False  # makes the second path of the first
    moves: bool = False  # renames the first path, with everything below it, to the second or into it
    removes: bool = False  # removes folders
    makes: bool = False  # makes the paths that do not exist
    makes_none: str | None = None  # pattern of the flag with which it does not
    keeps: str | None = None  # pattern of the flag without which the command may remove or overwrite files
    finds_nothing: int = 0  # exit code of a command that has looked, and has nothing to show

    @property
    def named(self) -> bool:
        """True if it is told names of files."""
        return self.most > self.words

    def destroys(self, arguments: list[str]) -> bool:
        """True if data may be lost for good."""
        return self.keeps is not None and not any(re.fullmatch(self.keeps, argument) for argument in arguments)


# Conversions of `date` with flags and a width of one digit, between other signs: it writes as much as it is told to.
_TIME = r"\+([-+\w :/.,]|%[-_0^#+]*[1-9]?:{0,3}([EO][A-Za-z]|[A-DF-NP-Za-z%]))+"
_LINES = {"-n": COUNT, "-c": COUNT, "--lines": COUNT, "--bytes": COUNT}
_NO_CLOBBER = r"-[vp]*n[nvp]*|--no-clobber"
_LINE_FLAGS = r"-[nc]?\d{1,6}|--(lines|bytes)=\d{1,6}|-[qv]"

COMMANDS: Mapping[str, OsCommand] = {
    "ls": OsCommand(
        "List files", flags=r"-[1aAlhRrtSdFp]+|--(all|almost-all|human-readable|reverse|recursive)", most=8
    ),
    "pwd": OsCommand("Tell the current directory"),
    "date": OsCommand(
        "Tell date and time",
        flags=r"-u|--utc|-I(date|hours|minutes|seconds)?|-R|--iso-8601(=\w+)?|--rfc-3339=\w+",
        most=1,
        words=1,
        word=_TIME,
    ),
    "cal": OsCommand("Show a calendar", flags=r"-[13my]", most=2, words=2, word=r"\d{1,4}"),
    "whoami": OsCommand("Tell the user"),
    "hostname": OsCommand("Tell the machine's name", flags=r"-[sf]"),
    "uptime": OsCommand("Tell how long the machine is up", flags=r"-[ps]|--pretty|--since"),
    "uname": OsCommand("Tell the system's name", flags=r"-[asnrvmo]+"),
    "nproc": OsCommand("Tell the number of processors", flags=r"--all"),
    "free": OsCommand("Tell free memory", flags=r"-[bkmghtw]+"),
    "df": OsCommand("Tell free disk space", flags=r"-[hHTik]+", most=2),
    "du": OsCommand("Tell how much space files take", flags=r"-[hsack]+", valued={"-d": r"\d{1,2}"}, most=4),
    "cat": OsCommand("Show files", flags=r"-[nbsAET]+", least=1, most=8, opens=True),
    "head": OsCommand("Show the first lines of files", flags=_LINE_FLAGS, valued=_LINES, least=1, most=8, opens=True),
    "tail": OsCommand("Show the last lines of files", flags=_LINE_FLAGS, valued=_LINES, least=1, most=8, opens=True),
    "wc": OsCommand("Count lines, words and bytes", flags=r"-[lwcmL]+", least=1, most=8, opens=True),
    "grep": OsCommand(
        "Find lines in files",
        flags=r"-[inclwxvoHhFE]+",
        valued={"-m": COUNT, "-A": COUNT, "-B": COUNT, "-C": COUNT},
        least=2,
        most=9,
        words=1,
        opens=True,
        finds_nothing=1,
    ),
    "find": OsCommand(
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
    "stat": OsCommand("Tell size, owner and times of files", least=1, most=8),
    "file": OsCommand("Tell what kind of files they are", flags=r"-[bi]+", least=1, most=8, opens=True),
    "sha256sum": OsCommand("Tell the checksum of files", least=1, most=8, opens=True),
    "echo": OsCommand("Say something back", flags=r"-n", most=MAX_ARGUMENTS, words=MAX_ARGUMENTS),
    "sleep": OsCommand("Wait some seconds", least=1, most=1, words=1, word=r"\d{1,3}(\.\d{1,3})?"),
    "mkdir": OsCommand("Make folders", "change", flags=r"-p|--parents", least=1, most=4, makes=True),
    "rmdir": OsCommand("Remove empty folders", "change", least=1, most=4, removes=True, keeps=NEVER),
    "touch": OsCommand(
        "Make empty files, or mark files as changed now",
        "change",
        flags=r"-c",
        least=1,
        most=4,
        makes=True,
        makes_none=r"-c",
    ),
    "cp": OsCommand(
        "Copy a file",
        "change",
        flags=r"-[nvp]+|--no-clobber",
        least=2,
        most=2,
        opens=True,
        copies=True,
        makes=True,
        keeps=_NO_CLOBBER,
    ),
    "mv": OsCommand(
        "Move or rename a file, or a folder that holds no links",
        "change",
        flags=r"-[nv]+|--no-clobber",
        least=2,
        most=2,
        moves=True,
        keeps=_NO_CLOBBER,
    ),
}


RECURSIVE = frozenset({"ls", "find", "du"})


def checked(
    name: str, arguments: list[str], root: Path, closed: ClosedPaths, search: Search | None = None
) -> list[str]:
    """The arguments to run the command with: those given, and others that keep closed paths out of a listing.

    Raises RefusedArgumentError, TooMuchToCheckError. What the system does not let us look at, as a name that is too long, is refused too.
    """
    try:
        return _checked(name, arguments, root, closed, search or Search())
    except TooManyFilesError:
        raise TooMuchToCheckError(f"args: too many files for {name}: name a smaller folder") from None
    except OSError as error:
        raise RefusedArgumentError(f"args: {name} is refused what cannot be checked: {error.strerror}") from None


def _checked(name: str, arguments: list[str], root: Path, closed: ClosedPaths, search: Search) -> list[str]:
    """The same. Raises RefusedArgumentError, TooManyFilesError, OSError."""
    command = COMMANDS[name]
    for argument in arguments:
        _check_text(argument)
    options, operands = _parted(name, command, arguments)
    if not command.least <= len(operands) <= command.most:
        raise RefusedArgumentError(f"args: {name} takes {_number(command)}, not {len(operands)}")
    words, named = operands[: command.words], operands[command.words :]
    for word in words:
        if not re.fullmatch(command.word, word):
            raise RefusedArgumentError(f"args: {name} is not run with {word[:80]}")
    if not command.named:
        return arguments
    names = [_followed(operand, root) for operand in named]
    if command.moves and names[1].path.is_dir():
        names[1] = names[1].direct(root)  # a link to a folder is not replaced, even if the folder is gone by then
    goals = [_goal(names, root)] if command.moves or command.copies else []
    if goals and names[1].of_folder and not names[1].path.is_dir() and not names[0].path.is_dir():
        raise RefusedArgumentError(f"args: {names[1].given[:80]} is no folder")  # no file is made of that name
    for one in [*names, *goals]:
        if _holds_secrets(one.path, command, root, closed, search):
            raise RefusedArgumentError(f"args: {one.given[:80]} may hold secrets")
        if command.opens and _waits(one.path):
            raise RefusedArgumentError(f"args: {one.given[:80]} is no file")
    if command.makes:
        search.writes = _writes(command, options, names, goals, root)
        if (made := search.writes.made) > MAX_MADE:
            raise RefusedArgumentError(f"args: {name} makes at most {MAX_MADE} files and folders, not {made}")
    search.nothing = _nothing(name, options, names, goals, search.writes.made)
    if command.moves or command.removes:
        _check_what_stays(names, goals, root, closed, search)
    if not names and name in RECURSIVE:  # they list the current folder then
        names = [_followed(".", root)]
    return hiding(name, [*options, *words], [one.told for one in names], [one.path for one in names], closed, search)


def _goal(names: list[Name], root: Path) -> Name:
    """What is written if the last path is a folder, which it may be by then: a file of the first one's name in it."""
    source, goal = names
    return _followed(f"{goal.told}/{Path(source.told).name}", root)


def _writes(command: OsCommand, options: list[str], names: list[Name], goals: list[Name], root: Path) -> Writes:
    """What a command that makes files or folders is about to write."""
    if _makes_none(command, options):
        return Writes()
    if not command.copies:
        paths = [one.path for one in names]
        return Writes(sum(missing(path, root) for path in paths), places=tuple(paths))
    source, goal = names[0].path, goals[0] if names[1].path.is_dir() else names[1]
    made = sum(missing(path, root) for path in (source, goal.path))
    if not source.is_file():  # the command says so
        return Writes(made, places=(goal.path,))
    found = source.stat()
    return Writes(made, Copy(root / goal.told, stat.S_IMODE(found.st_mode), found.st_size), (goal.path,))


def _nothing(name: str, options: list[str], names: list[Name], goals: list[Name], made: int) -> Kept | Nothing | None:
    """How it is seen that the command has done nothing; None if it says so itself."""
    command = COMMANDS[name]
    if goals:
        if command.destroys(options):
            return None
        goal = goals[0] if names[1].path.is_dir() else names[1]
        return keeping(name, names[0].path, str(Path(goal.given)), moves=command.moves)
    if _makes_none(command, options):
        return marking(name, names[0].given, [one.path for one in names])
    return making(name, names[0].given, made) if command.makes else None


def _makes_none(command: OsCommand, options: list[str]) -> bool:
    return command.makes_none is not None and any(re.fullmatch(command.makes_none, option) for option in options)


def _check_what_stays(names: list[Name], goals: list[Name], root: Path, closed: ClosedPaths, search: Search) -> None:
    """Refuse to move or remove what other commands rely on (module lasting_names). `goals`: none if nothing is moved.

    Raises RefusedArgumentError, TooManyFilesError.
    """
    into_folder = bool(goals) and names[1].path.is_dir()
    for one in [*(names[:1] if into_folder else names), *goals]:
        if closed.is_below(one.path):
            raise RefusedArgumentError(f"args: {one.given[:80]} may hold secrets")
    for one in [*names, *goals]:
        if not is_plain(root / one.told):
            raise RefusedArgumentError(f"args: {one.given[:80]} is a link or no file, so it stays as it is")
    if goals and _device(names[0].path.parent) != _device((goals[0] if into_folder else names[1]).path.parent):
        # it would be copied, and nobody knows of how much
        raise RefusedArgumentError(f"args: {names[1].given[:80]} is on another file system: nothing is moved there")
    if goals:
        goal = (goals[0] if into_folder else names[1]).path
        if why := why_it_stays(names[0].path, MAX_LEVELS - levels(goal, root), closed, search):
            raise RefusedArgumentError(f"args: {names[0].given[:80]} {why}, so it is not moved")


def _device(folder: Path) -> int | None:
    try:
        return folder.stat().st_dev
    except OSError:  # there is none, as the command will say
        return None


def _parted(name: str, command: OsCommand, arguments: list[str]) -> tuple[list[str], list[str]]:
    """The flags with their values, and the other arguments."""
    options: list[str] = []
    operands: list[str] = []
    rest = iter(arguments)
    for argument in rest:
        if not argument.startswith("-") or argument == "":
            operands.append(argument)
        elif argument in command.valued:
            value = next(rest, None)
            if value is None or not re.fullmatch(command.valued[argument], value):
                raise RefusedArgumentError(f"args: {name} is not run with {argument} {(value or '')[:80]}".rstrip())
            options += [argument, value]
        elif re.fullmatch(command.flags, argument):
            options.append(argument)
        else:
            raise RefusedArgumentError(f"args: {name} is not run with {argument[:80]}")
    return options, operands


def _check_text(argument: str) -> None:
    if len(argument) > MAX_ARGUMENT_CHARS or "\0" in argument:
        raise RefusedArgumentError(f"args: an argument has at most {MAX_ARGUMENT_CHARS} characters, and no zero byte")
    try:
        os.fsencode(argument)
    except UnicodeEncodeError:
        raise RefusedArgumentError("args: an argument has a character that this machine's names cannot have") from None


def _number(command: OsCommand) -> str:
    if command.most == 0:
        return "no arguments"
    span = f"{command.least}" if command.least == command.most else f"{command.least} to {command.most}"
    return f"{span} arguments" if command.most > 1 else f"{span} argument"


def _followed(operand: str, root: Path) -> Name:
    try:
        return followed(operand, root)
    except NowhereError as nowhere:
        raise RefusedArgumentError(f"args: {operand[:80]} {nowhere}") from None


def _waits(path: Path) -> bool:
    """True if opening it may wait for another program: a pipe, a device."""
    return path.exists() and not path.is_file() and not path.is_dir()


def _holds_secrets(path: Path, command: OsCommand, root: Path, closed: ClosedPaths, search: Search) -> bool:
    """Closed paths are closed to all commands. Files that are secret by their name may be listed, but not read or changed."""
    if closed.holds(path, search):
        return True
    if not command.opens and command.kind == "read":
        return False
    return any(map(is_secret_name, path.relative_to(root).parts))


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

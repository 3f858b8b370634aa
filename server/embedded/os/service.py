"""M8, OS executor: whitelisted commands without a shell, streamed output; cancelling stops the whole process group."""

from __future__ import annotations

import asyncio
import errno
import os
import shutil
import signal
from dataclasses import asdict
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar
from weakref import WeakValueDictionary

from pydantic import Field, create_model

from server.embedded.callers import current_user
from server.embedded.executor import (
    Action,
    ExecutorService,
    FullError,
    Parameters,
    Task,
    TaskError,
    TaskOutcome,
    UnavailableError,
    WrongParametersError,
)
from server.embedded.fairness import FairThreads, FairTurns
from server.embedded.os import process as os_process
from server.embedded.os.closed import ClosedPaths, Search
from server.embedded.os.commands import (
    COMMANDS,
    MAX_ARGUMENTS,
    RefusedArgumentError,
    TooMuchToCheckError,
    checked,
    synopsis,
)
from server.embedded.os.copies import new_file
from server.embedded.os.disk import SHARE_BYTES, DiskRoom, share_words
from server.embedded.os.hourly_shares import HourlyShares
from server.embedded.os.made_names import SHARE
from server.embedded.os.nothing_done import Kept
from server.embedded.os.places import Places
from server.embedded.service import EmbeddedConfig, MissingPartError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from server.embedded.os.nothing_done import Nothing

DEFAULT_ROOT = "files"
CLOSED_OPTION = "OS_CLOSED_PATHS"  # set by the gateway when it starts the embedded services
# Commands that begin together take the processor from each other: so many at once, and then one that takes longer waits for something.
AT_ONCE = 2 * (os.cpu_count() or 1)
TURN_S = 0.25
# Commands that are told names of files may use all the memory that a command has: so many run at once, and so many of one user.
RUN_AT_ONCE = 16
OWN_AT_ONCE = 4
# The others use little, but each has two descriptors of the services, and `sleep` has them for minutes.
OTHERS_AT_ONCE = 128
OWN_OTHERS_AT_ONCE = 32
FEW_FILES = 1_000  # looked through for a command whose check waits for no longer one: some 10 ms
SEARCHES_AT_ONCE = 2  # one of each user
MAX_MESSAGE_CHARS = 300  # of a failed command's last line of stderr
CUT = f"its output was cut at {os_process.MAX_OUTPUT_BYTES // 1024} KiB"


class CommandParameters(Parameters):
    """The parameters of every command."""

    args: list[str] = Field(default_factory=list, max_length=MAX_ARGUMENTS)


def root_folder(config: EmbeddedConfig) -> Path:
    """The folder that commands see: OS_ROOT, else a folder beside the services' data. Raises MissingPartError."""
    configured = config.option("OS_ROOT")
    root = Path(configured or config.directory / DEFAULT_ROOT).resolve()
    try:
        if not configured:
            root.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise MissingPartError(f"{root} cannot be made ({error.strerror}): set OS_ROOT") from None
    if not root.is_dir():
        raise MissingPartError(f"OS_ROOT: {root} is not a folder")
    return root


def closed_paths(config: EmbeddedConfig, root: Path) -> ClosedPaths:
    """The services' data, `.env`, and the files and folders in the gateway's settings (OS_CLOSED_PATHS)."""
    named = filter(None, config.option(CLOSED_OPTION).split(os.pathsep))
    return ClosedPaths(chain([config.directory, Path(".env")], map(Path, named)), root)


def described(name: str) -> type[CommandParameters]:
    """CommandParameters for one command, with a description of its arguments."""
    args: Any = Field(default_factory=list, max_length=MAX_ARGUMENTS, description=synopsis(name))
    return create_model(f"{name}_parameters", __base__=CommandParameters, args=(list[str], args))


class OsService(ExecutorService):
    """Runs the whitelisted commands that this machine has, below one root folder."""

    name: ClassVar[str] = "os"

    def __init__(self, config: EmbeddedConfig) -> None:
        super().__init__(config)
        self._root = Path.cwd()
        self._closed = ClosedPaths((), self._root)
        self._turns = FairTurns(AT_ONCE)
        self._checks = FairThreads(AT_ONCE, "os")
        self._searches = FairThreads(SEARCHES_AT_ONCE, "os search")
        self._searching: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()  # for each user
        self._made = HourlyShares(SHARE)
        self._copied = HourlyShares(SHARE_BYTES)
        self._disk = DiskRoom()
        self._on_files = Places(RUN_AT_ONCE, OWN_AT_ONCE)
        self._others = Places(OTHERS_AT_ONCE, OWN_OTHERS_AT_ONCE)
        self._executables: dict[str, str] = {}
        self._actions: dict[str, Action] = {}

    async def start(self) -> None:
        """Find the commands that this machine has. Raises MissingPartError."""
        self._root = root_folder(self.config)
        self._closed = closed_paths(self.config, self._root)
        for name, command in COMMANDS.items():
            executable = shutil.which(name, path=os_process.SAFE_PATH)
            if executable is not None:
                self._executables[name] = executable
                self._actions[name] = Action(command.description, described(name))
        if not self._executables:
            raise MissingPartError(f"none of the commands is in {os_process.SAFE_PATH}")

    def actions(self) -> dict[str, Action]:
        """The whitelisted commands that this machine has."""
        return self._actions

    async def stop(self) -> None:
        """End the threads."""
        self._checks.close()
        self._searches.close()

    async def perform(self, name: str, parameters: Parameters, task: Task) -> TaskOutcome:
        """Run a command."""
        assert isinstance(parameters, CommandParameters)
        async with self._turns.turn(TURN_S):
            return await self._outcome(name, parameters.args, task)

    async def _outcome(self, name: str, args: list[str], task: Task) -> TaskOutcome:
        """What the command came to. Raises TaskError."""
        try:
            arguments, search = await self._checked(name, args)
        except RefusedArgumentError as refused:
            raise WrongParametersError(str(refused)) from None
        try:
            async with (self._on_files if COMMANDS[name].named else self._others).place(name):
                return await self._run_command(name, arguments, search, task)
        except ValueError:
            raise WrongParametersError(f"args: {name} cannot be started with them") from None
        except OSError as error:
            raise _not_started(name, error) from None

    async def _run_command(self, name: str, arguments: Sequence[str], search: Search, task: Task) -> TaskOutcome:
        """Run it, with room on the disk. Raises FullError, ValueError, OSError."""
        writes, nothing = search.writes, search.nothing
        most = writes.copied_bytes if COMMANDS[name].kind == "change" else None
        with self._disk.promised(writes):
            async with new_file(writes.copy) as new:
                told = new.told(arguments)
                ended = await os_process.run(self._executables[name], name, told, self._root, task.tell, most)
                new.whole = ended.exit_code == 0
        if isinstance(nothing, Kept):
            nothing = nothing.nothing if nothing.done_nothing(copied_anew=new.made) else None
        return outcome(name, ended, nothing)

    async def _checked(self, name: str, args: list[str]) -> tuple[list[str], Search]:
        """What to run the command with, and what was found out about it. Checks that take long have places of their own.

        Raises RefusedArgumentError, FullError.
        """
        search = Search(FEW_FILES)
        try:
            arguments = await self._checks.run(lambda: checked(name, args, self._root, self._closed, search))
        except TooMuchToCheckError:
            search = Search()
            async with self._searching.setdefault(current_user(), asyncio.Lock()):
                try:
                    arguments = await self._searches.run(lambda: checked(name, args, self._root, self._closed, search))
                finally:
                    search.stop()  # after a cancel it would go on
        if not self._made.take(current_user(), search.writes.made):
            raise FullError(f"a user may make {SHARE} files and folders within an hour")
        if not self._copied.take(current_user(), search.writes.copied_bytes):
            raise FullError(share_words())
        return arguments, search


def _not_started(name: str, error: OSError) -> TaskError:
    """Whose fault it is: the gateway asks a faulty service for nobody any longer."""
    words = f"{name} cannot be started: {error.strerror}"
    if error.errno in (errno.E2BIG, errno.ENAMETOOLONG, errno.EINVAL):
        return WrongParametersError(f"args: {words}")
    if error.errno in (errno.EAGAIN, errno.ENOMEM, errno.EMFILE, errno.ENFILE):
        return FullError(words)
    return UnavailableError(words)


def outcome(name: str, ended: os_process.Ended, nothing: Nothing | None) -> TaskOutcome:
    """What a command came to. `nothing`: what it would have said, had it said that it has done nothing."""
    if (
        nothing is not None and ended.exit_code in (0, 1) and not ended.stderr
    ):  # some releases end with 1, without a word
        return TaskOutcome(asdict(ended), ok=not nothing.failed, message=nothing.words)
    found_nothing = ended.exit_code == COMMANDS[name].finds_nothing and not ended.stderr
    ok = ended.exit_code == 0 or ended.truncated or found_nothing
    return TaskOutcome(asdict(ended), ok=ok, message="" if found_nothing else why(name, ended))


def why(name: str, ended: os_process.Ended) -> str:
    """Why the command failed, or that its output was cut; empty if it succeeded."""
    if ended.truncated:
        return CUT if ended.exit_code == 0 else f"{CUT}, and it was ended"
    if ended.exit_code == 0:
        return ""
    if ended.exit_code == -signal.SIGXFSZ:
        return f"{name} was ended: there was more to write than before it began"
    if ended.exit_code < 0:
        return f"{name} was ended by signal {-ended.exit_code}"
    lines = ended.stderr.strip().splitlines()
    return lines[-1][:MAX_MESSAGE_CHARS] if lines else f"{name} ended with exit code {ended.exit_code}"

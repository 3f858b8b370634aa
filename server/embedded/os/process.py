"""Runs one command in a process group of its own: output is streamed, and no process is left behind."""

from __future__ import annotations

import asyncio
import codecs
import os
import resource
import shutil
import signal
import time
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, Protocol

if TYPE_CHECKING:
    from asyncio.subprocess import Process
    from collections.abc import Sequence
    from pathlib import Path

MAX_OUTPUT_BYTES = 256 * 1024  # of both streams together; a command that writes more is ended
READ_BYTES = 16 * 1024
# Of address space. A pattern of fifty characters made grep take 4.7 GB in 16 s. `ls` needs some 300 bytes for each file of a folder.
MAX_MEMORY_BYTES = 64 * 1024 * 1024
SAFE_PATH = "/usr/local/bin:/usr/bin:/bin:/run/current-system/sw/bin"
MAX_CPU_S = 600  # the longest time limit of a task: a command whose service was killed ends too
_LIMITS = {
    resource.RLIMIT_AS: MAX_MEMORY_BYTES,
    resource.RLIMIT_CPU: MAX_CPU_S,
    resource.RLIMIT_CORE: 0,  # a core file would lie in the folder
}
NICE = 10  # more than the services have: a tenth of the processor beside one of them, and all of it when they need none
END_GRACE_S = 0.5  # between SIGTERM and SIGKILL


class Listener(Protocol):
    """Receives the output as it comes."""

    async def __call__(self, message: str = "", *, stream: str = "", data: str = "") -> None:
        """Take output of stdout or stderr, or the message that the command has begun."""


@dataclass(slots=True)
class Ended:
    """The result of a command. `exit_code` is negative if a signal ended it (the signal's number)."""

    exit_code: int
    stdout: str
    stderr: str
    duration_ms: int
    truncated: bool


@dataclass(slots=True)
class _Kept:
    """Both streams' text up to the limit; bytes that are not UTF-8 become U+FFFD. `untold`: what the listener has still to get."""

    texts: dict[str, list[str]] = field(default_factory=lambda: {"stdout": [], "stderr": []})
    untold: asyncio.Queue[tuple[str, str] | None] = field(default_factory=asyncio.Queue)
    room_bytes: int = MAX_OUTPUT_BYTES
    truncated: bool = False

    def take(self, data: bytes) -> bytes:
        """The part of the data that there is room for."""
        taken = data[: self.room_bytes]
        self.room_bytes -= len(taken)
        self.truncated |= len(taken) < len(data)
        return taken

    def add(self, stream: str, text: str) -> None:
        if text:
            self.texts[stream].append(text)
            self.untold.put_nowait((stream, text))

    def text(self, stream: str) -> str:
        return "".join(self.texts[stream])


async def run(
    executable: str,
    name: str,
    arguments: Sequence[str],
    root: Path,
    listener: Listener,
    most_file_bytes: int | None = None,
) -> Ended:
    """Run a command to its end; on cancellation, end its whole group. Raises OSError if it cannot start.

    A listener that waits does not hold up the command, and may get the rest of the output after its end. `most_file_bytes`: the
    length to which the command may write files, if it may change any.
    """
    began = time.monotonic()
    program = [executable, name] if most_file_bytes is None else _limited(executable, name, most_file_bytes)
    process = await _start(program, arguments, root)
    kept = _Kept()
    async with asyncio.TaskGroup() as group:
        group.create_task(_tell(kept, name, listener), name=f"output of {name}")
        code = await _finished(process, name, kept)
        duration_ms = round((time.monotonic() - began) * 1000)
        kept.untold.put_nowait(None)
    return Ended(code, kept.text("stdout"), kept.text("stderr"), duration_ms, kept.truncated)


async def _finished(process: Process, name: str, kept: _Kept) -> int:
    """Read its output to the end; returns its exit code. None of its group is left then, nor after a cancel."""
    try:
        _limit(process)
        async with asyncio.TaskGroup() as group:
            group.create_task(_read("stdout", process, kept), name=f"stdout of {name}")
            group.create_task(_read("stderr", process, kept), name=f"stderr of {name}")
        return await process.wait()
    finally:
        await _end_group(process)


async def _tell(kept: _Kept, name: str, listener: Listener) -> None:
    """Tell the listener everything, as slowly as it likes."""
    await listener(f"running {name}")
    while (piece := await kept.untold.get()) is not None:
        stream, text = piece
        await listener(stream=stream, data=text)


def _limited(executable: str, name: str, most_file_bytes: int) -> list[str]:
    """The program, its name and first arguments with which the command writes no longer files.

    It has written gigabytes before a limit from outside is set. Where there is no such program (it is part of util-linux), only the
    check before the command bounds what it writes.
    """
    limiting = shutil.which("prlimit", path=SAFE_PATH)
    if limiting is None:
        return [executable, name]
    hard = resource.getrlimit(resource.RLIMIT_FSIZE)[1]  # cannot be raised
    most = most_file_bytes + 1  # `cp` tries to write behind the end of a file before it sees that there is no more
    most = most if hard == resource.RLIM_INFINITY else min(most, hard)
    return [limiting, "prlimit", f"--fsize={most}:{most}", "--", name]


async def _start(program: Sequence[str], arguments: Sequence[str], root: Path) -> Process:
    """Start it without shell or input, in a minimal environment and a group of its own. `program`: where it is, and its name."""
    executable, *named = program
    return await asyncio.create_subprocess_exec(
        *named,
        *arguments,
        executable=executable,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        cwd=root,
        env={"PATH": SAFE_PATH, "LANG": "C.UTF-8", "LC_ALL": "C.UTF-8", "HOME": str(root), "TERM": "dumb"},
        # A group, but no session: Linux gives each session as much of the processor as all services have together, whatever its priority.
        process_group=0,
    )


def _limit(process: Process) -> None:
    """Set priority and limits from outside, where the system can: code of ours between fork and exec might deadlock."""
    with suppress(ProcessLookupError, PermissionError):  # it has ended
        os.setpriority(os.PRIO_PGRP, process.pid, os.getpriority(os.PRIO_PROCESS, 0) + NICE)
    for limit, most in _LIMITS.items() if hasattr(resource, "prlimit") else ():
        with suppress(ProcessLookupError, PermissionError):  # it has ended; or a container has a limit of its own
            resource.prlimit(process.pid, limit, (most, most))


async def _read(stream: Literal["stdout", "stderr"], process: Process, kept: _Kept) -> None:
    """Read one stream to its end. Reading and dropping what nobody gets would take as much of this process as of the command's."""
    source = process.stdout if stream == "stdout" else process.stderr
    assert source is not None, "both streams are pipes"
    decoder = codecs.getincrementaldecoder("utf-8")("replace")
    while data := await source.read(READ_BYTES):
        kept.add(stream, decoder.decode(kept.take(data)))
        if kept.truncated:
            _signal(process, signal.SIGKILL)
    kept.add(stream, "" if kept.truncated else decoder.decode(b"", final=True))


async def _end_group(process: Process) -> None:
    """End all processes of the command, grandchildren included."""
    try:
        if _signal(process, signal.SIGTERM):
            await _gone(process)
    finally:
        _signal(process, signal.SIGKILL)
    await _gone(process)


async def _gone(process: Process) -> None:
    """Wait a moment for the end. Reads the pipes to their end, because asyncio sees no exit while one of them is paused."""
    assert process.stdout is not None
    assert process.stderr is not None
    with suppress(TimeoutError):
        async with asyncio.timeout(END_GRACE_S):
            for pipe in (process.stdout, process.stderr):
                while await pipe.read(READ_BYTES):
                    pass
            await process.wait()


def _signal(process: Process, number: int) -> bool:
    """Signal the group; False if it is gone."""
    try:
        os.killpg(process.pid, number)
    except (ProcessLookupError, PermissionError):  # macOS reports EPERM for a group of zombies
        return False
    return True

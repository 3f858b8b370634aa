"""Stands between Chromium and Playwright's driver, and bounds what pages may send and hold: a program of its own.

A page decides how long many messages are: what it writes to the console, throws, posts, or has as an address. The driver holds each
one whole, takes seconds for it, and dies of 512 MB; then the pages of everybody end. It also keeps objects for what it is told of,
and so does the service: nobody here needs those of WebSockets, or of requests other than for documents; long texts in others are
cut. Chromium writes to descriptor 4, one JSON
object after another, each with a zero byte behind it. Commands come by descriptor 3, and are passed on untouched: Chromium ends when
they do, and so it ends with this program, and this program with the driver.

Nothing in Chromium bounds the memory of a page (its limit for scripts leaves out buffers, and each worker has its own). So its
processes are watched here, and one that has too much is killed, which ends its page. Each user has a browser, so that what is below
one of these programs belongs to one user, and all of them stand below one driver. That needs Linux's /proc.

Nor does anything bound a page's CPU. So a browser may not raise its priority: as root, Chromium gives itself a nice value of -8, and
then a page that is busy leaves next to nothing to the rest of the machine. A lower one than the services' is no help: on a machine that
is busy with others, pages then miss the times that tasks have.
"""

from __future__ import annotations

import ctypes
import json
import os
import re
import shlex
import signal
import sys
import time
from contextlib import suppress
from pathlib import Path
from threading import Thread
from typing import TYPE_CHECKING, Any

if sys.platform == "linux":
    import resource

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

LOG, COMMANDS, EVENTS = 2, 3, 4  # descriptors of Chromium's --remote-debugging-pipe
PIECE_BYTES = 1024 * 1024
MAX_MESSAGE_BYTES = 8 * 1024 * 1024  # a picture of noise is half of that
# Playwright keeps what it tells of frames, workers, dialogs and documents, up to 10,000 of a kind.
MAX_EVENT_BYTES = 16 * 1024
# Characters of a string, and how many of a list, until an event is within its limit.
CUTS = ((4_096, 64), (512, 16), (64, 4))
TAIL_BYTES = 200
MAX_PROCESS_BYTES = 1024 * 1024 * 1024  # of a page, or of those that share a process; usual ones have 50 to 300 MB
MAX_ALL_BYTES = 2 * MAX_PROCESS_BYTES  # of all processes of all users; a browser has some 60 MB beside its pages
MOST_USERS = 8  # as many as there are contexts
WATCH_S = 0.25  # a page can take some gigabytes a second
CAP_SYS_NICE = 23  # linux/capability.h
PR_SET_PDEATHSIG, PR_CAPBSET_DROP, PR_SET_CHILD_SUBREAPER = 1, 24, 36  # linux/prctl.h
END_S = 5.0  # for Chromium to end by itself
_ID = re.compile(rb'\{"id":(\d+),')
_SESSION = re.compile(rb',"sessionId":"(\w+)"\}\Z')
# A page can write thousands of these a second, and Playwright keeps some for as long as the page stays. Requests with a number are not for
# documents: those have a name of hexadecimal digits.
_UNUSED = re.compile(
    rb'\{"method":"(?:Runtime\.consoleAPICalled|Runtime\.exceptionThrown|Log\.entryAdded'
    rb'|Network\.(?:webSocket|webTransport|direct|eventSource|dataReceived|\w+","params":\{"requestId":"\d+\.\d))'
)


class Messages:
    """Passes on what is wanted; holds one message at most."""

    def __init__(self) -> None:
        self._begin()

    def _begin(self) -> None:
        self._held = bytearray()
        self._length = 0
        self._tail = b""

    def feed(self, piece: bytes) -> bytes:
        """The messages that end in this piece, as far as they are passed on."""
        *ends, rest = piece.split(b"\0")
        passed = []
        for end in ends:
            self._add(end)
            passed.append(self._passed())
            self._begin()
        self._add(rest)
        return b"".join(passed)

    def _add(self, part: bytes) -> None:
        self._held += part[: MAX_MESSAGE_BYTES - len(self._held)]
        self._length += len(part)
        self._tail = (self._tail + part[-TAIL_BYTES:])[-TAIL_BYTES:]

    def _passed(self) -> bytes:
        answered = _ID.match(self._held)
        if self._length <= MAX_MESSAGE_BYTES:
            if _UNUSED.match(self._held):
                return b""
            event = self._length > MAX_EVENT_BYTES and not answered
            return cut_event(bytes(self._held)) if event else bytes(self._held) + b"\0"
        if answered is None:
            return b""
        session = _SESSION.search(self._tail)
        to = b',"sessionId":"%b"' % session[1] if session else b""
        return b'{"id":%b,"error":{"code":-32000,"message":"what the page holds is too long"}%b}\0' % (answered[1], to)


def cut_event(message: bytes) -> bytes:
    """An event with no more than the beginning of each long text in it; nothing if that is no use."""
    with suppress(ValueError, RecursionError):
        event = json.loads(message)
        for chars, entries in CUTS:
            event = _cut(event, chars, entries)
            shorter = json.dumps(event, separators=(",", ":")).encode()
            if len(shorter) <= MAX_EVENT_BYTES:
                return shorter + b"\0"
    return b""


def _cut(value: Any, chars: int, entries: int) -> Any:
    match value:
        case str():
            return value[:chars]
        case list():
            return [_cut(one, chars, entries) for one in value[:entries]]
        case dict():
            # the names of headers are not Chromium's
            few = {name: list(one.items())[:entries] for name, one in value.items() if name == "headers"}
            cut = {name: {key[:chars]: text for key, text in of} for name, of in few.items()}
            return {name: _cut(one, chars, entries) for name, one in {**value, **cut}.items()}
    return value


def write_launcher(directory: Path, executable: str) -> Path:
    """A script that starts Chromium behind this program: Playwright starts one file, with Chromium's arguments. Raises OSError."""
    limits = (str(MAX_PROCESS_BYTES), str(MAX_ALL_BYTES))
    words = shlex.join((sys.executable, "-I", "-S", str(Path(__file__).resolve()), *limits, executable))
    launcher, fresh = directory.resolve() / "chromium.sh", directory.resolve() / f"chromium.{os.getpid()}.sh"
    fresh.write_text(f'#!/bin/sh\nexec {words} "$@"\n', encoding="utf-8")
    fresh.chmod(0o700)
    fresh.replace(launcher)
    return launcher


def _prctl(option: int, value: int) -> None:
    """What Linux refuses stays as it is."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(option, *map(ctypes.c_ulong, (value, 0, 0, 0)))


def stand_back() -> None:
    """Give up what the priority of this process, and what it starts, could be raised by: limits, and root's capability."""
    if sys.platform == "linux":
        for limit in (resource.RLIMIT_NICE, resource.RLIMIT_RTPRIO):
            resource.setrlimit(limit, (0, 0))
        libc = ctypes.CDLL(None)
        header = (ctypes.c_uint32 * 2)(0x20080522, 0)  # version 3; this process
        sets = (ctypes.c_uint32 * 6)()  # effective, permitted, inheritable, and again for capabilities from 32 on
        if libc.capget(header, sets) == 0:
            sets[:3] = [held & ~(1 << CAP_SYS_NICE) for held in sets[:3]]
            libc.capset(header, sets)
        _prctl(PR_CAPBSET_DROP, CAP_SYS_NICE)  # else root has it again in what it starts


def _children(process: int) -> list[int]:
    """Those of all its threads: a thread of Chromium starts its network service. Empty if the process has ended."""
    found: list[int] = []
    with suppress(OSError):
        for thread in os.listdir(f"/proc/{process}/task"):  # noqa: PTH208 - some end while we look, so that a path is no use
            with suppress(OSError):
                found += map(int, Path(f"/proc/{process}/task/{thread}/children").read_bytes().split())
    return found


def _below(process: int) -> Iterator[int]:
    """The processes below this one. Some end while we look."""
    for child in _children(process):
        yield child
        yield from _below(child)


def own_bytes(status: str) -> int:
    """The memory that a process shares with no file, also what is swapped out, from its `/proc/PID/status`."""
    return 1024 * sum(
        int(kilobytes) for kilobytes in re.findall(r"^(?:RssAnon|RssShmem|VmSwap):\s*(\d+)", status, re.MULTILINE)
    )


def _size(process: int) -> int:
    """0 if it has ended."""
    try:
        return own_bytes(Path(f"/proc/{process}/status").read_text(encoding="ascii", errors="replace"))
    except OSError:
        return 0


def _sizes(user: int) -> dict[int, int]:
    return {process: _size(process) for process in _below(user)}


def too_large(users: Mapping[int, Mapping[int, int]], most: int, most_of_all: int) -> list[int]:
    """The processes to end: those above their limit, and then, until all are within theirs, the largest of the user who has most."""
    ended = [process for sizes in users.values() for process, size in sizes.items() if size > most]
    left = [{process: size for process, size in sizes.items() if size <= most} for sizes in users.values()]
    while sum(sum(sizes.values()) for sizes in left) > most_of_all:
        sizes = max(left, key=lambda each: sum(each.values()))
        largest = max(sizes, key=sizes.__getitem__)
        ended.append(largest)
        del sizes[largest]
    return ended


def watch(browser: int, most: int, most_of_all: int) -> None:
    """End what takes too much memory below this program, for as long as the browser runs."""
    own, driver = os.getpid(), os.getppid()
    while Path(f"/proc/{browser}").exists():
        users = {own: _sizes(own)}
        if (
            sum(users[own].values()) > most_of_all // MOST_USERS
        ):  # otherwise somebody else has most, if all have too much
            users = {user: _sizes(user) for user in _children(driver) if user != own} | users
        for process in too_large(users, most, most_of_all):
            if process in users[own]:
                with suppress(ProcessLookupError):
                    os.kill(process, signal.SIGKILL)
        time.sleep(WATCH_S)


def end_below() -> None:
    """End all that is left below this program."""
    for process in list(_below(os.getpid())):
        with suppress(ProcessLookupError):
            os.kill(process, signal.SIGKILL)


def _write(descriptor: int, piece: bytes) -> None:
    rest = memoryview(piece)
    while rest:
        rest = rest[os.write(descriptor, rest) :]


def pass_commands(chromium: int) -> None:
    """Pass on what the driver writes until it ends; then Chromium does, within its time."""
    with suppress(OSError):
        while piece := os.read(COMMANDS, PIECE_BYTES):
            _write(chromium, piece)
    os.close(chromium)
    time.sleep(END_S)
    end_below()


def main() -> int:
    """Start Chromium, as the arguments say, and pass its messages on until it ends; returns its exit code."""
    most, most_of_all, *command = sys.argv[1:]
    stand_back()
    _prctl(PR_SET_PDEATHSIG, signal.SIGCONT)  # if it was stopped, it goes on when the driver has ended, and sees that
    _prctl(PR_SET_CHILD_SUBREAPER, 1)  # what has lost its parent stays below this program
    source, write_end = os.pipe()
    read_end, commands = os.pipe()
    silence = os.open(os.devnull, os.O_WRONLY)  # Chromium also logs what pages write to the console, at any length
    ends = ((read_end, COMMANDS), (write_end, EVENTS), (silence, LOG))
    child = os.posix_spawn(
        command[0], command, os.environ, file_actions=[(os.POSIX_SPAWN_DUP2, own, its) for own, its in ends]
    )
    os.close(read_end)
    os.close(write_end)
    Thread(target=pass_commands, args=(commands,), name="commands", daemon=True).start()
    Thread(target=watch, args=(child, int(most), int(most_of_all)), name="watch", daemon=True).start()
    messages = Messages()
    try:
        while piece := os.read(source, PIECE_BYTES):
            _write(EVENTS, messages.feed(piece))
    except (BrokenPipeError, ConnectionResetError):  # the driver has ended, and so have the commands
        os.close(source)
    _, status = os.waitpid(child, 0)
    end_below()
    code = os.waitstatus_to_exitcode(status)
    return code if code >= 0 else 128 - code


if __name__ == "__main__":
    sys.exit(main())

"""Stands between Chromium and Playwright's driver, and drops the messages that no page may send: a program of its own.

A page decides how long many messages are: what it writes to the console, throws, posts, or has as an address. The driver holds each
one whole, takes seconds for it, and dies of 512 MB; then the pages of everybody end. Chromium writes to descriptor 4, one JSON
object after another, each with a zero byte behind it. Commands go to it by descriptor 3, untouched.
"""

from __future__ import annotations

import os
import re
import shlex
import sys
from pathlib import Path

LOG, COMMANDS, EVENTS = 2, 3, 4  # descriptors of Chromium's --remote-debugging-pipe
PIECE_BYTES = 1024 * 1024
MAX_MESSAGE_BYTES = 8 * 1024 * 1024  # a picture of noise is half of that
TAIL_BYTES = 200
_ID = re.compile(rb'\{"id":(\d+),')
_SESSION = re.compile(rb',"sessionId":"(\w+)"\}\Z')
_UNUSED = re.compile(  # a page can write thousands a second
    rb'\{"method":"(?:Runtime\.consoleAPICalled|Runtime\.exceptionThrown|Log\.entryAdded'
    rb'|Network\.webSocketFrame\w+|Network\.eventSourceMessageReceived)"'
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
        if self._length <= MAX_MESSAGE_BYTES:
            return b"" if _UNUSED.match(self._held) else bytes(self._held) + b"\0"
        answered = _ID.match(self._held)
        if answered is None:
            return b""
        session = _SESSION.search(self._tail)
        to = b',"sessionId":"%b"' % session[1] if session else b""
        return b'{"id":%b,"error":{"code":-32000,"message":"what the page holds is too long"}%b}\0' % (answered[1], to)


def write_launcher(directory: Path, executable: str) -> Path:
    """A script that starts Chromium behind this program: Playwright starts one file, with Chromium's arguments. Raises OSError."""
    words = shlex.join((sys.executable, "-I", "-S", str(Path(__file__).resolve()), executable))
    launcher, fresh = directory.resolve() / "chromium.sh", directory.resolve() / f"chromium.{os.getpid()}.sh"
    fresh.write_text(f'#!/bin/sh\nexec {words} "$@"\n', encoding="utf-8")
    fresh.chmod(0o700)
    fresh.replace(launcher)
    return launcher


def main() -> int:
    """Start Chromium, as the arguments say, and pass its messages on until it ends; returns its exit code."""
    source, write_end = os.pipe()
    silence = os.open(os.devnull, os.O_WRONLY)  # Chromium also logs what pages write to the console, at any length
    child = os.posix_spawn(
        sys.argv[1],
        sys.argv[1:],
        os.environ,
        file_actions=[(os.POSIX_SPAWN_DUP2, write_end, EVENTS), (os.POSIX_SPAWN_DUP2, silence, LOG)],
    )
    os.close(write_end)
    os.close(COMMANDS)
    messages = Messages()
    try:
        while piece := os.read(source, PIECE_BYTES):
            rest = memoryview(messages.feed(piece))
            while rest:
                rest = rest[os.write(EVENTS, rest) :]
    except BrokenPipeError:  # the driver has died; Chromium ends when it cannot write, too
        os.close(source)
    _, status = os.waitpid(child, 0)
    code = os.waitstatus_to_exitcode(status)
    return code if code >= 0 else 128 - code


if __name__ == "__main__":
    sys.exit(main())

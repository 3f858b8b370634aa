"""Recordings of sessions whose clients asked for one, each in a file of RECORD_DIR. `streaming.jarvis.recording` has the format.

The event loop only queues what crosses the wire. A thread parses it, removes secrets and writes it in batches. The queue is
bounded: what does not fit is counted, and the file says where it is missing, also for a disk that was full for a while. A disk
that fails otherwise ends the recording, nothing else.
"""

from __future__ import annotations

import asyncio
import errno
import os
import queue
import secrets
import tempfile
import threading
import time
from contextlib import suppress
from datetime import UTC, datetime
from typing import TYPE_CHECKING, NamedTuple

import structlog

from streaming.jarvis.recording import LONGEST_MS, Direction, RecordingEntry, Scribe, entry_line, head_line

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path
    from typing import Any

    from streaming.residents import Resident

log = structlog.get_logger(__name__)

MAX_WAITING_BYTES = 16 * 1024 * 1024  # of all sessions: the audio of a hundred for a few seconds
BATCH_S = 0.2  # a busy session's frames are written some twenty at a time
CLOSE_S = 5.0  # for what still waits when the gateway stops
FILE_MODE = 0o600  # somebody's voice
DIRECTORY_MODE = 0o700
# If only these arrived, there is no session to record.
NO_BEGINNING = frozenset({"session.resume", "ping", "pong", "ack"})


_FULL = frozenset({errno.ENOSPC, errno.EDQUOT})


class Item(NamedTuple):
    """One entry for the thread. `data` is None at the end of the session."""

    file: RecordingFile
    at_ms: float
    direction: Direction
    data: str | bytes | None
    missed: tuple[int, int]  # number and bytes of the entries dropped before this one

    @property
    def size(self) -> int:
        """Approximate size in bytes."""
        return len(self.data or "")


class RecordingFile:
    """One recording, as seen by the thread. The file is created once the client has sent something.

    `done`: the recording is over, full or lost, and takes nothing more. The event loop reads it too.
    """

    def __init__(self, path: Path, head: str, max_bytes: int) -> None:
        self.done = False
        self._path = path
        self._max_bytes = max_bytes
        self._scribe = Scribe()
        self._file: int | None = None
        self._head = head
        self._lines: list[str] = [head]
        self._size, self._written = len(head), 0
        self._begun = False
        self._held = (0, 0)  # number and bytes of the entries in `_lines`, and of those that are missing between them
        self._missed = (0, 0)  # of the entries that a full disk had no room for

    def take(self, item: Item) -> None:
        """Add one entry."""
        if self.done:
            return
        missed = _sum(self._missed, item.missed)
        self._missed = (0, 0)
        if any(missed):
            said = {"type": "recording.dropped", "count": missed[0], "bytes": missed[1]}
            self._held = _sum(self._held, missed)
            self._add(entry_line(RecordingEntry(min(item.at_ms, LONGEST_MS), "local", said)))
        if item.data is None:
            self._end(item.at_ms, "the session is over")
        elif item.at_ms > LONGEST_MS:
            self._end(item.at_ms, "longer than an hour")
        elif self._size > self._max_bytes:
            self._end(item.at_ms, "larger than RECORD_MAX_BYTES")
        else:
            entry = self._scribe.entry(item.at_ms, item.direction, item.data)
            if entry is not None:
                self._begun |= item.direction == "out" and entry.type not in NO_BEGINNING
                self._held = _sum(self._held, (1, item.size))
                self._add(entry_line(entry))

    def _add(self, line: str) -> None:
        self._lines.append(line)
        self._size += len(line)

    def _end(self, at_ms: float, reason: str) -> None:
        self.done = True
        self._add(
            entry_line(RecordingEntry(min(at_ms, LONGEST_MS), "local", {"type": "recording.ended", "reason": reason}))
        )

    def flush(self) -> None:
        """Write the entries taken so far. What a full disk has no room for is counted; the part already written stays readable."""
        try:
            if self._begun and self._lines:
                self._write("".join(self._lines).encode())
                self._lines.clear()
                self._held = (0, 0)
        except OSError as error:
            if error.errno in _FULL and not self.done:
                self._leave_out(error)
                return
            self.done = True
            log.error("recording lost", file=self._path.name, reason=error.strerror)  # noqa: TRY400 - nothing to trace
        if self.done:
            self._close()

    def _leave_out(self, full: OSError) -> None:
        """There may be room again later."""
        self._missed, self._held = self._held, (0, 0)
        self._lines = [] if self._written else [self._head]
        self._size = self._written or len(self._head)
        log.warning("recording has a gap", file=self._path.name, reason=full.strerror)

    def _write(self, data: bytes) -> None:
        if self._file is None:
            self._file = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, FILE_MODE)
        try:
            rest = data
            while rest:
                rest = rest[os.write(self._file, rest) :]
        except OSError:
            os.ftruncate(self._file, self._written)  # no half line
            os.lseek(self._file, self._written, os.SEEK_SET)
            raise
        self._written += len(data)

    def _close(self) -> None:
        self._lines.clear()
        if self._file is not None:
            file, self._file = self._file, None
            os.close(file)


def _sum(one: tuple[int, int], other: tuple[int, int]) -> tuple[int, int]:
    return one[0] + other[0], one[1] + other[1]


class RecordingTap:
    """Implements `streaming.residents.Tap`: one recording, as seen by the event loop."""

    def __init__(self, recordings: Recordings, file: RecordingFile, began_s: float) -> None:
        self._recordings = recordings
        self._file = file
        self._began_s = began_s
        self._last_ms = 0.0
        self._missed = (0, 0)

    def received(self, data: str | bytes, at_s: float) -> None:
        self._put("out", data, at_s)

    def sent(self, batch: list[str | bytes], at_s: float) -> None:
        for data in batch:
            self._put("in", data, at_s)

    def ended(self) -> None:
        if not self._file.done:
            self._recordings.put(Item(self._file, self._last_ms, "local", None, self._missed))

    def _put(self, direction: Direction, data: str | bytes, at_s: float) -> None:
        if self._file.done:
            return
        self._last_ms = (at_s - self._began_s) * 1000
        if self._recordings.put(Item(self._file, self._last_ms, direction, data, self._missed)):
            self._missed = (0, 0)
        else:
            self._missed = (self._missed[0] + 1, self._missed[1] + len(data))


def _is_writable(directory: Path) -> bool:
    """Create the directory if needed, and test it at start-up, because a disk may hang."""
    try:
        directory.mkdir(mode=DIRECTORY_MODE, parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=directory):
            return True
    except OSError as error:
        log.error("nothing can be recorded", directory=str(directory), reason=error.strerror)  # noqa: TRY400 - as above
        return False


class Recordings:
    """All recordings of this process."""

    def __init__(self, directory: Path, max_bytes: int, max_waiting_bytes: int = MAX_WAITING_BYTES) -> None:
        self._directory = directory
        self._usable = _is_writable(directory)
        self._max_bytes = max_bytes
        self._max_waiting_bytes = max_waiting_bytes
        self._loop = asyncio.get_running_loop()
        self._waiting_bytes = 0
        self._batch: list[Item] = []
        self._timer: asyncio.TimerHandle | None = None
        self._batches: queue.SimpleQueue[list[Item] | None] = queue.SimpleQueue()
        self._written = asyncio.Event()  # set when everything is written
        self._thread = threading.Thread(target=self._write, name="recordings", daemon=True)
        self._thread.start()

    def record(self, resident: Resident) -> RecordingTap | None:
        """A tap for a new session; None if recordings cannot be written."""
        if not self._usable:
            return None
        now = time.time()
        at = datetime.fromtimestamp(now, UTC).strftime("%Y%m%dT%H%M%SZ")
        path = self._directory / f"{at}-{resident.session_id}-{secrets.token_hex(4)}.jsonl"
        about = {"by": "gateway", "session_id": resident.session_id, "user_id": resident.identity.user_id}
        return RecordingTap(self, RecordingFile(path, head_line(now, **about), self._max_bytes), self._loop.time())

    def put(self, item: Item) -> bool:
        """Queue an entry; False if there is no room. The end of a session always fits."""
        if item.data is not None and self._waiting_bytes + item.size > self._max_waiting_bytes:
            return False
        self._waiting_bytes += item.size
        self._batch.append(item)
        if self._timer is None:
            self._timer = self._loop.call_later(BATCH_S, self._hand_over)
        return True

    def _hand_over(self) -> None:
        self._timer = None
        batch, self._batch = self._batch, []
        self._batches.put(batch)

    def _on_written(self, n_bytes: int) -> None:
        self._waiting_bytes -= n_bytes

    async def close(self) -> None:
        """Wait until everything is written, at most CLOSE_S."""
        if self._timer is not None:
            self._timer.cancel()
            self._hand_over()
        self._batches.put(None)
        try:
            async with asyncio.timeout(CLOSE_S):
                await self._written.wait()
        except TimeoutError:
            log.error("recordings lost", reason="the disk is too slow")  # noqa: TRY400 - as above

    # --- in the thread ---

    def _write(self) -> None:
        while (batch := self._batches.get()) is not None:
            for item in batch:
                item.file.take(item)
            for file in {id(item.file): item.file for item in batch}.values():
                file.flush()
            self._tell(self._on_written, sum(item.size for item in batch))
        self._tell(self._written.set)

    def _tell(self, what: Callable[..., None], *arguments: Any) -> None:
        with suppress(RuntimeError):  # the gateway did not wait, and its loop is closed
            self._loop.call_soon_threadsafe(what, *arguments)

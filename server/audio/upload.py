"""Decodes an uploaded file in a process of its own, which `decoder_process` forks, limits and ends."""

from __future__ import annotations

import asyncio
import atexit
import io
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
from collections import deque
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, TYPE_CHECKING

import structlog

from server.audio.decode import MAX_AUDIO_S, milliseconds
from server.audio.decoder_wire import HEADER, PCM, UNREADABLE
from server.audio.errors import AudioTooLongError, UnreadableAudioError
from server.audio.upload_room import UserPlaces
from server.errors import ApiError
from server.overload import RETRY_AFTER_S
from server.process.workers import in_codec_thread

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

log = structlog.get_logger(__name__)

MAX_AT_ONCE = 32  # files; each has a process, of 128 MiB at most
MAX_OF_A_USER = 4
ROOT = Path(__file__).resolve().parents[2]
# What the decoders get of the environment: no secrets, because they read what strangers send.
INHERITED = ("PATH", "PYTHON", "LD_LIBRARY", "DYLD_", "LANG", "LC_", "TMPDIR", "VIRTUAL_ENV")


class UploadTurns:
    """Who may decode now, for minutes perhaps. Files wait for their user's own, and by turns for those of others; nobody is refused."""

    def __init__(self) -> None:
        self._places = UserPlaces(MAX_AT_ONCE, MAX_OF_A_USER)
        self._waiting: dict[str, deque[asyncio.Future[None]]] = {}  # by user; who was let in last is the last

    @asynccontextmanager
    async def turn(self, user_id: str) -> AsyncIterator[None]:
        """Wait for a place, and keep it to the end of the block."""
        await self._place(user_id)
        try:
            yield
        finally:
            self._leave(user_id)

    async def _place(self, user_id: str) -> None:
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(user_id, deque()).append(turn)
        self._let_in()
        try:
            await turn
        except asyncio.CancelledError:
            if turn.cancelled():
                self._forget(user_id, turn)
            else:
                self._leave(user_id)
            raise

    def _let_in(self) -> None:
        while (user_id := next(filter(self._places.has_room, self._waiting), None)) is not None:
            turn = self._waiting[user_id][0]
            self._forget(user_id, turn)
            if not turn.cancelled():
                self._places.take(user_id)
                turn.set_result(None)

    def _forget(self, user_id: str, turn: asyncio.Future[None]) -> None:
        """It waits no longer. The user's others wait behind all other users'."""
        turns = self._waiting.pop(user_id, deque())
        if turn in turns:
            turns.remove(turn)
        if turns:
            self._waiting[user_id] = turns

    def _leave(self, user_id: str) -> None:
        self._places.give_back(user_id)
        self._let_in()


class _Forker:
    """The process that makes the others: started for the first upload, and again if it has died. Its methods block."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None
        self._orders: socket.socket | None = None
        self._lock = threading.Lock()
        atexit.register(self.end)

    def order(self, file: IO[bytes]) -> socket.socket:
        """The socket on which the file's sound will come. Raises OSError."""
        ours, theirs = socket.socketpair()
        try:
            with self._lock, theirs, _with_descriptor(file) as lasting:
                socket.send_fds(self._running(), [b"f"], [theirs.fileno(), lasting.fileno()])
        except BaseException:
            ours.close()
            raise
        ours.setblocking(False)
        return ours

    def end(self) -> None:
        """End it. The processes that it has made go on."""
        with self._lock:
            self._end()

    def _end(self) -> None:
        if self._orders is not None:
            self._orders.close()
        if self._process is not None:
            self._process.kill()
            self._process.wait()
        self._orders = self._process = None

    def _running(self) -> socket.socket:
        if self._orders is not None and self._process is not None and self._process.poll() is None:
            return self._orders
        self._end()
        ours, theirs = socket.socketpair()
        ours.settimeout(1.0)  # it takes an order in no time; many wait only if it hangs
        with theirs:
            # -P: do not import a folder `server` of the working directory
            self._process = subprocess.Popen(
                [sys.executable, "-P", "-m", "server.audio.decoder_process"],
                stdin=theirs.fileno(),
                stdout=subprocess.DEVNULL,
                env=_environment(),
                start_new_session=True,  # Ctrl-C must reach the gateway only
            )
        self._orders = ours
        return ours


_forker = _Forker()


@dataclass(slots=True)
class UploadDecoder:
    """Decodes one file, once."""

    file: IO[bytes]
    max_audio_s: float = MAX_AUDIO_S
    decoded_bytes: int = field(default=0, init=False)
    read_percent: int = field(default=0, init=False)  # of the file
    _answer: socket.socket | None = field(default=None, init=False)
    _ended: bool = field(default=False, init=False)

    @property
    def duration_ms(self) -> int:
        """Duration decoded so far."""
        return milliseconds(self.decoded_bytes)

    async def next_piece(self) -> bytes | None:
        """About half a second of PCM, None at the end. Raises UnreadableAudioError, AudioTooLongError, ApiError."""
        if self._ended:
            return None
        if self._answer is None:
            self._answer = await self._started()
        kind, self.read_percent, content = await _message(self._answer) or (None, 100, b"")
        if kind == PCM:
            self.decoded_bytes += len(content)
            if self.duration_ms > self.max_audio_s * 1000:
                self.close()
                raise AudioTooLongError(f"the audio is longer than {self.max_audio_s:g} seconds")
            return content
        self.close()
        if kind == UNREADABLE:
            raise UnreadableAudioError(content.decode())
        if kind is None:  # it was ended, by one of its limits or by a fault of FFmpeg
            log.warning("a file ended its decoder", decoded_ms=self.duration_ms)
            raise UnreadableAudioError("the file's audio cannot be decoded")
        return None

    def close(self) -> None:
        """End the decoder, which may be in the middle of the file. The file itself belongs to the caller."""
        self._ended = True
        if self._answer is not None:
            self._answer.close()
            self._answer = None

    async def _started(self) -> socket.socket:
        """The socket of a decoder that has begun. Raises ApiError OVERLOADED if the machine has no room for one."""
        for _attempt in range(2):  # what makes them may just have died
            with suppress(OSError):
                answer = await in_codec_thread(_forker.order, self.file)
                try:
                    begun = await _message(answer)
                except BaseException:
                    answer.close()
                    raise
                if begun is not None:
                    return answer
                answer.close()
            await in_codec_thread(_forker.end)
        log.error("no file can be decoded: no process can be made")
        raise ApiError("OVERLOADED", headers={"Retry-After": str(RETRY_AFTER_S)})


async def _message(answer: socket.socket) -> tuple[int, int, bytes] | None:
    """Kind, percent of the file that is read, and content; None if the decoder has ended."""
    head = await _read(answer, HEADER.size)
    if head is None:
        return None
    kind, percent, n_bytes = HEADER.unpack(head)
    content = await _read(answer, n_bytes)
    return None if content is None else (kind, percent, content)


async def _read(answer: socket.socket, n_bytes: int) -> bytes | None:
    data = bytearray()
    while len(data) < n_bytes:
        try:
            piece = await asyncio.get_running_loop().sock_recv(answer, n_bytes - len(data))
        except ConnectionError:
            return None
        if not piece:
            return None
        data += piece
    return bytes(data)


@contextmanager
def _with_descriptor(file: IO[bytes]) -> Iterator[IO[bytes]]:
    """The file, with all of its bytes at a descriptor."""
    try:
        file.fileno()  # moves a spooled one out of memory
    except io.UnsupportedOperation:
        with tempfile.TemporaryFile() as copy:
            file.seek(0)
            shutil.copyfileobj(file, copy)
            copy.flush()
            yield copy
    else:
        file.flush()
        yield file


def _environment() -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if name.startswith(INHERITED)}
    paths = os.pathsep.join([str(ROOT), *filter(None, [kept.get("PYTHONPATH")])])
    return {**kept, "PYTHONPATH": paths}

"""The worker processes, seen from the event loop: streams are opened in the least busy one, a dead one is replaced."""

from __future__ import annotations

import asyncio
import itertools
import logging
import multiprocessing
import os
import queue
import threading
from typing import TYPE_CHECKING, Any

from server.embedded.stt import worker

if TYPE_CHECKING:
    from collections.abc import Callable
    from multiprocessing.connection import Connection

log = logging.getLogger(__name__)

MAX_WORKERS = max(1, min(4, os.cpu_count() or 1))  # one a core; each holds 120 MB
MAX_WAITING_BYTES = 1024 * 1024  # of one stream's audio, half a minute: then its sender waits


class WorkerDiedError(Exception):
    """The process behind the stream is gone."""


class Stream:
    """One microphone's way to its worker. `events` ends with None, or with WorkerDiedError."""

    def __init__(self, home: _Worker, number: int) -> None:
        self.events: asyncio.Queue[dict[str, Any] | WorkerDiedError | None] = asyncio.Queue()
        self.number = number
        self._home = home

    async def audio(self, pcm: bytes) -> None:
        """Hand it over; waits while the worker is far behind."""
        while self._home.waiting_bytes > MAX_WAITING_BYTES and self._home.alive:
            await asyncio.sleep(0.02)
        self._home.send(("audio", self.number, pcm))

    def commit(self) -> None:
        """The utterance ends here."""
        self._home.send(("commit", self.number))

    def end(self) -> None:
        """No more audio."""
        self._home.send(("end", self.number))

    def close(self) -> None:
        """Forget it, whatever it was doing."""
        self._home.forget(self.number)


class _Worker:
    """One process: a thread writes to its pipe (a full pipe would block the loop), the loop reads from it."""

    def __init__(self, loop: asyncio.AbstractEventLoop, on_death: Callable[[_Worker], None]) -> None:
        self._loop = loop
        self._on_death = on_death
        context = multiprocessing.get_context("spawn")
        self._pipe: Connection
        self._pipe, theirs = context.Pipe()
        self._process = context.Process(target=worker.main, args=(theirs,), name="stt worker", daemon=True)
        self._process.start()
        theirs.close()
        self._outbox: queue.SimpleQueue[tuple[Any, ...] | None] = queue.SimpleQueue()
        self._writer = threading.Thread(target=self._write, name="stt writer", daemon=True)
        self._writer.start()
        self.streams: dict[int, Stream] = {}
        self.waiting_bytes = 0
        self.alive = True
        self.ready = loop.create_future()
        loop.add_reader(self._pipe.fileno(), self._read)

    def _write(self) -> None:
        """In the thread."""
        while (message := self._outbox.get()) is not None:
            try:
                self._pipe.send(message)
            except OSError:
                return  # the reader notices too
            if message[0] == "audio":
                self._loop.call_soon_threadsafe(self._written, len(message[2]))

    def _written(self, n_bytes: int) -> None:
        self.waiting_bytes -= n_bytes

    def send(self, message: tuple[Any, ...]) -> None:
        """Queue a message."""
        if self.alive:
            if message[0] == "audio":
                self.waiting_bytes += len(message[2])
            self._outbox.put(message)

    def forget(self, number: int) -> None:
        """A stream is over."""
        if self.streams.pop(number, None) is not None:
            self.send(("close", number))

    def _read(self) -> None:
        try:
            while self._pipe.poll():
                self._received(self._pipe.recv())
        except (EOFError, OSError):
            self._died()

    def _received(self, message: tuple[Any, ...]) -> None:
        if message[0] == "ready":
            if not self.ready.done():
                self.ready.set_result(None)
            return
        stream = self.streams.get(message[1])
        if stream is not None:
            stream.events.put_nowait(message[2] if message[0] == "event" else None)

    def _died(self) -> None:
        self.stop()
        if not self.ready.done():
            self.ready.set_exception(WorkerDiedError())
        for stream in self.streams.values():
            stream.events.put_nowait(WorkerDiedError())
        self.streams.clear()
        self._on_death(self)

    def stop(self) -> None:
        """End the process."""
        if self.alive:
            self.alive = False
            self._loop.remove_reader(self._pipe.fileno())
            self._outbox.put(None)
            self._process.terminate()
            self._pipe.close()


class WorkerPool:
    """Grows to MAX_WORKERS while streams come."""

    def __init__(self) -> None:
        self._workers: list[_Worker] = []
        self._numbers = itertools.count()
        self._stopping = False

    async def start(self) -> None:
        """The first worker, with its models loaded. Raises WorkerDiedError."""
        await self._grow().ready

    def _grow(self) -> _Worker:
        fresh = _Worker(asyncio.get_running_loop(), self._on_death)
        self._workers.append(fresh)
        return fresh

    def _on_death(self, dead: _Worker) -> None:
        self._workers.remove(dead)
        if not self._stopping:
            log.error("a speech recognition worker died and is replaced")
            self._grow()

    async def open(self, options: dict[str, Any]) -> Stream:
        """A stream in the least busy worker. Raises WorkerDiedError."""
        if len(self._workers) < MAX_WORKERS and all(home.streams for home in self._workers):
            self._grow()  # loads while the others work; the next stream finds it ready
        loaded = [home for home in self._workers if home.ready.done()] or self._workers
        home = min(loaded, key=lambda candidate: len(candidate.streams))
        await home.ready
        number = next(self._numbers)
        stream = home.streams[number] = Stream(home, number)
        home.send(("open", number, options))
        return stream

    async def stop(self) -> None:
        """End all of them."""
        self._stopping = True
        for home in list(self._workers):
            home.stop()

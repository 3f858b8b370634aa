"""One decoder process, as seen from the event loop."""

from __future__ import annotations

import asyncio
import os
import sys
from collections import deque
from pathlib import Path
from subprocess import PIPE
from typing import TYPE_CHECKING, Any, cast

from server.embedded.service import MissingPartError
from server.embedded.stt import wire

if TYPE_CHECKING:
    from collections.abc import Callable

    from server.embedded.stt.transcript import Job, Transcript

START_TIMEOUT_S = 30.0
ROOT = Path(__file__).resolve().parents[3]


class DecoderDiedError(Exception):
    """The processes that decoded this utterance have died."""


class _Pipes(asyncio.SubprocessProtocol):
    """Matches replies, in order, with the futures that wait for them."""

    def __init__(self) -> None:
        self.on_death: Callable[[], None] | None = None  # set once it runs, so that a failed start is not a death
        self._reader = wire.Reader()
        self._waiting: deque[asyncio.Future[dict[str, Any]]] = deque()
        self.alive = True
        self.exited = asyncio.Event()

    def expect(self) -> asyncio.Future[dict[str, Any]]:
        future = asyncio.get_running_loop().create_future()
        self._waiting.append(future)
        return future

    def pipe_data_received(self, fd: int, data: bytes) -> None:
        if fd != 1:
            return
        for reply in self._reader.feed(data):
            future = self._waiting.popleft()
            if not future.done():
                future.set_result(reply)

    def process_exited(self) -> None:
        self.alive = False
        self.exited.set()
        for future in self._waiting:
            if not future.done():
                future.set_exception(DecoderDiedError())
                future.exception()  # mark it as retrieved: a cancelled caller will not do so
        self._waiting.clear()
        if self.on_death is not None:
            self.on_death()


class DecoderProcess:
    """One running `worker` process."""

    def __init__(self, transport: asyncio.SubprocessTransport, pipes: _Pipes) -> None:
        self._transport = transport
        self._pipes = pipes
        self.busy = False

    @classmethod
    async def start(cls, arguments: tuple[str, ...], on_death: Callable[[], None]) -> DecoderProcess:
        """Start a process and wait until its models are loaded. Raises MissingPartError."""
        # -P: do not import a folder `server` of the working directory
        command = [sys.executable, "-P", "-m", "server.embedded.stt.worker", *arguments]
        paths = os.pathsep.join([str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])])
        transport, pipes = await asyncio.get_running_loop().subprocess_exec(
            _Pipes, *command, stdin=PIPE, stdout=PIPE, stderr=None, env={**os.environ, "PYTHONPATH": paths}
        )
        process = cls(transport, pipes)
        try:
            async with asyncio.timeout(START_TIMEOUT_S):
                why = (await pipes.expect()).get("failed")
        except (DecoderDiedError, TimeoutError) as failed:
            why = "it takes too long" if isinstance(failed, TimeoutError) else "its process died"
        if why is not None:
            process.kill()
            raise MissingPartError(f"a speech decoder did not start ({' '.join(arguments)}): {why}")
        pipes.on_death = on_death
        return process

    @property
    def alive(self) -> bool:
        """True if it is still running."""
        return self._pipes.alive

    @property
    def pid(self) -> int:
        """The process id."""
        return self._transport.get_pid()

    async def decode(self, jobs: list[Job]) -> list[Transcript]:
        """The jobs' transcripts, in order. Raises DecoderDiedError."""
        if not self.alive:
            raise DecoderDiedError
        reply = self._pipes.expect()
        pipe = cast("asyncio.WriteTransport", self._transport.get_pipe_transport(0))
        pipe.write(wire.pack_jobs(jobs))
        return wire.unpack_transcripts(await reply)

    def kill(self) -> None:
        """End it at once."""
        if self.alive and self._transport.get_returncode() is None:
            self._transport.kill()

    async def stop(self) -> None:
        """End it and wait until it is gone."""
        self._pipes.on_death = None
        self.kill()
        await self._pipes.exited.wait()
        self._transport.close()

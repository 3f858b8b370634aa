"""One decoder process, as seen from the event loop."""

from __future__ import annotations

import asyncio
import logging
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

log = logging.getLogger(__name__)

START_TIMEOUT_S = 30.0
# How long a decode may take before it is asked whether the process hangs. Alone on a core, Whisper tiny.en takes less than a second for
# any sound, and PocketSphinx a third of the sound's length; a busy machine and larger models take many times that.
HANG_S, HANG_PER_S_OF_SOUND = 5.0, 2.0
AT_WORK = 0.02  # of a core: who has had that much meanwhile does not hang, but is slow
MOST_TIMES = 5  # then it works without an end
CLOSER_SOUND_S = 30.0  # a closer look always decodes Whisper's whole window
BYTES_PER_S = 32_000
ROOT = Path(__file__).resolve().parents[3]


class DecoderDiedError(Exception):
    """The processes that decoded this utterance have died, or hung and were killed."""


def longest_s(jobs: list[Job]) -> float:
    """How long a process may take for the jobs before it has to show that it works."""
    return HANG_S + HANG_PER_S_OF_SOUND * sum(
        CLOSER_SOUND_S if job.closer else len(job.pcm) / BYTES_PER_S for job in jobs
    )


def cpu_s(pid: int) -> float:
    """The CPU that a process has used; 0 where Linux's /proc does not tell, or the process is gone."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()
    except OSError:
        return 0.0
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")  # user and system: proc(5)


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
        """The jobs' transcripts, in order. Kills the process if they take too long. Raises DecoderDiedError."""
        if not self.alive:
            raise DecoderDiedError
        reply = self._pipes.expect()
        pipe = cast("asyncio.WriteTransport", self._transport.get_pipe_transport(0))
        pipe.write(wire.pack_jobs(jobs))
        limit_s, used_s = longest_s(jobs), cpu_s(self.pid)
        for _ in range(MOST_TIMES):
            # not asyncio.timeout: if this process stood still, a reply that came meanwhile still counts
            await asyncio.wait({reply}, timeout=limit_s)
            before_s, used_s = used_s, cpu_s(self.pid)
            if reply.done() or used_s - before_s < AT_WORK * limit_s:
                break
        if not reply.done():
            log.error("a speech decoder process hangs and is killed: no answer within %.0f s", limit_s)
            self.kill()
            raise DecoderDiedError
        return wire.unpack_transcripts(reply.result())

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

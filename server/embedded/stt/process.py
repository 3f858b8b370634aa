"""One decoder process, as seen from the event loop."""

from __future__ import annotations

import asyncio
import logging
import math
import os
import sys
from collections import deque
from pathlib import Path
from subprocess import PIPE
from typing import TYPE_CHECKING, Any, NamedTuple, cast

from server.embedded.service import MissingPartError
from server.embedded.stt import wire

if TYPE_CHECKING:
    from collections.abc import Callable

    from server.embedded.stt.transcript import Job, Transcript

log = logging.getLogger(__name__)

START_TIMEOUT_S = 30.0
# How long a decode may take where nobody knows whether the process works. Alone on a core, Whisper tiny.en takes less than a second for
# any sound, and PocketSphinx a third of the sound's length; a busy machine and larger models take many times that.
HANG_S, HANG_PER_S_OF_SOUND = 5.0, 2.0
MOST_TIMES = 5  # as long, where it is known to work: then it works without an end
# Its user hears nothing meanwhile, so it is looked at so often. Once is not enough: this machine may have stood still.
LOOK_S = 2.5
IDLE_LOOKS = 2
AT_WORK = 0.02  # of a core: who has had that much between two looks does not hang, but is slow
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


class Work(NamedTuple):
    """What a process has done so far. `disk_reads`: of memory that was not there, as while it waits for a full machine to swap.

    `waits`: for nothing but its turn on a core, which others may keep it from.
    """

    cpu_s: float
    disk_reads: int
    waits: bool

    def goes_on(self, before: Work) -> bool:
        """True if it was at work since the look before."""
        worked = self.cpu_s - before.cpu_s >= AT_WORK * LOOK_S
        return worked or self.waits or self.disk_reads > before.disk_reads


def work_of(pid: int) -> Work | None:
    """What a process has done; None where Linux's /proc does not tell, or the process is gone."""
    try:
        fields = fields_of(Path(f"/proc/{pid}"))
        states = {fields_of(thread)[0] for thread in Path(f"/proc/{pid}/task").iterdir()}
    except OSError:
        return None
    ticks = int(fields[11]) + int(fields[12])  # user and system: proc(5)
    return Work(ticks / os.sysconf("SC_CLK_TCK"), int(fields[9]), waits=b"R" in states)


def fields_of(task: Path) -> list[bytes]:
    """What /proc tells of a process or a thread, from its state on."""
    return (task / "stat").read_bytes().rpartition(b")")[2].split()


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
        if not await self._answered(reply, longest_s(jobs)):
            log.error("a speech decoder process hangs and is killed")
            self.kill()
            raise DecoderDiedError
        return wire.unpack_transcripts(reply.result())

    async def _answered(self, reply: asyncio.Future[dict[str, Any]], limit_s: float) -> bool:
        """Wait for the reply as long as the process works; False if it hangs."""
        before, idle, looks = work_of(self.pid), 0, max(IDLE_LOOKS, math.ceil(limit_s / LOOK_S))
        for _ in range(MOST_TIMES * looks):
            # not asyncio.timeout: if this process stood still, a reply that came meanwhile still counts
            await asyncio.wait({reply}, timeout=LOOK_S)
            if reply.done():
                return True
            now = work_of(self.pid)
            if now is None or before is None:
                idle, most = idle + 1, looks
            else:
                idle, most = 0 if now.goes_on(before) else idle + 1, IDLE_LOOKS
            if idle >= most:
                break
            before = now
        return False

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

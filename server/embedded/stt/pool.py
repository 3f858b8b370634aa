"""The service's decoder processes, and the queue in front of them.

Finals come first, then closer looks at doubtful ones, which take several times as long, then partials. Within a kind users take fair
turns: the next is who has had the processes for the shortest time, whatever took it: long sound, a vocabulary, or a second look.
A process takes several jobs of one kind at once: the first and those nearest to its length. They are encoded in one call, which halves
the decoder's time for each.
Where there are several processes, one of them takes no partials, so that a final never waits behind those.
"""

from __future__ import annotations

import asyncio
import itertools
import logging
import os
import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from server.embedded.callers import current_user, own_context
from server.embedded.fairness import Shares
from server.embedded.service import MissingPartError
from server.embedded.stt.process import DecoderDiedError, DecoderProcess
from server.embedded.stt.transcript import Transcript

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from server.embedded.stt.engine import Engine
    from server.embedded.stt.transcript import Job

log = logging.getLogger(__name__)

FIRST_PROCESSES = 2
MAX_PROCESSES = 8
MAX_BATCH = 4  # a batch of eight gains little more, and its first job would wait for the last
MAX_PARTIAL_BATCH = 2  # a final that comes meanwhile waits for at most two partials
ATTEMPTS = 2  # a job whose process died is given to one other process, alone, in case it is the cause
LEAST_S, BYTES_PER_DECODER_S = 0.1, 640_000  # of a process, for any sound; it decodes some 20 s of sound in one
LATE_S = 1.0  # a final that waited this long is late
LATE_LOG_S = 10.0  # minimum time between two log lines about it


FINAL, CLOSER, PARTIAL = range(3)
_MOST = {FINAL: MAX_BATCH, CLOSER: 1, PARTIAL: MAX_PARTIAL_BATCH}


def _kind(job: Job) -> int:
    if not job.final:
        return PARTIAL
    return CLOSER if job.closer else FINAL


def _likely_s(job: Job) -> float:
    """How long a process will take for it; what it took is counted afterwards."""
    return LEAST_S + len(job.pcm) / BYTES_PER_DECODER_S


@dataclass(eq=False, slots=True)
class _Waiting:
    user: str
    number: int
    job: Job
    done: asyncio.Future[Transcript]
    since_s: float
    attempts: int = 0
    stale: Callable[[], bool] = lambda: False
    newest: Callable[[], Job] | None = None

    @property
    def withdrawn(self) -> bool:
        """Whether it need not be decoded any more. A stale one is answered without words."""
        if not self.done.done() and self.stale():
            self.done.set_result(Transcript())
        return self.done.done()


class DecoderPool:
    """As many processes as there are cores, at most MAX_PROCESSES. One that dies or hangs is replaced, and its jobs go to another."""

    def __init__(
        self, engine: Engine, n_processes: int | None = None, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._engine = engine
        self._n_processes = n_processes or min(MAX_PROCESSES, os.cpu_count() or 1)
        self._processes: list[DecoderProcess] = []
        self._n_starting = 0
        self._queue: list[_Waiting] = []
        self._numbers = itertools.count()
        self._clock = clock
        self._shares = Shares()  # of the users, in seconds of a process
        self._tasks: set[asyncio.Task[None]] = set()
        self._stopping = False
        self._late_told_s = -LATE_LOG_S

    @property
    def processes(self) -> tuple[DecoderProcess, ...]:
        """The running processes."""
        return tuple(process for process in self._processes if process.alive)

    async def start(self) -> None:
        """Start the first two, so that the first utterances are decoded fast. Raises MissingPartError."""
        started = await asyncio.gather(
            *(self._start_process() for _ in range(min(FIRST_PROCESSES, self._n_processes))), return_exceptions=True
        )
        failures = [failure for failure in started if isinstance(failure, BaseException)]
        if failures:
            await self.stop()
            raise failures[0]

    async def stop(self) -> None:
        """End all processes."""
        self._stopping = True
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await asyncio.gather(*(process.stop() for process in self._processes))
        self._processes.clear()

    async def decode(self, job: Job) -> Transcript:
        """Queue a job and return its transcript, after a closer look if it is doubtful. Cancel to withdraw it.

        Raises DecoderDiedError after two processes died of it, or hung.
        """
        seen = await self.glance(job)
        return await self.glance(replace(job, closer=True)) if seen.doubtful else seen

    async def glance(
        self, job: Job, stale: Callable[[], bool] = lambda: False, newest: Callable[[], Job] | None = None
    ) -> Transcript:
        """Do the same without the closer look. If `stale` says so when its turn comes, it is not decoded but has no words.

        `newest` makes the job that is decoded when its turn comes, with what was said since `job`.
        """
        done: asyncio.Future[Transcript] = asyncio.get_running_loop().create_future()
        number = next(self._numbers)
        waiting = _Waiting(current_user(), number, job, done, time.monotonic(), stale=stale, newest=newest)
        self._queue.append(waiting)
        self._dispatch()
        return await waiting.done

    def _dispatch(self) -> None:
        """Give waiting jobs to idle processes."""
        if self._stopping:
            return  # whoever still waits is about to be cancelled
        idle = [process for process in self.processes if not process.busy]
        for at, process in enumerate(idle):
            batch = self._next_batch(len(idle) - at)
            if not batch:
                break
            process.busy = True
            self._in_background(self._work(process, batch), "stt: decode")
        if self._queue and len(self.processes) + self._n_starting < self._n_processes:
            self._grow_in_background()

    def _rank(self, waiting: _Waiting) -> tuple[int, bool, float, int]:
        return _kind(waiting.job), waiting.job.shown, self._shares.start(waiting.user), waiting.number

    def _next_batch(self, n_idle: int) -> list[_Waiting]:
        """For one of so many idle processes: its share of what is next."""
        self._queue = [waiting for waiting in self._queue if not waiting.withdrawn]
        if not self._queue:
            return []
        head = min(self._queue, key=self._rank)
        first, kind = head.job, _kind(head.job)
        if kind == PARTIAL and n_idle == 1 and len(self.processes) > 1:
            return []
        alike = [
            waiting
            for waiting in self._queue
            if _kind(waiting.job) == kind
            and waiting.job.vocabulary == first.vocabulary
            and (waiting is head or not (waiting.attempts or head.attempts))
        ]
        # A busy process is idle again soon, and then takes its share too: the last of several finals comes sooner.
        n_sharing = n_idle if kind == PARTIAL else len(self.processes)
        most = min(_MOST[kind], -(-len(alike) // n_sharing))
        # All windows of a batch are as long as its longest.
        batch = sorted(alike, key=lambda waiting: (abs(len(waiting.job.pcm) - len(first.pcm)), self._rank(waiting)))[
            :most
        ]
        self._queue = [waiting for waiting in self._queue if waiting not in batch]
        for waiting in batch:
            if waiting.newest is not None:
                waiting.job = waiting.newest()
            self._shares.begin(waiting.user, _likely_s(waiting.job))
        return batch

    async def _work(self, process: DecoderProcess, batch: list[_Waiting]) -> None:
        self._notice_late(batch)
        likely_s, began_s = [_likely_s(waiting.job) for waiting in batch], self._clock()
        try:
            transcripts = await process.decode([waiting.job for waiting in batch])
        except DecoderDiedError:
            self._retry(batch)
        else:
            process.busy = False
            each_s = (self._clock() - began_s) / len(batch)
            for waiting, said_s in zip(batch, likely_s, strict=True):
                self._shares.correct(waiting.user, each_s - said_s)
            for waiting, transcript in zip(batch, transcripts, strict=True):
                if not waiting.done.done():
                    waiting.done.set_result(transcript)
        self._dispatch()

    def _retry(self, batch: list[_Waiting]) -> None:
        for waiting in batch:
            waiting.attempts += 1
            if waiting.done.done():
                continue
            if waiting.attempts < ATTEMPTS:
                self._queue.append(waiting)
            else:
                waiting.done.set_exception(DecoderDiedError())

    def _notice_late(self, batch: list[_Waiting]) -> None:
        now_s = time.monotonic()
        waited_s = now_s - batch[0].since_s
        if batch[0].job.final and waited_s > LATE_S and now_s - self._late_told_s > LATE_LOG_S:
            self._late_told_s = now_s
            log.warning("speech is decoded late: a final waited %.1f s, %d wait", waited_s, len(self._queue))

    # --- processes ---

    async def _start_process(self) -> None:
        process = await DecoderProcess.start(self._engine.arguments, self._on_death)
        self._processes.append(process)  # to the list of now: a death meanwhile has put another in its place

    def _grow_in_background(self) -> None:
        self._n_starting += 1
        self._in_background(self._grow(), "stt: start a decoder")

    async def _grow(self) -> None:
        try:
            await self._start_process()
        except MissingPartError as missing:
            log.exception("a speech decoder could not be started; the next utterance tries again")
            if not self.processes:
                self._fail_all(missing)
            return
        finally:
            self._n_starting -= 1
        self._dispatch()

    def _fail_all(self, missing: MissingPartError) -> None:
        waiting, self._queue = self._queue, []
        for one in waiting:
            if not one.done.done():
                one.done.set_exception(missing)

    def _on_death(self) -> None:
        if not self._stopping:
            log.error("a speech decoder process died and is replaced")
            self._processes = list(self.processes)
            self._grow_in_background()

    def _in_background(self, work: Coroutine[None, None, None], name: str) -> None:
        """Run it in a task referenced here, because whoever starts it is a callback, or a caller that may be cancelled.

        What it does is for many callers, so it names none of them.
        """
        task: asyncio.Task[None] = asyncio.get_running_loop().create_task(work, name=name, context=own_context("stt"))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

"""The decoder processes of the service, and which utterance is decoded in which."""

from __future__ import annotations

import asyncio
import itertools
import logging
import os
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from server.embedded.service import MissingPartError
from server.embedded.stt import wire
from server.embedded.stt.process import DecoderProcess, DecodingUtterance

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

log = logging.getLogger(__name__)

FIRST_PROCESSES = 2
MAX_PROCESSES = 8
UTTERANCES_PER_PROCESS = 3  # at a real-time factor of 0.2 to 0.35 each, three people talking at once fill a core


class DecoderPool:
    """As many processes as there are cores, at most MAX_PROCESSES; utterances wait in line when all are taken.

    A process that dies is replaced at once; the utterances it held are lost, those that begin meanwhile go to the others.
    """

    def __init__(self, whisper_path: str = "", n_processes: int | None = None) -> None:
        self._whisper_path = whisper_path
        self.redecodes = bool(whisper_path)  # the last word comes from an engine that no partial was made by
        self._n_processes = n_processes or min(MAX_PROCESSES, os.cpu_count() or 1)
        self._processes: list[DecoderProcess] = []
        self._places = asyncio.Semaphore(self._n_processes * UTTERANCES_PER_PROCESS)
        self._growing = asyncio.Lock()
        self._replacing: set[asyncio.Task[None]] = set()
        self._stopping = False
        self._numbers = itertools.count(1)

    @property
    def processes(self) -> tuple[DecoderProcess, ...]:
        """Those that run."""
        return tuple(process for process in self._processes if process.alive)

    async def start(self) -> None:
        """Start the first two, so that the first utterances are fast. Raises MissingPartError."""
        started = await asyncio.gather(
            *(self._start_process() for _ in range(min(FIRST_PROCESSES, self._n_processes))), return_exceptions=True
        )
        failures = [failure for failure in started if isinstance(failure, BaseException)]
        if failures:
            await self.stop()
            raise failures[0]

    async def _start_process(self) -> None:
        self._processes.append(await DecoderProcess.start(self._whisper_path, self._on_death))

    def _on_death(self) -> None:
        """Replace it; a task of its own, held here, since whoever notices is a callback."""
        if not self._stopping:
            log.error("a speech decoder process died and is replaced")
            task = asyncio.get_running_loop().create_task(self._replace(), name="stt: replace a dead decoder")
            self._replacing.add(task)
            task.add_done_callback(self._replacing.discard)

    async def _replace(self) -> None:
        async with self._growing:
            self._processes = list(self.processes)
            try:
                await self._start_process()
            except MissingPartError:
                log.exception("a speech decoder could not be replaced; the next utterance tries again")

    async def stop(self) -> None:
        """End all."""
        self._stopping = True
        for task in self._replacing:
            task.cancel()
        await asyncio.gather(*self._replacing, return_exceptions=True)
        await asyncio.gather(*(process.stop() for process in self._processes))
        self._processes.clear()

    @asynccontextmanager
    async def utterance(self, vocabulary: tuple[str, ...], mean: str) -> AsyncIterator[DecodingUtterance]:
        """A place to decode one utterance in; waits for one in line. Raises DecoderDiedError and MissingPartError."""
        async with self._places:
            process = await self._least_busy()
            process.n_utterances += 1
            number = next(self._numbers)
            try:
                await process.ask(
                    {"do": wire.BEGIN, "utterance": number, "vocabulary": vocabulary, "mean": mean},
                )
                yield DecodingUtterance(process, number)
            finally:
                process.n_utterances -= 1
                process.post({"do": wire.DISCARD, "utterance": number})

    async def _least_busy(self) -> DecoderProcess:
        """The live process with the fewest utterances; one more when all have some and a core has none."""
        if not self._idle() and len(self.processes) < self._n_processes:
            async with self._growing:
                if not self._idle() and len(self.processes) < self._n_processes:
                    await self._start_process()
        return min(self.processes, key=lambda process: process.n_utterances)

    def _idle(self) -> bool:
        return any(process.n_utterances == 0 for process in self.processes)

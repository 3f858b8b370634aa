"""Users take fair turns at the decoders, by the time that their jobs take."""

from __future__ import annotations

import asyncio

from server.embedded.callers import bind_caller
from server.embedded.fairness import Shares
from server.embedded.stt.engine import whisper
from server.embedded.stt.pool import DecoderPool
from server.embedded.stt.transcript import Job, Transcript

SHORT = bytes(64_000)


class Decoder:
    """Stands for a process, which takes ten times as long with a vocabulary."""

    def __init__(self) -> None:
        self.alive, self.busy = True, False
        self.now_s = 0.0
        self.users: list[str] = []

    def clock(self) -> float:
        return self.now_s

    async def decode(self, jobs: list[Job]) -> list[Transcript]:
        await asyncio.sleep(0)
        self.now_s += sum(2.0 if job.vocabulary else 0.2 for job in jobs)
        self.users += ["costly" if job.vocabulary else "plain" for job in jobs]
        return [Transcript("x") for _ in jobs]


async def test_a_user_whose_jobs_take_ten_times_as_long_has_a_tenth_of_the_turns() -> None:
    """A prompt of a hundred words was charged nothing: only the length of the sound counted."""
    decoder = Decoder()
    pool = DecoderPool(whisper(), n_processes=1, clock=decoder.clock)
    pool._processes = [decoder]  # type: ignore[list-item] # it stands for one

    async def ask(user: str, vocabulary: tuple[str, ...]) -> None:
        bind_caller("stt", [("x-user-id", user)])
        await pool.glance(Job(SHORT, final=True, vocabulary=vocabulary))

    async with asyncio.TaskGroup() as group:
        for number in range(40):
            group.create_task(ask("costly", (f"words {number}",)), name=f"costly {number}")
            group.create_task(ask("plain", ()), name=f"plain {number}")
    assert decoder.users[:44].count("costly") <= 6


def test_work_that_took_longer_than_was_said_is_charged() -> None:
    shares = Shares()
    shares.begin("a", 1.0)
    shares.correct("a", 2.0)
    assert shares.start("a") == 3.0
    shares.correct("b", 1.0)
    assert shares.start("b") == 1.0

"""The decoder processes: dead ones are replaced, and all end with their service."""

from __future__ import annotations

import asyncio
import os
import signal
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from structlog.contextvars import get_contextvars

from server.embedded.callers import bind_caller
from server.embedded.stt.engine import whisper
from server.embedded.stt.pool import MAX_BATCH, MAX_PARTIAL_BATCH, DecoderPool
from server.embedded.stt.process import DecoderDiedError, DecoderProcess
from server.embedded.stt.transcript import Job, Transcript
from tests.server.embedded.speech import folded, recording, silence

if TYPE_CHECKING:
    from collections.abc import Iterator

SPOKEN = recording("flite-kal-stop") + silence(600)


@pytest.fixture
def pool(io_loop: object) -> Iterator[DecoderPool]:
    pool = DecoderPool(whisper(), n_processes=1)
    io_loop.run_sync(pool.start)  # type: ignore[attr-defined] # pytest-tornado's loop
    yield pool
    io_loop.run_sync(pool.stop)  # type: ignore[attr-defined] # pytest-tornado's loop


async def text_of(pool: DecoderPool, pcm: bytes) -> str:
    return folded((await pool.decode(Job(pcm, final=True))).text)


async def until_replaced(pool: DecoderPool, pid: int) -> None:
    while not any(process.pid != pid for process in pool.processes):
        await asyncio.sleep(0.01)


async def test_an_utterance_whose_process_dies_is_decoded_by_another(pool: DecoderPool) -> None:
    text = asyncio.ensure_future(text_of(pool, SPOKEN))  # noqa: TID251 - awaited below
    await asyncio.sleep(0)
    os.kill(pool.processes[0].pid, signal.SIGKILL)
    assert await text == "stop"


async def test_an_utterance_that_two_processes_died_of_fails(pool: DecoderPool) -> None:
    async def kill_all() -> None:
        while True:
            for process in pool.processes:
                if process.busy:
                    process.kill()
            await asyncio.sleep(0)

    async with asyncio.TaskGroup() as group:
        killer = group.create_task(kill_all(), name="killer")
        with pytest.raises(DecoderDiedError):
            await text_of(pool, SPOKEN)
        killer.cancel()
    await until_replaced(pool, 0)
    assert await text_of(pool, SPOKEN) == "stop"


async def test_a_final_goes_before_the_partials_that_wait(pool: DecoderPool) -> None:
    done: list[bool] = []

    async def ask(final: bool) -> None:
        await pool.decode(Job(SPOKEN, final=final))
        done.append(final)

    async with asyncio.TaskGroup() as group:
        for number, final in enumerate([False] * 9 + [True]):
            group.create_task(ask(final), name=f"job {number}")
    assert done.index(True) <= 4, "only the partial under way was decoded before it"


async def test_one_user_s_finals_are_not_in_the_way_of_another() -> None:
    pool, (only,) = await with_decoders(1)
    done: list[str] = []

    async def ask(user: str) -> None:
        bind_caller("stt", [("x-user-id", user)])
        await pool.decode(Job(SPOKEN, final=True))
        done.append(user)

    async with asyncio.TaskGroup() as group:
        for number, user in enumerate(["many"] * 20 + ["one"]):
            group.create_task(ask(user), name=f"job {number}")
        await settled()
        while len(done) <= 20:
            only.answer()
            await settled()
    assert done.index("one") <= 1 + MAX_BATCH, "it was in the first batch behind the one under way"


async def test_an_idle_process_that_dies_is_replaced_as_well(pool: DecoderPool) -> None:
    pid = pool.processes[0].pid
    os.kill(pid, signal.SIGKILL)
    await until_replaced(pool, pid)
    assert await text_of(pool, SPOKEN) == "stop"


async def test_utterances_without_a_place_wait_in_line(pool: DecoderPool) -> None:
    async with asyncio.TaskGroup() as group:
        texts = [group.create_task(text_of(pool, SPOKEN), name=f"utterance {number}") for number in range(4)]
    assert [task.result() for task in texts] == ["stop"] * 4


async def test_one_utterance_leaves_no_trace_in_the_next(pool: DecoderPool) -> None:
    fresh = await text_of(pool, recording("human-goforward"))
    for name in ("flite-slt-list-files", "human-card-003"):
        await text_of(pool, recording(name))
    assert await text_of(pool, recording("human-goforward")) == fresh


async def test_an_empty_utterance_has_no_words(pool: DecoderPool) -> None:
    assert await text_of(pool, bytes(32_000)) == ""


class Decoder:
    """Stands for a process: tells what it is given, and answers when it is let."""

    def __init__(self) -> None:
        self.alive, self.busy = True, False
        self.batches: list[list[Job]] = []
        self.answers: list[asyncio.Future[list[Transcript]]] = []

    async def decode(self, jobs: list[Job]) -> list[Transcript]:
        self.batches.append(jobs)
        self.answers.append(asyncio.get_running_loop().create_future())
        return await self.answers[-1]

    def answer(self, *, doubtful: bool = False) -> None:
        self.answers[-1].set_result([Transcript("x", doubtful=doubtful) for _ in self.batches[-1]])


async def settled() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


async def with_decoders(n: int) -> tuple[DecoderPool, list[Decoder]]:
    pool, decoders = DecoderPool(whisper(), n_processes=n), [Decoder() for _ in range(n)]
    pool._processes = decoders  # type: ignore[assignment] # as above
    return pool, decoders


async def test_one_process_is_kept_from_partials_and_finals_are_spread() -> None:
    pool, (first, second) = await with_decoders(2)
    async with asyncio.TaskGroup() as group:

        def ask(n: int, *, final: bool) -> None:
            asked.extend(group.create_task(pool.decode(Job(b"", final=final)), name="job") for _ in range(n))

        asked: list[asyncio.Task[Transcript]] = []
        ask(6, final=False)
        await settled()
        assert [len(first.batches), len(second.batches)] == [1, 0]
        ask(1, final=True)
        await settled()
        assert [job.final for job in second.batches[0]] == [True]
        ask(4, final=True)
        await settled()
        first.answer()
        await settled()
        assert [job.final for job in first.batches[-1]] == [True] * 2, "the other takes its share in a moment"
        while not all(task.done() for task in asked):
            for each in (first, second):
                if not each.answers[-1].done():
                    each.answer()
            await settled()


async def test_a_final_waits_for_few_partials() -> None:
    pool, (only,) = await with_decoders(1)
    async with asyncio.TaskGroup() as group:
        for number in range(6):
            group.create_task(pool.decode(Job(b"", final=False)), name=f"partial {number}")
        await settled()
        only.answer()
        await settled()
        assert len(only.batches[-1]) == MAX_PARTIAL_BATCH
        group.create_task(pool.decode(Job(b"", final=True)), name="final")
        await settled()
        only.answer()
        await settled()
        assert [job.final for job in only.batches[-1]] == [True]
        while not only.answers[-1].done():
            only.answer()
            await settled()


async def test_what_the_pool_does_for_all_names_no_caller_in_the_log(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Late finals, deaths and failed starts are told by these tasks."""
    named: list[dict[str, object]] = []

    class Named(Decoder):
        async def decode(self, jobs: list[Job]) -> list[Transcript]:
            named.append(get_contextvars())
            return [Transcript("x") for _ in jobs]

    async def start(*_arguments: object) -> Decoder:
        named.append(get_contextvars())
        return Named()

    monkeypatch.setattr(DecoderProcess, "start", start)
    pool = DecoderPool(whisper(), n_processes=1)
    bind_caller("stt", [("x-request-id", "r-1"), ("x-user-id", "ann")])
    assert (await pool.glance(Job(SPOKEN, final=True))).text == "x"
    assert named == [{"service": "stt"}] * 2


async def test_a_job_that_comes_after_the_end_starts_no_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """The service has ended, and gRPC has not cancelled this call yet."""
    started: list[str] = []

    async def start(*_arguments: object) -> Decoder:
        started.append("a process")
        return Decoder()

    monkeypatch.setattr(DecoderProcess, "start", start)
    pool = DecoderPool(whisper(), n_processes=1)
    await pool.stop()
    async with asyncio.TaskGroup() as group:
        late = group.create_task(pool.glance(Job(SPOKEN, final=True)), name="late")
        await settled()
        late.cancel()
    assert started == []


async def test_a_stale_partial_is_not_decoded() -> None:
    pool, (only,) = await with_decoders(1)
    async with asyncio.TaskGroup() as group:
        group.create_task(pool.decode(Job(b"1", final=True)), name="final")
        await settled()
        stale = group.create_task(pool.glance(Job(b"2", final=False), lambda: True), name="stale")
        fresh = group.create_task(pool.glance(Job(b"3", final=False)), name="fresh")
        await settled()
        only.answer()
        await settled()
        assert [job.pcm for job in only.batches[-1]] == [b"3"]
        only.answer()
    assert (stale.result().text, fresh.result().text) == ("", "x")


async def test_who_has_seen_no_words_yet_goes_before_further_partials() -> None:
    pool, (only,) = await with_decoders(1)
    async with asyncio.TaskGroup() as group:
        group.create_task(pool.decode(Job(b"0", final=True)), name="final")
        await settled()
        for number in range(1, 4):
            group.create_task(pool.glance(Job(b"%d" % number, final=False, shown=True)), name="further")
        group.create_task(pool.glance(Job(b"4", final=False)), name="first")
        await settled()
        while any(not answer.done() for answer in only.answers):
            only.answer()
            await settled()
    assert [job.pcm for batch in only.batches for job in batch] == [b"0", b"4", b"1", b"2", b"3"]


async def test_a_partial_is_decoded_with_what_was_said_while_it_waited() -> None:
    pool, (only,) = await with_decoders(1)
    said = [b"list"]
    async with asyncio.TaskGroup() as group:
        group.create_task(pool.decode(Job(b"final", final=True)), name="final")
        await settled()
        partial = pool.glance(Job(said[0], final=False), newest=lambda: Job(said[-1], final=False))
        group.create_task(partial, name="partial")
        await settled()
        said.append(b"list files")
        only.answer()
        await settled()
        assert [job.pcm for job in only.batches[-1]] == [b"list files"]
        only.answer()


async def test_a_closer_look_waits_for_others_finals_and_goes_before_partials() -> None:
    pool, (only,) = await with_decoders(1)
    async with asyncio.TaskGroup() as group:
        group.create_task(pool.decode(Job(b"1", final=True)), name="doubtful")
        await settled()
        group.create_task(pool.decode(Job(b"2", final=False)), name="partial")
        group.create_task(pool.decode(Job(b"3", final=True)), name="final")
        await settled()
        only.answer(doubtful=True)
        await settled()
        for _ in range(3):
            only.answer()
            await settled()
    assert [[(job.pcm, job.closer) for job in batch] for batch in only.batches] == [
        [(b"1", False)],
        [(b"3", False)],
        [(b"1", True)],
        [(b"2", False)],
    ]


def children(pid: int) -> list[int]:
    return [int(text) for text in Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="utf-8").split()]


async def test_a_killed_service_leaves_no_decoder_behind(tmp_path: Path) -> None:
    import sys

    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "server.embedded", "--with-parent", "--directory", str(tmp_path), "stt=127.0.0.1:0"),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        cwd=Path(__file__).resolve().parents[4],
    )
    assert process.stdout is not None
    await process.stdout.readline()
    await process.stdout.readline()
    decoders = children(process.pid)
    assert decoders
    process.kill()
    await process.wait()
    while any(Path(f"/proc/{pid}/cmdline").exists() and b"worker" in _command(pid) for pid in decoders):
        await asyncio.sleep(0.01)


@pytest.mark.parametrize("engine", ["pocketsphinx", "whisper"])
def test_a_decoder_whose_service_dies_while_it_loads_ends_quietly(engine: str, tmp_path: Path) -> None:
    """Whisper without a model fails to load, which it cannot tell either."""
    import subprocess
    import sys

    read, write = os.pipe()
    os.close(read)
    command = [sys.executable, "-m", "server.embedded.stt.worker", engine, str(tmp_path)]
    root = Path(__file__).resolve().parents[4]
    ended = subprocess.run(
        command, stdin=subprocess.DEVNULL, stdout=write, stderr=subprocess.PIPE, cwd=root, check=False
    )
    os.close(write)
    assert (ended.returncode, ended.stderr) == (0, b"")


def _command(pid: int) -> bytes:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return b""

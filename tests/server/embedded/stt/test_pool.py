"""The decoder processes: dead ones are replaced, and all end with their service."""

from __future__ import annotations

import asyncio
import os
import signal
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from server.embedded.service import EmbeddedConfig, MissingPartError
from server.embedded.stt.engine import chosen
from server.embedded.stt.pool import DecoderPool
from server.embedded.stt.process import DecoderDiedError
from server.embedded.stt.service import SpeechToTextService
from server.embedded.stt.transcript import Job
from tests.server.embedded.speech import folded, recording, silence

if TYPE_CHECKING:
    from collections.abc import Iterator

SPOKEN = recording("flite-kal-stop") + silence(600)


@pytest.fixture
def pool(io_loop: object) -> Iterator[DecoderPool]:
    pool = DecoderPool(chosen("", ""), n_processes=1)
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


def _command(pid: int) -> bytes:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return b""


async def test_a_better_engine_without_a_model_is_refused_with_words(tmp_path: Path) -> None:
    service = SpeechToTextService(EmbeddedConfig(options=(("STT_MODEL_PATH", str(tmp_path)),)))
    with pytest.raises(MissingPartError, match="STT_MODEL_PATH"):
        await service.start()

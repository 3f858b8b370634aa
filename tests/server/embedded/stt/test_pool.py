"""The decoder processes: they die and are replaced, and they die with their service."""

from __future__ import annotations

import asyncio
import os
import signal
from pathlib import Path
from typing import TYPE_CHECKING

import grpc
import grpc.aio
import pytest

from protos import stt_pb2, stt_pb2_grpc
from server.embedded.service import EmbeddedConfig, MissingPartError
from server.embedded.stt.pool import DecoderPool
from server.embedded.stt.process import DecoderDiedError
from server.embedded.stt.service import SpeechToTextService
from tests.server.embedded.speech import recording, silence

if TYPE_CHECKING:
    from collections.abc import Iterator

SPOKEN = recording("flite-kal-stop") + silence(600)


@pytest.fixture
def pool(io_loop: object) -> Iterator[DecoderPool]:
    pool = DecoderPool(n_processes=1)
    io_loop.run_sync(pool.start)  # type: ignore[attr-defined] # pytest-tornado's loop
    yield pool
    io_loop.run_sync(pool.stop)  # type: ignore[attr-defined] # pytest-tornado's loop


async def text_of(pool: DecoderPool, pcm: bytes) -> str:
    async with pool.utterance((), "") as decoding:
        await decoding.feed(pcm)
        return (await decoding.finish()).best().text


async def until_replaced(pool: DecoderPool, pid: int) -> None:
    while not any(process.pid != pid for process in pool.processes):
        await asyncio.sleep(0.01)


async def test_an_utterance_whose_process_dies_ends_and_the_next_finds_another(pool: DecoderPool) -> None:
    pid = pool.processes[0].pid
    async with pool.utterance((), "") as decoding:
        os.kill(pid, signal.SIGKILL)
        with pytest.raises(DecoderDiedError):
            await decoding.feed(SPOKEN)
    await until_replaced(pool, pid)
    assert await text_of(pool, SPOKEN) == "stop"


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
    async with pool.utterance((), "") as decoding:
        assert (await decoding.finish()).best().words == ()


async def test_a_pause_begins_the_general_decoder_before_a_full_second(pool: DecoderPool) -> None:
    short = recording("flite-kal-stop")[: 32 * 900]
    async with pool.utterance((), "") as decoding:
        assert (await decoding.feed(short[: 32 * 800])).full is None
        assert (await decoding.feed(short[32 * 800 :], paused=True)).full is not None


async def test_the_voice_of_one_utterance_helps_the_next(pool: DecoderPool) -> None:
    async with pool.utterance((), "") as decoding:
        await decoding.feed(recording("human-goforward"))
        mean = await decoding.learn()
    async with pool.utterance((), mean) as decoding:
        heard = await decoding.feed(recording("human-goforward")[: 32 * 900])
        assert heard.full is not None, "with a known mean the general decoder begins at once"


def children(pid: int) -> list[int]:
    return [int(text) for text in Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="utf-8").split()]


@pytest.mark.gen_test(timeout=60)
async def test_a_caller_learns_that_its_decoder_died_and_can_try_again() -> None:
    service = SpeechToTextService(EmbeddedConfig())
    server = grpc.aio.server()
    service.add_to(server)
    port = server.add_insecure_port("127.0.0.1:0")
    await service.start()
    await server.start()
    config = stt_pb2.RecognizeConfig(sample_rate_hz=16_000, interim_results=True, endpointing=True)
    begin = [
        stt_pb2.RecognizeRequest(config=config),
        stt_pb2.RecognizeRequest(audio=recording("flite-slt-list-files")[: 32 * 1500] + silence(300)),
    ]
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        call = stt_pb2_grpc.SpeechToTextStub(channel).Recognize()
        for request in begin:
            await call.write(request)
        await anext(event async for event in call if event.HasField("partial"))
        for process in service.pool.processes:
            os.kill(process.pid, signal.SIGKILL)
        await call.write(stt_pb2.RecognizeRequest(audio=SPOKEN))
        with pytest.raises(grpc.aio.AioRpcError) as died:
            await anext(event async for event in call if event.HasField("final"))
        assert died.value.code() is grpc.StatusCode.UNAVAILABLE
        again = stt_pb2_grpc.SpeechToTextStub(channel).Recognize(
            iter([begin[0], stt_pb2.RecognizeRequest(audio=SPOKEN)])
        )
        assert [event.final.text async for event in again if event.HasField("final")] == ["stop"]
    await server.stop(0)
    await service.stop()
    assert service.pool.processes == ()


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

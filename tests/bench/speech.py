"""Accuracy and speed of M2: `python -m tests.bench.speech`. Needs the extras `voice` and `ears`.

Audio is paced as a microphone's where delays are measured. Ends of speech are taken from the recordings' energy.
"""

from __future__ import annotations

import asyncio
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

import grpc.aio
import numpy as np
from av import AudioResampler
from av.audio.frame import AudioFrame

from protos import stt_pb2, stt_pb2_grpc
from tests.bench.machine import head, say
from tests.server.embedded.speech import TRANSCRIPTS, embedded, folded, recording, silence, word_errors

if TYPE_CHECKING:
    from collections.abc import Iterator

OPEN_SENTENCES = (
    "The museum on the corner closes early on Sundays.",
    "I forgot my umbrella at the restaurant last night.",
    "Could you tell my brother that the train leaves at noon?",
    "The weather in the mountains changes faster than people expect.",
    "She bought three oranges and a loaf of fresh bread.",
    "We should paint the kitchen before the guests arrive.",
    "My grandmother used to tell stories about the old house.",
    "How long does it take to boil an egg?",
    "The committee decided to postpone the meeting until Thursday.",
    "He plays the violin in a small orchestra downtown.",
    "Please remind me to water the plants tomorrow morning.",
    "Scientists discovered a new kind of beetle in the forest.",
    "There is a strange noise coming from the engine.",
    "I would rather walk than wait for another bus.",
)
FRAME_BYTES = 640
TIME_S = np.arange(60 * 16_000) / 16_000
FILE_S = 300


def pcm_of(samples: np.ndarray) -> bytes:
    pcm: bytes = (np.clip(samples, -1, 1) * 32767).astype("<i2").tobytes()
    return pcm


def spoken(sentences: tuple[str, ...]) -> list[bytes]:
    """By the embedded voice, at 16 kHz with half a second of silence around."""
    import hibari

    voice = hibari.Hibari()
    found = []
    for number, sentence in enumerate(sentences):
        samples = np.concatenate(list(voice.stream(sentence, seed=number)))
        frame = AudioFrame(format="s16", layout="mono", samples=len(samples))
        frame.sample_rate = 24_000
        frame.planes[0].update(pcm_of(samples * 0.9 / abs(samples).max()))
        engine = AudioResampler(format="s16", layout="mono", rate=16_000)
        frames = [*engine.resample(frame), *engine.resample(None)]
        found.append(silence(500) + b"".join(bytes(one.planes[0])[: one.samples * 2] for one in frames) + silence(500))
    return found


def voice_end_ms(pcm: bytes) -> int:
    """Where the last 10 ms block of a fortieth of the loudest one's level ends."""
    levels = np.sqrt((np.frombuffer(pcm, "<i2")[: len(pcm) // 320 * 160].astype(float).reshape(-1, 160) ** 2).mean(1))
    return int(np.flatnonzero(levels > levels.max() / 40)[-1] + 1) * 10


def requests(pcm: bytes, *, interim: bool) -> Iterator[stt_pb2.RecognizeRequest]:
    config = stt_pb2.RecognizeConfig(sample_rate_hz=16_000, interim_results=interim, endpointing=True)
    yield stt_pb2.RecognizeRequest(config=config)
    for start in range(0, len(pcm), FRAME_BYTES):
        yield stt_pb2.RecognizeRequest(audio=pcm[start : start + FRAME_BYTES])


async def at_once(stub: stt_pb2_grpc.SpeechToTextStub, pcm: bytes) -> list[str]:
    """The finals of audio sent as fast as it is taken."""
    return [event.final.text async for event in stub.Recognize(requests(pcm, interim=False)) if event.HasField("final")]


async def paced(stub: stt_pb2_grpc.SpeechToTextStub, pcm: bytes) -> tuple[float, float]:
    """Milliseconds from the first speech to the first partial, and from the voice's end to the last final."""
    call, began_s = stub.Recognize(), time.monotonic()
    partial_ms = final_ms = started_ms = 0.0

    async def send() -> None:
        for number, request in enumerate(requests(pcm + silence(1500), interim=True)):
            await asyncio.sleep(max(0.0, began_s + 0.02 * number - time.monotonic()))
            await call.write(request)
        await call.done_writing()

    async with asyncio.TaskGroup() as group:
        group.create_task(send(), name="microphone")
        async for event in call:
            now_ms = (time.monotonic() - began_s) * 1000
            started_ms = started_ms or event.speech_started.at_ms
            if event.HasField("partial") and not partial_ms:
                partial_ms = now_ms
            if event.HasField("final"):
                final_ms = now_ms
    return partial_ms - started_ms, final_ms - voice_end_ms(pcm)


async def words(stub: stt_pb2_grpc.SpeechToTextStub) -> None:
    """Word errors, and words heard where nobody speaks."""
    sets = {"14 open sentences": list(zip(OPEN_SENTENCES, spoken(OPEN_SENTENCES), strict=True))}
    for kind in ("human", "flite"):
        sets[f"{kind} recordings"] = [(TRANSCRIPTS[n], recording(n) + silence(600)) for n in TRANSCRIPTS if kind in n]
    for name, pairs in sets.items():
        errors = total = 0
        for text, pcm in pairs:
            errors += word_errors(folded(" ".join(await at_once(stub, pcm))), folded(text).replace("3", "three"))
            total += len(text.split())
        say(f"word errors, {name}: {errors} of {total} ({100 * errors / total:.1f} %)")
    noise = np.random.default_rng(1).normal(0, 1, len(TIME_S))
    sounds = {
        "silence": 0 * TIME_S,
        "white noise": 0.1 * noise,
        "hum": 0.3 * np.sin(2 * np.pi * 50 * TIME_S) + 0.1 * np.sin(2 * np.pi * 150 * TIME_S) + 0.002 * noise,
        "tones": 0.3
        * np.sin(2 * np.pi * 220 * (1 + np.floor(TIME_S * 2) % 4 / 4) * TIME_S)
        * np.exp(-2 * (TIME_S % 0.5)),
    }
    for name, samples in sounds.items():
        say(f"words in a minute of {name}: {len(' '.join(await at_once(stub, pcm_of(samples))).split())}")


async def delays(stub: stt_pb2_grpc.SpeechToTextStub, said: list[bytes]) -> None:
    """First partials and finals, with several people at once."""
    for people in (1, 4, 8, 16):
        rounds = 16 // people if people > 1 else len(said)
        found = []
        for turn in range(rounds):
            spoken_now = [said[(turn * people + number) % len(said)] for number in range(people)]
            # they end together, which is the worst case
            longest = max(len(pcm) for pcm in spoken_now)
            async with asyncio.TaskGroup() as group:
                tasks = [
                    group.create_task(paced(stub, bytes(longest - len(pcm)) + pcm), name="talker") for pcm in spoken_now
                ]
            found += [task.result() for task in tasks]
        partials, finals = (np.array(column) for column in zip(*found, strict=True))
        say(
            f"{people} at once: first partial p50 {np.percentile(partials, 50):.0f} p95 {np.percentile(partials, 95):.0f} ms,"
            f" final p50 {np.percentile(finals, 50):.0f} p95 {np.percentile(finals, 95):.0f} ms"
        )


async def long_file(stub: stt_pb2_grpc.SpeechToTextStub, said: list[bytes]) -> None:
    """Five minutes as fast as they are taken."""
    pcm = b"".join(said)
    pcm = (pcm * (FILE_S * 32_000 // len(pcm) + 1))[: FILE_S * 32_000]
    began_s = time.monotonic()
    finals = await at_once(stub, pcm)
    say(f"a file of {FILE_S} s: {time.monotonic() - began_s:.1f} s, {len(finals)} finals")


async def run(address: str) -> None:
    async with grpc.aio.insecure_channel(address) as channel:
        stub = stt_pb2_grpc.SpeechToTextStub(channel)
        await words(stub)
        said = spoken(OPEN_SENTENCES)
        await long_file(stub, said)
        await delays(stub, said)


def main() -> None:
    head("speech recognition, the embedded M2 by itself")
    with tempfile.TemporaryDirectory() as directory:
        began_s = time.monotonic()
        with embedded(Path(directory), "stt") as bound:
            say(f"ready after {time.monotonic() - began_s:.1f} s")
            asyncio.run(run(bound["stt"]))


if __name__ == "__main__":
    main()

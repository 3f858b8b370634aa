"""Accuracy and speed of the ears and the voice: `python -m tests.bench.speech`. Needs the extras `voice` and `ears`.

`--only words,people` measures parts of it: each takes a minute or two. `--people 1,4` takes fewer sizes of crowds. `--recordings FOLDER`
adds WAV files at 16 kHz with their words beside them, NAME.wav and NAME.txt.
Audio is paced as a microphone's where delays are measured. Ends of speech are taken from the recordings' energy.
"""

from __future__ import annotations

import argparse
import asyncio
import tempfile
import time
import wave
from pathlib import Path
from typing import TYPE_CHECKING

import grpc.aio
import numpy as np
from av import AudioResampler
from av.audio.frame import AudioFrame

from protos import stt_pb2, stt_pb2_grpc
from server.embedded.tts.hibari import Hibari
from tests.bench import turn_latency
from tests.bench.machine import head, say
from tests.server.embedded.speech import TRANSCRIPTS, embedded, folded, recording, silence, word_errors
from tests.server.embedded.tts.test_hibari import bursts, words_of
from tests.server.embedded.tts.test_hibari import say as said_by
from tests.support.gateway import running_gateway

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

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
PARTS = ("words", "nobody", "file", "people", "voice", "reply")
WORDS_ALONE = ("Monday. ", "Anna! ", "Memory. ", "Yellow. ", "Remember. ", "Eleven. ", "Birthday. ")
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


async def at_once(stub: stt_pb2_grpc.SpeechToTextAsyncStub, pcm: bytes) -> list[str]:
    """The finals of audio sent as fast as it is taken."""
    return [event.final.text async for event in stub.Recognize(requests(pcm, interim=False)) if event.HasField("final")]


async def paced(stub: stt_pb2_grpc.SpeechToTextAsyncStub, pcm: bytes) -> tuple[float, float]:
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


def recordings(folder: Path | None) -> Iterator[tuple[str, bytes]]:
    """Words and audio of a folder's files."""
    for path in sorted(folder.glob("*.wav")) if folder else ():
        with wave.open(str(path)) as file:
            yield path.with_suffix(".txt").read_text(encoding="utf-8").strip(), file.readframes(file.getnframes())


async def words(stub: stt_pb2_grpc.SpeechToTextAsyncStub, folder: Path | None) -> None:
    """Word errors."""
    sets = {"14 open sentences": list(zip(OPEN_SENTENCES, spoken(OPEN_SENTENCES), strict=True))}
    for kind in ("human", "flite"):
        sets[f"{kind} recordings"] = [(TRANSCRIPTS[n], recording(n) + silence(600)) for n in TRANSCRIPTS if kind in n]
    if folder is not None:
        sets[f"recordings of {folder}"] = [(text, pcm + silence(600)) for text, pcm in recordings(folder)]
    for name, pairs in sets.items():
        errors = total = 0
        for text, pcm in pairs:
            heard = folded(" ".join(await at_once(stub, pcm)))
            wrong = word_errors(heard, folded(text).replace("3", "three"))
            if wrong:
                say(f"  {wrong} wrong: {text!r} was heard as {heard!r}")
            errors += wrong
            total += len(text.split())
        say(f"word errors, {name}: {errors} of {total} ({100 * errors / total:.1f} %)")


async def nobody(stub: stt_pb2_grpc.SpeechToTextAsyncStub) -> None:
    """Words heard where nobody speaks."""
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


async def delays(stub: stt_pb2_grpc.SpeechToTextAsyncStub, said: list[bytes], crowds: Sequence[int]) -> None:
    """First partials and finals, with several people at once."""
    for people in crowds:
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


async def long_file(stub: stt_pb2_grpc.SpeechToTextAsyncStub, said: list[bytes]) -> None:
    """Five minutes as fast as they are taken."""
    pcm = b"".join(said)
    pcm = (pcm * (FILE_S * 32_000 // len(pcm) + 1))[: FILE_S * 32_000]
    began_s = time.monotonic()
    finals = await at_once(stub, pcm)
    say(f"a file of {FILE_S} s: {time.monotonic() - began_s:.1f} s, {len(finals)} finals")


def word_times() -> None:
    """Where the voice says that words begin and end, against where its sound does."""
    voice = Hibari()
    off_ms = []
    for text in WORDS_ALONE:
        for speed in (0.7, 1.0, 1.5):
            (word,) = words_of(voice, text, speed)
            heard = bursts(said_by(voice, text, speed).pcm)
            off_ms += [abs(word.start_ms - heard[0][0]), abs(word.end_ms - heard[-1][1])]
    say(f"word times of the voice, {len(off_ms)} edges: off by {np.mean(off_ms):.0f} ms, at most {max(off_ms):.0f} ms")


async def replies(directory: Path, turns: int) -> None:
    """From the end of speech to the first sound of the reply, through a whole gateway."""
    partials_ms: list[float] = []
    audio_ms: list[float] = []
    began_s = time.monotonic()
    with running_gateway(directory) as gateway:
        say(f"ready after start: {time.monotonic() - began_s:.1f} s")
        for _ in range(turns):
            await turn_latency.turn(gateway, partials_ms, audio_ms)
    for name, found in (("first partial after speech begins", partials_ms), ("first sound after it ends", audio_ms)):
        say(f"{name}, {turns} turns: p50 {np.percentile(found, 50):.0f} p95 {np.percentile(found, 95):.0f} ms")


async def ears(address: str, parts: Sequence[str], crowds: Sequence[int], folder: Path | None) -> None:
    """The parts that need M2."""
    async with grpc.aio.insecure_channel(address) as channel:
        stub = stt_pb2_grpc.SpeechToTextStub(channel)
        said = spoken(OPEN_SENTENCES) if {"file", "people"} & set(parts) else []
        if "words" in parts:
            await words(stub, folder)
        if "nobody" in parts:
            await nobody(stub)
        if "file" in parts:
            await long_file(stub, said)
        if "people" in parts:
            await delays(stub, said, crowds)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--only", default=",".join(PARTS), help=f"some of {','.join(PARTS)}")
    parser.add_argument("--people", default="1,4,8,16", help="how many speak at once")
    parser.add_argument("--recordings", type=Path, metavar="FOLDER")
    given = parser.parse_args()
    parts = given.only.split(",")
    head("ears and voice")
    with tempfile.TemporaryDirectory() as directory:
        if "voice" in parts:
            word_times()
        if "reply" in parts:
            asyncio.run(replies(Path(directory), turns=20))
        if set(parts) - {"voice", "reply"}:
            with embedded(Path(directory), "stt") as bound:
                crowds = [int(number) for number in given.people.split(",")]
                asyncio.run(ears(bound["stt"], parts, crowds, given.recordings))


if __name__ == "__main__":
    main()

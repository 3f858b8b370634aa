"""Sounds into the reply: what silences it, what ends it, and how soon. `python -m tests.bench.barge_in`. Needs the extras `voice` and `ears`.

A client with one microphone and one loudspeaker, in real time. It asks for a long reply and then makes a sound into it. With an
echo its own loudspeaker comes back into the microphone, later and weaker, and nothing at the client cancels it. `--keep FOLDER`
writes each conversation as a stereo recording, the user on the left.
"""

from __future__ import annotations

import argparse
import asyncio
import tempfile
import wave
from collections import deque
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from streaming.protocol import events, messages
from streaming.protocol.messages import TurnParams
from streaming.sound.codecs import SpeechEncoder
from tests.bench.machine import head, say
from tests.bench.speech import pcm_of, spoken
from tests.support.gateway import FRAME_BYTES, GatewayProcess, client, running_gateway

if TYPE_CHECKING:
    from collections.abc import Iterator

    from streaming.client.channel import GatewayChannel

FRAME_S, FRAME_MS = 0.02, 20
QUESTION = "What can you do?"
INTO_MS = 2_500  # of the reply, when the sound begins
PAUSE_MS = 400  # longer than the voice pauses by itself
AFTER_MS = 5_000  # behind the sound, at most, until all is over
USER_LEVEL = 0.35
LISTENING = ("Mm-hmm.", "Okay.", "Right.", "Yeah.", "Uh-huh.")
ENDING = ("Stop.", "Wait.", "No.", "Cancel.", "What time is it?", "Okay, stop.")
ECHO_DB, ECHO_MS = (6, 12, 20), (20, 80, 200)


@dataclass(frozen=True, slots=True)
class Sound:
    """What is made into the reply, and whether it should end it. `echo_db` None: the microphone hears the user alone."""

    name: str
    pcm: bytes
    ends: bool
    echo_db: int | None = None
    echo_ms: int = 0
    cancelled: bool = False  # the gateway takes the echo out
    opus: bool = False  # as which the microphone is sent


@dataclass(slots=True)
class Talk:
    """One conversation, at 16 kHz."""

    sound: Sound
    user: bytearray = field(default_factory=bytearray)
    played: bytearray = field(default_factory=bytearray)
    waiting: deque[tuple[bytes, int]] = field(default_factory=deque)  # frames, and where they end in the utterance
    began_ms: int = 0  # the sound, in the recording
    told: list[tuple[int, messages.Message]] = field(default_factory=list)

    @property
    def now_ms(self) -> int:
        return len(self.played) // 32

    def first_ms(self, kind: type[messages.Message]) -> int | None:
        """When it was told, after the sound."""
        return next((at for at, event in self.told if isinstance(event, kind) and at >= self.began_ms), None)

    def silences(self) -> Iterator[tuple[int, int]]:
        """Spans of silence in the reply, after the sound: from, to (the end of the recording), in ms."""
        blocks = np.abs(np.frombuffer(self.played, "<i2").astype(int)).reshape(-1, FRAME_BYTES // 2).max(1) > 200
        start: int | None = None
        for number, loud in enumerate(blocks):
            at_ms = number * FRAME_MS
            if at_ms < self.began_ms:
                continue
            if not loud and start is None:
                start = at_ms
            elif loud and start is not None:
                yield start, at_ms
                start = None
        if start is not None:
            yield start, len(blocks) * FRAME_MS

    def save(self, path: Path) -> None:
        """The user on the left, the agent on the right."""
        sides = [np.frombuffer(side[: len(self.played)], "<i2") for side in (self.user, self.played)]
        with wave.open(str(path), "wb") as file:
            file.setnchannels(2)
            file.setsampwidth(2)
            file.setframerate(16_000)
            file.writeframes(np.stack(sides, 1).tobytes())


def sounds(*, quick: bool) -> Iterator[Sound]:
    """All that are tried."""
    words = dict(zip((*LISTENING, *ENDING), spoken((*LISTENING, *ENDING)), strict=True))
    said = {text: trimmed(pcm) for text, pcm in words.items()}
    noise = np.random.default_rng(3).normal(0, 1, 16_000)
    time_s = np.arange(16_000) / 16_000
    bursts = np.exp(-12 * (time_s % 0.35)) * (time_s < 0.7)
    yield Sound("cough", pcm_of(0.3 * noise * bursts), ends=False)
    yield Sound("knock", pcm_of(0.8 * noise * np.exp(-80 * time_s)), ends=False)
    for text in LISTENING:
        yield Sound(text, said[text], ends=False)
    for text in ENDING:
        yield Sound(text, said[text], ends=True)
    for db in ECHO_DB:
        for ms in ECHO_MS:
            if quick and (db, ms) not in {(6, 20), (12, 200), (20, 80)}:
                continue
            yield Sound(f"echo -{db} dB {ms} ms", b"", ends=False, echo_db=db, echo_ms=ms)
            yield Sound(f"echo -{db} dB {ms} ms, stop", said["Stop."], ends=True, echo_db=db, echo_ms=ms)
            yield Sound(f"echo -{db} dB {ms} ms, time", said["What time is it?"], ends=True, echo_db=db, echo_ms=ms)
            for name, pcm in (("", b""), (", stop", said["Stop."])):
                yield Sound(f"cancelled -{db} dB {ms} ms{name}", pcm, bool(pcm), db, ms, cancelled=True)


def trimmed(pcm: bytes) -> bytes:
    """Without the silence around it, at the user's level: times count from the voice's onset."""
    samples = np.frombuffer(pcm, "<i2").astype(float)
    loud = np.flatnonzero(np.abs(samples) > np.abs(samples).max() / 20)
    samples = samples[loud[0] : loud[-1]]
    return pcm_of(samples * USER_LEVEL / np.abs(samples).max())


async def hold(gateway: GatewayProcess, sound: Sound, question: bytes) -> Talk:
    """The conversation."""
    talk = Talk(sound)
    async with client(gateway) as session:
        turn = session.open(
            TurnParams(
                encoding="opus" if sound.opus else "pcm_s16le",
                sample_rate=48_000 if sound.opus else 16_000,
                reply_sample_rate=16_000,
                echo_cancellation=sound.cancelled,
            )
        )
        async with asyncio.TaskGroup() as group:
            group.create_task(hear(turn, talk), name="hear")
            await live(turn, talk, question)
            turn.cancel()
    return talk


async def hear(turn: GatewayChannel, talk: Talk) -> None:
    """Take what comes; a pause throws away what was not played."""
    async for event in turn:
        if isinstance(event, events.AudioReceived):
            if event.payload:
                talk.waiting.append((event.payload, event.pts_ms + len(event.payload) // 32))
            continue
        talk.told.append((talk.now_ms, event))
        if isinstance(event, messages.TurnPaused | messages.TurnInterrupted):
            for payload, _ in talk.waiting:
                turn.credit(payload)
            talk.waiting.clear()


async def live(turn: GatewayChannel, talk: Talk, question: bytes) -> None:
    """Microphone and loudspeaker on one clock, in ticks of 20 ms."""
    loop, tick, to_say = asyncio.get_running_loop(), 0, bytearray(question)
    began, reply_from = loop.time(), None
    speaker = bytearray()
    encoder = SpeechEncoder("opus" if talk.sound.opus else "pcm_s16le", 16_000, 16_000)
    while True:
        await asyncio.sleep(max(0.0, began + tick * FRAME_S - loop.time()))
        tick += 1
        if talk.waiting and len(speaker) < FRAME_BYTES:
            payload, end_ms = talk.waiting.popleft()
            speaker += payload
            turn.played(payload, end_ms - len(speaker) // 32 + FRAME_MS)
        out = bytes(speaker[:FRAME_BYTES]).ljust(FRAME_BYTES, b"\0") if talk.waiting or speaker else bytes(FRAME_BYTES)
        del speaker[:FRAME_BYTES]
        if reply_from is None and any(out):
            reply_from = talk.now_ms
        if reply_from is not None and not talk.began_ms and talk.now_ms >= reply_from + INTO_MS:
            talk.began_ms = talk.now_ms
            to_say += talk.sound.pcm
        said = bytes(to_say[:FRAME_BYTES]).ljust(FRAME_BYTES, b"\0")
        del to_say[:FRAME_BYTES]
        talk.user += said
        talk.played += out
        for frame in encoder.encode(microphone(talk, said)):
            turn.send_audio(frame, talk.now_ms)
        done = sum(isinstance(event, messages.TurnDone) for _, event in talk.told)
        enough_ms = talk.began_ms + len(talk.sound.pcm) // 32 + AFTER_MS
        if talk.began_ms and not speaker and not talk.waiting and done and talk.now_ms > enough_ms:
            return
        if talk.now_ms > 40_000:
            return


def microphone(talk: Talk, said: bytes) -> bytes:
    """The user, and the loudspeaker come back."""
    if talk.sound.echo_db is None:
        return said
    end = len(talk.played) - talk.sound.echo_ms * 32
    back = bytes(talk.played[max(0, end - FRAME_BYTES) : max(0, end)]).rjust(FRAME_BYTES, b"\0")
    mixed = np.frombuffer(said, "<i2") + np.frombuffer(back, "<i2") * 10 ** (-talk.sound.echo_db / 20)
    return np.clip(mixed, -32768, 32767).astype("<i2").tobytes()


def judged(talk: Talk) -> tuple[bool, str]:
    """Whether it went as it should, and a line about it."""
    interrupted = talk.first_ms(messages.TurnInterrupted) is not None
    silent = list(talk.silences())
    stop_ms = next((start - talk.began_ms for start, end in silent if end - start > PAUSE_MS), None)
    gaps = [end - start for start, end in silent[:-1] if end - start > PAUSE_MS]
    finals = [event.text for _, event in talk.told if isinstance(event, messages.SttFinal)]
    turns = sum(isinstance(event, messages.TurnEnd) for _, event in talk.told)
    false_turns = turns - 1 - (talk.sound.ends and finals[-1:] != ["Stop."])
    right = interrupted == talk.sound.ends and (talk.sound.ends or turns == 1)
    told = f"ended {'yes' if interrupted else 'no '}  silent after {stop_ms if stop_ms is not None else '-':>5} ms"
    gap = f"  gaps {gaps}" if gaps and not talk.sound.ends else ""
    extra = f"  {false_turns} false turns" if false_turns > 0 else ""
    return right, f"{'ok  ' if right else 'FAIL'} {talk.sound.name:28} {told}{gap}{extra}  heard {finals[1:]}"


async def main(*, quick: bool, at_once: int, keep: Path | None, only: str, opus: bool) -> None:
    """Measure."""
    head("sounds into the reply")
    (question,) = spoken((QUESTION,))
    right = total = 0
    with tempfile.TemporaryDirectory() as directory, running_gateway(Path(directory)) as gateway:
        limit = asyncio.Semaphore(at_once)

        async def one(sound: Sound) -> Talk:
            async with limit:
                return await hold(gateway, sound, question)

        tried = [replace(sound, opus=opus) for sound in sounds(quick=quick) if only in sound.name]
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(one(sound), name=sound.name) for sound in tried]
        for task in tasks:
            talk = task.result()
            good, line = judged(talk)
            right, total = right + good, total + 1
            say(line)
            if keep is not None:
                keep.mkdir(parents=True, exist_ok=True)
                talk.save(keep / f"{talk.sound.name.replace(' ', '_').strip('.?')}.wav")
    say(f"{right} of {total} as they should be")


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--quick", action="store_true", help="three echoes instead of nine")
    parser.add_argument("--at-once", type=int, default=1)
    parser.add_argument("--keep", type=Path)
    parser.add_argument("--only", default="")
    parser.add_argument("--opus", action="store_true", help="send the microphone as Opus")
    given = parser.parse_args()
    asyncio.run(main(quick=given.quick, at_once=given.at_once, keep=given.keep, only=given.only, opus=given.opus))

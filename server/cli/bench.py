"""`python -m server bench`: simulates many people who talk and listen to a running gateway, and reports the results.

Talkers keep a microphone open all the time and repeat one recording, each time followed by a second of silence. Listeners have
the gateway speak the same sentence again and again. Without a recording, the gateway speaks one first.
"""

from __future__ import annotations

import asyncio
import json
import sys
from collections import deque
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from server.cli.bench_report import Figures
from server.cli.talk import NoAudioError, check_writable, read_audio
from streaming.client.arguments import SAMPLE_BYTES
from streaming.client.errors import GatewayError
from streaming.client.gateway import GatewayClient
from streaming.client.sound import FRAME_MS, MICROPHONE_RATE_HZ, TRAILING_SILENCE_MS
from streaming.protocol import messages
from streaming.protocol.events import AudioReceived
from streaming.protocol.messages import SttParams, TtsParams

if TYPE_CHECKING:
    import argparse

    from rich.progress import TaskID

    from streaming.client.channel import GatewayChannel

SENTENCE = "What is the weather like in London tomorrow morning?"
FRAME_BYTES = MICROPHONE_RATE_HZ * FRAME_MS // 1000 * SAMPLE_BYTES
SILENCE = bytes(MICROPHONE_RATE_HZ * TRAILING_SILENCE_MS // 1000 * SAMPLE_BYTES)
OPEN_AT_ONCE = 20
ANSWER_TIMEOUT_S = 15.0  # for transcripts due after the end of talking, and for speech
PING_INTERVAL_S = 1.0
LISTENERS_SHARE = 10  # one in this many talkers also listens


@dataclass(frozen=True, slots=True)
class Sentence:
    """What all talkers say: 16-bit mono PCM at 16 kHz, in whole frames. `text` is empty if the words are unknown."""

    pcm: bytes
    text: str

    @property
    def seconds(self) -> float:
        """Its duration."""
        return len(self.pcm) / (MICROPHONE_RATE_HZ * SAMPLE_BYTES)


def in_frames(pcm: bytes) -> bytes:
    """The PCM, padded to whole frames."""
    return pcm + bytes(-len(pcm) % FRAME_BYTES)


class Talker:
    """One microphone. `_ended_at`: ends of speech still without a transcript, oldest first."""

    def __init__(self, gateway: GatewayClient, sentence: Sentence, figures: Figures) -> None:
        self._gateway = gateway
        self._sentence = sentence
        self._figures = figures
        self._now = asyncio.get_running_loop().time
        self._ended_at: deque[float] = deque()
        self._unjudged = 0  # sentences whose words were not compared yet
        self._parts: list[str] = []  # transcripts since then: a pause splits a sentence

    async def run(self, begin_s: float, seconds: float) -> None:
        """Talk for `seconds`, starting after `begin_s`. Raises GatewayError."""
        channel = self._gateway.open(SttParams(sample_rate=MICROPHONE_RATE_HZ))
        async with asyncio.TaskGroup() as group:
            hearing = group.create_task(self._hear(channel), name="transcripts")
            pinging = group.create_task(self._ping(), name="pings")
            await self._say(channel, begin_s, seconds)
            channel.end()
            with suppress(TimeoutError):
                await asyncio.wait_for(asyncio.shield(hearing), ANSWER_TIMEOUT_S)
            hearing.cancel()
            pinging.cancel()
        if channel.closed is None:
            raise self._gateway.failed or GatewayError("TIMEOUT", "the microphone's channel did not close")
        if channel.closed.status != "ok":
            raise GatewayError(channel.closed.code or "INTERNAL", channel.closed.message or "")
        self._figures.held += 1

    async def _say(self, channel: GatewayChannel, begin_s: float, seconds: float) -> None:
        """Say whole sentences in real time; the last one begins before the time is up."""
        next_at = self._now() + begin_s
        until = self._now() + seconds
        while self._now() < until and channel.closed is None and self._gateway.failed is None:
            next_at = await self._send(channel, self._sentence.pcm, next_at)
            self._ended_at.append(self._now())
            self._unjudged += 1
            self._figures.utterances += 1
            next_at = await self._send(channel, SILENCE, next_at)

    async def _send(self, channel: GatewayChannel, pcm: bytes, next_at: float) -> float:
        figures, connection = self._figures, self._gateway.connection
        for start in range(0, len(pcm), FRAME_BYTES):
            await asyncio.sleep(max(0.0, next_at - self._now()))
            figures.late_ms.append((self._now() - next_at) * 1000)
            figures.waited += connection.sendable_bytes(channel.number) < FRAME_BYTES
            channel.send_audio(pcm[start : start + FRAME_BYTES])
            figures.frames += 1
            next_at += FRAME_MS / 1000
        return next_at

    async def _hear(self, channel: GatewayChannel) -> None:
        async for event in channel:
            if isinstance(event, messages.SttFinal) and event.text:
                self._parts.append(event.text)
                if self._ended_at:
                    self._figures.transcripts += 1
                    self._figures.final_ms.append((self._now() - self._ended_at.popleft()) * 1000)
                    if not self._ended_at:
                        self._judge()
        self._judge()

    def _judge(self) -> None:
        """Compare what was heard with what was said, once everything said was heard."""
        if self._sentence.text and self._unjudged:
            self._figures.compare(" ".join(self._parts), " ".join([self._sentence.text] * self._unjudged))
        self._unjudged = 0
        self._parts.clear()

    async def _ping(self) -> None:
        while True:
            await asyncio.sleep(PING_INTERVAL_S)
            with suppress(GatewayError):  # the talker itself reports it
                self._figures.round_trip_ms.append(await self._gateway.ping() * 1000)


async def speech(gateway: GatewayClient, text: str) -> tuple[bytes, float]:
    """Synthesised PCM at 16 kHz, and seconds until its first frame. Raises GatewayError."""
    now = asyncio.get_running_loop().time
    began, first_s, pcm = now(), 0.0, bytearray()
    channel = gateway.open(TtsParams(text=text, sample_rate=MICROPHONE_RATE_HZ))
    async for event in channel:
        if isinstance(event, AudioReceived):
            first_s = first_s or now() - began
            pcm += event.payload
            channel.credit(event.payload)
    if channel.closed is None:
        raise gateway.failed or GatewayError("UNAVAILABLE", "the session ended within its speech")
    if channel.closed.status != "ok":
        raise GatewayError(channel.closed.code or "INTERNAL", channel.closed.message or "")
    return bytes(pcm), first_s


def write_json(path: str, figures: Figures) -> None:
    """Write the results. Raises OSError."""
    Path(path).write_text(json.dumps(figures.as_dict(), indent=2) + "\n", encoding="utf-8")


class Bench:
    """The `bench` command."""

    def __init__(self, options: argparse.Namespace) -> None:
        self._options = options
        listeners = options.listeners if options.listeners is not None else -(-options.talkers // LISTENERS_SHARE)
        self.figures = Figures(options.talkers, listeners, options.seconds)
        self._gate = asyncio.Semaphore(OPEN_AT_ONCE)

    async def run(self) -> int:
        """Returns the exit code: 0 if nothing was lost, 1 if something was, 2 if nothing could be measured."""
        report = self._options.json
        try:
            if report:
                await asyncio.to_thread(check_writable, report)
            sentence = await self._sentence()
            await self._load(sentence)
            print(self.figures.as_text())  # noqa: T201 - a command line prints
            if report:
                await asyncio.to_thread(write_json, report, self.figures)
        except (NoAudioError, GatewayError) as error:
            print(error, file=sys.stderr)  # noqa: T201 - as above
            return 2
        except OSError as error:
            print(f"{report}: {error.strerror}", file=sys.stderr)  # noqa: T201 - as above
            return 2
        return 0 if self.figures.clean else 1

    def _client(self, name: str) -> GatewayClient:
        given = self._options
        user = "" if given.token else f"bench-{name}"
        return GatewayClient(given.url, token=given.token, user_id=user)

    async def _sentence(self) -> Sentence:
        given = self._options
        if given.file:
            return Sentence(in_frames(await asyncio.to_thread(read_audio, given.file)), given.text)
        text = given.text or SENTENCE
        async with self._client("voice") as gateway:
            try:
                pcm, _ = await asyncio.wait_for(speech(gateway, text), ANSWER_TIMEOUT_S)
            except TimeoutError:  # an OSError, but not of the report's file
                raise GatewayError("TIMEOUT", f"no speech within {ANSWER_TIMEOUT_S:.0f} s") from None
        return Sentence(in_frames(pcm), text)

    async def _load(self, sentence: Sentence) -> None:
        figures = self.figures
        console = Console(file=sys.stderr)
        columns = (TextColumn("{task.description}"), BarColumn(), TimeRemainingColumn())
        with Progress(*columns, console=console, disable=not console.is_terminal) as progress:
            bar = progress.add_task("connecting", total=figures.seconds)
            async with asyncio.TaskGroup() as group:
                work = [
                    group.create_task(self._talk(number, sentence), name=f"talker {number}")
                    for number in range(figures.talkers)
                ]
                work += [
                    group.create_task(self._listen(number, sentence), name=f"listener {number}")
                    for number in range(figures.listeners)
                ]
                watching = group.create_task(self._watch(progress, bar), name="progress")
                await asyncio.wait(work) if work else None
                watching.cancel()

    async def _watch(self, progress: Progress, bar: TaskID) -> None:
        while True:
            await asyncio.sleep(0.25)
            figures = self.figures
            spoken_s = figures.frames * FRAME_MS / 1000 / max(1, figures.began)
            told = f"{figures.began} talkers, {figures.transcripts} transcripts, {figures.errors.total()} errors"
            progress.update(bar, completed=min(spoken_s, figures.seconds), description=told)

    async def _talk(self, number: int, sentence: Sentence) -> None:
        """Run one talker. Their starts are spread over a sentence, so that they do not all fall silent at once."""
        begin_s = sentence.seconds * number / self.figures.talkers
        try:
            async with self._gate:
                gateway = await self._client(str(number)).__aenter__()
            try:
                self.figures.began += 1
                await Talker(gateway, sentence, self.figures).run(begin_s, self.figures.seconds)
            finally:
                await gateway.__aexit__()
        except* GatewayError as failed:
            self._failed(failed)

    async def _listen(self, number: int, sentence: Sentence) -> None:
        figures, now = self.figures, asyncio.get_running_loop().time
        try:
            async with self._client(f"listener-{number}") as gateway:
                until = now() + figures.seconds
                while now() < until:
                    figures.speeches += 1
                    pcm, first_s = await asyncio.wait_for(speech(gateway, sentence.text or SENTENCE), ANSWER_TIMEOUT_S)
                    figures.speeches_heard += 1
                    figures.audio_ms.append(first_s * 1000)
                    await asyncio.sleep(len(pcm) / (MICROPHONE_RATE_HZ * SAMPLE_BYTES))  # time to listen to it
        except* GatewayError as failed:
            self._failed(failed)
        except* TimeoutError:
            figures.errors[f"TIMEOUT: no speech within {ANSWER_TIMEOUT_S:.0f} s"] += 1

    def _failed(self, failed: BaseExceptionGroup[GatewayError]) -> None:
        for error in failed.exceptions:
            if isinstance(error, BaseExceptionGroup):
                self._failed(error)
            else:
                self.figures.errors[f"{error.code}: {error.message}"] += 1

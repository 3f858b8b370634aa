"""`python -m server talk`: a spoken turn in the terminal, from a WAV file, the microphone or a line of text."""

from __future__ import annotations

import asyncio
import importlib
import json
import sys
import time
import wave
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.live import Live
from rich.table import Table
from rich.text import Text

from streaming.client.errors import GatewayError
from streaming.client.gateway import ClientChannel, GatewayClient
from streaming.protocol import events, messages
from streaming.protocol.messages import TurnParams
from streaming.sound.codecs import pcm_duration_ms

if TYPE_CHECKING:
    import argparse
    from collections.abc import AsyncIterator, Iterator

FRAME_MS = 20
TRAILING_SILENCE_MS = 1_000  # a file often ends with its last word: the end of speech has to be heard
MICROPHONE_RATE_HZ = 16_000
ENGINE_VERBS = {"stt": "heard by", "tts": "spoken by"}  # of session.ready's engines: those of a voice's way


class NoAudioError(Exception):
    """There is nothing to say; the text says why."""


class Speaker:
    """The answer: gathered for the file, played as it comes where the machine can."""

    def __init__(self, *, aloud: bool) -> None:
        self.pcm = bytearray()
        self.rate_hz = 0
        self._aloud = aloud
        self._output: Any = None

    def begin(self, rate_hz: int) -> None:
        """An utterance at that rate."""
        self.rate_hz = rate_hz
        if self._aloud and self._output is None:
            sounddevice = _sounddevice()
            if sounddevice is not None:
                self._output = sounddevice.RawOutputStream(samplerate=rate_hz, channels=1, dtype="int16")
                self._output.start()

    async def play(self, frame: bytes) -> None:
        """One frame."""
        self.pcm += frame
        if self._output is not None:
            await asyncio.to_thread(self._output.write, frame)

    def stop(self) -> None:
        """Somebody spoke into it."""
        if self._output is not None:
            self._output.abort()
            self._output.start()

    def write(self, path: str) -> None:
        """As a WAV file."""
        with wave.open(path, "wb") as file:
            file.setnchannels(1)
            file.setsampwidth(2)
            file.setframerate(self.rate_hz or MICROPHONE_RATE_HZ)
            file.writeframes(bytes(self.pcm))


def _sounddevice() -> Any | None:
    """The library, where it is installed and finds a device."""
    try:
        sounddevice = importlib.import_module("sounddevice")
        sounddevice.check_output_settings()
    except Exception:  # noqa: BLE001 - no library, no PortAudio, no device: each has an exception of its own
        return None
    return sounddevice


def read_wav(path: str) -> tuple[bytes, int]:
    """PCM and rate of a 16-bit mono WAV file. Raises NoAudioError."""
    try:
        with wave.open(path, "rb") as file:
            if file.getsampwidth() != 2 or file.getnchannels() != 1:
                raise NoAudioError(
                    f"{path} is not 16-bit mono: convert it, for example with ffmpeg -i IN -ac 1 OUT.wav"
                )
            return file.readframes(file.getnframes()), file.getframerate()
    except OSError as error:
        raise NoAudioError(f"{path}: {error.strerror}") from None
    except (EOFError, wave.Error) as error:
        raise NoAudioError(f"{path} is no WAV file{f': {error}' if str(error) else ''}") from None


async def file_frames(path: str) -> AsyncIterator[bytes]:
    """A file in real time, and a little silence behind it."""
    pcm, rate_hz = read_wav(path)
    size = rate_hz * FRAME_MS // 1000 * 2
    pcm += bytes(rate_hz * TRAILING_SILENCE_MS // 1000 * 2)
    began = time.monotonic()
    for start in range(0, len(pcm), size):
        await asyncio.sleep(max(0.0, began + start / size * FRAME_MS / 1000 - time.monotonic()))
        yield pcm[start : start + size]


async def microphone_frames() -> AsyncIterator[bytes]:
    """The machine's microphone, until Ctrl-C. Raises NoAudioError."""
    try:
        sounddevice = importlib.import_module("sounddevice")
        sounddevice.check_input_settings(samplerate=MICROPHONE_RATE_HZ, channels=1, dtype="int16")
    except Exception as error:  # noqa: BLE001 - as above
        raise NoAudioError(f"no microphone here ({error}): name a WAV file, or use --text") from None
    frames: asyncio.Queue[bytes] = asyncio.Queue()
    loop = asyncio.get_running_loop()

    def take(data: Any, *_rest: object) -> None:
        loop.call_soon_threadsafe(frames.put_nowait, bytes(data))

    block = MICROPHONE_RATE_HZ * FRAME_MS // 1000
    with sounddevice.RawInputStream(MICROPHONE_RATE_HZ, block, channels=1, dtype="int16", callback=take):
        while True:
            yield await frames.get()


class Screen:
    """What has happened, live."""

    def __init__(self) -> None:
        self._lines: list[Text] = []
        self._interim = ""
        self._latency: dict[str, int | float] = {}

    def engines(self, engines: dict[str, str] | None) -> None:
        """What listens and what speaks, where the services tell it."""
        engines = engines or {}
        named = [f"{verb} {engines[name]}" for name, verb in ENGINE_VERBS.items() if name in engines]
        if named:
            self._lines.append(Text(f"       {', '.join(named)}", style="dim"))

    def show(self, event: messages.Message) -> None:
        """One more event."""
        if isinstance(event, messages.SttPartial):
            self._interim = event.text
            return
        line = _LINES.get(type(event))
        if line is not None:
            self._interim = ""
            self._lines.append(line(event))
        if isinstance(event, messages.TurnLatency):
            self._latency = dict(event.stages)

    def __rich__(self) -> Table:
        table = Table.grid()
        for line in self._lines:
            table.add_row(line)
        if self._interim:
            table.add_row(Text(f"… {self._interim}", style="dim italic"))
        if self._latency:
            stages = "  ".join(f"{name} {round(ms)}" for name, ms in self._latency.items())
            table.add_row(Text(f"latency (ms after the end of speech)  {stages}", style="dim"))
        return table


def _progress(event: Any) -> Text:
    return Text(f"   {event.message or (event.data or '').rstrip()}", style="dim")


_LINES: dict[type, Any] = {
    messages.SttFinal: lambda e: Text(f"you    {e.text or '(no words)'}  ({e.confidence:.0%})", style="bold cyan"),
    messages.TurnIntent: lambda e: Text(
        f"intent {e.intent}  {json.dumps(e.entities) if e.entities else ''}", style="dim"
    ),
    messages.TurnPlan: lambda e: Text(f"plan   {e.goal}: {len(e.steps)} step(s)", style="dim"),
    messages.TurnSafety: lambda e: Text(f"safety {e.verdict}", style="dim"),
    messages.TaskProgress: _progress,
    messages.TaskConfirmationRequired: lambda e: Text(
        f"?      {e.sentence or e.reason} (say yes or no)", style="bold yellow"
    ),
    messages.TaskResult: lambda e: Text(f"task   {e.status} {e.message or ''}", style="dim"),
    messages.TurnReply: lambda e: Text(f"agent  {e.text}", style="bold green"),
    messages.TurnPaused: lambda _e: Text("       paused: a sound", style="dim"),
    messages.TurnContinued: lambda _e: Text("       goes on", style="dim"),
    messages.TurnInterrupted: lambda e: Text(f"       interrupted after “{e.heard_text}”", style="yellow"),
    messages.Error: lambda e: Text(f"error  {e.code}: {e.message}", style="bold red"),
}


def _words_of(failed: BaseExceptionGroup[Exception]) -> Iterator[str]:
    for error in failed.exceptions:
        yield from _words_of(error) if isinstance(error, BaseExceptionGroup) else [str(error)]


class Talk:
    """One conversation, as the command line asks for it."""

    def __init__(self, options: argparse.Namespace) -> None:
        self._options = options
        self._screen = Screen()
        self._speaker = Speaker(aloud=not options.json)
        self._failed = False

    async def run(self) -> int:
        """The exit code: 0 when every turn ended well."""
        try:
            if self._options.file:
                read_wav(self._options.file)
            await self._hold()
        except* (NoAudioError, GatewayError) as failed:  # alone, or from the task group
            self._failed = True
            print("; ".join(_words_of(failed)), file=sys.stderr)  # noqa: T201 - a command line prints
        if self._options.output and (self._speaker.pcm or not self._failed):
            try:
                self._speaker.write(self._options.output)
            except OSError as error:
                self._failed = True
                print(f"{self._options.output}: {error.strerror}", file=sys.stderr)  # noqa: T201 - as above
        return 1 if self._failed else 0

    async def _hold(self) -> None:
        given = self._options
        user = "" if given.token else "developer"
        async with GatewayClient(given.url, session_id=given.session, token=given.token, user_id=user) as gateway:
            if gateway.ready is not None and not given.json:
                self._screen.engines(gateway.ready.engines)
            turn = gateway.open(self._params())
            console = Console(file=sys.stderr)
            with Live(self._screen, console=console, auto_refresh=not given.json) as live:
                async with asyncio.TaskGroup() as group:
                    speaking = group.create_task(self._say(turn), name="microphone")
                    async for event in turn:
                        await self._on(event, gateway, turn)
                        live.update(self._screen)
                    speaking.cancel()
            if not console.is_terminal and not given.json:
                console.line()  # rich ends its last line on terminals only

    def _params(self) -> TurnParams:
        if self._options.text:
            return TurnParams(text=self._options.text)
        rate_hz = read_wav(self._options.file)[1] if self._options.file else MICROPHONE_RATE_HZ
        return TurnParams(sample_rate=rate_hz)

    async def _say(self, turn: ClientChannel) -> None:
        if self._options.text:
            return
        frames = file_frames(self._options.file) if self._options.file else microphone_frames()
        async for frame in frames:
            turn.send_audio(frame)
        turn.end()

    async def _on(
        self, event: messages.Message | events.AudioReceived, gateway: GatewayClient, turn: ClientChannel
    ) -> None:
        if isinstance(event, events.AudioReceived):
            await self._speaker.play(event.payload)
            duration_ms = pcm_duration_ms(len(event.payload), self._speaker.rate_hz)
            turn.played(event.payload, round(event.pts_ms + duration_ms))
            return
        if self._options.json:
            print(event.model_dump_json(exclude_none=True), flush=True)  # noqa: T201 - as above
        else:
            self._screen.show(event)
        await self._react(event, gateway)

    async def _react(self, event: messages.Message, gateway: GatewayClient) -> None:
        if isinstance(event, messages.TtsStarted):
            self._speaker.begin(event.sample_rate)
        elif isinstance(event, messages.TurnPaused | messages.TurnInterrupted):
            self._speaker.stop()
        elif isinstance(event, messages.TaskConfirmationRequired) and self._options.yes:
            await gateway.confirm(event.confirmation_id, approve=True)
        elif isinstance(event, messages.TurnDone):
            self._failed |= event.status == "failed"
        elif isinstance(event, messages.ChannelClosed) and event.status == "error":
            self._failed = True

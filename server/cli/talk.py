"""`python -m server talk`: a spoken turn in the terminal, from an audio file, the microphone or a line of text."""

from __future__ import annotations

import asyncio
import importlib
import sys
import wave
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.live import Live

from server.audio.decode import PCM_RATE_HZ, FileDecoder
from server.audio.errors import AudioTooLongError, UnreadableAudioError
from server.cli.keyboard import Keyboard, answer_of
from server.cli.screen import Screen
from streaming.client.errors import GatewayError
from streaming.client.gateway import GatewayClient
from streaming.client.sound import FRAME_MS, MICROPHONE_RATE_HZ, paced
from streaming.protocol import events, messages
from streaming.protocol.messages import TurnParams
from streaming.sound.codecs import pcm_duration_ms

if TYPE_CHECKING:
    import argparse
    from collections.abc import AsyncIterator, Iterator

    from streaming.client.channel import GatewayChannel


class NoAudioError(Exception):
    """There is no audio to send; the text says why."""


class ReplyPlayer:
    """Collects the reply's audio for the file, and plays it if the machine can."""

    def __init__(self, *, aloud: bool) -> None:
        self.pcm = bytearray()
        self.rate_hz = 0
        self._aloud = aloud
        self._output: Any = None

    def begin(self, rate_hz: int) -> None:
        """Start an utterance at that rate."""
        self.rate_hz = rate_hz
        if self._aloud and self._output is None:
            self._output = _loudspeaker(rate_hz)

    async def play(self, frame: bytes) -> None:
        """Take one frame."""
        self.pcm += frame
        if self._output is not None:
            await asyncio.to_thread(self._output.write, frame)

    def stop(self) -> None:
        """Stop playing: the user interrupted."""
        if self._output is not None:
            self._output.abort()
            self._output.start()

    def write(self, path: str) -> None:
        """Write a WAV file."""
        with Path(path).open("wb") as opened, wave.open(opened, "wb") as file:
            file.setnchannels(1)
            file.setsampwidth(2)
            file.setframerate(self.rate_hz or MICROPHONE_RATE_HZ)
            file.writeframes(bytes(self.pcm))


def _loudspeaker(rate_hz: int) -> Any | None:
    """A loudspeaker stream; None without the library, or a device with that rate."""
    try:
        sounddevice = importlib.import_module("sounddevice")
        output = sounddevice.RawOutputStream(samplerate=rate_hz, channels=1, dtype="int16")
        output.start()
    except Exception:  # noqa: BLE001 - missing library, PortAudio and device raise different exceptions
        return None
    return output


def read_audio(path: str) -> bytes:
    """PCM at MICROPHONE_RATE_HZ of an audio file, in any format accepted for uploads. Raises NoAudioError."""
    pcm = bytearray()
    try:
        with Path(path).open("rb") as file:
            decoder = FileDecoder(file)
            try:
                while (piece := decoder.next_piece()) is not None:
                    pcm += piece
            finally:
                decoder.close()
    except OSError as error:
        raise NoAudioError(f"{path}: {error.strerror or error}") from None
    except (UnreadableAudioError, AudioTooLongError) as error:
        raise NoAudioError(f"{path}: {error}") from None
    return bytes(pcm)


async def microphone_frames() -> AsyncIterator[bytes]:
    """Frames of the machine's microphone, until Ctrl-C. Raises NoAudioError."""
    try:
        sounddevice = importlib.import_module("sounddevice")
        sounddevice.check_input_settings(samplerate=MICROPHONE_RATE_HZ, channels=1, dtype="int16")
    except Exception as error:  # noqa: BLE001 - as above
        raise NoAudioError(f"no microphone here ({error}): name an audio file, or use --text") from None
    frames: asyncio.Queue[bytes] = asyncio.Queue()
    loop = asyncio.get_running_loop()

    def take(data: Any, *_rest: object) -> None:
        loop.call_soon_threadsafe(frames.put_nowait, bytes(data))

    block = MICROPHONE_RATE_HZ * FRAME_MS // 1000
    with sounddevice.RawInputStream(MICROPHONE_RATE_HZ, block, channels=1, dtype="int16", callback=take):
        while True:
            yield await frames.get()


def _words_of(failed: BaseExceptionGroup[Exception]) -> Iterator[str]:
    for error in failed.exceptions:
        yield from _words_of(error) if isinstance(error, BaseExceptionGroup) else [str(error)]


def check_writable(path: str) -> None:
    """Tell before the work that its result could not be written. Leaves no file behind. Raises OSError."""
    file = Path(path)
    existed = file.exists()
    with file.open("a", encoding="utf-8"):
        pass
    if not existed:
        file.unlink()


class Talk:
    """One conversation: the `talk` command."""

    def __init__(self, options: argparse.Namespace) -> None:
        self._options = options
        self._screen = Screen()
        self._speaker = ReplyPlayer(aloud=not options.json)
        self._pcm = b""  # of the audio file
        self._asked: list[messages.TaskConfirmationRequired] = []  # confirmations that wait for an answer, oldest first
        self._failed = False
        self._keyboard: Keyboard | None = None

    async def run(self) -> int:
        """Returns the exit code: 0 if every turn ended well."""
        output = self._options.output
        try:
            if output:
                await asyncio.to_thread(check_writable, output)
        except OSError as error:
            print(f"{output}: {error.strerror}", file=sys.stderr)  # noqa: T201 - a command line prints
            return 1
        try:
            if self._options.file:
                self._pcm = await asyncio.to_thread(read_audio, self._options.file)
            await self._hold()
        except* (NoAudioError, GatewayError) as failed:  # alone, or from the task group
            self._failed = True
            print("\n".join(dict.fromkeys(_words_of(failed))), file=sys.stderr)  # noqa: T201 - as above
        if output and (self._speaker.pcm or not self._failed):
            try:
                self._speaker.write(output)
            except OSError as error:
                self._failed = True
                print(f"{output}: {error.strerror}", file=sys.stderr)  # noqa: T201 - as above
        return 1 if self._failed else 0

    async def _hold(self) -> None:
        given = self._options
        user = "" if given.token else "developer"
        async with GatewayClient(given.url, session_id=given.session, token=given.token, user_id=user) as gateway:
            if gateway.ready is not None and not given.json:
                self._screen.engines(gateway.ready.engines)
            turn = gateway.open(self._params())
            console = Console(file=sys.stderr)
            try:
                with Live(self._screen, console=console, auto_refresh=not given.json) as live:
                    async with asyncio.TaskGroup() as group:

                        def typed(line: str) -> None:
                            group.create_task(self._typed(line, gateway), name="answer")

                        speaking = group.create_task(self._say(turn), name="microphone")
                        with Keyboard(typed) as self._keyboard:
                            async for event in turn:
                                await self._on(event, gateway, turn)
                                live.update(self._screen)
                        speaking.cancel()
                        if turn.closed is None:
                            raise gateway.failed or GatewayError("SESSION_LOST", "the session could not be resumed")
            finally:
                if not console.is_terminal and not given.json:
                    console.line()  # rich ends its last line only on terminals

    @property
    def _nobody_answers(self) -> bool:
        """Neither by a microphone, nor at the keyboard, such as in a script: else the question would wait until it expires."""
        speaks = not (self._options.text or self._options.file)
        return not speaks and (self._keyboard is None or not self._keyboard.is_open)

    def _params(self) -> TurnParams:
        if self._options.text:
            return TurnParams(text=self._options.text)
        return TurnParams(sample_rate=PCM_RATE_HZ if self._options.file else MICROPHONE_RATE_HZ)

    async def _say(self, turn: GatewayChannel) -> None:
        if self._options.text:
            return
        frames = paced(self._pcm, PCM_RATE_HZ) if self._options.file else microphone_frames()
        async for frame in frames:
            turn.send_audio(frame)
        turn.end()

    async def _typed(self, line: str, gateway: GatewayClient) -> None:
        """Take a yes or no to the oldest question; anything else is asked for again."""
        if not self._asked:
            return
        approve = answer_of(line)
        if approve is None:
            self._screen.say("       y (yes) or n (no), then Enter", "yellow")
            return
        await self._confirm(self._asked.pop(0), gateway, approve=approve)

    async def _confirm(
        self, question: messages.TaskConfirmationRequired, gateway: GatewayClient, *, approve: bool
    ) -> None:
        try:
            await gateway.confirm(question.confirmation_id, approve=approve, action_hash=question.action_hash)
        except GatewayError as refused:  # it was answered elsewhere, or too late
            self._screen.say(f"error  {refused}", "bold red")
        else:
            self._screen.say("       approved" if approve else "       declined", "yellow")

    async def _on(
        self, event: messages.Message | events.AudioReceived, gateway: GatewayClient, turn: GatewayChannel
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
        elif isinstance(event, messages.TaskConfirmationRequired):
            if self._options.yes:
                await self._confirm(event, gateway, approve=True)
            elif self._nobody_answers:
                self._screen.say("       nobody can answer here; --yes approves", "yellow")
                await self._confirm(event, gateway, approve=False)
            else:
                self._asked.append(event)
        elif isinstance(event, messages.TurnDone):
            self._asked.clear()
            self._failed |= event.status == "failed"
        elif isinstance(event, messages.ChannelClosed) and event.status == "error":
            self._failed = True

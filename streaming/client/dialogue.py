"""A conversation on one `turn` channel, and the answer to one question."""

from __future__ import annotations

import contextlib
import inspect
import wave
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING

from streaming.client.arguments import SAMPLE_BYTES, check_path, shown
from streaming.client.errors import GatewayError
from streaming.client.sound import SINK_ADVICE, SOURCE_ADVICE
from streaming.protocol import messages
from streaming.protocol.events import AudioReceived

if TYPE_CHECKING:
    import asyncio
    from collections.abc import AsyncIterator, Awaitable, Callable
    from pathlib import Path
    from typing import Self

    from streaming.client.gateway import GatewayClient
    from streaming.client.sound import Sink, Source
    from streaming.protocol.messages import Message, TaskConfirmationRequired, TurnParams

    Approve = Callable[[TaskConfirmationRequired], bool | Awaitable[bool]]

REPORT_MS = 400  # between two reports of what was played: one for each frame of fast speech would be a flood


@dataclass(slots=True)
class Reply:
    """The result of a turn. `str(reply)` is its text."""

    text: str = ""
    """The agent's reply."""
    heard: str = ""
    """What the agent understood of the speech."""
    audio: bytes = field(default=b"", repr=False)
    """The spoken reply as 16-bit mono PCM; empty if none was requested."""
    sample_rate: int = 0
    """Sample rate of `audio` in Hz."""
    _goes_on: bool = field(default=False, repr=False)  # True while a language model sends further parts

    def __str__(self) -> str:
        return self.text

    def save(self, path: str | Path) -> None:
        """Write the spoken reply to a WAV file. Raises GatewayError."""
        name = check_path(path)
        try:
            with open(name, "wb") as opened, wave.open(opened, "wb") as file:  # noqa: PTH123 - a path may be a string
                file.setnchannels(1)
                file.setsampwidth(SAMPLE_BYTES)
                file.setframerate(self.sample_rate or 16_000)
                file.writeframes(self.audio)
        except OSError as error:
            raise GatewayError("NOT_SAVED", f"{name}: {error.strerror}", "Name a file that can be written.") from None

    def add(self, event: Message | AudioReceived) -> None:
        """Add an event of the turn."""
        if isinstance(event, AudioReceived):
            self.audio += event.payload
        elif isinstance(event, messages.TtsStarted):
            self.sample_rate = event.sample_rate
        elif isinstance(event, messages.TurnReply):
            self.text += event.text if self._goes_on or not self.text else f"\n{event.text}"
            self._goes_on = bool(event.more)
        elif isinstance(event, messages.SttFinal):
            self.heard = f"{self.heard} {event.text}".strip()


class Dialogue:
    """A conversation. Iterate it for its events until it ends. Speech comes from `source`, answers go to `sink`.

    Without a sink, audio is among the events (AudioReceived) and counts as played. `approve` decides on risky actions; without it,
    or if it raises, they are declined. Raises GatewayError if the conversation fails, or CALLBACK_FAILED if `approve` or `source`
    did; the session goes on, and so does the conversation for who iterates again after a failed `approve`.
    """

    def __init__(
        self,
        client: GatewayClient,
        params: TurnParams,
        *,
        source: Source | None = None,
        sink: Sink | None = None,
        approve: Approve | None = None,
    ) -> None:
        self._client = client
        self._params = params
        self._source = source
        self._sink = sink
        self._approve = approve
        self._sample_rate = 0
        self._reported_ms = -REPORT_MS
        self._broken: GatewayError | None = None  # a callback of the user's raised, which is not told yet
        self._speaking: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        self.channel = self._client.open(self._params)
        if self._source is not None:
            self._speaking = self._client.start(partial(self._speak, self._source), name="microphone")
        return self

    async def __aexit__(self, *_error: object) -> None:
        await self.close()

    async def close(self) -> None:
        """End the conversation at any point."""
        if self._speaking is not None:
            self._speaking.cancel()
        if self.channel.closed is None and self._client.failed is None:
            self.channel.cancel()
        if self._sink is not None:
            self._sink.close()

    async def _speak(self, source: Source) -> None:
        sent = 0
        try:
            frames = source.frames()
            if not hasattr(frames, "__aiter__"):  # a plain generator would halt the session while it waits
                raise GatewayError("INVALID_ARGUMENT", f"frames() of the source gave {shown(frames)}", SOURCE_ADVICE)  # noqa: TRY301 - told like any failure
            async for frame in frames:
                self.channel.send_audio(frame, sent * 1000 // (SAMPLE_BYTES * source.sample_rate))
                sent += len(frame)
        except Exception as broken:  # noqa: BLE001 - what the user's source raises is told by the iteration
            self._broken = _failure("the source of speech", broken)
            self.channel.cancel()
        else:
            self.channel.end()

    async def __aiter__(self) -> AsyncIterator[Message | AudioReceived]:
        """Every message of the conversation until it ends."""
        async for event in self.channel:
            if isinstance(event, AudioReceived):
                await self._play(event)
                if self._sink is not None:
                    continue
            elif isinstance(event, messages.TtsStarted):
                self._sample_rate = event.sample_rate
                if self._sink is not None:
                    self._sink.begin(event.sample_rate)
            elif isinstance(event, messages.TurnPaused | messages.TurnInterrupted) and self._sink is not None:
                self._sink.stop()
            elif isinstance(event, messages.TaskConfirmationRequired):
                self._client.start(partial(self._answer, event), name="confirmation")
            yield event
            self._check_callbacks()
        self._check_callbacks()
        self._check()

    async def _play(self, event: AudioReceived) -> None:
        if self._sink is not None:
            playing = self._sink.play(event.payload)
            if not inspect.isawaitable(playing):  # it would halt the session while it plays
                raise GatewayError("INVALID_ARGUMENT", "play() of the sink is not async", SINK_ADVICE)
            await playing
        duration_ms = len(event.payload) * 1000 / (SAMPLE_BYTES * (self._sample_rate or 16_000))
        position_ms = round(event.pts_ms + duration_ms)
        if event.last or not 0 <= position_ms - self._reported_ms < REPORT_MS:
            self._reported_ms = position_ms
            self.channel.played(event.payload, position_ms)
        else:
            self.channel.credit(event.payload)

    async def _answer(self, question: TaskConfirmationRequired) -> None:
        approved = await self._approves(question)
        with contextlib.suppress(GatewayError):  # it expired or was answered elsewhere; the turn reports the outcome
            await self._client.confirm(question.confirmation_id, approve=approved, action_hash=question.action_hash)

    async def _approves(self, question: TaskConfirmationRequired) -> bool:
        """The user's decision. A callback that fails approves nothing."""
        if self._approve is None:
            return False
        try:
            said = self._approve(question)
            approved = await said if inspect.isawaitable(said) else said
            if not isinstance(approved, bool):
                raise TypeError(f"it returned {shown(approved)}, neither True nor False")  # noqa: TRY301 - told like any failure
        except Exception as broken:  # noqa: BLE001 - told by the iteration
            self._broken = _failure("approve", broken)
            return False
        return approved

    def _check_callbacks(self) -> None:
        """Raises GatewayError, once, if one of the user's callbacks failed."""
        broken, self._broken = self._broken, None
        if broken is not None:
            raise broken

    def _check(self) -> None:
        """Raises GatewayError if the channel ended with an error."""
        closed = self.channel.closed
        if closed is None:
            raise self._client.failed or GatewayError("SESSION_LOST", "the session could not be resumed")
        if closed.status == "error":
            raise GatewayError(closed.code or "INTERNAL", closed.message or "the conversation failed")


def _failure(what: str, broken: Exception) -> GatewayError:
    """What a callback of the user's raised, as a GatewayError with its cause."""
    if isinstance(broken, GatewayError):
        return broken
    failed = GatewayError("CALLBACK_FAILED", f"{what} failed: {type(broken).__name__}: {broken}")
    failed.__cause__ = broken
    return failed

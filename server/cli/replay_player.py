"""Replays a recording's client: at the recorded times, or as fast as credit, limits and order allow.

Before each message of the client, everything it had received by then must have come again, so a question precedes its answer.
Playback is reported as recorded; what is longer than in the recording counts as heard at once.
"""

from __future__ import annotations

import asyncio
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from functools import singledispatchmethod
from typing import TYPE_CHECKING, Any

from server.cli.replay_outcome import BYTES_PER_SAMPLE, SESSION, ReplayOutcome
from server.cli.replay_script import Cue, Script
from streaming.client.errors import GatewayError
from streaming.client.gateway import GatewayClient
from streaming.protocol import events, messages
from streaming.protocol import frame as wire_frame
from streaming.protocol.errors import LocalProtocolError
from streaming.protocol.frame import Frame
from streaming.rate import TokenBucket

if TYPE_CHECKING:
    from collections.abc import Callable

AUDIO_BURST_BYTES = 1024 * 1024  # burst, out of the two million that a gateway allows
COMMAND_BURST = 100  # out of four hundred: acknowledgements and credit count too
RATES = {"audio_bytes_per_s": 262_144.0, "commands_per_s": 100.0}  # defaults, overridden by `session.ready`


@dataclass(slots=True)
class _Speaker:
    """The newest utterance on a channel, and how much of it counts as heard."""

    utterance: int = 0
    rate: float = 0.0  # bytes per millisecond; 0 if the encoding has no fixed rate
    received_ms: float = 0.0
    done: bool = False
    at_once: bool = False  # all of it counts as heard at once


@dataclass(slots=True)
class Played:
    """The result of a replay. `in_vain`: what was expected but did not come."""

    outcome: ReplayOutcome = field(default_factory=ReplayOutcome)
    in_vain: list[str] = field(default_factory=list)
    left_out: Counter[str] = field(default_factory=Counter)


class _Listener(GatewayClient):
    """A client that passes its events on. A lost session is not started again."""

    def __init__(
        self, url: str, token: str, user_id: str, on_event: Callable[[events.Event], None], progress: asyncio.Event
    ) -> None:
        super().__init__(url, token=token, user_id=user_id)
        self._on_event = on_event
        self._progress = progress

    def _handle(self, event: events.Event) -> None:
        if not isinstance(event, events.SessionStarted):
            self._on_event(event)
        elif self.ready is None:
            self._on_started(event)
        else:
            self._fail(GatewayError("SESSION_LOST", f"the session could not be resumed: {event.ready.resume_error}"))
        self._progress.set()

    def _fail(self, error: GatewayError) -> None:
        super()._fail(error)
        self._progress.set()


class Player:
    """One session that plays a script."""

    def __init__(
        self, script: Script, url: str, *, fast: bool, timeout_s: float, token: str = "", user_id: str = ""
    ) -> None:
        self.played = Played(left_out=Counter(script.left_out))
        self._script = script
        self._fast = fast
        self._timeout_s = timeout_s
        self._progress = asyncio.Event()
        self._client = _Listener(url, token, user_id, self._on_event, self._progress)
        self._numbers: dict[str, int] = {}  # place → channel here
        self._places: dict[int, str] = {}
        self._commands: dict[str, str] = {}  # command id here → place
        self._questions: dict[tuple[str, int], str] = {}
        self._speakers: dict[str, _Speaker] = defaultdict(_Speaker)
        self._reported = {(cue.place, cue.utterance) for cue in script.cues if isinstance(cue.said, messages.Playback)}
        self._given_up: set[str] = set()  # places where something did not come, so nothing further is awaited
        self._passed = 0

    async def play(self) -> Played:
        """Play until the outcome of the recording was reached. Raises GatewayError."""
        async with self._client as client:
            assert client.ready is not None, "entered"
            rates = RATES | {name: float(client.ready.limits.get(name, rate)) for name, rate in RATES.items()}
            now = self._now()
            self._audio_rate = TokenBucket(rates["audio_bytes_per_s"], AUDIO_BURST_BYTES, now)
            self._command_rate = TokenBucket(rates["commands_per_s"], COMMAND_BURST, now)
            for cue in self._script.cues:
                await self._wait_for(cue, now)
                try:
                    await self._perform(cue.said, cue)
                except LocalProtocolError:
                    self.played.left_out["what has no place in the channel's state"] += 1
            await self._pass(len(self._script.milestones))
        return self.played

    def _now(self) -> float:
        return asyncio.get_running_loop().time()

    # --- when ---

    async def _wait_for(self, cue: Cue, began: float) -> None:
        is_audio = isinstance(cue.said, Frame)
        if self._fast:
            rate, amount = (
                (self._audio_rate, len(cue.said.payload)) if isinstance(cue.said, Frame) else (self._command_rate, 1)
            )
            if not rate.take(amount, self._now()):
                await asyncio.sleep(rate.wait_s(amount))
                rate.take(amount, self._now())
        else:
            await asyncio.sleep(max(0.0, began + (cue.at_ms - self._script.cues[0].at_ms) / 1000 - self._now()))
        if self._fast or not is_audio:
            await self._pass(cue.after)

    async def _pass(self, count: int) -> None:
        """Wait for the first `count` milestones."""
        while self._passed < count:
            milestone = self._script.milestones[self._passed]
            self._passed += 1
            if milestone.place in self._given_up:
                continue
            if not await self._until(lambda: milestone.reached(self.played.outcome)):  # noqa: B023 - asked in this round only
                self._give_up(milestone.place, milestone.type)

    def _give_up(self, place: str, what: str) -> None:
        self._given_up.add(place)
        self.played.in_vain.append(f"{what} of {place}")

    async def _until(self, condition: Callable[[], bool]) -> bool:
        """Wait for a condition; False if it is not met in time. Raises GatewayError."""
        try:
            async with asyncio.timeout(self._timeout_s):
                while not condition():
                    self._check()
                    self._progress.clear()
                    await self._progress.wait()
        except TimeoutError:
            return False
        self._check()
        return True

    def _check(self) -> None:
        if self._client.failed is not None:
            raise self._client.failed

    # --- what the client says ---

    @singledispatchmethod
    async def _perform(self, said: Any, cue: Cue) -> None:
        raise TypeError(f"no way to say {type(said)} at {cue.place}")

    @_perform.register
    async def _frame(self, said: Frame, cue: Cue) -> None:
        connection, number = self._client.connection, self._numbers[cue.place]
        if self._fast and cue.place not in self._given_up:
            size = len(said.payload)

            def may_leave() -> bool:
                return connection.sendable_bytes(number) >= size or self._closed(cue.place)

            if not await self._until(may_leave):
                self._give_up(cue.place, "credit")
        connection.send_audio(number, said.payload, said.pts_ms, last=said.flags & wire_frame.LAST != 0)
        self._client.wake()

    @_perform.register(messages.OpenStt)
    @_perform.register(messages.OpenTts)
    @_perform.register(messages.OpenExecute)
    @_perform.register(messages.OpenTurn)
    async def _open(self, said: Any, cue: Cue) -> None:
        number = self._client.connection.open_channel(said.params)
        self._numbers[cue.place], self._places[number] = number, cue.place
        self._client.wake()

    @_perform.register
    async def _call(self, said: messages.Call, cue: Cue) -> None:
        self._commands[self._client.connection.call(said.op, self._mapped(said.params))] = cue.place
        self._client.wake()

    @_perform.register
    async def _confirm(self, said: messages.TaskConfirm, cue: Cue) -> None:
        question = self._mapped(said.confirmation_id)
        command = self._client.connection.confirm(question, approve=said.approve, action_hash=said.action_hash)
        self._commands[command] = cue.place
        self._client.wake()

    @_perform.register
    async def _playback(self, said: messages.Playback, cue: Cue) -> None:
        speaker = self._speakers[cue.place]
        if self._fast and cue.place not in self._given_up:

            def has_come() -> bool:
                return (
                    (speaker.utterance == cue.utterance and (speaker.done or speaker.received_ms >= said.played_ms))
                    or speaker.utterance > cue.utterance
                    or self._closed(cue.place)
                )

            if not await self._until(has_come):
                self._give_up(cue.place, "audio")
        if speaker.utterance != cue.utterance:
            return
        if cue.last_report and (cue.place, cue.utterance) not in self._script.interrupted:
            speaker.at_once = True
        played_ms = speaker.received_ms if speaker.at_once else min(said.played_ms, speaker.received_ms)
        self._report(cue.place, played_ms)

    @_perform.register
    async def _text(self, said: messages.TtsText, cue: Cue) -> None:
        self._client.connection.send_text(self._numbers[cue.place], said.text)
        self._client.wake()

    @_perform.register
    async def _commit(self, _said: messages.Commit, cue: Cue) -> None:
        self._client.connection.commit(self._numbers[cue.place])
        self._client.wake()

    @_perform.register
    async def _end(self, _said: messages.ChannelEnd, cue: Cue) -> None:
        self._client.connection.end_channel(self._numbers[cue.place])
        self._client.wake()

    @_perform.register
    async def _cancel(self, _said: messages.ChannelCancel, cue: Cue) -> None:
        self._client.connection.cancel_channel(self._numbers[cue.place])
        self._client.wake()

    def _closed(self, place: str) -> bool:
        return self.played.outcome.counts[place, "channel.closed"] > 0

    def _mapped(self, value: Any) -> Any:
        """The value with this session's names instead of the recorded ones."""
        if isinstance(value, dict):
            return {name: self._mapped(item) for name, item in value.items()}
        if isinstance(value, list):
            return [self._mapped(item) for item in value]
        if not isinstance(value, str):
            return value
        if value and value == self._script.session_id:
            return self._client.session_id
        asked = self._script.questions.get(value)
        return self._questions.get(asked, value) if asked is not None else value

    def _report(self, place: str, played_ms: float) -> None:
        self._client.connection.report_playback(self._numbers[place], int(played_ms))
        self._client.wake()

    # --- what it is told ---

    def _on_event(self, event: events.Event) -> None:
        if isinstance(event, events.AudioReceived):
            self._on_audio(event)
        elif isinstance(event, events.MessageReceived):
            self._on_message(event.message)

    def _on_audio(self, event: events.AudioReceived) -> None:
        place = self._places[event.channel]
        self.played.outcome.audio(place, len(event.payload))
        self._client.connection.played(event.channel, len(event.payload))
        speaker = self._speakers[place]
        lasts_ms = len(event.payload) / speaker.rate if speaker.rate else 0.0
        speaker.received_ms = event.pts_ms + lasts_ms
        if speaker.at_once:
            self._report(place, speaker.received_ms)

    def _on_message(self, message: messages.Message) -> None:
        command, number = getattr(message, "id", None), getattr(message, "channel", None)
        place = self._commands.get(command or "") or self._places.get(number or 0) or SESSION
        self.played.outcome.message(place, message.model_dump(mode="json", exclude_none=True))
        if isinstance(message, messages.TaskConfirmationRequired):
            nth = self.played.outcome.counts[place, message.type]
            self._questions[place, nth] = message.confirmation_id
        elif isinstance(message, messages.TtsStarted):
            self._begin(place, message)
        elif isinstance(message, messages.TtsDone):
            self._speakers[place].done = True

    def _begin(self, place: str, started: messages.TtsStarted) -> None:
        """Start an utterance. Without recorded reports it counts as heard at once if played fast, else in real time."""
        before = self._speakers[place]
        size = BYTES_PER_SAMPLE.get(started.encoding, 0)
        utterance = (place, before.utterance + 1)
        at_once = self._fast and utterance not in self._reported and utterance not in self._script.interrupted
        self._speakers[place] = _Speaker(utterance[1], size * started.sample_rate / 1000, at_once=at_once)

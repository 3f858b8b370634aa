"""Turns a recording into a script: the client's messages, each with what it had received before, and the outcome. Pure."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

from pydantic import ValidationError

from server.cli.replay_outcome import SESSION, ReplayOutcome
from streaming.protocol import frame as wire_frame
from streaming.protocol import messages
from streaming.protocol.messages import CLIENT_MESSAGES

if TYPE_CHECKING:
    from collections.abc import Iterator

    from streaming.jarvis.recording import Recording, RecordingEntry
    from streaming.protocol.frame import Frame

# What a client may have waited for. None of these waits for more microphone audio, or a fast replay would stall.
MILESTONES = frozenset(
    {"result", "error", "channel.closed", "task.confirmation_required", "task.result"}
    | {"turn.reply", "tts.started", "turn.done"}
)
OF_A_TURN = frozenset({"task.confirmation_required", "task.result", "turn.reply", "tts.started"})
# What a client sends by itself in response, or cannot send again.
NOT_PLAYED = (
    messages.SessionResume | messages.Auth | messages.AuthRefresh | messages.Ack | messages.Ping | messages.Pong
)


class Milestone(NamedTuple):
    """The n-th message of a type at a place; `turns`: the number of turns completed there before."""

    place: str
    type: str
    nth: int
    turns: int

    def reached(self, outcome: ReplayOutcome) -> bool:
        """True if it came, or can no longer come."""
        counts = outcome.counts
        return (
            counts[self.place, self.type] >= self.nth
            or counts[self.place, "channel.closed"] > 0
            or (self.type in {"result", "error"} and counts[self.place, "result"] + counts[self.place, "error"] > 0)
            or (self.type in OF_A_TURN and counts[self.place, "turn.done"] > self.turns)
        )


@dataclass(frozen=True, slots=True)
class Cue:
    """One message of the client at `place`. `after`: the number of milestones reached before.

    `utterance`: number of the utterance that a playback report is about; `last_report`: it is the last one about it.
    """

    at_ms: float
    place: str
    said: Any  # a message of the client, or a Frame
    after: int
    utterance: int = 0
    last_report: bool = False


@dataclass(slots=True)
class Script:
    """The messages to send. `questions`: place and number of each confirmation id."""

    name: str
    session_id: str = ""
    cues: list[Cue] = field(default_factory=list)
    milestones: list[Milestone] = field(default_factory=list)
    questions: dict[str, tuple[str, int]] = field(default_factory=dict)
    interrupted: set[tuple[str, int]] = field(default_factory=set)  # interrupted utterances
    outcome: ReplayOutcome = field(default_factory=ReplayOutcome)
    left_out: Counter[str] = field(default_factory=Counter)  # what cannot be played, with counts


def script_of(recording: Recording) -> Script:
    """The script of a recording. Never raises: what makes no sense is left out and counted."""
    return _Writer(recording).write()


class _Once:
    """Filters repetitions after a resume. `run`: incremented when a session could not be resumed and started anew."""

    def __init__(self) -> None:
        self.run = 0
        self._epoch: object = None
        self._seqs: dict[object, int] = {}

    def is_new(self, entry: RecordingEntry) -> bool:
        """True if the entry is not a repetition."""
        message = entry.message
        if message is None:
            assert entry.frame is not None, "one of both"
            frame = wire_frame.decode(entry.frame)
            return self._passes(("out", frame.channel) if entry.direction == "out" else "in", frame.seq)
        if message["type"] == "session.ready":
            self._begin(message.get("epoch"))
        seq = message.get("seq")
        return type(seq) is not int or message["type"] == "ack" or self._passes(entry.direction, seq)

    def _begin(self, epoch: object) -> None:
        if self._epoch not in (None, epoch):
            self.run += 1
            self._seqs.clear()
        self._epoch = epoch

    def _passes(self, line: object, seq: int) -> bool:
        if seq <= self._seqs.get(line, -1):
            return False
        self._seqs[line] = seq
        return True


class _Writer:
    """Writes the script of one recording."""

    def __init__(self, recording: Recording) -> None:
        self._entries = recording.entries
        self._once = _Once()
        session_id = recording.head.get("session_id")
        self._script = Script(recording.name, session_id if isinstance(session_id, str) else "")
        self._channels: dict[tuple[int, int], str] = {}
        self._commands: dict[str, str] = {}
        self._generations: dict[str, int] = {}

    def write(self) -> Script:
        """Write the whole script."""
        for entry in self._fresh():
            if entry.direction == "out":
                self._on_said(entry)
            elif entry.frame is not None:
                self._on_frame(wire_frame.decode(entry.frame))
            elif entry.message is not None:
                self._on_told(entry.message)
        self._mark_last_reports()
        return self._script

    def _fresh(self) -> Iterator[RecordingEntry]:
        for entry in self._entries:
            if entry.direction != "local" and self._once.is_new(entry):
                yield entry

    def _place(self, channel: object) -> str | None:
        return self._channels.get((self._once.run, channel)) if isinstance(channel, int) else None

    # --- the client's side ---

    def _on_said(self, entry: RecordingEntry) -> None:
        if entry.frame is not None:
            frame = wire_frame.decode(entry.frame)
            self._cue(entry.at_ms, self._place(frame.channel), frame, "frames of a channel that was opened before")
            return
        try:
            said = CLIENT_MESSAGES.validate_json(json.dumps(entry.message))
        except ValidationError:
            self._script.left_out["messages that are not commands"] += 1
            return
        if isinstance(said, messages.OpenCommand):
            self._on_open(entry.at_ms, said)
        elif isinstance(said, messages.Call | messages.TaskConfirm):
            name = said.op if isinstance(said, messages.Call) else "confirm"
            place = f"call {len(self._commands) + 1} {name}"
            self._commands[said.id or place] = place
            self._cue(entry.at_ms, place, said)
        elif isinstance(said, messages.Playback):
            self._on_playback(entry.at_ms, said)
        elif not isinstance(said, NOT_PLAYED | messages.CreditGrant):
            self._cue(entry.at_ms, self._place(said.channel), said, "commands for a channel that was opened before")

    def _on_open(self, at_ms: float, said: messages.OpenCommand) -> None:
        if isinstance(said, messages.OpenObserve):
            self._script.left_out["channels that observe another session"] += 1
            return
        place = f"channel {len(self._channels) + 1} ({said.kind})"
        if self._channels.setdefault((self._once.run, said.channel), place) == place:
            self._cue(at_ms, place, said)

    def _on_playback(self, at_ms: float, said: messages.Playback) -> None:
        place = self._place(said.channel)
        generation = self._generations.get(place or "", 0)
        if place is None or (said.generation is not None and said.generation < generation):
            return  # about stale audio
        utterance = self._script.outcome.counts[place, "tts.started"]
        self._script.cues.append(Cue(at_ms, place, said, len(self._script.milestones), utterance))

    def _cue(self, at_ms: float, place: str | None, said: object, otherwise: str = "") -> None:
        if place is None:
            self._script.left_out[otherwise] += 1
        else:
            self._script.cues.append(Cue(at_ms, place, said, len(self._script.milestones)))

    def _mark_last_reports(self) -> None:
        seen: set[tuple[str, int]] = set()
        cues = self._script.cues
        for number in range(len(cues) - 1, -1, -1):
            cue = cues[number]
            if isinstance(cue.said, messages.Playback) and (cue.place, cue.utterance) not in seen:
                seen.add((cue.place, cue.utterance))
                cues[number] = Cue(cue.at_ms, cue.place, cue.said, cue.after, cue.utterance, last_report=True)

    # --- the gateway's side ---

    def _on_frame(self, frame: Frame) -> None:
        place = self._place(frame.channel)
        if place is not None:
            self._script.outcome.audio(place, len(frame.payload))

    def _on_told(self, message: dict[str, Any]) -> None:
        kind, command = str(message["type"]), message.get("id")
        if kind == "session.ready" and not self._script.session_id:
            self._script.session_id = str(message.get("session_id", ""))
        place = self._commands.get(command) if isinstance(command, str) else None
        place = place or self._place(message.get("channel"))
        if place is None:
            if message.get("channel") is not None:
                return  # of a channel that is not played
            place = SESSION
        outcome = self._script.outcome
        outcome.message(place, message)
        counts = outcome.counts
        if kind == "task.confirmation_required":
            self._script.questions[str(message.get("confirmation_id"))] = (place, counts[place, kind])
        elif kind in {"turn.paused", "turn.interrupted"}:
            self._script.interrupted.add((place, counts[place, "tts.started"]))
        generation = message.get("generation")
        if isinstance(generation, int):
            self._generations[place] = max(generation, self._generations.get(place, 0))
        if kind in MILESTONES and place != SESSION and not (kind == "error" and place.startswith("channel")):
            self._script.milestones.append(Milestone(place, kind, counts[place, kind], counts[place, "turn.done"]))

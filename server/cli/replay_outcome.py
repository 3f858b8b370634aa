"""What a session resulted in, and how two sessions differ. Pure.

Whatever depends on timing only is ignored: interim transcripts, progress, credit, provisional ends of speech, latencies; and, in
what was heard, capital letters and punctuation, which a recogniser may put differently into the same words. Messages that
keep their place behind audio are ordered separately from those that overtake it, and so are the steps of a plan.
"""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from typing import Any

SESSION = "session"
PASSING = frozenset(
    {"stt.partial", "task.progress", "credit", "ack", "ping", "pong", "turn.latency", "turn.eager_end", "turn.resumed"}
)
BEHIND_AUDIO = frozenset({"tts.started", "tts.words", "tts.done", "turn.done", "channel.closed"})
ANSWERS = frozenset({"result", "error"})
BYTES_PER_SAMPLE = {"pcm_s16le": 2, "mulaw": 1, "alaw": 1}
TOLERANCE_S = 0.3  # synthesis varies, by up to 45 ms in 4 s
TOLERANCE_SHARE = 0.05
SHOWN_CHARS = 100
HEARD = frozenset({"transcripts", "intents", "replies"})  # kinds of facts that contain what was heard


@dataclass(slots=True)
class _Utterance:
    """The newest utterance. How far an interrupted one came is chance, so only its start counts."""

    encoding: str
    rate_hz: int
    n_bytes: int = 0
    duration_ms: float = 0.0  # from `tts.done`
    told: list[str] = field(default_factory=list)
    interrupted: bool = False

    @property
    def seconds(self) -> float:
        """Duration of PCM or G.711 as received; for Opus, as stated by `tts.done`."""
        if self.encoding in BYTES_PER_SAMPLE:
            return self.n_bytes / (BYTES_PER_SAMPLE[self.encoding] * max(1, self.rate_hz))
        return self.duration_ms / 1000 if self.n_bytes else 0.0


@dataclass(slots=True)
class _Place:
    """One channel."""

    said: dict[str, list[str]] = field(default_factory=lambda: defaultdict(list))  # by the kind of comparison
    steps: dict[tuple[Any, Any], int] = field(default_factory=dict)
    utterance: _Utterance | None = None
    audio_s: float = 0.0

    def finish(self) -> None:
        """End the newest utterance, and add what is now known of it."""
        utterance, self.utterance = self.utterance, None
        if utterance is not None and not utterance.interrupted:
            self.audio_s += utterance.seconds
            for kind in utterance.told:
                _in_order(self.said["order of speech"], kind)


class ReplayOutcome:
    """Takes all that a gateway sent. `place`: `channel 1 (turn)`, `call 2 agent.intent`, equal in both sessions; or SESSION."""

    def __init__(self) -> None:
        self.counts: Counter[tuple[str, str]] = Counter()  # by place and type
        self.first_audio_ms: list[float] = []  # of each turn, since the end of speech
        self._places: dict[str, _Place] = defaultdict(_Place)

    def audio(self, place: str, n_bytes: int) -> None:
        """Add a frame's payload size."""
        utterance = self._places[place].utterance
        if utterance is not None:
            utterance.n_bytes += n_bytes

    def message(self, place: str, message: dict[str, Any]) -> None:
        """Add a message."""
        kind = str(message["type"])
        self.counts[place, kind] += 1
        if kind == "turn.latency":
            self._on_latency(message)
        if kind in PASSING or kind.startswith(("session.", "auth.", "observe.", "recording.")):
            return
        here = self._places[place]
        if kind in ANSWERS and place.startswith("call"):
            here.said["answer"].append("ok" if kind == "result" else str(message.get("code")))
            return
        if kind == "turn.plan":
            self._on_plan(here, message)
        self._speech(here, kind, message)
        if kind not in {"tts.words", "tts.done"}:
            _in_order(here.said[self._lane(here, kind, message)], kind)
        what = _MEANINGS.get(kind)
        if what is not None:
            here.said[what[0]].append(what[1](message))

    def _on_latency(self, message: dict[str, Any]) -> None:
        stages = message.get("stages")
        first = stages.get("first_audio") if isinstance(stages, dict) else None
        if isinstance(first, int | float):
            self.first_audio_ms.append(first)

    def _on_plan(self, here: _Place, message: dict[str, Any]) -> None:
        """Number the steps as planned, because they may run concurrently."""
        steps = message.get("steps")
        for step in steps if isinstance(steps, list) else []:
            if isinstance(step, dict):
                here.steps.setdefault((str(message.get("turn_id")), str(step.get("id"))), len(here.steps) + 1)

    def _lane(self, here: _Place, kind: str, message: dict[str, Any]) -> str:
        if kind.startswith("task.") and message.get("step_id") is not None:
            step = (str(message.get("turn_id")), str(message["step_id"]))
            return f"order of step {here.steps.setdefault(step, len(here.steps) + 1)}"
        return "order of speech" if kind in BEHIND_AUDIO else "order"

    def _speech(self, here: _Place, kind: str, message: dict[str, Any]) -> None:
        utterance = here.utterance
        if kind in {"tts.started", "turn.done", "channel.closed"}:
            here.finish()
        if kind == "tts.started":
            rate_hz = message.get("sample_rate")
            here.utterance = _Utterance(str(message.get("encoding")), rate_hz if isinstance(rate_hz, int) else 0)
        elif utterance is not None and kind in {"turn.paused", "turn.interrupted"}:
            utterance.interrupted = True
        elif utterance is not None and kind in {"tts.words", "tts.done"}:
            utterance.told.append(kind)
            duration_ms = message.get("duration_ms")
            utterance.duration_ms = duration_ms if isinstance(duration_ms, int | float) else 0.0

    def facts(self) -> dict[tuple[str, str], tuple[str, ...] | float]:
        """The facts to compare, by place and kind."""
        found: dict[tuple[str, str], tuple[str, ...] | float] = {}
        for place, here in self._places.items():
            here.finish()
            for what, said in here.said.items():
                if said:
                    found[place, what] = tuple(said)
            if here.audio_s:
                found[place, "seconds of audio"] = here.audio_s
        return found


def _in_order(order: list[str], kind: str) -> None:
    """Append a kind, unless it is the last one: the number of repetitions is chance."""
    if order[-1:] != [kind]:
        order.append(kind)


def _intent(message: dict[str, Any]) -> str:
    entities = message.get("entities")
    return f"{message.get('intent')} {json.dumps(entities, sort_keys=True) if entities else ''}".rstrip()


def _ended(message: dict[str, Any]) -> str:
    return f"{message.get('status')} {message.get('code') or ''}".rstrip()


_MEANINGS: dict[str, tuple[str, Any]] = {
    "stt.final": ("transcripts", lambda message: str(message.get("text"))),
    "turn.intent": ("intents", _intent),
    "turn.reply": ("replies", lambda message: str(message.get("text"))),
    "task.result": ("task results", lambda message: str(message.get("status", "ok"))),
    "turn.done": ("ends of turns", lambda message: str(message.get("status"))),
    "channel.closed": ("closed", _ended),
    "error": ("errors", lambda message: str(message.get("code"))),
}


@dataclass(frozen=True, slots=True)
class Fact:
    """One line of the comparison."""

    place: str
    what: str
    recorded: str
    replayed: str
    equal: bool

    def __str__(self) -> str:
        sides = self.recorded if self.equal else f"recorded {self.recorded}, replayed {self.replayed}"
        return f"{'equal  ' if self.equal else 'differs'}  {self.place:<20} {self.what:<16} {sides}"


def compared(recorded: ReplayOutcome, replayed: ReplayOutcome) -> list[Fact]:
    """All facts of either session."""
    ours, theirs = recorded.facts(), replayed.facts()
    return [_fact(*key, ours.get(key), theirs.get(key)) for key in dict.fromkeys((*ours, *theirs))]


def _fact(place: str, what: str, ours: Any, theirs: Any) -> Fact:
    if isinstance(ours, float) or isinstance(theirs, float):
        one, other = ours or 0.0, theirs or 0.0
        alike = abs(one - other) <= max(TOLERANCE_S, TOLERANCE_SHARE * one)
        return Fact(place, what, f"{one:.1f}", f"{other:.1f}", alike)
    one, other = ours or (), theirs or ()
    alike = _heard_alike if what in HEARD else str.__eq__
    if len(one) == len(other) and all(map(alike, one, other)):
        return Fact(place, what, _shown(one), _shown(other), equal=True)
    same = next((n for n, pair in enumerate(zip(one, other, strict=False)) if not alike(*pair)), None)
    at = min(len(one), len(other)) if same is None else same
    return Fact(place, what, _number(one, at), _number(other, at), equal=False)


def _heard_alike(one: str, other: str) -> bool:
    """Whether two texts have the same words. Punctuation within a word counts: "3.5" is not "35"."""
    return _plain(one) == _plain(other)


def _plain(text: str) -> list[str]:
    return [word.strip('.,;:!?"{}[]') for word in text.casefold().split()]


def _shown(said: tuple[str, ...]) -> str:
    text = " · ".join(map(repr, said)) if any(" " in item for item in said) else " ".join(said)
    return text if len(text) <= SHOWN_CHARS else f"{text[:SHOWN_CHARS]}…"


def _number(said: tuple[str, ...], at: int) -> str:
    """The first one that differs."""
    return f"{said[at]!r} (number {at + 1})" if at < len(said) else f"nothing (number {at + 1})"

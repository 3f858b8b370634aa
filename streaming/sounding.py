"""Tracks whether a session's client plays speech on any channel, and what it played last. Pure: time is an argument, in seconds."""

from __future__ import annotations

from collections import deque
from math import inf
from typing import NamedTuple, Protocol

ECHO_S = 0.2  # delay until played audio reaches a microphone, through jitter buffer, room and radio link
KEPT_S = 60.0  # how long what was said is remembered: longer than an utterance is spoken, and then recognised
KEPT_CHARS = 2_000  # of it, three minutes of speech


class SoundingSpeech(Protocol):
    """An utterance that is played."""

    @property
    def played_ms(self) -> int:
        """How much the client has played."""

    @property
    def stopped(self) -> bool:
        """True if it was cut off."""

    @property
    def playing(self) -> bool:
        """True while the client has some of it still to play. It may wait in silence for words that are not made yet."""

    @property
    def so_far(self) -> str:
        """Its text, up to the last word that may have sounded."""

    @property
    def by_clock(self) -> str:
        """The same if the client's reports are wrong, else ""."""


class SaidWords(NamedTuple):
    """What was said in one utterance, for `played_ms`. `ended` is infinite while it sounds; `stopped`: before its end.

    `by_clock`: the text if the client's reports are wrong, as they seem to be; else "".
    """

    text: str
    played_ms: int
    ended: float
    stopped: bool = False
    by_clock: str = ""


class Sounding:
    """Utterances report when they start and stop to sound, on the session's listening clock."""

    def __init__(self) -> None:
        self._sounding: dict[SoundingSpeech, None] = {}  # oldest first
        self._silent_since = -inf
        self._said: deque[SaidWords] = deque()  # oldest first

    def begins(self, utterance: SoundingSpeech) -> None:
        """The utterance starts to sound."""
        self._sounding[utterance] = None

    def ends(self, utterance: SoundingSpeech, now: float) -> None:
        """The utterance was played or stopped. Further calls have no effect."""
        if utterance not in self._sounding:
            return
        del self._sounding[utterance]
        self._silent_since = now
        texts = (text[-KEPT_CHARS:] for text in (utterance.so_far, utterance.by_clock))
        self._said.append(SaidWords(next(texts), utterance.played_ms, now, utterance.stopped, next(texts)))
        while self._said[0].ended < now - KEPT_S or sum(len(said.text) for said in self._said) > KEPT_CHARS:
            self._said.popleft()

    def silent_s(self, now: float) -> float:
        """For how long nothing has sounded, in seconds; infinite if nothing ever did."""
        return 0.0 if self._sounding else now - self._silent_since

    def sounded_at(self, at: float) -> bool:
        """True if a microphone could have heard the gateway at that recent time, or since."""
        return bool(self._sounding) or at < self._silent_since + ECHO_S

    def played_since(self, at: float) -> bool:
        """True if the client has played something since that recent time. Speech that waits for its next words is silent."""
        return any(one.playing for one in self._sounding) or at < self._silent_since + ECHO_S

    def said_since(self, at: float) -> list[SaidWords]:
        """What a microphone may have heard of the gateway since that time, oldest first: the echo of the last words comes late."""
        ended = [said for said in self._said if at <= said.ended + ECHO_S]
        return [*ended, *(SaidWords(one.so_far, one.played_ms, inf, by_clock=one.by_clock) for one in self._sounding)]

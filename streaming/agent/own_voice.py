"""Tells the gateway's own voice, come back into a microphone, from the user's. Of any channel's speech, also of the turn before."""

from __future__ import annotations

from math import inf
from typing import TYPE_CHECKING

from streaming.agent.overheard import BEGINNING_MS, ECHO_LASTS_S, Overheard, Sureness, overheard, without_echo
from streaming.sound.echo import EchoState

if TYPE_CHECKING:
    from collections.abc import Callable

    from streaming.agent.delivery import Delivery
    from streaming.sounding import SaidWords, Sounding

TAIL_WORDS = 3  # of what was said, that can come back after its end
_CERTAINTY = (Overheard.ECHO, Overheard.UNCLEAR, Overheard.BACKCHANNEL, Overheard.WORDS)  # of several, the first counts


class OwnVoice:
    """What one microphone hears of it. `clock` is the session's listening clock."""

    def __init__(self, sounding: Sounding, clock: Callable[[], float]) -> None:
        self._sounding = sounding
        self._clock = clock
        self._reply: Delivery | None = None  # the one into which the current utterance began
        self._since = inf
        self._late = False  # the current utterance began just after our last words were played
        self.audible = False  # the current utterance may be ours, or have something of ours
        self._echo = EchoState.NOT_FOUND  # when the last utterance began
        self.came_back = False  # it was ours, or an earlier one was

    def speech_began(self, s_ago: float, reply: Delivery | None, *, echo: EchoState = EchoState.NOT_FOUND) -> None:
        """An utterance began so many seconds ago, into `reply` if one is playing or paused.

        What came back before `echo` changed tells nothing of what is heard now: an echo is heard until it is found, and then taken out.
        """
        if echo is EchoState.APPEARS or echo is not self._echo:
            self.came_back = echo is EchoState.APPEARS
        self._echo = echo
        now, self._reply = self._clock(), reply
        silent_since = now - self._sounding.silent_s(now)
        self._since = min(now - s_ago, silent_since) if self._silent else now - s_ago
        lately = bool(self._sounding.said_since(self._since))
        self._late = lately and self._since > silent_since
        self.audible = lately or reply is not None

    @property
    def _silent(self) -> bool:
        """True while the reply is paused."""
        return self._reply is not None and self._reply.paused

    def judge(self, text: str, sureness: Sureness, ended_s_ago: float) -> Overheard:
        """Classify the words of the utterance so far, which ended so many seconds ago."""
        outlasts = self._sounding.silent_s(self._clock()) - ended_s_ago > ECHO_LASTS_S
        if self._late and sureness is Sureness.GROWING:
            return Overheard.UNCLEAR  # only its end tells whether it can be an echo
        ours = [("", "")] if self._late and outlasts else self._ours()
        cut = any(said.stopped for said in self._sounding.said_since(self._since))
        verdicts = [
            overheard(text, said, sureness, silent=self._silent, cut=cut, outlasts=outlasts, begun=begun)
            for said, begun in ours
        ]
        verdict = min(verdicts, key=_CERTAINTY.index)
        self.came_back |= verdict is Overheard.ECHO
        return verdict

    def without_echo(self, text: str) -> str:
        """The user's part of the utterance. The first echo that is heard is of the beginning of what was said."""
        for said, begun in self._ours() if self.audible else ():
            text = without_echo(text, said if self.came_back else "", begun)
        return text

    def _ours(self) -> list[tuple[str, str]]:
        """What may have come back, the newest words last, and of that what had only just begun; for each channel that speaks."""
        said = self._sounding.said_since(self._since)
        by_clock = [
            one._replace(text=one.by_clock, played_ms=BEGINNING_MS, by_clock="") if one.by_clock else one
            for one in said
        ]
        return [*self._told(said), *(self._told(by_clock) if by_clock != said else ())]

    def _told(self, said: list[SaidWords]) -> list[tuple[str, str]]:
        ended = [one for one in said if one.ended < inf]
        before = " ".join(" ".join(one.text.split()[-TAIL_WORDS:]) if self._late else one.text for one in ended)
        begun = next((one.text for one in said if one.played_ms < BEGINNING_MS and not one.by_clock), "")
        return [(f"{before} {one.text}", begun) for one in said if one.ended == inf] or [(before, begun)]

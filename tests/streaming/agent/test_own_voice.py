"""What a microphone hears of the gateway's own voice."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from streaming.agent.overheard import Overheard, Sureness
from streaming.agent.own_voice import OwnVoice
from streaming.sound.echo import EchoState
from streaming.sounding import Sounding

BEGINNING = "You can ask me for the time"
REPLY = (
    "You can ask me for the time or the date, to search for something, to open a page and read it, or to list files."
)


@dataclass(eq=False)
class Speech:
    so_far: str
    by_clock: str = ""
    played_ms: int = 2_000
    stopped: bool = False
    playing: bool = True


def hearing(speech: Speech) -> OwnVoice:
    sounding = Sounding()
    sounding.begins(speech)
    return OwnVoice(sounding, lambda: 10.0)


@pytest.mark.parametrize("before", [EchoState.NOT_FOUND, EchoState.APPEARS])
def test_once_the_echo_is_taken_out_a_sound_is_not_taken_for_it(before: EchoState) -> None:
    """Else "Stop" would be heard by its words only, 400 ms later: an echo was heard before it was found."""
    voice = hearing(Speech(BEGINNING))
    voice.speech_began(0.5, None, echo=before)
    assert voice.judge("you can ask me", Sureness.WHOLE, 0.0) is Overheard.ECHO
    assert voice.came_back
    voice.speech_began(0.2, None, echo=EchoState.TAKEN_OUT)
    assert not voice.came_back


@pytest.mark.parametrize("echo", [EchoState.NOT_FOUND, EchoState.TAKEN_OUT])
def test_an_echo_that_is_heard_all_the_same_may_be_heard_again(echo: EchoState) -> None:
    voice = hearing(Speech(BEGINNING))
    voice.speech_began(0.5, None, echo=echo)
    assert voice.judge("you can ask me", Sureness.WHOLE, 0.0) is Overheard.ECHO
    voice.speech_began(0.2, None, echo=echo)
    assert voice.came_back


@pytest.mark.parametrize("so_far", ["You can ask", REPLY])
def test_words_by_the_clock_are_ours_whatever_the_client_reports(so_far: str) -> None:
    """Its reports got stuck at the beginning, or tell what it received."""
    by_clock = " ".join(REPLY.split()[:14])
    voice = hearing(Speech(so_far, by_clock, played_ms=300))
    voice.speech_began(1.0, None)
    assert voice.judge("or the date, to search for", Sureness.WHOLE, 0.0) is Overheard.ECHO
    assert voice.judge("what is my favourite colour", Sureness.WHOLE, 0.0) is Overheard.WORDS


def test_a_beginning_by_stuck_reports_is_none() -> None:
    """The first sounds of a reply are often heard as other words with the same sound: not in its tenth second."""
    voice = hearing(Speech("You can ask", REPLY, played_ms=0))
    voice.speech_began(1.0, None)
    assert voice.judge("use it", Sureness.WHOLE, 0.0) is Overheard.WORDS

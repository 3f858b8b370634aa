from __future__ import annotations

import pytest

from streaming.agent.overheard import Overheard, overheard

REPLY = "It is ten past five. The folder holds twelve files, and the largest is the readme"


@pytest.mark.parametrize(
    ("text", "verdict"),
    [
        ("mm-hm", Overheard.BACKCHANNEL),
        ("Uh-huh.", Overheard.BACKCHANNEL),
        ("okay, right", Overheard.BACKCHANNEL),
        ("yeah", Overheard.BACKCHANNEL),
        ("stop", Overheard.WORDS),
        ("no", Overheard.WORDS),
        ("okay stop", Overheard.WORDS),
        ("yeah what about tomorrow", Overheard.WORDS),
        ("right so list the files", Overheard.WORDS),
        ("what time is it", Overheard.WORDS),
        ("it is ten past five", Overheard.ECHO),
        ("twelve files and the larger is", Overheard.ECHO),
        ("the folder holds wait", Overheard.WORDS),
        ("folder", Overheard.ECHO),
        ("the folder holds yeah", Overheard.ECHO),
    ],
)
def test_whose_words_they_are(text: str, verdict: Overheard) -> None:
    assert overheard(text, REPLY) is verdict


def test_what_was_said_long_ago_does_not_come_back() -> None:
    assert overheard("stop the music", "stop the music " + "word " * 60) is Overheard.WORDS

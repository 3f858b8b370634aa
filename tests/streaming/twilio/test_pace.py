"""Callers, or who replays a signature of Twilio's, that send more than a telephone can."""

from __future__ import annotations

import json

import pytest

from streaming.twilio.pace import BURST, KEY_PRICE, MessagePace
from streaming.twilio.wire import media

SOUND = media("MZ18ad3ab5a668481ce02b83e7395059f0", bytes(160))
MARK = json.dumps({"event": "mark", "streamSid": "MZ1", "mark": {"name": "1:200"}})
KEY = json.dumps({"event": "dtmf", "dtmf": {"digit": "#"}})
LONG = media("MZ1", bytes(40_000))


def taken(message: str, at: float = 0.0) -> int:
    """How many of them are taken at once."""
    pace = MessagePace(0.0)
    return next(number for number in range(100_000) if not pace.takes(message, at))


@pytest.mark.parametrize(("message", "price"), [(SOUND, 1), (MARK, 1), (KEY, KEY_PRICE), (LONG, 105)])
def test_a_flood_is_refused_by_its_work_and_length(message: str, price: float) -> None:
    assert taken(message) == int(BURST / price)


def test_a_call_with_sound_marks_and_keys_is_no_flood() -> None:
    pace = MessagePace(0.0)
    for number in range(50 * 600):  # ten minutes
        at = number / 50
        assert pace.takes(SOUND, at)
        if number % 10 == 0:  # every 200 ms of ours
            assert pace.takes(MARK, at)
        if number % 50 == 0:  # a key each second
            assert pace.takes(KEY, at)


def test_sound_of_a_network_pause_comes_at_once() -> None:
    assert taken(SOUND) >= 50 * 40  # the longest pause that a socket survives

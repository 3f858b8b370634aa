"""When the next partial is due."""

from __future__ import annotations

from server.embedded.stt.endpoint import SpeechBegan
from server.embedded.stt.utterance import PARTIAL_EVERY_MS, HeardUtterance


def after(took_ms: float) -> HeardUtterance:
    """An utterance whose partial took so long."""
    utterance = HeardUtterance(SpeechBegan(0, 0, bytes(32 * 300)), ())
    utterance.partial_job()
    utterance.partial_took(took_ms)
    return utterance


def due_ms(utterance: HeardUtterance) -> int:
    """The audio that has to come before the next one."""
    waited_ms = 0
    while not utterance.partial_due():
        utterance.add(bytes(32 * 20))
        waited_ms += 20
    return waited_ms


def test_partials_come_less_often_where_decoding_them_takes_long() -> None:
    assert due_ms(after(50)) == PARTIAL_EVERY_MS
    assert due_ms(after(400)) == 800


def test_they_come_often_again_after_a_short_one() -> None:
    utterance = after(400)
    utterance.partial_took(40)
    assert due_ms(utterance) == PARTIAL_EVERY_MS

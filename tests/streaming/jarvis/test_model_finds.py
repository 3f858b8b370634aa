"""The models find the faults that they were made for: each is put back in, and a few steps break a promise."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from streaming.jarvis.live import LiveSession
from streaming.jarvis.outlet import ChannelOutlet
from streaming.jarvis.registry import Resume, Sessions
from streaming.jarvis.resume_notices import ResumeNotices
from streaming.listening import ListeningClock
from streaming.protocol.messages import ServerPing
from streaming.protocol.outbox import Outbox
from streaming.sound.trail import SILENCE_KEPT_MS, Trail
from tests.streaming.jarvis import test_model as calls
from tests.streaming.jarvis import test_model_speech as speech
from tests.support.house import FakeStore

if TYPE_CHECKING:
    from streaming.jarvis.journal import SavedSession
    from streaming.ports import Identity


def says_nothing(*_: object) -> None:
    """What a fault leaves out."""


def taken_for_told(told: ResumeNotices) -> ServerPing:
    told.known.set()
    return ServerPing(t=0)


@pytest.mark.plain_python("replaces a method of a compiled class")
def test_a_record_that_lacks_what_was_told_is_resumed(monkeypatch: pytest.MonkeyPatch) -> None:
    step = calls.Step
    away = [step("call", 10), step("store away", 1), step("call", 3_000), step("store back", 0), step("kill", 300, 1)]
    calls.keeps_its_promises(away, monkeypatch)
    monkeypatch.setattr(LiveSession, "on_unrecorded", says_nothing)
    monkeypatch.setattr(FakeStore, "begin_epoch", says_nothing)
    save: Any = Outbox.save
    # otherwise the record is known to be old by the number that the client has
    monkeypatch.setattr(Outbox, "save", lambda outbox: {**save(outbox), "sounds": True})
    assert_broken(lambda: calls.keeps_its_promises(away, monkeypatch), "recovered untruly")


@pytest.mark.plain_python("replaces a method of a compiled class")
def test_a_replica_that_is_cut_off_resumes_what_went_on_elsewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    calls.keeps_its_promises(calls.BACK_TO_THE_CUT_OFF, monkeypatch)
    monkeypatch.setattr(LiveSession, "only_here", lambda *_: True)
    assert_broken(lambda: calls.keeps_its_promises(calls.BACK_TO_THE_CUT_OFF, monkeypatch), "")


def test_a_socket_is_told_that_a_session_has_expired_which_another_took(monkeypatch: pytest.MonkeyPatch) -> None:
    calls.keeps_its_promises(calls.TWO_AT_ONCE, monkeypatch)
    monkeypatch.setattr(Sessions, "overtaken", lambda *_: False)
    assert_broken(lambda: calls.keeps_its_promises(calls.TWO_AT_ONCE, monkeypatch), "it had not expired")


def test_a_call_runs_before_its_client_knows_that_there_is_no_record(monkeypatch: pytest.MonkeyPatch) -> None:
    calls.keeps_its_promises(calls.GONE_BEFORE_IT_WAS_TOLD, monkeypatch)
    monkeypatch.setattr(ResumeNotices, "ask", taken_for_told)
    assert_broken(lambda: calls.keeps_its_promises(calls.GONE_BEFORE_IT_WAS_TOLD, monkeypatch), "")


def test_a_socket_that_has_not_decided_ends_the_session_that_it_asks_for(monkeypatch: pytest.MonkeyPatch) -> None:
    steps = [speech.Step("kill", 20, 1, "message")]
    greet: Any = Sessions.greet

    def decided(sessions: Sessions, live: LiveSession, error: object) -> None:
        sessions.decide(live)
        greet(sessions, live, error)

    monkeypatch.setattr(Sessions, "greet", decided)
    assert_broken(lambda: speech.keeps_every_word(steps, "turn", 0.015), "told not to come back")


@pytest.mark.plain_python("replaces a method of a compiled class")
def test_audio_counts_as_heard_when_it_was_received(monkeypatch: pytest.MonkeyPatch) -> None:
    steps = [speech.Step("burst", 1), speech.Step("burst", 1), speech.Step("burst", 60), speech.Step("kill", 20, 1)]
    speech.keeps_every_word(steps, "stt", 0.015)
    received = property(lambda trail: trail._newest_ms - SILENCE_KEPT_MS)
    monkeypatch.setattr(Trail, "_silence_needed_ms", received)
    assert_broken(lambda: speech.keeps_every_word(steps, "stt", 0.015), "")


@pytest.mark.plain_python("replaces a method of a compiled class")
def test_speech_counts_as_played_without_a_receipt(monkeypatch: pytest.MonkeyPatch) -> None:
    steps = [speech.Step("burst", 20), speech.Step("vanish", 12_000, 1)]
    speech.keeps_every_word(steps, "tts", 0.002)
    monkeypatch.setattr(ChannelOutlet, "receipt", lambda _: None)
    monkeypatch.setattr(ListeningClock, "leave", says_nothing)
    assert_broken(lambda: speech.keeps_every_word(steps, "tts", 0.002), "speech is missing")


def test_a_leftover_answers_for_the_store(monkeypatch: pytest.MonkeyPatch) -> None:
    step = speech.Step
    steps = [step("news slow", 1_000), step("move", 20, 1), step("burst", 60), step("move", 20, 0)]
    speech.keeps_every_word(steps, "stt", 0.002)
    claim: Any = Sessions.claim

    async def from_memory(
        sessions: Sessions, session_id: str, identity: Identity, asked: Resume | None
    ) -> SavedSession | None:
        if asked is not None and sessions._journaled(session_id, asked) is not None:
            return None
        found: SavedSession | None = await claim(sessions, session_id, identity, asked)
        return found

    monkeypatch.setattr(Sessions, "claim", from_memory)
    assert_broken(lambda: speech.keeps_every_word(steps, "stt", 0.002), "the session was lost")


def assert_broken(run: Any, words: str) -> None:
    with pytest.raises(BaseException) as raised:
        run()
    error: BaseException = raised.value
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    assert isinstance(error, AssertionError)
    assert words in str(error)

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from server.embedded.stt.growing import GrowingTranscript
from server.embedded.stt.transcript import DOMAIN_LEAD, Heard, HeardWord, Hypothesis, Promise, confidence

WORD_MS = 200


def words(text: str) -> tuple[HeardWord, ...]:
    """A word every 200 ms."""
    return tuple(
        HeardWord(word, index * WORD_MS, (index + 1) * WORD_MS, 0.5) for index, word in enumerate(text.split())
    )


def heard(domain: str, full: str | None = None, lead: float = 0.0) -> Heard:
    """Both views, the domain's better by `lead` per frame of speech."""
    one, other = words(domain), words(full or "")
    frames = max(len(one), len(other), 1) * WORD_MS // 10
    return Heard(Hypothesis(one, lead * frames - 1000), Hypothesis(other, -1000) if full is not None else None)


def test_the_domain_has_to_win_clearly() -> None:
    assert heard("list files", "the aisles", DOMAIN_LEAD + 0.1).best().text == "list files"
    assert heard("list files", "the aisles", DOMAIN_LEAD - 0.1).best().text == "the aisles"


def test_the_domain_speaks_alone_until_the_general_model_has_begun() -> None:
    assert heard("list").best().text == "list"
    assert heard("list").agreed() == ()


def test_a_domain_without_words_never_wins() -> None:
    assert heard("", "hello", 50).best().text == "hello"


def test_agreement_ends_at_the_first_difference_and_before_the_last_word() -> None:
    assert [word.text for word in heard("a b c d", "a b x d").agreed()] == ["a", "b"]
    assert [word.text for word in heard("a b", "a b").agreed()] == ["a"]


def test_confidence_weighs_words_by_their_length() -> None:
    assert confidence((HeardWord("a", 0, 300, 1.0), HeardWord("b", 300, 400, 0.0))) == 0.75
    assert confidence(()) == 0.0


def test_a_promise_needs_age_and_repetition() -> None:
    promise = Promise()
    for now_ms in (790, 810, 820):
        promise.observe(words("what time"), now_ms)
        assert promise.words == ()
    promise.observe(words("what time"), 830)
    assert [word.text for word in promise.words] == ["what"]
    assert promise.keep(words("a time is it"))[0].text == "what"


def test_words_behind_a_kept_promise_do_not_repeat_it() -> None:
    promise = Promise()
    for now_ms in (2000, 2100, 2200):
        promise.observe(words("search for"), now_ms)
    assert " ".join(word.text for word in promise.keep(words("church fork python"))) == "search for python"


TEXTS = st.lists(st.sampled_from(["a", "b", "c", "a b", "a b c", "b c", "a b c d", ""]), min_size=1, max_size=12)


@given(TEXTS, TEXTS, st.lists(st.integers(1, 40), min_size=12, max_size=12))
def test_what_was_told_to_be_stable_never_changes(domain: list[str], full: list[str], steps: list[int]) -> None:
    growing, promised = GrowingTranscript(1000), ""
    views = [heard(one, other) for one, other in zip(domain, full, strict=False)]
    for view, step in zip(views, steps, strict=False):
        growing.update(view, step * 32 * 30)
        partial = growing.partial()
        if partial is not None:
            text, stable_chars = partial
            assert text.startswith(promised)
            assert stable_chars >= len(promised)
            promised = text[:stable_chars]
    final = growing.final(views[-1])
    assert " ".join(word.text for word in final).startswith(promised)
    edges = [edge for word in final for edge in (word.start_ms, word.end_ms)]
    assert all(word.start_ms >= 1000 for word in final)
    assert edges == sorted(edges)


def test_first_words_are_shown_at_once_and_others_once_they_have_settled() -> None:
    growing = GrowingTranscript(0)
    growing.update(heard("what"), 30 * 32)
    assert growing.partial() == ("what", 0)
    growing.update(heard("what time"), 30 * 32)
    assert growing.partial() is None
    growing.update(heard("what time"), 60 * 32)
    assert growing.partial() == ("what time", 0)
    growing.update(heard("what time"), 60 * 32)
    assert growing.partial() is None


def test_words_held_from_before_a_pause_stand_in_front_and_are_stable() -> None:
    growing = GrowingTranscript(0, held=words("first part"))
    growing.update(heard("second"), 30 * 32)
    growing.update(heard("second"), 60 * 32)
    assert growing.partial() == ("first part second", len("first part"))


def test_nothing_is_promised_when_another_engine_has_the_last_word() -> None:
    growing = GrowingTranscript(0, may_promise=False)
    for _ in range(9):
        growing.update(heard("a b c", "a b c"), 300 * 32)
    assert growing.partial() == ("a b c", 0)


def test_a_probable_end_is_told_once_until_speech_goes_on() -> None:
    growing = GrowingTranscript(0)
    growing.update(heard("stop"), 30 * 32)
    assert growing.eager_text() == ""
    growing.update(heard("stop"), 90 * 32)
    assert growing.eager_text() == "stop"
    assert growing.eager_text() == ""
    assert growing.resume()
    assert not growing.resume()
    assert growing.eager_text() == "stop"

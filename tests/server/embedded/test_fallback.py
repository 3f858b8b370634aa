"""A part that fails costs itself: the next one is used, and one line says why."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import pytest

from server.embedded.fallback import MAX_REASON_CHARS, Way, first_that_starts, label, reason
from server.embedded.service import MissingPartError

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine


def works(name: str, asked_by: str = "") -> Way[str]:
    async def start() -> str:
        return name

    return Way(f"{name} does it", start, asked_by)


def fails(failure: Exception, asked_by: str = "") -> Way[str]:
    async def start() -> str:
        raise failure

    return Way("nobody does it", start, asked_by)


async def test_what_starts_first_is_used_without_a_word(caplog: pytest.LogCaptureFixture) -> None:
    found = await first_that_starts([works("one", "ENGINE=one"), works("two")])
    assert (found.part, found.unmet) == ("one", ())
    assert caplog.messages == []


async def test_one_line_names_what_did_not_start_and_why(caplog: pytest.LogCaptureFixture) -> None:
    ways = [
        fails(MissingPartError("MODEL_PATH=/x: no such file"), "MODEL_PATH"),
        fails(RuntimeError("broken\n  in the middle"), "ENGINE=two"),
        fails(MissingPartError("the third is not installed")),
        works("four"),
    ]
    found = await first_that_starts(ways)
    assert (found.part, found.unmet) == ("four", ("MODEL_PATH", "ENGINE=two"))
    assert caplog.messages == [
        "four does it instead: MODEL_PATH=/x: no such file; ENGINE=two: RuntimeError: broken in the middle; "
        "the third is not installed"
    ]
    assert label("four", found.unmet) == "four without MODEL_PATH and ENGINE=two"
    assert label("four", ()) == "four"


async def test_where_nothing_starts_all_reasons_are_told() -> None:
    with pytest.raises(MissingPartError, match="MODEL_PATH: ValueError: odd; or there is no other"):
        await first_that_starts([fails(ValueError("odd"), "MODEL_PATH"), fails(MissingPartError("there is no other"))])


async def test_who_stops_the_start_stops_it() -> None:
    tried: list[str] = []

    async def note(name: str) -> str:
        tried.append(name)
        raise KeyboardInterrupt

    start: Callable[[], Coroutine[None, None, str]] = partial(note, "one")
    with pytest.raises(KeyboardInterrupt):
        await first_that_starts([Way("", start), works("two")])
    assert tried == ["one"]


def test_a_long_reason_is_cut() -> None:
    assert len(reason(RuntimeError("x" * 10_000), "")) < MAX_REASON_CHARS + 30

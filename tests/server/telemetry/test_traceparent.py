"""W3C Trace Context."""

from __future__ import annotations

import re

import pytest

from server.telemetry.traceparent import next_traceparent, trace_id

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"


@pytest.mark.parametrize(
    ("given", "flags"),
    [
        (f"00-{TRACE}-00f067aa0ba902b7-01", "01"),
        (f"00-{TRACE}-00f067aa0ba902b7-00", "00"),
        (f"00-{TRACE}-00f067aa0ba902b7-03", "01"),
        (f"cc-{TRACE}-00f067aa0ba902b7-01-what-the-future-will-be-like", "01"),
    ],
)
def test_the_callers_trace_goes_on_under_a_span_of_ours(given: str, flags: str) -> None:
    sent = next_traceparent(given)
    assert re.fullmatch(rf"00-{TRACE}-[0-9a-f]{{16}}-{flags}", sent)
    assert "00f067aa0ba902b7" not in sent
    assert trace_id(sent) == TRACE


@pytest.mark.parametrize(
    "given",
    [
        "",
        "nonsense",
        f"ff-{TRACE}-00f067aa0ba902b7-01",
        f"00-{TRACE.upper()}-00f067aa0ba902b7-01",
        f"00-{'0' * 32}-00f067aa0ba902b7-01",
        f"00-{TRACE}-{'0' * 16}-01",
        f"00-{TRACE}-00f067aa0ba902b7",
        f"00-{TRACE}-00f067aa0ba902b7-01\r\nX-Evil: 1",
    ],
)
def test_anything_else_begins_a_trace_of_its_own(given: str) -> None:
    sent = next_traceparent(given)
    assert re.fullmatch(r"00-[0-9a-f]{32}-[0-9a-f]{16}-00", sent)
    assert TRACE not in sent

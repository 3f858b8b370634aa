"""The apologies for failing services."""

from __future__ import annotations

from streaming.agent.apologies import apology
from streaming.ports import ServiceError


def test_a_text_that_is_refused_is_told_so_and_no_service_is_called_broken() -> None:
    too_long = "the text is too long, it has 5000 characters and may have 2000"
    refused = ServiceError("INVALID_ARGUMENT", too_long, service="intent")
    assert apology(refused) == f"Sorry, I can't take that: {too_long}."
    assert "intent recognition is not working" in apology(ServiceError("UNAVAILABLE", "no answer", service="intent"))

"""The apologies for failing services."""

from __future__ import annotations

from streaming.agent.apologies import apology
from streaming.ports import ServiceError


def test_a_text_that_is_refused_is_told_so_and_no_service_is_called_broken() -> None:
    too_long = "the text is too long, it has 5000 characters and may have 2000"
    refused = ServiceError("INVALID_ARGUMENT", too_long, service="intent")
    assert apology(refused) == f"Sorry, I can't take that: {too_long}."
    assert "intent recognition is not working" in apology(ServiceError("UNAVAILABLE", "no answer", service="intent"))


def test_a_language_that_the_recogniser_does_not_know_is_told_so() -> None:
    refused = ServiceError("INVALID_ARGUMENT", "language 'de' is not known here: only English", service="stt")
    assert apology(refused) == "Sorry, I can't take that: language 'de' is not known here: only English."
    assert "recognition is not working" in apology(ServiceError("UNAVAILABLE", "no answer", service="stt"))

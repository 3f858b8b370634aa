"""A token is signed out: every session of it ends, with or without a socket, and no other."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import pytest

from server.sessions.news import SessionNews
from streaming.ports import Identity
from streaming.residents import Departure, Residents


@dataclass(eq=False)
class Guest:
    """A session, as far as it can be dismissed."""

    session_id: str
    connected: bool
    identity: Identity
    dismissed: list[Departure] = field(default_factory=list)

    def dismiss(self, reason: Departure) -> None:
        self.dismissed.append(reason)


@pytest.mark.parametrize("revoked", ["one", "family"])
def test_a_sign_out_ends_the_sessions_of_its_token_with_and_without_a_socket(revoked: str) -> None:
    guests = [
        Guest("here", True, Identity("ada", "ada", (), token_id="one", family="family")),
        Guest("away", False, Identity("ada", "ada", (), token_id="one", family="family")),
        Guest("other sign-in", False, Identity("ada", "ada", (), token_id="two")),
        Guest("no token", False, Identity("ada", "ada", ())),
    ]
    residents = Residents()
    there: Any = None
    for guest in guests:
        added: Any = guest
        residents.add(added)
    SessionNews(residents, there, there).on_news("revoked", {"token_id": revoked, "until": 0.0})
    SessionNews(residents, there, there).on_news("revoked", {"token_id": "", "until": 0.0})
    assert [guest.session_id for guest in guests if guest.dismissed] == ["here", "away"]

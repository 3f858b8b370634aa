"""Passes news from any replica to the sessions that they concern."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from server.shared.observation import ASKED
from server.shared.session_records import BEGUN_ANEW, CLAIMED
from streaming.residents import Departure

if TYPE_CHECKING:
    from server.shared.observation import ReplicaObservation
    from streaming.jarvis.registry import Sessions
    from streaming.residents import Residents


@dataclass(frozen=True, slots=True)
class SessionNews:
    """`on_news` is a listener of the state that replicas share."""

    residents: Residents
    jarvis: Sessions
    observation: ReplicaObservation

    def on_news(self, kind: str, news: dict[str, Any]) -> None:
        """A session moved, began or ended elsewhere, somebody wants to observe it, or its token was revoked."""
        if kind == CLAIMED:
            self.jarvis.on_claimed(news["session_id"], news["owner"])
            self.observation.on_moved(news["session_id"])
        elif kind == BEGUN_ANEW:
            self.jarvis.on_begun_anew(news["session_id"])
        elif kind == ASKED:
            self.observation.on_asked(**news)
        elif kind == "revoked":
            self._on_revoked(news["token_id"])

    def _on_revoked(self, token_id: str) -> None:
        """`token_id`: a single token, or the family shared by all tokens of a sign-in.

        Sessions without a socket end too: their lanes still run, and another token of the user could resume them.
        """
        for resident in self.residents:
            if token_id in resident.identity.signed_out_by:
                resident.dismiss(Departure.SIGNED_OUT)

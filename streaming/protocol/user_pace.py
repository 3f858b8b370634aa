"""What all sessions of one user may do together: many sockets, each a little below its own limits, would cost what no one may."""

from __future__ import annotations

from typing import TYPE_CHECKING

from streaming.protocol.close_codes import CloseCode
from streaming.protocol.errors import RemoteProtocolError
from streaming.rate import TokenBucket

if TYPE_CHECKING:
    from streaming.protocol.limits import Limits

FORGIVEN_PER_S = 1.0
COUNTED = frozenset(
    {"call", "channel.open"}
)  # what a client sends more of if it floods; reports of listeners are many and cheap


class UserPace:
    """`work`: the rate of COUNTED messages. Refusals of any kind are counted too."""

    __slots__ = ("__weakref__", "_patience", "work")

    def __init__(self, limits: Limits, now: float) -> None:
        self.work = TokenBucket(limits.user_work_per_s, limits.user_work_burst, now)
        self._patience = TokenBucket(FORGIVEN_PER_S, limits.refusals, now)

    def lose_patience(self, refusals: float, now: float) -> None:
        """So many more messages were refused. Raises RemoteProtocolError once that were too many."""
        if not self._patience.take(refusals, now):
            raise RemoteProtocolError(
                CloseCode.TOO_MANY_MESSAGES, "too many messages, although earlier ones were refused"
            )

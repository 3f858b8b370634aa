"""Statistics of the live sessions; the socket itself is in `handlers.realtime`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from server.operations.operation import Access, NoParameters, Operation, ResponseModel
from server.operations.roles import allows

if TYPE_CHECKING:
    from server.gateway import Gateway
    from server.operations.operation import Caller


class SessionAnswer(ResponseModel):
    """One live session. Bytes and messages are counted from its start; `channels` are the kinds now open."""

    session_id: str
    user_id: str
    connected: bool
    opened_at: str
    channels: tuple[str, ...]
    bytes_received: int
    bytes_sent: int


class StatsAnswer(ResponseModel):
    """Counts of this gateway process: of all sessions for an admin (`scope` all), else of the caller's own."""

    scope: Literal["all", "own"]
    sockets: int
    sessions: int
    channels: dict[str, int]
    bytes_received: int
    bytes_sent: int
    messages_received: int
    messages_sent: int
    dropped: dict[str, int]
    live: list[SessionAnswer]


async def stats(gateway: Gateway, caller: Caller, _request: NoParameters) -> StatsAnswer:
    """Sockets, sessions, channels, bytes, drops."""
    everything = allows(Access.ADMIN, caller.identity.roles)
    counted = gateway.sessions.stats(None if everything else caller.identity.user_id)
    return StatsAnswer(
        scope="all" if everything else "own",
        sockets=counted.sockets,
        sessions=counted.sessions,
        channels=counted.channels,
        bytes_received=counted.bytes_received,
        bytes_sent=counted.bytes_sent,
        messages_received=counted.messages_received,
        messages_sent=counted.messages_sent,
        dropped=counted.dropped,
        live=[SessionAnswer.model_validate(session, from_attributes=True) for session in counted.live],
    )


OPERATIONS = (
    Operation(
        name="ws.stats",
        method="GET",
        path="/ws/stats",
        summary="Count live sockets, sessions and channels",
        access=Access.USER,
        response=StatsAnswer,
        run=stats,
    ),
)

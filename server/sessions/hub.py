"""What the WebSocket handler works with: the live sessions, the desk they ask, the group their tasks live in."""

from __future__ import annotations

import asyncio
from collections import Counter
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from server.gateway import LiveSession as Shown
from server.gateway import SessionStats
from server.shared.observation import ASKED
from server.shared.session_records import BEGUN_ANEW, CLAIMED, ENTERED
from streaming.jarvis.commands import rfc3339

if TYPE_CHECKING:
    from typing import Any

    from server.net.handshakes import HandshakeMeter
    from server.sessions.desk import GatewayDesk
    from server.shared.observation import ReplicaObservation
    from server.telemetry.metrics import Metrics
    from streaming.jarvis.live import LiveSession
    from streaming.jarvis.registry import Sessions

REPORT_S = 1.0


@dataclass(slots=True)
class Realtime:
    """Also `server.gateway.SessionRegistry`, for `/ws/stats` and metrics."""

    sessions: Sessions
    desk: GatewayDesk
    tasks: asyncio.TaskGroup
    handshakes: HandshakeMeter
    observation: ReplicaObservation

    def stats(self, user_id: str | None) -> SessionStats:
        """Of one user's sessions, or of all (None)."""
        found = [live for live in self.sessions if user_id is None or live.identity.user_id == user_id]
        channels: Counter[str] = Counter()
        for live in found:
            channels += live.connection.channels_by_kind()
        return SessionStats(
            sockets=sum(live.socket is not None for live in found),
            sessions=len(found),
            channels=dict(channels),
            bytes_received=sum(live.traffic.bytes_received for live in found),
            bytes_sent=sum(live.traffic.bytes_sent for live in found),
            messages_received=sum(live.traffic.texts_received + live.traffic.frames_received for live in found),
            messages_sent=sum(live.traffic.texts_sent + live.traffic.frames_sent for live in found),
            dropped={"audio_bytes": sum(live.connection.audio_bytes_dropped for live in found)},
            live=tuple(_shown(live) for live in found),
        )

    @property
    def queued_bytes(self) -> int:
        """Waiting in all send queues."""
        return sum(live.connection.queue_bytes for live in self.sessions)

    async def report(self, metrics: Metrics) -> None:
        """Hand what was counted to the metrics once a second: no look-up of labels per frame. Runs until cancelled."""
        before: dict[str, int] = {}
        while True:
            await asyncio.sleep(REPORT_S)
            now = self._counted()
            _tell(metrics, {name: count - before.get(name, 0) for name, count in now.items()})
            before = now

    def _counted(self) -> dict[str, int]:
        resumes = {f"resume {result}": count for result, count in self.sessions.resumes.items()}
        return {**asdict(self.sessions.traffic), **resumes, "audio dropped": self.sessions.audio_bytes_dropped}

    def on_news(self, kind: str, news: dict[str, Any]) -> None:
        """From any replica: a token was revoked, so its sockets close; a session is at another replica now."""
        if kind == CLAIMED:
            self.sessions.on_claimed(**news)
            self.observation.on_moved(news["session_id"])
        elif kind == ENTERED:
            self.sessions.on_entered(**news)
        elif kind == BEGUN_ANEW:
            self.sessions.on_begun_anew(**news)
        elif kind == ASKED:
            self.observation.on_asked(**news)
        elif kind == "revoked":
            self._on_revoked(news)

    def _on_revoked(self, news: dict[str, Any]) -> None:
        for live in self.sessions:
            if live.socket is not None and news["token_id"] in {live.identity.token_id, live.identity.family}:
                live.dismiss(4501, "the token was signed out")


def _tell(metrics: Metrics, fresh: dict[str, int]) -> None:
    for direction, suffix in (("in", "received"), ("out", "sent")):
        metrics.ws_messages(direction, "control", fresh[f"texts_{suffix}"])
        metrics.ws_messages(direction, "audio", fresh[f"frames_{suffix}"])
        metrics.ws_bytes(direction, fresh[f"bytes_{suffix}"])
    metrics.ws_dropped("audio", fresh["audio dropped"])
    for result in ("recovered", "elsewhere", "lost"):
        for _ in range(fresh[f"resume {result}"]):
            metrics.ws_resumed(result)


def _shown(live: LiveSession) -> Shown:
    return Shown(
        session_id=live.session_id,
        user_id=live.identity.user_id,
        connected=live.socket is not None,
        opened_at=rfc3339(live.opened_at) or "",
        channels=tuple(live.connection.channels_by_kind().elements()),
        bytes_received=live.traffic.bytes_received,
        bytes_sent=live.traffic.bytes_sent,
    )

"""Figures of the live sessions, for `/ws/stats` and for each scrape of the metrics."""

from __future__ import annotations

import asyncio
from collections import Counter
from dataclasses import asdict
from typing import TYPE_CHECKING

from server.gateway import SessionRow, SessionStats
from server.telemetry.metrics import SessionNumbers
from streaming.rfc3339 import rfc3339

if TYPE_CHECKING:
    from collections.abc import Mapping

    from server.telemetry.metrics import Metrics
    from streaming.residents import Resident, Residents

AT_ONCE = 200  # sessions, in less than a millisecond


class ResidentStats:
    """Implements `server.gateway.SessionCounts` over all residents. `resumes`: resumptions by result, counted by the dialect."""

    def __init__(self, residents: Residents, resumes: Mapping[str, int]) -> None:
        self._residents = residents
        self._resumes = resumes
        self._reporting = asyncio.Lock()
        self._told: dict[str, int] = {}  # to the metrics

    def stats(self, user_id: str | None) -> SessionStats:
        """Figures of one user's sessions, or of all (None)."""
        found = list(self._residents) if user_id is None else self._residents.of_user(user_id)
        channels: Counter[str] = Counter()
        for resident in found:
            channels += resident.channels
        traffic = [resident.traffic for resident in found]
        return SessionStats(
            sockets=sum(resident.connected for resident in found),
            sessions=len(found),
            channels=dict(channels),
            bytes_received=sum(one.bytes_received for one in traffic),
            bytes_sent=sum(one.bytes_sent for one in traffic),
            messages_received=sum(one.texts_received + one.frames_received for one in traffic),
            messages_sent=sum(one.texts_sent + one.frames_sent for one in traffic),
            dropped={"audio_bytes": sum(resident.audio_bytes_dropped for resident in found)},
            live=tuple(_row(resident) for resident in found),
        )

    def counts(self) -> tuple[int, int]:
        """Open sockets and sessions, without the rows of `stats`."""
        found = list(self._residents)
        return sum(resident.connected for resident in found), len(found)

    async def report(self, metrics: Metrics) -> None:
        """Bring the metrics up to date, for a scrape. Counts a few sessions at a time, so that nothing else has to wait long."""
        async with self._reporting:
            now, numbers = await self._counted()
            _tell(metrics, {name: count - self._told.get(name, 0) for name, count in now.items()})
            self._told = now
            metrics.session_numbers = numbers

    async def _counted(self) -> tuple[dict[str, int], SessionNumbers]:
        """What was counted since the start, and what there is now.

        Sessions may end meanwhile. What those have counted that had ended before is taken first, so none is counted twice.
        """
        total, dropped = self._residents.of_ended()
        numbers = SessionNumbers()
        found = list(self._residents)
        for start in range(0, len(found), AT_ONCE):
            for resident in found[start : start + AT_ONCE]:
                total.add(resident.traffic)
                dropped += resident.audio_bytes_dropped
                numbers.sockets += resident.connected
                numbers.queued_bytes += resident.queued_bytes
                numbers.channels.update(resident.channels)
            numbers.sessions += len(found[start : start + AT_ONCE])
            await asyncio.sleep(0)
        resumes = {f"resume {result}": count for result, count in self._resumes.items()}
        return asdict(total) | resumes | {"audio dropped": dropped}, numbers


def _tell(metrics: Metrics, fresh: dict[str, int]) -> None:
    for direction, suffix in (("in", "received"), ("out", "sent")):
        metrics.ws_messages(direction, "control", fresh[f"texts_{suffix}"])
        metrics.ws_messages(direction, "audio", fresh[f"frames_{suffix}"])
        metrics.ws_bytes(direction, fresh[f"bytes_{suffix}"])
    metrics.ws_dropped("audio", fresh["audio dropped"])
    for result in ("recovered", "elsewhere", "lost"):
        for _ in range(fresh[f"resume {result}"]):
            metrics.ws_resumed(result)


def _row(resident: Resident) -> SessionRow:
    return SessionRow(
        session_id=resident.session_id,
        user_id=resident.identity.user_id,
        connected=resident.connected,
        opened_at=rfc3339(resident.opened_at),
        channels=tuple(resident.channels.elements()),
        bytes_received=resident.traffic.bytes_received,
        bytes_sent=resident.traffic.bytes_sent,
    )

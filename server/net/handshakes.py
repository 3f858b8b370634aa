"""Limits WebSocket handshakes per address and minute. Counted in this process only."""

from __future__ import annotations

from collections import OrderedDict

from server.net.client_address import address_key

MAX_ADDRESSES = 10_000  # the least recently seen are forgotten
MINUTE_S = 60.0


class HandshakeMeter:
    """Counts handshakes by address, and by /64 network for IPv6."""

    def __init__(self, per_minute: int) -> None:
        self._per_minute = per_minute
        self._seen: OrderedDict[str, tuple[float, int]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._seen)

    def admit(self, address: str, now: float) -> bool:
        """Count one handshake; False if there were too many. `now`: monotonic seconds."""
        key = address_key(address)
        began, count = self._seen.pop(key, (now, 0))
        if now - began >= MINUTE_S:
            began, count = now, 0
        self._seen[key] = (began, count + 1)
        self._forget(now)
        return count < self._per_minute

    def _forget(self, now: float) -> None:
        """Drop addresses whose minute is over, and one if there are too many; two at most, as one comes."""
        for _ in range(2):
            began, _ = next(iter(self._seen.values()))
            if now - began < MINUTE_S and len(self._seen) <= MAX_ADDRESSES:
                return
            self._seen.popitem(last=False)

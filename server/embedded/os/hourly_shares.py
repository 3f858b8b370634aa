"""What each user may have within an hour, of names in the folder or of bytes on the disk. It grows back evenly."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

SHARE_S = 3_600
MANY_USERS = 256  # then those who may have all of their share again are forgotten


class HourlyShares:
    """All users' shares of one thing. `most`: of one user within an hour."""

    def __init__(self, most: int, now: Callable[[], float] = time.monotonic) -> None:
        self._most = most
        self._now = now
        self._full_at: dict[str, float] = {}  # when the user may have all of the share again

    def take(self, user: str, count: int) -> bool:
        """Count what the user is about to have; False if it is more than what is left."""
        now = self._now()
        if len(self._full_at) >= MANY_USERS:
            self._full_at = {other: full_at for other, full_at in self._full_at.items() if full_at > now}
        full_at = max(now, self._full_at.get(user, now)) + count * SHARE_S / self._most
        if full_at > now + SHARE_S:
            return False
        if count:
            self._full_at[user] = full_at
        return True

"""How many uploads the gateway has at once: those that arrive, that wait for their turn, and that are recognised."""

from __future__ import annotations

from collections import Counter

from server.errors import ApiError
from server.overload import RETRY_AFTER_S

MAX_UPLOADS = 256  # each takes up to 1 MiB of memory, or a file on disk, and two descriptors
MAX_OF_A_USER = 64  # as many clients of one account may send at once, and be served one after another
FOR_OTHERS = MAX_UPLOADS // 2  # of these only for users who have none: a few users must not keep all others out


class UploadRoom:
    """Counts uploads by user."""

    def __init__(self) -> None:
        self._uploads: Counter[str] = Counter()

    def enter(self, user_id: str) -> None:
        """Take one more upload, until `leave`. Raises ApiError OVERLOADED."""
        has = self._uploads[user_id]
        if has >= MAX_OF_A_USER:
            raise _full(f"you have {has} uploads here already")
        if self._uploads.total() >= (FOR_OTHERS if has else MAX_UPLOADS):
            raise _full("there are too many uploads")
        self._uploads[user_id] += 1

    def leave(self, user_id: str) -> None:
        """The upload has been answered, or its client has left."""
        self._uploads[user_id] -= 1
        if not self._uploads[user_id]:
            del self._uploads[user_id]


def _full(words: str) -> ApiError:
    return ApiError("OVERLOADED", words, headers={"Retry-After": str(RETRY_AFTER_S)})

"""How many uploads the gateway has at once: those that arrive, that wait for their turn, and that are recognised."""

from __future__ import annotations

from collections import Counter

from server.errors import ApiError
from server.overload import RETRY_AFTER_S

MAX_UPLOADS = 256  # each takes up to 1 MiB of memory, or a file on disk, and two descriptors
MAX_OF_A_USER = 64  # as many clients of one account may send at once, and be served one after another


class UserPlaces:
    """Who has how many places. Half of them are only for users who have none: a few users must not keep all others out."""

    def __init__(self, most: int, of_a_user: int) -> None:
        self._most, self._of_a_user = most, of_a_user
        self.taken: Counter[str] = Counter()  # by user

    def has_room(self, user_id: str) -> bool:
        """True if there is a place for one more of this user."""
        has = self.taken[user_id]
        return has < self._of_a_user and self.taken.total() < (self._most // 2 if has else self._most)

    def take(self, user_id: str) -> None:
        """Take a place, until it is given back."""
        self.taken[user_id] += 1

    def give_back(self, user_id: str) -> None:
        """Give a place back."""
        self.taken[user_id] -= 1
        if not self.taken[user_id]:
            del self.taken[user_id]


class UploadRoom:
    """Lets uploads in."""

    def __init__(self) -> None:
        self.places = UserPlaces(MAX_UPLOADS, MAX_OF_A_USER)

    def enter(self, user_id: str) -> None:
        """Take one more upload, until `leave`. Raises ApiError OVERLOADED."""
        if not self.places.has_room(user_id):
            has = self.places.taken[user_id]
            words = f"you have {has} uploads here already" if has >= MAX_OF_A_USER else "there are too many uploads"
            raise ApiError("OVERLOADED", words, headers={"Retry-After": str(RETRY_AFTER_S)})
        self.places.take(user_id)

    def leave(self, user_id: str) -> None:
        """The upload has been answered, or its client has left."""
        self.places.give_back(user_id)

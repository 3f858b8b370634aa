"""Names to addresses, in threads of its own: a name server that never answers delays nothing else in this process.

Nothing stops getaddrinfo once it has begun. So a look-up keeps its place until its thread ends, even if its page has long left, and
the places of a session and of a user are few. The threads are daemons, which do not delay the end of the process.
"""

from __future__ import annotations

import asyncio
from contextlib import ExitStack, suppress
from ipaddress import ip_address
from socket import SOCK_STREAM, getaddrinfo
from threading import Thread
from typing import TYPE_CHECKING
from weakref import WeakValueDictionary

if TYPE_CHECKING:
    from server.embedded.addresses import Address

MAX_OF_SESSION = 4  # at once; one name takes some milliseconds, or as long as the system waits for a name server
MAX_OF_USER = 16
TIMEOUT_S = 10.0
MAX_ADDRESSES = 16  # of a name; each is judged and may be tried


class Names:
    """The look-ups of all users."""

    def __init__(self) -> None:
        # a user's places are forgotten with the last session and look-up that holds them
        self._users: WeakValueDictionary[str, asyncio.Semaphore] = WeakValueDictionary()

    def of(self, user_id: str) -> SessionNames:
        """For a new session of the user."""
        places = self._users.get(user_id) or asyncio.Semaphore(MAX_OF_USER)
        self._users[user_id] = places
        return SessionNames(places)


class SessionNames:
    """The look-ups of one session."""

    def __init__(self, of_user: asyncio.Semaphore) -> None:
        self._places = (asyncio.Semaphore(MAX_OF_SESSION), of_user)

    async def look_up(self, host: str) -> list[Address]:
        """All addresses of a host, once there is a place. Raises OSError, ValueError (for what is no name)."""
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[list[Address]] = loop.create_future()

        def end(found: list[Address] | Exception) -> None:
            for place in self._places:
                place.release()
            if answer.done():  # nobody waits for it any more
                return
            if isinstance(found, Exception):
                answer.set_exception(found)
            else:
                answer.set_result(found)

        def run() -> None:
            found = _found(host)
            with suppress(RuntimeError):  # the loop has ended
                loop.call_soon_threadsafe(end, found)

        with ExitStack() as places:
            for place in self._places:
                await place.acquire()
                places.callback(place.release)
            Thread(target=run, name="name", daemon=True).start()
            places.pop_all()
        async with asyncio.timeout(TIMEOUT_S):
            return await answer


def _found(host: str) -> list[Address] | Exception:
    try:
        entries = getaddrinfo(host, None, type=SOCK_STREAM)
        return [ip_address(str(entry[4][0]).partition("%")[0]) for entry in entries[:MAX_ADDRESSES]]
    except (OSError, ValueError) as error:  # ValueError: a zero byte in the name, or no domain
        return error

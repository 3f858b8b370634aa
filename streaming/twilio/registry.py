"""All telephone calls of this process."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from streaming.ports import PHONE_USERS, Identity
from streaming.twilio.call import PhoneCall

if TYPE_CHECKING:
    import asyncio

    from streaming.ports import LaneServices
    from streaming.residents import Residents
    from streaming.twilio.call import PhoneSocket
    from streaming.twilio.wire import Start

ROLES = ("user",)  # no caller may use executors that need more
_LETTERS = str.maketrans("abcdefghijklmnopqrstuvwxyz", "22233344455566677778889999")  # as on a keypad
_WITHHELD = ("anonymous", "restricted", "blocked", "unknown", "unavailable", "private")
# In place of a number that is withheld, Twilio's `From` has such a word, or its digits: +266696687 is "anonymous".
# The last ones are what programs write for a value that they do not have.
WITHHELD = frozenset({"", *_WITHHELD, *(word.translate(_LETTERS) for word in _WITHHELD), "null", "undefined", "none"})
# Twilio's `From` of a phone, a SIP address or a browser: a scheme, the name, and perhaps a host or parameters.
_ADDRESS = re.compile(r"(?:[a-z]+:)?\+?([^@:;]*)")


def caller_of(start: Start) -> Identity:
    """The caller as a user: by the TwiML's `caller` parameter, such as the number.

    Without one, or with a number that is withheld, each call is a user of its own: strangers must not share a memory.
    """
    name = start.parameters.get("caller", "").strip()
    if _is_nobody(name):
        name = start.call_sid
    return Identity(PHONE_USERS + name, name, ROLES)


def _is_nobody(name: str) -> bool:
    """True for a name that many callers share: one of WITHHELD, also within an address, and `{{From}}` that nothing has filled in."""
    address = _ADDRESS.match(name.lower())
    return "{{" in name or (address is not None and address[1].strip() in WITHHELD)


class Calls:
    """The calls, kept in `residents`; their tasks run in `group`."""

    def __init__(self, provided: LaneServices, group: asyncio.TaskGroup, residents: Residents) -> None:
        self._provided = provided
        self._group = group
        self._residents = residents

    def begin(self, identity: Identity, socket: PhoneSocket, start: Start) -> PhoneCall:
        """A call begins on an open socket."""
        call = PhoneCall(identity, socket, self._provided, self._group, start)
        self._residents.make_current(call)
        return call

    def left(self, call: PhoneCall) -> None:
        """The call's socket is gone."""
        self._group.create_task(self._end(call), name="end a call")

    async def _end(self, call: PhoneCall) -> None:
        self._residents.remove(call)
        await call.close()

    async def close(self) -> None:
        """End all calls."""
        for call in [resident for resident in self._residents if isinstance(resident, PhoneCall)]:
            await self._end(call)

"""Look-ups of names, with a name server that does not answer."""

from __future__ import annotations

import asyncio
import socket
import struct
import threading
from ipaddress import ip_address
from typing import TYPE_CHECKING, Any

import pytest

from server.embedded.browser import lookups as browser_lookups
from server.embedded.browser.gate import OK, BrowserGate
from server.embedded.browser.lookups import MAX_ADDRESSES, MAX_OF_SESSION, Names

if TYPE_CHECKING:
    from collections.abc import Iterator

    from server.embedded.addresses import Address
    from server.embedded.browser.lookups import SessionNames


def look_up(names: SessionNames, host: str) -> asyncio.Task[list[Address]]:
    return asyncio.get_running_loop().create_task(names.look_up(host), name=host)


class Holes:
    """A name server that answers for no name that begins with "hole", until it is told to."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.answer = threading.Event()

    def getaddrinfo(self, host: str, _port: Any, **_: Any) -> list[Any]:
        self.asked.append(host)
        if host.startswith("hole"):
            self.answer.wait()
            raise socket.gaierror(socket.EAI_AGAIN, "no answer")
        return [(0, 0, 0, "", ("127.0.0.1", 0))]


@pytest.fixture
def holes(monkeypatch: pytest.MonkeyPatch) -> Iterator[Holes]:
    server = Holes()
    monkeypatch.setattr(browser_lookups, "getaddrinfo", server.getaddrinfo)
    yield server
    server.answer.set()


async def test_names_without_an_answer_delay_neither_other_sessions_nor_other_work(
    monkeypatch: pytest.MonkeyPatch, holes: Holes
) -> None:
    monkeypatch.setattr(browser_lookups, "MAX_OF_USER", 5)
    names = Names()
    hostile = [names.of("eve") for _ in range(3)]
    waiting = [look_up(session, f"hole{number}.example") for session in hostile for number in range(60)]
    assert await asyncio.to_thread(lambda: "done") == "done"  # how commands check their arguments
    assert await names.of("bob").look_up("a.example") == [ip_address("127.0.0.1")]
    while len(holes.asked) < 6:
        await asyncio.sleep(0.01)
    assert len([host for host in holes.asked if host.startswith("hole")]) == 5
    for one in waiting:
        one.cancel()
    await asyncio.gather(*waiting, return_exceptions=True)
    late = look_up(names.of("eve"), "b.example")
    assert await names.of("bob").look_up("c.example") == [ip_address("127.0.0.1")]
    # The threads still wait, so the places are taken
    assert (late.done(), "b.example" in holes.asked) == (
        False,
        False,
    )
    holes.answer.set()
    assert await late == [ip_address("127.0.0.1")]


async def test_one_session_leaves_threads_for_the_others_of_its_user(holes: Holes) -> None:
    names = Names()
    hostile = names.of("eve")
    waiting = [look_up(hostile, f"hole{number}.example") for number in range(60)]
    assert await names.of("eve").look_up("a.example") == [ip_address("127.0.0.1")]
    holes.answer.set()
    for found in await asyncio.gather(*waiting, return_exceptions=True):
        assert isinstance(found, socket.gaierror)


async def test_a_name_has_so_many_addresses(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each is judged on the event loop."""
    monkeypatch.setattr(browser_lookups, "getaddrinfo", lambda *_, **__: [(0, 0, 0, "", ("127.0.0.1", 0))] * 4_000)
    assert len(await Names().of("ann").look_up("many.example")) == MAX_ADDRESSES


async def test_an_address_that_is_none_costs_no_place(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(browser_lookups, "getaddrinfo", lambda *_, **__: [(0, 0, 0, "", ("nowhere", 0))])
    names = Names().of("ann")
    for _ in range(2 * MAX_OF_SESSION):
        with pytest.raises(ValueError, match="nowhere"):
            await names.look_up("odd.example")


async def test_a_look_up_ends_when_its_page_has_left(holes: Holes) -> None:
    gate = BrowserGate(Names().of("ann"), private_open=True, max_connections=1)
    port = int(gate.start().rpartition(":")[2])
    for number in range(MAX_OF_SESSION + 1):  # the last one waits for a thread
        _, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"\x05\x01\x00" + b"\x05\x01\x00\x03\x0dhole%d.example" % number + struct.pack("!H", 80))
        while len(holes.asked) < min(number + 1, MAX_OF_SESSION):
            await asyncio.sleep(0.01)
        writer.close()
    with socket.create_server(("127.0.0.1", 0)) as server:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        to = struct.pack("!H", server.getsockname()[1])
        writer.write(b"\x05\x01\x00" + b"\x05\x01\x00\x01\x7f\x00\x00\x01" + to)
        assert (await reader.readexactly(12))[3] == OK
        writer.close()
    await gate.stop()

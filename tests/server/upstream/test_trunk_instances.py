"""A service of several processes: streams are shared among all of them, whether they have a name or an address each."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack, asynccontextmanager
from typing import TYPE_CHECKING, Any

import grpc
import pytest

from server.embedded.stt.trunk import RecognizeManyCall
from server.embedded.tts.trunk import SynthesizeManyCall
from server.services import SERVICES
from server.upstream import ServiceEndpoint, Upstream
from server.upstream.endpoint import Target
from server.upstream.trunk import NEXT_INSTANCE_S
from streaming.ports import SynthesisConfig
from tests.server.upstream.observing import CALLER
from tests.server.upstream.test_stt import CONFIG, Taken
from tests.support.services import UNHURRIED_MS, FakeServices, Fault

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from server.upstream.trunk import Trunk
    from tests.support.services import Call, FakeService

CALLS = {"stt": RecognizeManyCall, "tts": SynthesizeManyCall}
METHODS = {"stt": "RecognizeMany", "tts": "SynthesizeMany"}


class OneName(ServiceEndpoint):
    """A name behind which there are several processes: gRPC, too, takes all addresses as those of one."""

    def targets(self) -> tuple[Target, ...]:
        return (Target(f"ipv4:{self.address}"),)


async def endless(requests: AsyncIterator[Any], _context: Any) -> None:
    async for _ in requests:
        pass
    await asyncio.Event().wait()


async def silent(requests: AsyncIterator[Any], _context: Any) -> AsyncIterator[Any]:
    await endless(requests, _context)
    yield


async def never_greet(_call: Call) -> None:
    await asyncio.Event().wait()


def process(kind: str, instance: str) -> FakeServices:
    """One process of the service."""
    work: Any = endless if kind == "stt" else silent

    async def carry(call: Call) -> None:
        async def requests() -> AsyncIterator[Any]:
            while (request := await call.read()) is not None:
                yield request

        await CALLS[kind](work, instance).serve(requests(), call)

    fakes = FakeServices(kind)
    fakes.services[kind].on(METHODS[kind], carry)
    return fakes


@asynccontextmanager
async def upstream_of(endpoint: ServiceEndpoint) -> AsyncIterator[Upstream]:
    others = [ServiceEndpoint(name, "127.0.0.1:1", UNHURRIED_MS) for name in SERVICES if name != endpoint.name]
    upstream = Upstream([endpoint, *others])
    await upstream.start()
    try:
        yield upstream
    finally:
        await upstream.close(0)


async def until_known(upstream: Upstream, kind: str, trunks: int) -> list[Trunk]:
    """Wait until there are so many trunks, and no more are looked for."""
    client: Any = getattr(upstream.services, kind)
    found = client._trunks
    while len(found.usable()) != trunks or found._try_at < found._clock() + NEXT_INSTANCE_S / 2:
        found._try_at = 0.0  # no pause between attempts
        await asyncio.sleep(0.005)
    usable: list[Trunk] = found.usable()
    return usable


def open_streams(upstream: Upstream, kind: str, count: int) -> list[Any]:
    if kind == "stt":
        return [upstream.services.stt.recognize(CONFIG, CALLER, Taken()) for _ in range(count)]
    return [upstream.services.tts.synthesize(SynthesisConfig(), CALLER) for _ in range(count)]


def one_name(kind: str, *addresses: str) -> ServiceEndpoint:
    return OneName(kind, ",".join(addresses), UNHURRIED_MS)


def own_addresses(kind: str, *addresses: str) -> ServiceEndpoint:
    return ServiceEndpoint(kind, ",".join(addresses), UNHURRIED_MS)


def opened(service: FakeService) -> int:
    return sum(call.method == METHODS[service.name] for call in service.calls)


@pytest.mark.parametrize("kind", CALLS)
@pytest.mark.parametrize("service", [one_name, own_addresses])
async def test_streams_are_shared_among_all_processes(kind: str, service: Callable[..., ServiceEndpoint]) -> None:
    async with process(kind, "one") as one, process(kind, "two") as two:
        addresses = (one.services[kind].address, two.services[kind].address)
        async with upstream_of(service(kind, *addresses)) as upstream:
            trunks = await until_known(upstream, kind, trunks=2)
            streams = open_streams(upstream, kind, 20)
            assert [len(trunk) for trunk in trunks] == [10, 10]
            assert sorted(trunk.greeting.instance for trunk in trunks) == ["one", "two"]
            for stream in streams:
                stream.cancel()


@pytest.mark.parametrize("service", [one_name, own_addresses])
async def test_a_process_that_comes_later_gets_the_next_streams(service: Callable[..., ServiceEndpoint]) -> None:
    """Also one that was away when its trunk was to be opened, for which there is another trunk to the one that was not."""
    async with process("stt", "one") as one, process("stt", "two") as two:
        await two.stt.stop()
        async with upstream_of(service("stt", one.stt.address, two.stt.address)) as upstream:
            await until_known(upstream, "stt", trunks=1)
            streams = open_streams(upstream, "stt", 5)
            await two.stt.start()
            trunks = await until_known(upstream, "stt", trunks=2)
            streams += open_streams(upstream, "stt", 5)
            assert [len(trunk) for trunk in trunks] == [5, 5]
            for stream in streams:
                stream.cancel()


@pytest.mark.plain_python("replaces a constant")
async def test_a_process_that_does_not_greet_hides_no_other(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("server.upstream.trunk.GREETING_S", 0.05)

    async with FakeServices("stt") as hanging, process("stt", "one") as one, process("stt", "two") as two:
        hanging.stt.on("RecognizeMany", never_greet)
        addresses = (one.stt.address, hanging.stt.address, two.stt.address)
        async with upstream_of(own_addresses("stt", *addresses)) as upstream:
            client: Any = upstream.services.stt
            while sorted(trunk.greeting.instance for trunk in client._trunks.usable()) != ["one", "two"]:
                client._trunks._try_at = 0.0  # no pause between attempts
                await asyncio.sleep(0.005)
            assert opened(hanging.stt) > 0


@pytest.mark.plain_python("replaces a constant")
async def test_a_service_that_never_greets_stays_one_that_has_not_answered(monkeypatch: pytest.MonkeyPatch) -> None:
    """A trunk that was given up is no answer, and a refusal is one."""
    monkeypatch.setattr("server.upstream.trunk.GREETING_S", 0.05)
    async with FakeServices("stt") as hanging, hanging.upstream() as upstream:
        hanging.stt.on("RecognizeMany", never_greet)
        client: Any = upstream.services.stt
        answers = set()
        while opened(hanging.stt) < 3:
            client._trunks._try_at = 0.0
            client._trunks.usable()
            answers.add(client._trunks.unanswered)
            await asyncio.sleep(0.005)
        assert answers == {True}
        hanging.stt.faults.append(Fault(grpc.StatusCode.UNIMPLEMENTED))
        while client._trunks.unanswered:
            client._trunks._try_at = 0.0
            client._trunks.usable()
            await asyncio.sleep(0.005)


@pytest.mark.plain_python("replaces a constant")
async def test_a_process_that_greets_late_gets_its_trunk(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each attempt waits longer than the one before."""
    monkeypatch.setattr("server.upstream.trunk.GREETING_S", 0.05)
    fakes = FakeServices("stt")

    async def greet_late(call: Call) -> None:
        async def requests() -> AsyncIterator[Any]:
            while (request := await call.read()) is not None:
                yield request

        await asyncio.sleep(0.3)
        await RecognizeManyCall(endless, "late").serve(requests(), call)

    fakes.stt.on("RecognizeMany", greet_late)
    async with fakes, fakes.upstream() as upstream:
        client: Any = upstream.services.stt
        while not client._trunks.usable():
            client._trunks._try_at = 0.0  # no pause between attempts
            await asyncio.sleep(0.005)
        assert opened(fakes.stt) > 1


async def test_a_process_has_a_trunk_for_each_of_its_connections() -> None:
    async with (
        process("stt", "one") as one,
        upstream_of(ServiceEndpoint("stt", one.stt.address, UNHURRIED_MS, None, 3)) as up,
    ):
        assert [trunk.greeting.instance for trunk in await until_known(up, "stt", trunks=3)] == ["one"] * 3


async def test_processes_without_a_name_have_a_trunk_for_each_connection_and_are_not_looked_for() -> None:
    async with AsyncExitStack() as stack:
        one, two = [await stack.enter_async_context(process("stt", "")) for _ in range(2)]
        upstream = await stack.enter_async_context(upstream_of(own_addresses("stt", one.stt.address, two.stt.address)))
        client: Any = upstream.services.stt
        await until_known(upstream, "stt", trunks=2)
        before = opened(one.stt), opened(two.stt)
        for _ in range(5):
            client._trunks.open()
            await asyncio.sleep(0.01)
        assert (opened(one.stt), opened(two.stt)) == before


@pytest.mark.plain_python("replaces a constant")
async def test_a_service_that_names_itself_anew_each_time_gets_no_end_of_trunks(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("server.upstream.trunk.MOST_TRUNKS", 4)
    numbers = iter(range(1_000))

    async def carry(call: Call) -> None:
        async def requests() -> AsyncIterator[Any]:
            while (request := await call.read()) is not None:
                yield request

        await RecognizeManyCall(endless, str(next(numbers))).serve(requests(), call)

    fakes = FakeServices("stt")
    fakes.stt.on("RecognizeMany", carry)
    async with fakes, fakes.upstream() as upstream:
        trunks = await until_known(upstream, "stt", trunks=4)
        client: Any = upstream.services.stt
        for _ in range(5):
            client._trunks.open()
        assert client._trunks.usable() == trunks

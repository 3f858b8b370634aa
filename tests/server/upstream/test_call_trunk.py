"""Unary calls in one gRPC call: whoever makes them cannot tell it from calls of their own."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING, Any

import grpc
import pytest

from protos import calls_pb2, intent_pb2
from server.services import SERVICES
from server.upstream import BreakerPolicy, CircuitState
from server.upstream.call_trunk import MAX_REQUEST_BYTES
from server.upstream.pool import MAX_MESSAGE_BYTES
from streaming.ports import ServiceError
from tests.server.upstream.observing import CALLER, Observed
from tests.support.services import UNHURRIED_MS
from tests.support.unary import (
    CALL_MANY,
    RECOGNIZE,
    Gate,
    UnaryService,
    ask,
    overdue,
    ready,
    refusal,
    upstream_of,
)

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    Recognize = Callable[[intent_pb2.RecognizeRequest, Any], Awaitable[intent_pb2.RecognizeResponse]]


async def test_many_calls_share_one_grpc_call() -> None:
    observed = Observed()
    async with UnaryService() as service, service.upstream(observer=observed) as upstream:
        before = len(service.methods)
        texts = [str(number) for number in range(100)]
        assert await asyncio.gather(*(ask(upstream, text) for text in texts)) == texts
        assert service.methods[before:] == []
        assert set(service.methods[:before]) == {CALL_MANY}
    assert observed.calls == [("intent", "Recognize", "OK")] * 100


@pytest.mark.plain_python("it replaces a method of a compiled class")
async def test_calls_of_one_tick_leave_in_one_message() -> None:
    async with UnaryService() as service, service.upstream() as upstream:
        (trunk,) = ready(upstream, "intent")
        messages: list[bytes] = []
        gathered = trunk._messages

        def noting() -> list[bytes]:
            found: list[bytes] = gathered()
            messages.extend(found)
            return found

        trunk._messages = noting
        await asyncio.gather(*(ask(upstream) for _ in range(20)))
        assert len(messages) == 1


async def test_a_call_carries_who_asks_and_until_when() -> None:
    told: list[tuple[dict[str, str], float]] = []

    async def look(request: intent_pb2.RecognizeRequest, context: Any) -> intent_pb2.RecognizeResponse:
        told.append((dict(context.invocation_metadata()), context.time_remaining()))
        return intent_pb2.RecognizeResponse(intent=request.text)

    async with UnaryService() as service, service.upstream(deadline_ms=40_000) as upstream:
        service.on_recognize = look
        for timeout_ms in (None, 15_000, 600_000):
            await ask(upstream, timeout_ms=timeout_ms)
        upstream.without_trunks()
        await ask(upstream)
        assert service.methods[-1] == RECOGNIZE
    *carried, own = [metadata for metadata, _ in told]
    assert own.pop("user-agent")
    assert carried == [own] * 3
    assert {"x-request-id", "traceparent", "x-user-id", "x-session-id", "x-user-roles"} <= own.keys()
    assert [left_s for _, left_s in told] == pytest.approx([40, 15, 40, 40], abs=5)


async def aborts(code: grpc.StatusCode, words: str, context: Any) -> None:
    await context.abort(code, words, (("grpc-retry-pushback-ms", "200"),))


async def sets_code(code: grpc.StatusCode, words: str, context: Any) -> None:
    context.set_code(code)
    context.set_details(words)
    context.set_trailing_metadata((("grpc-retry-pushback-ms", "200"),))


@pytest.mark.parametrize("way", [aborts, sets_code])
@pytest.mark.parametrize("code", [code for code in grpc.StatusCode if code is not grpc.StatusCode.OK])
async def test_a_refusal_is_the_same_as_that_of_a_call_of_its_own(way: Any, code: grpc.StatusCode) -> None:
    async def refuse(_request: Any, context: Any) -> intent_pb2.RecognizeResponse:
        await way(code, "wörds of the service", context)
        return intent_pb2.RecognizeResponse()

    cancelled = code is grpc.StatusCode.CANCELLED  # not by us: the service is ending
    await same_refusal(refuse, "UNAVAILABLE" if cancelled else code.name)


@pytest.mark.parametrize("raised", [ValueError("users' words"), TimeoutError("of its own"), asyncio.QueueFull()])
async def test_a_crash_is_the_same_as_that_of_a_call_of_its_own(raised: Exception) -> None:
    async def crash(_request: Any, _context: Any) -> intent_pb2.RecognizeResponse:
        raise raised

    await same_refusal(crash, "UNKNOWN")


async def test_an_answer_that_cannot_be_read_is_the_same_as_that_of_a_call_of_its_own() -> None:
    async def junk(_request: Any, _context: Any) -> Any:
        return b"\xff\xff\xff"

    await same_refusal(junk, "INTERNAL")


async def same_refusal(handler: Recognize, code: str) -> None:
    observed = Observed()
    service = UnaryService()
    service.on_recognize = handler
    async with service, service.upstream(observer=observed, policy=BreakerPolicy(min_faults=100)) as upstream:
        before = len(service.methods)
        carried = await refusal(upstream)
        assert service.methods[before:] == []
        upstream.without_trunks()
        own = await refusal(upstream)
        assert set(service.methods[before:]) == {RECOGNIZE}
    assert (carried.code, carried.message, carried.retry_after_ms) == (own.code, own.message, own.retry_after_ms)
    assert carried.code == code
    assert set(observed.statuses()) == {code}


async def test_a_method_that_the_service_lacks_is_unimplemented() -> None:
    async with UnaryService() as service, service.upstream() as upstream:
        with pytest.raises(ServiceError, match="UNIMPLEMENTED"):
            await upstream.services.memory.retrieve("key", CALLER)
        assert set(service.methods) == {CALL_MANY}


async def test_a_slow_call_holds_up_no_other() -> None:
    gate = Gate()
    async with UnaryService() as service, service.upstream() as upstream:
        service.on_recognize = gate
        async with asyncio.TaskGroup() as group:
            slow = group.create_task(ask(upstream, "slow"), name="slow")
            await gate.waiting.wait()
            assert await asyncio.gather(*(ask(upstream, "quick") for _ in range(50))) == ["quick"] * 50
            assert not slow.done()
            gate.open.set()
        assert slow.result() == "slow"


async def test_the_deadline_of_a_call_ends_it_at_the_service() -> None:
    gate = Gate()
    async with UnaryService() as service, service.upstream() as upstream:
        service.on_recognize = gate
        broken = await overdue(upstream, gate)
        assert (broken.code, broken.message) == ("DEADLINE_EXCEEDED", "intent recognition did not answer in time")
        await gate.cancelled.wait()
        assert upstream.circuits()["intent"] is CircuitState.CLOSED


@pytest.mark.plain_python("it replaces a method of a compiled class")
async def test_a_deadline_ends_a_call_at_the_service_even_if_the_caller_is_not_heard_any_more() -> None:
    gate = Gate()
    async with UnaryService() as service, service.upstream() as upstream:
        service.on_recognize = gate
        (trunk,) = ready(upstream, "intent")
        trunk.cancel = lambda _call: None
        assert (await overdue(upstream, gate)).code == "DEADLINE_EXCEEDED"
        await gate.cancelled.wait()


async def test_a_deadline_ends_a_call_that_the_service_never_hears_of() -> None:
    async with UnaryService() as service, service.upstream() as upstream:
        before = len(service.methods)
        (trunk,) = ready(upstream, "intent")
        trunk._writer.cancel()  # nothing leaves any more
        async with asyncio.timeout(UNHURRIED_MS / 2_000):  # not the service's own deadline
            assert (await refusal(upstream, timeout_ms=100)).code == "DEADLINE_EXCEEDED"
        assert service.methods[before:] == []
        assert len(trunk) == 0


async def test_who_no_longer_wants_the_answer_ends_the_call_at_the_service() -> None:
    gate, observed = Gate(), Observed()
    async with UnaryService() as service, service.upstream(observer=observed) as upstream:
        service.on_recognize = gate
        async with asyncio.TaskGroup() as group:
            slow = group.create_task(ask(upstream, "slow"), name="slow")
            await gate.waiting.wait()
            slow.cancel()
        assert slow.cancelled()
        await gate.cancelled.wait()
        assert await ask(upstream) == "hello"
        assert upstream.running_calls()["intent"] == 0
    assert observed.statuses() == ["CANCELLED", "OK"]


async def test_calls_that_run_when_the_gateway_closes_are_unavailable() -> None:
    gate = Gate()
    async with UnaryService() as service, service.upstream() as upstream:
        service.on_recognize = gate
        async with asyncio.TaskGroup() as group:
            slow = group.create_task(refusal(upstream, "slow"), name="slow")
            await gate.waiting.wait()
            await upstream.close(0)
        assert slow.result().code == "UNAVAILABLE"


async def test_a_big_request_is_a_call_of_its_own() -> None:
    async with UnaryService() as service, service.upstream() as upstream:
        before = len(service.methods)
        big = "x" * MAX_REQUEST_BYTES
        assert await ask(upstream, big) == big
        assert service.methods[before:] == [RECOGNIZE]
        assert await ask(upstream, big[:-100]) == big[:-100]
        assert service.methods[before:] == [RECOGNIZE]


async def test_a_big_answer_lets_others_pass() -> None:
    big = "y" * 8_000_000

    async def swell(request: intent_pb2.RecognizeRequest, _context: Any) -> intent_pb2.RecognizeResponse:
        return intent_pb2.RecognizeResponse(intent=big if request.text == "big" else request.text)

    async with UnaryService() as service, service.upstream() as upstream:
        service.on_recognize = swell
        before = len(service.methods)
        came: list[str] = []

        async def note(text: str) -> None:
            assert await ask(upstream, text) == (big if text == "big" else text)
            came.append(text)

        (trunk,) = ready(upstream, "intent")
        async with asyncio.TaskGroup() as group:
            group.create_task(note("big"), name="big")
            while not any(call._parts for call in trunk._streams.values()):
                await asyncio.sleep(0)
            await note("small")
        assert came == ["small", "big"]
        assert service.methods[before:] == []


async def test_an_answer_that_is_too_big_is_the_same_as_that_of_a_call_of_its_own() -> None:
    async def swell(_request: Any, _context: Any) -> intent_pb2.RecognizeResponse:
        return intent_pb2.RecognizeResponse(intent="z" * 17_000_000)

    await same_refusal(swell, "RESOURCE_EXHAUSTED")


@pytest.mark.parametrize(("beyond", "code"), [(0, "OK"), (1, "RESOURCE_EXHAUSTED")])
async def test_the_longest_answer_is_that_of_a_call_of_its_own(beyond: int, code: str) -> None:
    observed = Observed()
    longest = MAX_MESSAGE_BYTES + beyond
    answer = intent_pb2.RecognizeResponse(intent="z" * (longest - 5)).SerializeToString()
    assert len(answer) == longest

    async def swell(_request: Any, _context: Any) -> Any:
        return answer

    async with UnaryService() as service, service.upstream(observer=observed) as upstream:
        service.on_recognize = swell
        for _ in range(2):
            with suppress(ServiceError):
                await ask(upstream)
            upstream.without_trunks()
    assert observed.statuses() == [code, code]


@asynccontextmanager
async def odd_service(answers: Callable[[int], bytes]) -> AsyncIterator[str]:
    """A service that answers each carried request with what `answers` returns for its number; a call of its own has an intent."""

    async def call_many(requests: Any, _context: Any) -> AsyncIterator[Any]:
        yield calls_pb2.TrunkResponse(instance="odd").SerializeToString()
        async for request in requests:
            for item in request.items:
                yield answers(item.stream)

    async def recognize(_request: bytes, _context: Any) -> bytes:
        return intent_pb2.RecognizeResponse(intent="own").SerializeToString()

    server = grpc.aio.server()
    many: Any = grpc.stream_stream_rpc_method_handler(call_many, calls_pb2.TrunkRequest.FromString)
    own: Any = grpc.unary_unary_rpc_method_handler(recognize)
    server.add_generic_rpc_handlers(
        (
            grpc.method_handlers_generic_handler("jarvis.calls.v1.Calls", {"CallMany": many}),
            grpc.method_handlers_generic_handler(SERVICES["intent"].full_name, {"Recognize": own}),
        )
    )
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    try:
        yield f"127.0.0.1:{port}"
    finally:
        await server.stop(None)


async def test_an_end_with_the_status_of_success_is_a_failure() -> None:
    def fine(stream: int) -> bytes:
        end = calls_pb2.StreamResponse(stream=stream, end=calls_pb2.StreamEnd(code=0, message="fine"))
        return calls_pb2.TrunkResponse(items=[end]).SerializeToString()

    async with odd_service(fine) as address, upstream_of(address) as upstream:
        assert (await refusal(upstream)).code == "UNKNOWN"


async def test_a_service_whose_trunk_cannot_be_read_gets_calls_of_their_own(caplog: pytest.LogCaptureFixture) -> None:
    async with odd_service(lambda _stream: b"\xff\xff\xff") as address, upstream_of(address) as upstream:
        assert await ask(upstream) == "own"  # tried again, as recognition may be
        trunks: Any = upstream._lines["intent"].trunks
        (*_, unread) = (trunk for trunk in trunks._trunks if not trunk.retired)
        assert unread.over
        assert not unread.offered
    assert [line for line in caplog.messages if "background task failed" in line] == []

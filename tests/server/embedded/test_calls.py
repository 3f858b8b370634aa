"""CallMany of an embedded service, by its own host: interceptors, health, and its stop."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import grpc
import grpc.aio
import pytest
from opentelemetry.instrumentation.grpc import aio_server_interceptor
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from structlog.contextvars import get_contextvars

from protos import calls_pb2, intent_pb2
from protos.calls_pb2_grpc import CallsStub
from server.embedded import host as hosting
from server.embedded.calls import PART_BYTES
from server.embedded.host import EmbeddedServices
from server.embedded.intent.service import IntentService
from server.embedded.service import EmbeddedConfig, MissingPartError
from server.embedded.tracing import GeneratorsOnly

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

RECOGNIZE = "/jarvis.intent.v1.IntentRecognizer/Recognize"


class Trunk:
    """A caller of CallMany."""

    def __init__(self, call: Any) -> None:
        self.call = call
        self._items: list[calls_pb2.StreamResponse] = []

    async def ask(self, stream: int, text: str, method: str = RECOGNIZE, **metadata: str) -> None:
        message = intent_pb2.RecognizeRequest(text=text).SerializeToString()
        named = {key.replace("_", "-"): value for key, value in metadata.items()}
        request = calls_pb2.Request(method=method, message=message, timeout_ms=60_000)
        await self.write(calls_pb2.StreamRequest(stream=stream, request=request, metadata=named))

    async def write(self, *items: calls_pb2.StreamRequest) -> None:
        await self.call.write(calls_pb2.TrunkRequest(items=items))

    async def item(self) -> calls_pb2.StreamResponse:
        while not self._items:
            answer = await self.call.read()
            assert answer is not grpc.aio.EOF, "no item comes any more"
            self._items += answer.items
        return self._items.pop(0)


@asynccontextmanager
async def serving(directory: Path, *, starts: bool = True) -> AsyncIterator[tuple[EmbeddedServices, grpc.aio.Channel]]:
    host = EmbeddedServices({"intent": "127.0.0.1:0"}, EmbeddedConfig(directory))
    addresses = await host.bind()
    assert (await host.start() == {}) == starts
    options = [("grpc.max_receive_message_length", 64 * 1024 * 1024)]
    async with grpc.aio.insecure_channel(addresses["intent"], options=options) as channel:
        yield host, channel
    await host.stop()


@asynccontextmanager
async def trunk(directory: Path) -> AsyncIterator[tuple[EmbeddedServices, Trunk]]:
    async with serving(directory) as (host, channel):
        call: Any = CallsStub(channel).CallMany()
        greeting = await call.read()
        assert greeting.instance
        assert not greeting.items
        yield host, Trunk(call)
        call.cancel()


@pytest.fixture
def handled(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """What is bound to the log lines of each handler."""
    bound: list[dict[str, Any]] = []
    recognize = IntentService.Recognize

    async def noting(self: IntentService, request: Any, context: Any) -> Any:
        bound.append(dict(get_contextvars()))
        return await recognize(self, request, context)

    monkeypatch.setattr(IntentService, "Recognize", noting)
    return bound


async def test_calls_run_behind_the_interceptors_each_with_its_own_caller(
    tmp_path: Path, handled: list[dict[str, Any]]
) -> None:
    async with trunk(tmp_path) as (_, asked):
        await asked.ask(1, "what time is it", x_request_id="req-1")
        await asked.ask(2, "hello", x_request_id="req-2")
        answers = {item.stream: item.response for item in (await asked.item(), await asked.item())}
    intents = {number: intent_pb2.RecognizeResponse.FromString(answer).intent for number, answer in answers.items()}
    assert intents == {1: "get_time", 2: "greeting"}
    assert [(bound["service"], bound["request_id"]) for bound in handled] == [("intent", "req-1"), ("intent", "req-2")]


async def test_a_refusal_has_its_status_and_words(tmp_path: Path) -> None:
    async with trunk(tmp_path) as (_, asked):
        await asked.ask(1, " ")
        end = (await asked.item()).end
        assert (end.code, end.message) == (grpc.StatusCode.INVALID_ARGUMENT.value[0], "the text is empty")
        for number, method in enumerate(
            ("/jarvis.intent.v1.IntentRecognizer/Nothing", "/grpc.health.v1.Health/Check", ""), 2
        ):
            await asked.ask(number, "hello", method)
            end = (await asked.item()).end
            assert (end.code, end.message) == (grpc.StatusCode.UNIMPLEMENTED.value[0], "Method not found!")


async def test_what_comes_for_a_call_that_has_ended_is_nothing(tmp_path: Path) -> None:
    async with trunk(tmp_path) as (_, asked):
        await asked.ask(1, "hello")
        assert (await asked.item()).stream == 1
        await asked.write(
            calls_pb2.StreamRequest(stream=1, cancel=True), calls_pb2.StreamRequest(stream=7, cancel=True)
        )
        await asked.ask(2, "hello")
        assert (await asked.item()).stream == 2


async def test_a_long_answer_comes_in_parts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    answer = intent_pb2.RecognizeResponse(intent="x" * (3 * PART_BYTES + 1))

    async def swell(_self: object, _request: object, _context: object) -> intent_pb2.RecognizeResponse:
        return answer

    monkeypatch.setattr(IntentService, "Recognize", swell)
    async with trunk(tmp_path) as (_, asked):
        await asked.ask(1, "hello")
        parts = [(await asked.item()).part for _ in range(3)]
        rest = (await asked.item()).response
    assert {len(part) for part in parts} == {PART_BYTES}
    assert b"".join((*parts, rest)) == answer.SerializeToString()


async def test_a_service_that_is_down_says_why_to_those_who_want_a_trunk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def start(_self: IntentService) -> None:
        raise MissingPartError("a part is missing")

    monkeypatch.setattr(IntentService, "start", start)
    async with serving(tmp_path, starts=False) as (_, channel):
        call = CallsStub(channel).CallMany()
        assert (await call.code(), await call.details()) == (grpc.StatusCode.UNAVAILABLE, "a part is missing")


async def test_a_service_that_stops_says_so_and_answers_what_it_has(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    began, go_on = asyncio.Event(), asyncio.Event()

    async def dawdle(_self: object, request: intent_pb2.RecognizeRequest, _context: object) -> Any:
        began.set()
        await go_on.wait()
        return intent_pb2.RecognizeResponse(intent=request.text)

    monkeypatch.setattr(IntentService, "Recognize", dawdle)
    monkeypatch.setattr(hosting, "STOP_GRACE_S", 120.0)
    async with trunk(tmp_path) as (host, asked), asyncio.TaskGroup() as group:
        await asked.ask(1, "early")
        await began.wait()
        stopped = group.create_task(host.stop(), name="stop")
        first = await asked.item()
        assert (first.stream, first.draining) == (0, True)
        await asked.ask(2, "late")  # sent before the caller knew
        go_on.set()
        answers = {item.stream: item.response for item in (await asked.item(), await asked.item())}
        assert {
            number: intent_pb2.RecognizeResponse.FromString(answer).intent for number, answer in answers.items()
        } == {
            1: "early",
            2: "late",
        }
        assert not stopped.done()
        await asked.call.done_writing()
        async with asyncio.timeout(hosting.STOP_GRACE_S / 2):  # it waits no longer than it must
            assert await asked.call.code() is grpc.StatusCode.OK
            await stopped


async def test_a_span_of_a_call_belongs_to_its_callers_trace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    exporter, provider = InMemorySpanExporter(), TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    interceptors = [aio_server_interceptor(tracer_provider=provider), GeneratorsOnly()]
    monkeypatch.setattr(hosting, "tracing", lambda _name: interceptors)
    trace = "4bf92f3577b34da6a3ce929d0e0e4736"
    async with trunk(tmp_path) as (_, asked):
        await asked.ask(1, "hello", traceparent=f"00-{trace}-00f067aa0ba902b7-01")
        await asked.item()
        spans = [span for span in exporter.get_finished_spans() if span.name == RECOGNIZE]
    assert [format(span.context.trace_id, "032x") for span in spans] == [trace]

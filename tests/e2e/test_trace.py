"""A turn is one trace, through the gateway and every service, as an OTLP collector receives it."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import grpc.aio
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2, trace_service_pb2_grpc
from tornado.httpclient import AsyncHTTPClient, HTTPRequest

from streaming.protocol.messages import TurnDone, TurnParams
from tests.support.gateway import LIGHT, client, listen, running_gateway, say, speech

if TYPE_CHECKING:
    from pathlib import Path


class Collector(trace_service_pb2_grpc.TraceServiceServicer):  # type: ignore[misc] # generated without types
    """What an OpenTelemetry collector is to its clients."""

    def __init__(self) -> None:
        self.spans: list[tuple[str, Any]] = []  # service name and span

    async def Export(self, request: Any, _context: object) -> Any:  # noqa: N802 - gRPC's name
        for resource in request.resource_spans:
            names = {item.key: item.value.string_value for item in resource.resource.attributes}
            for scope in resource.scope_spans:
                self.spans += [(names["service.name"], span) for span in scope.spans]
        return trace_service_pb2.ExportTraceServiceResponse()


async def test_a_spoken_turn_is_one_trace_and_so_is_a_request(tmp_path: Path) -> None:
    collector, server = Collector(), grpc.aio.server()
    trace_service_pb2_grpc.add_TraceServiceServicer_to_server(collector, server)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    settings = {
        "OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{port}",
        "OTEL_EXPORTER_OTLP_INSECURE": "true",
        "OTEL_BSP_SCHEDULE_DELAY": "100",
        "TTS_ENGINE": LIGHT["TTS_ENGINE"],
    }
    loop = asyncio.get_running_loop()
    gateway_of = running_gateway(tmp_path, **settings)
    gateway = await loop.run_in_executor(None, gateway_of.__enter__)
    try:
        async with client(gateway) as session:
            turn_channel = session.open(TurnParams())
            say(turn_channel, speech("flite-slt-list-files"))
            turn_channel.end()
            heard = await listen(turn_channel)
        assert heard.said() == ["list files in the current directory"]
        assert [done.status for done in heard.of(TurnDone)] == ["ok"]
        request = HTTPRequest(
            f"{gateway.base}/api/v1/agent/intent",
            "POST",
            {"Authorization": f"Bearer {gateway.token}", "Content-Type": "application/json"},
            '{"text": "what time is it"}',
        )
        assert (await AsyncHTTPClient().fetch(request)).code == 200
        async with asyncio.timeout(60):
            while not {"channel", "agent.intent"} <= {span.name for _, span in collector.spans}:
                await asyncio.sleep(0.05)
    finally:
        await loop.run_in_executor(None, gateway_of.__exit__, None, None, None)
        await server.stop(0)
    turn = next(span for service, span in collector.spans if span.name == "turn")
    trace = [(service, span) for service, span in collector.spans if span.trace_id == turn.trace_id]
    names = {span.name for service, span in trace if service == "jarvis-gateway"}
    assert names >= {
        "channel",
        "turn",
        "stt.recognize",
        "intent.recognize",
        "planner.plan",
        "safety.check",
        "os.execute",
    }
    assert {service for service, _ in trace} >= {
        f"jarvis-{name}" for name in ("stt", "intent", "planner", "safety", "os", "tts")
    }
    assert [span.name for _, span in trace if not span.parent_span_id] == ["channel"]
    asked = next(span for _, span in collector.spans if span.name == "agent.intent")
    assert {(service, span.name) for service, span in collector.spans if span.trace_id == asked.trace_id} >= {
        ("jarvis-gateway", "intent.recognize"),
        ("jarvis-intent", "/jarvis.intent.v1.IntentRecognizer/Recognize"),
    }

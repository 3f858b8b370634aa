"""All nine services, opened, watched and closed together."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, TypeVar

from protos.browser_pb2_grpc import BrowserExecutorStub
from protos.intent_pb2_grpc import IntentRecognizerStub
from protos.memory_pb2_grpc import MemoryStub
from protos.os_pb2_grpc import OsExecutorStub
from protos.planner_pb2_grpc import PlannerStub
from protos.safety_pb2_grpc import SafetyStub
from protos.search_pb2_grpc import SearchExecutorStub
from protos.stt_pb2_grpc import SpeechToTextStub
from protos.tts_pb2_grpc import TextToSpeechStub
from server.services import SERVICES
from server.upstream.background import Background
from server.upstream.call import ServiceLine
from server.upstream.call_trunk import CallTrunks
from server.upstream.endpoint import EndpointError, NoObserver
from server.upstream.executors import ExecutorClient
from server.upstream.health import HealthWatch
from server.upstream.intent import IntentClient
from server.upstream.memory import MemoryClient
from server.upstream.planner import PlannerClient
from server.upstream.pool import IDEMPOTENT_OPTIONS, SPEECH_OPTIONS, ChannelPool
from server.upstream.safety import SafetyClient
from server.upstream.stt import SttClient
from server.upstream.tts import TtsClient
from streaming.ports import Services

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    import grpc.aio

    from server.upstream.breaker import BreakerPolicy, CircuitState
    from server.upstream.endpoint import CallObserver, ServiceEndpoint
    from server.upstream.health import ServiceHealth

StubT = TypeVar("StubT")

CLOSE_GRACE_S = 5.0


class Upstream:
    """The gateway's nine services. Create it anywhere; `start` and `close` it on the event loop.

    `services` are the clients; `health` and `circuits` are the services' states. Raises EndpointError for unusable addresses and
    missing services.
    """

    def __init__(
        self,
        endpoints: Iterable[ServiceEndpoint],
        observer: CallObserver | None = None,
        breaker_policy: BreakerPolicy | None = None,
    ) -> None:
        self._endpoints = {endpoint.name: endpoint for endpoint in endpoints}
        self._observer = observer or NoObserver()
        self._policy = breaker_policy
        self._lines: dict[str, ServiceLine[Any]] = {}
        self._streams = Background()
        self._watching = Background()
        self._check_names()
        self.services = self._clients()
        self.health = HealthWatch({name: _channels(line) for name, line in self._lines.items()})
        self.health.subscribe(self._health_changed)

    def _check_names(self) -> None:
        unknown = sorted(self._endpoints.keys() - SERVICES.keys())
        missing = sorted(SERVICES.keys() - self._endpoints.keys())
        if unknown or missing:
            raise EndpointError(f"services: unknown {unknown}, missing {missing}")

    def _clients(self) -> Services:
        self._stt = SttClient(self._line("stt", SpeechToTextStub, SPEECH_OPTIONS), self._streams)
        self._tts = TtsClient(self._line("tts", TextToSpeechStub, SPEECH_OPTIONS), self._streams)
        return Services(
            stt=self._stt,
            tts=self._tts,
            intent=IntentClient(self._line("intent", IntentRecognizerStub, IDEMPOTENT_OPTIONS)),
            planner=PlannerClient(self._line("planner", PlannerStub, IDEMPOTENT_OPTIONS)),
            safety=SafetyClient(self._line("safety", SafetyStub, IDEMPOTENT_OPTIONS)),
            browser=ExecutorClient(self._line("browser", BrowserExecutorStub)),
            os=ExecutorClient(self._line("os", OsExecutorStub)),
            search=ExecutorClient(self._line("search", SearchExecutorStub)),
            memory=MemoryClient(self._line("memory", MemoryStub)),
        )

    def _line(
        self,
        name: str,
        create_stub: Callable[[grpc.aio.Channel], StubT],
        options: tuple[tuple[str, Any], ...] = (),
    ) -> ServiceLine[StubT]:
        endpoint = self._endpoints[name]
        line = ServiceLine(endpoint, ChannelPool(endpoint, create_stub, options), self._observer, self._policy)
        line.trunks = CallTrunks(line, self._streams)
        self._lines[name] = line
        return line

    def _health_changed(self, health: ServiceHealth) -> None:
        if health.up:
            line = self._lines[health.name]
            line.breaker.found_up(line.now())
            if line.trunks is not None:
                line.trunks.open()
            if health.name == "stt":
                self._stt.open_trunks()
            elif health.name == "tts":
                self._tts.open_trunks()

    def without_trunks(self) -> None:
        """Give each microphone, utterance and unary call a call of its own, so that the service's spans belong to its trace."""
        self._stt.without_trunks()
        self._tts.without_trunks()
        for line in self._lines.values():
            line.trunks = None

    def circuits(self) -> dict[str, CircuitState]:
        """The state of each service's breaker."""
        return {name: line.circuit for name, line in self._lines.items()}

    def running_calls(self) -> dict[str, int]:
        """The number of calls on the wire, by service."""
        return {name: len(line.running) for name, line in self._lines.items()}

    async def start(self) -> None:
        """Start connecting and watching; does not wait for the services. Raises EndpointError for unusable TLS files."""
        try:
            for name, line in self._lines.items():
                await line.pool.open()
                self._observer.circuit(name, line.circuit.value)
        except EndpointError:
            await self.close(0)
            raise
        self.health.start(self._watching)

    async def close(self, grace_s: float = CLOSE_GRACE_S) -> None:
        """Refuse new calls, let running ones finish for `grace_s`, cancel the rest, and close the connections."""
        for line in self._lines.values():
            line.refuse_new()
        await self._watching.close()
        await asyncio.gather(*(line.close(grace_s) for line in self._lines.values()))
        await self._streams.close()


def _channels(line: ServiceLine[Any]) -> Callable[[], Iterable[grpc.aio.Channel]]:
    return lambda: line.pool.channels

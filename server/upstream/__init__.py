"""The gateway's clients of the nine services. gRPC and protobuf stay inside this package.

- `Upstream` (upstream.py): all nine, started and closed together: clients as `streaming.ports.Services`, health, circuits.
- `ServiceEndpoint`, `TlsFiles`, `CallObserver` (endpoint.py): a service's address, and who measures its calls.
- `stt tts intent planner safety executors memory`: one typed client per service, each implementing a protocol of `streaming.ports`.
- `ServiceLine` (call.py): what all calls share: deadline, metadata, breaker, retry, measurement.
- `SttStream` (stt_stream.py), `TtsStream` (tts_stream.py): one microphone's and one utterance's stream; their answers as events
  (stt_events.py, tts_events.py).
- `BidiStream` (stream.py): what the speech streams share: a writer task, a pulling reader, an `InactivityGuard` (inactivity.py).
- `Trunk` (trunk.py; trunk_method.py: which call it is): one call for many streams; each is a `TrunkStream` (trunk_stream.py), for microphones `MicrophoneStream`
  (microphone_trunk.py), for speech `SpeechStream` (speech_trunk.py). `ItemWriter` (trunk_items.py): their messages as bytes.
- `CallTrunks` (call_trunk.py): one call for many unary calls. `ServiceLine` uses it where the service offers it.
- `HangWatch` (hangs.py): notices a recogniser that hangs.
- `ChannelPool` (pool.py): shared HTTP/2 connections and their options. `HealthWatch` (health.py): grpc.health.v1, polled.
- `Breaker` (breaker.py), `RetryBudget` (retry.py): pure; time is an argument.
- `metadata`, `status`, `convert`: to and from gRPC's metadata, statuses and Struct. `Background` (background.py): tasks with an owner.
"""

from __future__ import annotations

from server.upstream.breaker import BreakerPolicy, CircuitState
from server.upstream.endpoint import (
    CallObserver,
    EndpointError,
    NoObserver,
    ServiceEndpoint,
    TlsFiles,
)
from server.upstream.health import ServiceHealth
from server.upstream.upstream import Upstream

__all__ = [
    "BreakerPolicy",
    "CallObserver",
    "CircuitState",
    "EndpointError",
    "NoObserver",
    "ServiceEndpoint",
    "ServiceHealth",
    "TlsFiles",
    "Upstream",
]

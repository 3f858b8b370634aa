"""Shared channels to one service: one HTTP/2 connection per address, or a few if one is the bottleneck.

gRPC itself balances a name with several addresses (`round_robin`). Several configured addresses are balanced here, skipping those
known to be down. Channels are created in `open`, once the event loop runs, and never before a fork.
"""

from __future__ import annotations

import asyncio
import json
from itertools import chain, repeat
from typing import TYPE_CHECKING, Any, Generic, TypeVar

import grpc
import grpc.aio

from server.upstream.endpoint import EndpointError, TlsFiles
from server.version import __version__

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from server.upstream.endpoint import ServiceEndpoint, Target

StubT = TypeVar("StubT")

# A full-page screenshot is some megabytes; the embedded services have the same limit.
MAX_MESSAGE_BYTES = 16 * 1024 * 1024
STREAM_WINDOW_BYTES = 64 * 1024  # HTTP/2's own default: a second and a half of 22 kHz speech

_SERVICE_CONFIG = json.dumps({"loadBalancingConfig": [{"round_robin": {}}]})

OPTIONS: tuple[tuple[str, Any], ...] = (
    ("grpc.service_config", _SERVICE_CONFIG),
    ("grpc.service_config_disable_resolution", 1),  # no TXT look-ups besides the address look-ups
    ("grpc.use_local_subchannel_pool", 1),  # otherwise equal channels would share one connection
    ("grpc.enable_http_proxy", 0),  # services are internal: ignore proxies in the environment
    ("grpc.max_receive_message_length", MAX_MESSAGE_BYTES),
    ("grpc.max_send_message_length", MAX_MESSAGE_BYTES),
    # Pings notice a peer that has vanished. Servers forbid frequent pings on idle connections, but reset their count whenever they
    # send data, which the health watch makes them do every two seconds.
    ("grpc.keepalive_time_ms", 30_000),
    ("grpc.keepalive_timeout_ms", 10_000),
    ("grpc.keepalive_permit_without_calls", 1),
    ("grpc.http2.max_pings_without_data", 0),
    # Reconnect to a restarted service within a second or two, instead of the default's two minutes.
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 1_500),
    ("grpc.min_reconnect_backoff_ms", 3_000),  # actually gRPC's time limit for one connection attempt
    ("grpc.primary_user_agent", f"jarvis-gateway/{__version__}"),
)

# Names are looked up again while a service cannot be reached, as it may have moved; this machine cannot.
MOVED = ("grpc.dns_min_time_between_resolutions_ms", 2_000)
STAYS = ("grpc.dns_min_time_between_resolutions_ms", 60_000)

SPEECH_OPTIONS: tuple[tuple[str, Any], ...] = (
    # A reader that stops must hold the service back, so the window must not grow with the bandwidth.
    ("grpc.http2.bdp_probe", 0),
    ("grpc.http2.lookahead_bytes", STREAM_WINDOW_BYTES),
)

IDEMPOTENT_OPTIONS: tuple[tuple[str, Any], ...] = (
    # For services whose calls may all be retried. We do that (retry.py), so gRPC need not keep each call for it.
    ("grpc.enable_retries", 0),
)


def _read(service: str, path: Path | None) -> bytes | None:
    if path is None:
        return None
    try:
        return path.read_bytes()
    except OSError as unreadable:
        raise EndpointError(f"{service}: cannot read {path}: {unreadable.strerror}") from None


def _credentials(service: str, tls: TlsFiles) -> grpc.ChannelCredentials:
    if (tls.certificate is None) != (tls.key is None):
        raise EndpointError(f"{service}: a client certificate needs its key, and the key its certificate")
    return grpc.ssl_channel_credentials(
        _read(service, tls.ca), _read(service, tls.key), _read(service, tls.certificate)
    )


class ChannelPool(Generic[StubT]):
    """The channels of one service, each with a stub. `create_stub`: class of the generated stub."""

    def __init__(
        self,
        endpoint: ServiceEndpoint,
        create_stub: Callable[[grpc.aio.Channel], StubT],
        options: Sequence[tuple[str, Any]] = (),
    ) -> None:
        self._endpoint = endpoint
        self._create_stub = create_stub
        self._options = [*OPTIONS, *options]
        self._targets = endpoint.targets()
        self._turn = self._trunk_turn = 0
        self.channels: list[grpc.aio.Channel] = []
        self._stubs: list[StubT] = []

    async def open(self) -> None:
        """Create the channels and start connecting. Raises EndpointError for unusable certificate files."""
        targets = chain.from_iterable(repeat(self._targets, max(1, self._endpoint.pool_size)))
        for target in targets:
            channel = await self._channel(target)
            channel.get_state(try_to_connect=True)
            self.channels.append(channel)
            self._stubs.append(self._create_stub(channel))

    async def _channel(self, target: Target) -> grpc.aio.Channel:
        tls = self._endpoint.tls or (TlsFiles() if target.tls else None)
        options = [*self._options, STAYS if target.name.startswith("dns:///localhost:") else MOVED]
        if tls is None:
            return grpc.aio.insecure_channel(target.name, options)
        credentials = await asyncio.to_thread(_credentials, self._endpoint.name, tls)
        name = [("grpc.ssl_target_name_override", tls.server_name)] if tls.server_name else []
        return grpc.aio.secure_channel(target.name, credentials, options + name)

    def pick(self) -> StubT:
        """The stub of the next channel in turn."""
        self._turn += 1
        return self._stubs[self._from(self._turn)]

    def pick_for_trunk(self) -> grpc.aio.Channel:
        """The next channel in turn, for a trunk. Trunks take turns of their own."""
        self._trunk_turn += 1
        return self.channels[self._from(self._trunk_turn)]

    def _from(self, turn: int) -> int:
        """Round robin over connected channels; if there are none, over those that may connect; else over all."""
        if len(self._stubs) == 1:
            return 0
        assert self._stubs, "the pool is not open"
        order = [(turn + step) % len(self.channels) for step in range(len(self.channels))]
        states = [self.channels[at].get_state(try_to_connect=True) for at in order]
        for wanted in ((grpc.ChannelConnectivity.READY,), _MAY_CONNECT):
            for at, state in zip(order, states, strict=True):
                if state in wanted:
                    return at
        return order[0]

    async def close(self) -> None:
        """Close the connections; running calls are cancelled."""
        channels, self.channels = self.channels, []
        await asyncio.gather(*(channel.close() for channel in channels))


_MAY_CONNECT = (grpc.ChannelConnectivity.IDLE, grpc.ChannelConnectivity.CONNECTING)

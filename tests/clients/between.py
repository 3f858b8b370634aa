"""Stands between a client and the gateway, and puts every event of the server's through the published models."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from websockets.asyncio.client import connect
from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed
from websockets.typing import Subprotocol

from tests.clients.published import checked

if TYPE_CHECKING:
    import ssl
    from collections.abc import AsyncIterator

    from tests.support.gateway import GatewayProcess

MAX_BYTES = 32 * 1024 * 1024
PASSED_ON = ("authorization", "openai-beta", "user-agent")


@dataclass
class Between:
    """`events` are the server's, `wrong` what the models refused of them."""

    base: str
    events: list[dict[str, Any]] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)

    def note(self, raw: str | bytes) -> None:
        try:
            self.events.append(checked(raw))
        except (AssertionError, ValueError, KeyError) as refused:
            self.wrong.append(f"{str(raw)[:200]}: {refused}")

    def of(self, kind: str) -> list[dict[str, Any]]:
        return [event for event in self.events if event["type"] == kind]


@asynccontextmanager
async def between(gateway: GatewayProcess, tls: ssl.SSLContext | None = None) -> AsyncIterator[Between]:
    """Serves `/v1/realtime` as the gateway does, on a port of its own."""
    noted = Between("")

    async def relay(client: ServerConnection) -> None:
        request = client.request
        assert request is not None
        headers = {name: value for name, value in request.headers.raw_items() if name.lower() in PASSED_ON}
        offered = [
            Subprotocol(one.strip()) for one in request.headers.get("Sec-WebSocket-Protocol", "").split(",") if one
        ]
        upstream = connect(
            f"{gateway.ws}{request.path}", additional_headers=headers, subprotocols=offered or None, max_size=MAX_BYTES
        )

        async def up(server: Any) -> None:
            try:
                async for message in client:
                    await server.send(message)
            finally:
                await server.close()

        async with upstream as server, asyncio.TaskGroup() as group:
            sending = group.create_task(up(server), name="client to server")
            try:
                async for message in server:
                    noted.note(message)
                    await client.send(message)
            except ConnectionClosed:
                pass
            finally:
                sending.cancel()

    async def serve_client(client: ServerConnection) -> None:
        try:
            await relay(client)
        except* ConnectionClosed:
            pass

    def chosen(_client: ServerConnection, offered: Any) -> Subprotocol | None:
        return Subprotocol("realtime") if "realtime" in offered else None

    async with serve(
        serve_client, "127.0.0.1", 0, ssl=tls, max_size=MAX_BYTES, select_subprotocol=chosen, compression=None
    ) as server:
        port = next(iter(server.sockets)).getsockname()[1]
        noted.base = f"{'wss' if tls else 'ws'}://{'localhost' if tls else '127.0.0.1'}:{port}/v1"
        yield noted

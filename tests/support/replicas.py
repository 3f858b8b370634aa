"""A cluster as clients see it: several gateways with one Redis and the same services, behind a load balancer."""

from __future__ import annotations

import asyncio
import contextlib
import json
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, contextmanager
from typing import TYPE_CHECKING

from tests.support.gateway import GatewayProcess, environment, free_port

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator
    from pathlib import Path

VARIABLES = {
    "stt": "VOICE_STT_GRPC_URL",
    "tts": "VOICE_TTS_GRPC_URL",
    "intent": "INTENT_GRPC_URL",
    "planner": "PLANNER_GRPC_URL",
    "safety": "SAFETY_GRPC_URL",
    "os": "OS_GRPC_URL",
    "search": "SEARCH_GRPC_URL",
    "memory": "MEMORY_GRPC_URL",
    "browser": "BROWSER_GRPC_URL",
}


def only(*services: str) -> dict[str, str]:
    """Settings with which a gateway starts these embedded services alone: nothing listens at the others' addresses."""
    return {variable: f"127.0.0.1:{free_port()}" for name, variable in VARIABLES.items() if name not in services}


def with_own(services: dict[str, str], *names: str) -> dict[str, str]:
    """The settings of `services`, but for a gateway that starts the named ones itself."""
    return {
        key: value for key, value in services.items() if key not in {"EMBEDDED", *(VARIABLES[name] for name in names)}
    }


@contextmanager
def service_process(directory: Path) -> Iterator[dict[str, str]]:
    """All nine services in one separate process; yields the settings with their addresses."""
    command = [sys.executable, "-m", "server.embedded", "--with-parent", "--directory", str(directory / "state")]
    process = subprocess.Popen(
        [*command, *(f"{name}=127.0.0.1:0" for name in VARIABLES)],
        cwd=directory,
        env=environment(directory),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    bound = json.loads(process.stdout.readline())["bound"]
    process.stdout.readline()  # ready
    try:
        yield {variable: bound[name] for name, variable in VARIABLES.items()}
    finally:
        process.terminate()
        process.wait(120)


class Replicas:
    """A list of gateways; `settings` apply to all."""

    def __init__(self, directory: Path, count: int, **settings: str) -> None:
        self._directory = directory
        self._settings = {"EMBEDDED": "false", **settings}
        with ThreadPoolExecutor(count) as threads:
            self.gateways = list(threads.map(lambda _number: self._start(), range(count)))

    def _start(self) -> GatewayProcess:
        return GatewayProcess(self._directory, **self._settings)

    @property
    def token(self) -> str:
        """A token that every gateway accepts."""
        return self.gateways[0].own_token()

    def ports(self) -> list[int]:
        """The ports of the running gateways."""
        return [gateway.port for gateway in self.gateways if gateway.process.poll() is None]

    def serving(self, port: int) -> GatewayProcess:
        """The gateway at that port."""
        return next(gateway for gateway in self.gateways if gateway.port == port)

    def kill(self, gateway: GatewayProcess) -> None:
        """Kill a gateway, as if its machine lost power."""
        self.gateways.remove(gateway)
        gateway.stop(signal.SIGKILL)

    def add(self) -> None:
        """Start another gateway."""
        self.gateways.append(self._start())

    def restart(self, gateway: GatewayProcess) -> int:
        """Restart as a rolling restart does: start a new gateway, then stop the old one with SIGTERM; returns its exit code."""
        self.add()
        self.gateways.remove(gateway)
        return gateway.stop()

    def close(self) -> None:
        """Stop all gateways."""
        for gateway in self.gateways:
            gateway.stop()


@contextmanager
def running_replicas(directory: Path, count: int, **settings: str) -> Iterator[Replicas]:
    """Start `count` gateways. `settings` name their Redis and their services."""
    replicas = Replicas(directory, count, **settings)
    try:
        yield replicas
    finally:
        replicas.close()


class Balancer:
    """Forwards TCP connections to the gateways in turn. `last_port`: the gateway of the newest connection."""

    def __init__(self, replicas: Replicas, group: asyncio.TaskGroup) -> None:
        self._replicas = replicas
        self._group = group
        self._count = 0
        self.port = 0
        self.last_port = 0
        self.connections: list[asyncio.Task[None]] = []

    @property
    def url(self) -> str:
        """The balancer's URL for clients."""
        return f"ws://127.0.0.1:{self.port}"

    def accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Accept one connection."""
        self.connections.append(self._group.create_task(self._serve(reader, writer), name="balanced connection"))

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        ports = self._replicas.ports()
        self._count += 1
        for offset in range(len(ports)):
            port = ports[(self._count + offset) % len(ports)]
            with contextlib.suppress(OSError):
                far_reader, far_writer = await asyncio.open_connection("127.0.0.1", port)
                self.last_port = port
                await asyncio.gather(_pipe(reader, far_writer), _pipe(far_reader, writer))
                return
        writer.close()


async def _pipe(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        while data := await reader.read(65_536):
            writer.write(data)
            await writer.drain()
    with contextlib.suppress(OSError):
        writer.close()


@asynccontextmanager
async def balanced(replicas: Replicas) -> AsyncIterator[Balancer]:
    """Run a balancer in front of the replicas."""
    async with asyncio.TaskGroup() as group:
        balancer = Balancer(replicas, group)
        server = await asyncio.start_server(balancer.accept, "127.0.0.1", 0)
        balancer.port = server.sockets[0].getsockname()[1]
        try:
            yield balancer
        finally:
            server.close()
            for connection in balancer.connections:
                connection.cancel()

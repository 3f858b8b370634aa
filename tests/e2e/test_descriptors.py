"""A gateway with hardly any file descriptors: it goes on with the clients it has, and takes new ones as soon as it can."""

from __future__ import annotations

import asyncio
import sys
from contextlib import suppress
from typing import TYPE_CHECKING

from tests.bench.leaks import CLOSED, SERVICES
from tests.support.gateway import GatewayProcess, environment

if TYPE_CHECKING:
    from pathlib import Path

DESCRIPTORS = 60
CLIENTS = 150
SOME = 10  # at least so many are served
ROUNDS = 100
GET = b"GET /live HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"


async def answered(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
    """Whether it was; else the connection was closed, or waits."""
    with suppress(OSError, asyncio.IncompleteReadError):
        writer.write(GET)
        return b" 200 " in await reader.readuntil(b"}")
    return False


async def test_descriptors_run_out_and_come_back(tmp_path: Path) -> None:
    closed = {f"{name}_GRPC_URL": CLOSED for name in SERVICES}
    base = environment(tmp_path, EMBEDDED="false", REDIS_URL="", LOG_FORMAT="json", **closed)
    command = ["sh", "-c", f"ulimit -n {DESCRIPTORS}; exec {sys.executable} -m server"]
    gateway = GatewayProcess(tmp_path, command, base)
    try:
        clients = [await asyncio.open_connection("127.0.0.1", gateway.port) for _ in range(CLIENTS)]
        async with asyncio.TaskGroup() as group:
            asked = [group.create_task(answered(*client), name="asked") for client in clients]
            while len(served := [task for task in asked if task.done() and task.result()]) <= SOME:
                await asyncio.sleep(0.01)
            known = clients[asked.index(served[0])]
            for _ in range(ROUNDS):  # time enough for it to serve more, if it could
                assert await answered(*known)
            assert sum(task.done() and task.result() for task in asked) < DESCRIPTORS
            for task, (_, writer) in zip(asked, clients, strict=True):
                task.cancel()
                if writer is not known[1]:
                    writer.transport.abort()
        while not await answered(*await asyncio.open_connection("127.0.0.1", gateway.port)):
            await asyncio.sleep(0.1)
        assert await answered(*known)
    finally:
        assert gateway.stop() == 0
    assert "Traceback" not in gateway.log.read_text()

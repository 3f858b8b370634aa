"""Load on one address over connections that stay open: by wrk if it is installed, else by this process."""

from __future__ import annotations

import asyncio
import re
import shutil
import subprocess
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

CONNECTIONS = 32
MS = {"us": 0.001, "ms": 1.0, "s": 1000.0}


@dataclass(frozen=True, slots=True)
class Ask:
    """A request that is sent again and again; a body makes it a POST."""

    url: str
    token: str = ""
    body: str = ""


@dataclass(frozen=True, slots=True)
class Load:
    """What came of it."""

    requests: int
    seconds: float
    p50_ms: float
    p99_ms: float


def generator() -> str:
    return "wrk, one thread" if shutil.which("wrk") else "asyncio"


def load(ask: Ask, seconds: float) -> Load:
    """Raises RuntimeError when any answer was no 200."""
    return _wrk(ask, seconds) if shutil.which("wrk") else asyncio.run(_own(ask, seconds))


def _wrk(ask: Ask, seconds: float) -> Load:
    with tempfile.TemporaryDirectory() as directory:
        script = Path(directory) / "ask.lua"
        lines = [f'wrk.headers["Authorization"]="Bearer {ask.token}"'] if ask.token else []
        if ask.body:
            lines += ['wrk.method="POST"', f"wrk.body=[[{ask.body}]]", 'wrk.headers["Content-Type"]="application/json"']
        script.write_text("\n".join(lines), encoding="utf-8")
        command = ["wrk", "-t1", f"-c{CONNECTIONS}", f"-d{seconds:.0f}s", "--latency", "-s", str(script), ask.url]
        said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    if "Non-2xx" in said or "Socket errors" in said:
        raise RuntimeError(said)
    requests, took_s = re.search(r"(\d+) requests in ([\d.]+)s", said).groups()
    shares = {share: float(value) * MS[unit] for share, value, unit in re.findall(r"(\d+)% +([\d.]+)(us|ms|s)\b", said)}
    return Load(int(requests), float(took_s), shares["50"], shares["99"])


async def _own(ask: Ask, seconds: float) -> Load:
    until, latencies_ms = time.monotonic() + seconds, []
    async with asyncio.TaskGroup() as group:
        for number in range(CONNECTIONS):
            group.create_task(_connection(ask, until, latencies_ms), name=f"connection {number}")
    latencies_ms.sort()
    at = len(latencies_ms) / 100
    return Load(len(latencies_ms), seconds, latencies_ms[int(50 * at)], latencies_ms[int(99 * at)])


async def _connection(ask: Ask, until: float, latencies_ms: list[float]) -> None:
    address = urlsplit(ask.url)
    reader, writer = await asyncio.open_connection(address.hostname, address.port)
    lines = [f"{'POST' if ask.body else 'GET'} {address.path} HTTP/1.1", f"Host: {address.netloc}"]
    lines += [f"Authorization: Bearer {ask.token}"] if ask.token else []
    if ask.body:
        lines += ["Content-Type: application/json", f"Content-Length: {len(ask.body.encode())}"]
    request = ("\r\n".join(lines) + "\r\n\r\n" + ask.body).encode()
    while (began := time.monotonic()) < until:
        writer.write(request)
        head = await reader.readuntil(b"\r\n\r\n")
        if b" 200 " not in head[:20]:
            raise RuntimeError(head.decode("latin-1"))
        await reader.readexactly(int(re.search(rb"(?i)content-length: (\d+)", head)[1]))
        latencies_ms.append((time.monotonic() - began) * 1000)
    writer.close()

"""nginx with the project's configuration in front of a gateway: data passes at once, and secrets are not logged.

The gateway here is a few lines of sockets, so that a test decides when each piece is sent: no clock is asked.
"""

from __future__ import annotations

import asyncio
import datetime
import re
import ssl
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from tests.e2e import test_behind_nginx
from tests.e2e.test_behind_nginx import nginx
from tests.support.gateway import free_port

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable
    from pathlib import Path

    Handle = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]

PIECE = 4_000  # bytes: less than any buffer of nginx, which would keep it
PASS_S = 60.0  # a piece that is held back never comes: this ends the test, it measures nothing


@asynccontextmanager
async def upstream(handle: Handle) -> AsyncIterator[int]:
    """A port where each request's head has been read already when `handle` is called."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await reader.readuntil(b"\r\n\r\n")
            await handle(reader, writer)
        finally:
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()


@pytest.mark.parametrize("path", ["/api/v1/voice/stt", "/v1/audio/transcriptions"])
async def test_an_upload_reaches_the_gateway_while_it_arrives(tmp_path: Path, path: str) -> None:
    half_is_there = asyncio.Event()

    async def take(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readexactly(PIECE)
        half_is_there.set()
        await reader.readexactly(PIECE)
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
        await writer.drain()

    async with upstream(take) as port:
        with nginx(tmp_path, [port, port]) as address:
            reader, writer = await asyncio.open_connection(*address.split(":"))
            head = f"POST {path} HTTP/1.1\r\nHost: x\r\nContent-Length: {2 * PIECE}\r\n\r\n"
            writer.write(head.encode() + bytes(PIECE))
            async with asyncio.timeout(PASS_S):
                await half_is_there.wait()  # the client has not sent the other half
                writer.write(bytes(PIECE))
                assert b" 200 " in await reader.readline()
            writer.close()


@pytest.mark.parametrize("path", ["/api/v1/voice/tts", "/ws/some-session", "/v1/audio/speech", "/v1/realtime"])
async def test_sound_leaves_as_it_is_made(tmp_path: Path, path: str) -> None:
    client_has_it = asyncio.Event()

    async def speak(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(f"HTTP/1.1 200 OK\r\nContent-Length: {2 * PIECE}\r\nConnection: close\r\n\r\n".encode())
        writer.write(b"a" * PIECE)
        await writer.drain()
        await client_has_it.wait()
        writer.write(b"b" * PIECE)
        await writer.drain()

    async with upstream(speak) as port:
        with nginx(tmp_path, [port, port]) as address:
            reader, writer = await asyncio.open_connection(*address.split(":"))
            writer.write(f"GET {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
            async with asyncio.timeout(PASS_S):
                await reader.readuntil(b"\r\n\r\n")
                assert await reader.readexactly(PIECE) == b"a" * PIECE  # the gateway waits for this
                client_has_it.set()
                assert await reader.readexactly(PIECE) == b"b" * PIECE
            writer.close()


def certificate(directory: Path) -> None:
    """`tls.crt` and `tls.key` of a name that is good for a day."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "voice.example.com")])
    now = datetime.datetime.now(datetime.UTC)
    signed = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(hours=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .sign(key, hashes.SHA256())
    )
    (directory / "tls.crt").write_bytes(signed.public_bytes(serialization.Encoding.PEM))
    pkcs8, plain = serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    (directory / "tls.key").write_bytes(key.private_bytes(serialization.Encoding.PEM, pkcs8, plain))


def tls_conf(directory: Path, port: int, gateways: list[int]) -> str:
    """The configuration with its TLS and its log; without `http2 on`, which came with nginx 1.25.1."""
    text = test_behind_nginx.CONF.read_text()
    for number, gateway in enumerate(gateways, 1):
        text = text.replace(f"gateway-{number}:8000", f"127.0.0.1:{gateway}")
    text = re.sub(r"^ *(listen \[::].*|http2 on;)\n", "", text, flags=re.MULTILINE)
    text = text.replace("listen 443 ssl;", f"listen 127.0.0.1:{port} ssl;")
    text = text.replace("/etc/nginx/tls", str(directory)).replace("/var/log/nginx", str(directory))
    kinds = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    places = "\n".join(f"{kind}_temp_path {directory}/{kind};" for kind in kinds)
    return f"pid {directory}/nginx.pid;\nworker_processes 1;\nevents {{}}\nhttp {{\naccess_log off;\n{places}\n{text}\n}}\n"


@pytest.mark.parametrize("alive", [True, False], ids=["gateway answers", "gateway is away"])
async def test_a_ticket_is_in_no_log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, alive: bool) -> None:
    certificate(tmp_path)
    monkeypatch.setattr(test_behind_nginx, "plain_conf", tls_conf)

    async def refuse(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
        await writer.drain()

    trust = ssl.create_default_context(cafile=str(tmp_path / "tls.crt"))
    trust.check_hostname = False  # the name is an example's, the address this machine's
    async with upstream(refuse) as answering:
        port = answering if alive else free_port()
        with nginx(tmp_path, [port, port]) as address:
            reader, writer = await asyncio.open_connection(*address.split(":"), ssl=trust)
            writer.write(b"GET /ws/ada?ticket=the-secret HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
            assert (b" 401 " if alive else b" 502 ") in await reader.readline()
            await reader.read()
            writer.close()
    assert "/ws/ada" in (tmp_path / "jarvis.log").read_text()
    logs = {path.name: path.read_text() for path in tmp_path.glob("*.log")}
    assert [name for name, text in logs.items() if "the-secret" in text] == []

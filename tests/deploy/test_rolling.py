"""A rolling restart behind each proxy with an example in deploy/: no client is disconnected for long, and nothing is lost."""

from __future__ import annotations

import asyncio
import datetime
import re
import shutil
import subprocess
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from server.embedded.browser.launching import find_chromium
from streaming.client.gateway import GatewayClient
from tests.chaos.topology import ServiceProcess
from tests.conftest import RedisServer
from tests.e2e.test_behind_nginx import nginx, wait_for_port
from tests.support.gateway import ROOT, free_port
from tests.support.replicas import Replicas

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager
    from pathlib import Path

    from tornado.websocket import WebSocketClientConnection


ATTEMPTS = 2  # at first, and when its gateway leaves: no handshake is refused, or a client would wait longer each time
CADDY_ATTEMPTS = (
    8  # Caddy passes refusals on until its health check has seen why, within a second; some three more are usual
)
DRAIN_S = 600  # a drain that waits in vain takes so long, and `stop` waits less
SYSTEM_PATH = "/usr/sbin:/usr/bin:/usr/local/bin"


def _program(name: str) -> str:
    return shutil.which(name, path=SYSTEM_PATH) or name


@contextmanager
def _running(command: list[str], port: int, log: Path, cwd: Path) -> Iterator[str]:
    environment = {"PATH": SYSTEM_PATH, "HOME": str(cwd), "XDG_DATA_HOME": str(cwd), "XDG_CONFIG_HOME": str(cwd)}
    with log.open("wb") as out:
        process = subprocess.Popen(command, stdout=out, stderr=out, cwd=cwd, env=environment)
        try:
            wait_for_port(port, process)
            yield f"127.0.0.1:{port}"
        finally:
            process.terminate()
            process.wait(60)


def _certificate(path: Path) -> None:
    """Key and certificate of 127.0.0.1 in one file."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "127.0.0.1")])
    now = datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now)
        .not_valid_after(now + datetime.timedelta(days=1))
        .sign(key, hashes.SHA256())
    )
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    path.write_bytes(certificate.public_bytes(serialization.Encoding.PEM) + private)


@contextmanager
def haproxy(directory: Path, gateways: list[int], *, tls: bool = False) -> Iterator[str]:
    """In front of these ports; gives its address."""
    port = free_port()
    text = (ROOT / "deploy" / "haproxy" / "haproxy.cfg").read_text()
    for number, gateway in enumerate(gateways, 1):
        text = text.replace(f"gateway-{number}:8000", f"127.0.0.1:{gateway}")
    bind = f"bind 127.0.0.1:{port}"
    if tls:
        _certificate(directory / "site.pem")
        text = text.replace("bind :443 ssl crt /etc/haproxy/tls/site.pem", f"{bind} ssl crt {directory}/site.pem")
    else:
        text = re.sub(r"bind :443 ssl .*", bind, text)
    (directory / "haproxy.cfg").write_text(text)
    command = [_program("haproxy"), "-db", "-f", str(directory / "haproxy.cfg")]
    with _running(command, port, directory / "haproxy.log", directory) as address:
        yield address


@contextmanager
def caddy(directory: Path, gateways: list[int]) -> Iterator[str]:
    """In front of these ports; gives its address."""
    port = free_port()
    text = (ROOT / "deploy" / "caddy" / "Caddyfile").read_text()
    for number, gateway in enumerate(gateways, 1):
        text = text.replace(f"gateway-{number}:8000", f"127.0.0.1:{gateway}")
    text = "{\n\tadmin off\n}\n" + text.replace("voice.example.com {", f"http://127.0.0.1:{port} {{")
    (directory / "Caddyfile").write_text(text)
    command = [_program("caddy"), "run", "--config", str(directory / "Caddyfile"), "--adapter", "caddyfile"]
    with _running(command, port, directory / "caddy.log", directory) as address:
        yield address


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """A Redis and the one service that is asked here, as settings."""
    directory = tmp_path_factory.mktemp("shared")
    redis, intent = RedisServer(directory), ServiceProcess(directory, "intent")
    redis.start()
    # a fast machine makes thousands of calls in each of three tests
    unlimited = {"RATE_LIMIT_REQUESTS": "1000000", "DRAIN_SECONDS": str(DRAIN_S)}
    yield {"REDIS_URL": redis.url, "INTENT_GRPC_URL": intent.address, "TRUSTED_PROXIES": "127.0.0.0/8"} | unlimited
    intent.stop()
    redis.stop()


@contextmanager
def _gateways(directory: Path, count: int, settings: dict[str, str]) -> Iterator[Replicas]:
    replicas = Replicas(directory, count, **settings)
    try:
        yield replicas
    finally:
        replicas.close()


class CountingClient(GatewayClient):
    """Counts how often it asks for a socket."""

    attempts = 0

    async def _connect(self) -> WebSocketClientConnection:
        self.attempts += 1
        return await super()._connect()


@pytest.mark.parametrize(
    ("proxy", "most_attempts"),
    [(nginx, ATTEMPTS), (haproxy, ATTEMPTS), (caddy, CADDY_ATTEMPTS)],
    ids=["nginx", "haproxy", "caddy"],
)
async def test_a_rolling_restart_is_short_for_everybody(
    proxy: Callable[[Path, list[int]], AbstractContextManager[str]],
    most_attempts: int,
    shared: dict[str, str],
    tmp_path: Path,
) -> None:
    with _gateways(tmp_path, 2, shared) as replicas, proxy(tmp_path, replicas.ports()) as address:
        token = replicas.gateways[0].own_token("ada")
        clients = [CountingClient(f"ws://{address}", session_id=f"rolling-{n}", token=token) for n in range(12)]
        for client in clients:
            await client.__aenter__()
        calls = [0] * len(clients)
        stopping = asyncio.Event()

        async def all_have_asked() -> None:
            before = list(calls)
            while not all(now > then for now, then in zip(calls, before, strict=True)):
                await asyncio.sleep(0.02)

        async def ask(number: int) -> None:
            """Call again and again: none is refused."""
            while not stopping.is_set():
                await clients[number].call("agent.intents")
                calls[number] += 1
                await asyncio.sleep(0.02)

        async with asyncio.TaskGroup() as group:
            for number in range(len(clients)):
                group.create_task(ask(number), name=f"client {number}")
            await all_have_asked()
            leaving = replicas.gateways.pop(0)
            code = await asyncio.to_thread(leaving.stop)
            await all_have_asked()
            stopping.set()
        for client in clients:
            await client.__aexit__(None, None, None)
    assert code == 0
    attempts = [client.attempts for client in clients]
    assert ATTEMPTS <= max(attempts) <= most_attempts, attempts


async def test_a_browser_opens_its_socket_over_http2(shared: dict[str, str], tmp_path: Path) -> None:
    from playwright.async_api import async_playwright

    with (
        _gateways(tmp_path, 1, shared | {"ALLOWED_HOSTS": "127.0.0.1"}) as replicas,
        haproxy(tmp_path, [*replicas.ports(), free_port()], tls=True) as address,
    ):
        token = replicas.gateways[0].own_token("ada")
        script = """([url, token]) => new Promise((resolve) => {
            const socket = new WebSocket(url, ['jarvis.v1', `jarvis.bearer.${token}`]);
            socket.onmessage = ({ data }) => resolve(JSON.parse(data).type);
            socket.onclose = ({ code }) => resolve(`closed ${code}`);
        })"""
        async with async_playwright() as playwright:
            browser = await playwright.chromium.launch(executable_path=find_chromium(""), chromium_sandbox=False)
            page = await browser.new_page(ignore_https_errors=True)
            await page.goto(f"https://{address}/console/", wait_until="commit")  # its policy allows sockets
            first = await page.evaluate(script, [f"wss://{address}/ws/over-h2", token])
            await browser.close()
        for _ in range(50):  # HAProxy logs a tunnel when it ends
            lines = [line for line in (tmp_path / "haproxy.log").read_text().splitlines() if "/ws/over-h2" in line]
            if lines:
                break
            await asyncio.sleep(0.1)
    assert first == "session.ready"
    assert "HTTP/2.0" in lines[0]

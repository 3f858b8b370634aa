"""The topology of deploy/compose.yaml as plain processes: nginx with the project's configuration, two gateways, one Redis."""

from __future__ import annotations

import asyncio
import json
import re
import shutil
import socket
import subprocess
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest
from tornado.httpclient import AsyncHTTPClient, HTTPRequest, HTTPResponse
from tornado.websocket import websocket_connect

from streaming.client.gateway import GatewayClient
from streaming.protocol.messages import TurnParams
from tests.conftest import RedisServer
from tests.server.embedded.speech import folded
from tests.support.gateway import AUDIO, ROOT, free_port, listen, say, speech
from tests.support.replicas import Replicas, running_replicas

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator
    from pathlib import Path


LIMIT = 40
CONF = ROOT / "deploy" / "nginx" / "jarvis.conf"


def plain_conf(directory: Path, port: int, gateways: list[int]) -> str:
    """The project's configuration, without TLS and with the addresses of this machine."""
    text = CONF.read_text()
    for number, gateway in enumerate(gateways, 1):
        text = text.replace(f"gateway-{number}:8000", f"127.0.0.1:{gateway}")
    text = re.sub(r"^ *(listen \[::].*|ssl_certificate.*|http2 on;|access_log.*)\n", "", text, flags=re.MULTILINE)
    text = text.replace("listen 443 ssl;", f"listen 127.0.0.1:{port};")
    kinds = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    places = "\n".join(f"{kind}_temp_path {directory}/{kind};" for kind in kinds)
    return (
        f"pid {directory}/nginx.pid;\nerror_log {directory}/error.log;\nworker_processes 1;\n"
        f"events {{}}\nhttp {{\naccess_log off;\n{places}\n{text}\n}}\n"
    )


@contextmanager
def nginx(directory: Path, gateways: list[int]) -> Iterator[str]:
    """In front of these ports; gives its address."""
    port = free_port()
    conf = directory / "nginx.conf"
    conf.write_text(plain_conf(directory, port, gateways))
    binary = shutil.which("nginx", path="/usr/sbin:/usr/bin:/usr/local/sbin") or "nginx"
    log = directory / "error.log"
    process = subprocess.Popen([binary, "-c", str(conf), "-e", str(log), "-g", "daemon off; user root;"])
    try:
        wait_for_port(port, process)
        yield f"127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait(60)


def wait_for_port(port: int, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        assert process.poll() is None, "nginx ended"
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.02)
    raise AssertionError("nginx does not listen")


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory, services: dict[str, str]) -> Iterator[tuple[str, Replicas]]:
    directory = tmp_path_factory.mktemp("cluster")
    redis = RedisServer(directory)
    redis.start()
    settings = {"REDIS_URL": redis.url, "TRUSTED_PROXIES": "127.0.0.0/8", "RATE_LIMIT_ROUTES": f"agent.intent={LIMIT}"}
    with (
        running_replicas(directory, 2, **(services | settings)) as replicas,
        nginx(directory, replicas.ports()) as address,
    ):
        yield address, replicas
    redis.stop()


async def ask(
    address: str, path: str, token: str = "", method: str = "GET", body: Any = None, **headers: str
) -> HTTPResponse:
    sent = {"Authorization": f"Bearer {token}", **headers} if token else headers
    if isinstance(body, dict):
        body, sent["Content-Type"] = json.dumps(body), "application/json"
    request = HTTPRequest(f"http://{address}{path}", method, sent, body, allow_nonstandard_methods=True)
    return await AsyncHTTPClient(force_instance=True, max_clients=100).fetch(request, raise_error=False)


def token(cluster: tuple[str, Replicas], user_id: str) -> str:
    return cluster[1].gateways[0].own_token(user_id, "admin")


async def counted(replicas: Replicas, metric: str, *labels: str) -> list[int]:
    """What each replica has counted."""
    counts = []
    for gateway in replicas.gateways:
        text = (await AsyncHTTPClient().fetch(f"{gateway.base}/metrics")).body.decode()
        found = [line for line in text.splitlines() if f"{metric}{{" in line]
        lines = [line for line in found if all(f'"{label}"' in line for label in labels)]
        counts.append(sum(int(float(line.rsplit(" ", 1)[1])) for line in lines))
    return counts


async def requests_of(replicas: Replicas, endpoint: str) -> list[int]:
    return await counted(replicas, "requests_total", endpoint)


async def by_redis(replicas: Replicas, ask_all: Callable[[int], Awaitable[list[HTTPResponse]]]) -> list[HTTPResponse]:
    """What is answered when Redis admits. A replica that a busy machine lets wait for Redis decides alone, and less exactly."""
    for attempt in range(10):
        before = await counted(replicas, "rate_limit_decisions_total", "allowed", "local")
        answers = await ask_all(attempt)
        if await counted(replicas, "rate_limit_decisions_total", "allowed", "local") == before:
            return answers
        await asyncio.sleep(0.5)
    raise AssertionError("at each attempt, a replica admitted requests alone")


async def test_the_limit_is_exact_over_both_and_both_answer(cluster: tuple[str, Replicas]) -> None:
    address, replicas = cluster

    async def greedily(attempt: int) -> list[HTTPResponse]:
        mine, said = token(cluster, f"greedy-{attempt}"), {"text": "what time is it"}
        return await asyncio.gather(
            *(ask(address, "/api/v1/agent/intent", mine, "POST", said) for _ in range(3 * LIMIT))
        )

    codes = [answer.code for answer in await by_redis(replicas, greedily)]
    assert (codes.count(200), codes.count(429)) == (LIMIT, 2 * LIMIT)
    assert min(await requests_of(replicas, "/api/v1/agent/intent")) > 0


async def test_the_limit_of_the_unknown_goes_by_their_own_address(cluster: tuple[str, Replicas]) -> None:
    address, replicas = cluster
    path, body = "/api/v1/auth/token", {"username": "nobody", "password": "wrong"}

    async def from_two(attempt: int) -> list[HTTPResponse]:
        one, other = f"203.0.113.{attempt}", f"198.51.100.{attempt}"
        return [
            await ask(address, path, "", "POST", body, **{"X-Forwarded-For": came_from})
            for came_from in (one, one, other)
        ]

    left = [int(answer.headers["X-RateLimit-Remaining"]) for answer in await by_redis(replicas, from_two)]
    assert left == [left[0], left[0] - 1, left[0]]


async def test_a_spoken_turn_through_nginx(cluster: tuple[str, Replicas]) -> None:
    address, _ = cluster
    async with GatewayClient(f"ws://{address}", token=token(cluster, "ada")) as client:
        turn = client.open(TurnParams())
        say(turn, speech("flite-slt-what-time-is-it"))
        turn.end()
        heard = await listen(turn)
    assert heard.said() == ["what time is it"]
    assert heard.audio


async def test_a_session_stays_at_its_gateway(cluster: tuple[str, Replicas]) -> None:
    address, replicas = cluster
    mine = token(cluster, "ada")

    async def there() -> list[int]:
        stats = {port: await ask(f"127.0.0.1:{port}", "/ws/stats", mine) for port in replicas.ports()}
        return [port for port, answer in stats.items() if b'"stays"' in answer.body]

    async with GatewayClient(f"ws://{address}", session_id="stays", token=mine) as client:
        homes = []
        for _ in range(5):
            await client.call("agent.intents")
            homes.append(await there())
            client.cut()
        await client.call("agent.intents")
    assert len(homes[0]) == 1
    assert homes == [homes[0]] * 5


async def test_an_upload_and_speech_pass(cluster: tuple[str, Replicas]) -> None:
    address, _ = cluster
    mine = token(cluster, "ada")
    head = b'--x\r\nContent-Disposition: form-data; name="audio"; filename="a.wav"\r\nContent-Type: audio/wav\r\n\r\n'
    wav = (AUDIO / "flite-slt-what-time-is-it.wav").read_bytes()
    kind = {"Content-Type": "multipart/form-data; boundary=x"}
    answer = await ask(address, "/api/v1/voice/stt", mine, "POST", head + wav + b"\r\n--x--\r\n", **kind)
    assert folded(json.loads(answer.body)["text"]) == "what time is it"
    answer = await ask(address, "/api/v1/voice/tts", mine, "POST", {"text": "One. Two. Three."})
    assert (answer.code, answer.body[:4]) == (200, b"RIFF")


async def test_a_ticket_of_one_opens_a_socket_at_the_other(cluster: tuple[str, Replicas]) -> None:
    first, second = cluster[1].gateways
    answer = await ask(f"127.0.0.1:{first.port}", "/api/v1/auth/ticket", token(cluster, "ada"), "POST", b"")
    ticket = json.loads(answer.body)["ticket"]
    for expected in ("session.ready", "error"):  # it is good once
        connection = await websocket_connect(f"{second.ws}/ws/with-a-ticket?ticket={ticket}")
        said = await connection.read_message()
        assert said is not None
        assert json.loads(said)["type"] == expected
        connection.close(1000)


async def test_an_idempotency_key_of_one_is_known_to_the_other(cluster: tuple[str, Replicas]) -> None:
    answers = [
        await ask(
            f"127.0.0.1:{gateway.port}",
            "/api/v1/executor/os/command",
            token(cluster, "ada"),
            "POST",
            {"command": "date"},
            **{"Idempotency-Key": "the-same-key-1"},
        )
        for gateway in cluster[1].gateways
    ]
    assert answers[0].body == answers[1].body
    assert answers[1].headers["Idempotency-Replayed"] == "true"


async def test_metrics_are_not_for_the_world(cluster: tuple[str, Replicas]) -> None:
    assert (await ask(cluster[0], "/metrics")).code == 403

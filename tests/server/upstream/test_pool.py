from __future__ import annotations

import datetime
import ipaddress
import os
import subprocess
import sys
from typing import TYPE_CHECKING

import grpc
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from protos import intent_pb2
from server.services import SERVICES
from server.upstream import BreakerPolicy, EndpointError, ServiceEndpoint, TlsFiles, Upstream
from streaming.ports import ServiceError
from tests.server.upstream.observing import CALLER
from tests.support.services import UNHURRIED_MS, FakeService, FakeServices

if TYPE_CHECKING:
    from pathlib import Path

NOBODY = "127.0.0.1:1"


def upstream_of(address: str, tls: TlsFiles | None = None, pool_size: int = 1) -> Upstream:
    """Intent at this address, the other eight nowhere."""
    policy = BreakerPolicy(min_faults=1000)
    others = [ServiceEndpoint(name, NOBODY, 1_000) for name in SERVICES if name != "intent"]
    return Upstream([ServiceEndpoint("intent", address, UNHURRIED_MS, tls, pool_size), *others], breaker_policy=policy)


def intent_service(answer: str) -> FakeService:
    service = FakeServices("intent").intent
    service.answer("Recognize", intent_pb2.RecognizeResponse(intent=answer))
    return service


async def ask(upstream: Upstream, times: int = 1) -> list[str]:
    return [(await upstream.services.intent.recognize("x", "", CALLER)).intent for _ in range(times)]


async def connected(upstream: Upstream) -> None:
    for channel in upstream._lines["intent"].pool.channels:
        await channel.channel_ready()


async def test_several_addresses_take_turns_and_one_that_dies_is_left_out() -> None:
    one, two = intent_service("one"), intent_service("two")
    await one.start()
    await two.start()
    upstream = upstream_of(f"{one.address}, localhost:{two.address.rpartition(':')[2]}")
    await upstream.start()
    await connected(upstream)
    assert sorted(await ask(upstream, 10)) == ["one"] * 5 + ["two"] * 5
    await one.stop()
    assert await ask(upstream, 10) == ["two"] * 10
    await one.start()
    await connected(upstream)
    assert set(await ask(upstream, 10)) == {"one", "two"}
    await two.stop()
    assert set(await ask(upstream, 10)) == {"one"}
    await upstream.close(0)
    await one.stop()


async def test_a_pool_is_so_many_connections_and_without_one_they_are_shared() -> None:
    service = intent_service("one")
    await service.start()
    for pool_size in (1, 3):
        service.calls.clear()
        upstream = upstream_of(service.address, pool_size=pool_size)
        await upstream.start()
        await connected(upstream)
        await ask(upstream, 12)
        assert len({call.peer for call in service.calls}) == pool_size
        await upstream.close(0)
    await service.stop()


async def test_a_unix_socket(tmp_path: Path) -> None:
    service = intent_service("one")
    await service.start(f"unix:{tmp_path}/intent.sock")
    upstream = upstream_of(service.address)
    await upstream.start()
    assert await ask(upstream) == ["one"]
    await upstream.close(0)
    await service.stop()


async def test_a_service_that_restarts_is_found_again() -> None:
    service = intent_service("one")
    await service.start()
    upstream = upstream_of(service.address)
    await upstream.start()
    for _ in range(3):
        assert await ask(upstream) == ["one"]
        await service.stop()
        with pytest.raises(ServiceError, match="UNAVAILABLE"):
            await ask(upstream)
        await service.start()
        await connected(upstream)
    assert await ask(upstream) == ["one"]
    await upstream.close(0)
    await service.stop()


class Authority:
    """A certificate authority in a directory."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "test authority")])
        self.ca = self._write("ca", self._sign(self._name, self._key.public_key(), [], ca=True))

    def _sign(
        self, subject: x509.Name, key: ec.EllipticCurvePublicKey, names: list[x509.GeneralName], *, ca: bool = False
    ) -> bytes:
        now = datetime.datetime.now(datetime.UTC)
        builder = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self._name)
            .public_key(key)
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - datetime.timedelta(days=1))
            .not_valid_after(now + datetime.timedelta(days=1))
            .add_extension(x509.BasicConstraints(ca=ca, path_length=None), critical=True)
        )
        if names:
            builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
        return builder.sign(self._key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)

    def _write(self, name: str, content: bytes) -> Path:
        path = self._directory / f"{name}.pem"
        path.write_bytes(content)
        return path

    def issue(self, name: str, names: list[x509.GeneralName]) -> tuple[Path, Path]:
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        pem = key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        return self._write(name, self._sign(subject, key.public_key(), names)), self._write(f"{name}-key", pem)

    def server(self, names: list[x509.GeneralName], *, mutual: bool) -> grpc.ServerCredentials:
        certificate, key = self.issue("server", names)
        pair = (key.read_bytes(), certificate.read_bytes())
        if not mutual:
            return grpc.ssl_server_credentials([pair])
        return grpc.ssl_server_credentials([pair], self.ca.read_bytes(), require_client_auth=True)


LOCAL: list[x509.GeneralName] = [x509.DNSName("localhost"), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]


async def outcome(address: str, tls: TlsFiles | None) -> str:
    upstream = upstream_of(address, tls)
    await upstream.start()
    try:
        return (await ask(upstream))[0]
    except ServiceError as broken:
        return broken.code
    finally:
        await upstream.close(0)


async def test_tls(tmp_path: Path) -> None:
    authority, service = Authority(tmp_path), intent_service("one")
    (tmp_path / "other").mkdir()
    stranger = Authority(tmp_path / "other")
    await service.start(credentials=authority.server(LOCAL, mutual=False))
    assert await outcome(service.address, TlsFiles(ca=authority.ca)) == "one"
    assert await outcome(f"grpcs://{service.address}", TlsFiles(ca=authority.ca)) == "one"
    assert await outcome(service.address, TlsFiles(ca=stranger.ca)) == "UNAVAILABLE"
    assert await outcome(f"https://{service.address}", None) == "UNAVAILABLE", "the system's roots do not know it"
    assert await outcome(service.address, None) == "UNAVAILABLE", "plain text to a TLS port"
    await service.stop()


async def test_the_name_in_the_certificate_can_be_another(tmp_path: Path) -> None:
    authority, service = Authority(tmp_path), intent_service("one")
    await service.start(credentials=authority.server([x509.DNSName("intent.internal")], mutual=False))
    assert await outcome(service.address, TlsFiles(ca=authority.ca)) == "UNAVAILABLE"
    assert await outcome(service.address, TlsFiles(ca=authority.ca, server_name="intent.internal")) == "one"
    await service.stop()


async def test_mutual_tls(tmp_path: Path) -> None:
    authority, service = Authority(tmp_path), intent_service("one")
    certificate, key = authority.issue("gateway", LOCAL)
    await service.start(credentials=authority.server(LOCAL, mutual=True))
    assert await outcome(service.address, TlsFiles(authority.ca, certificate, key)) == "one"
    assert await outcome(service.address, TlsFiles(ca=authority.ca)) == "UNAVAILABLE"
    await service.stop()


@pytest.mark.parametrize(
    ("files", "words"),
    [
        (lambda here: TlsFiles(ca=here / "no.pem"), "intent: cannot read .*no.pem: No such file"),
        (lambda here: TlsFiles(certificate=here / "x.pem"), "a client certificate needs its key"),
        (lambda here: TlsFiles(key=here / "x.pem"), "a client certificate needs its key"),
    ],
    ids=["missing file", "no key", "no certificate"],
)
async def test_files_that_cannot_be_used_stop_the_start(tmp_path: Path, files: object, words: str) -> None:
    upstream = upstream_of(NOBODY, files(tmp_path))  # type: ignore[operator] # a function of the directory
    with pytest.raises(EndpointError, match=words):
        await upstream.start()


def test_grpc_knows_what_we_switch_off() -> None:
    """A release without it would say so on standard error at every start, and is where to look again."""
    code = "import server, grpc; grpc.insecure_channel('127.0.0.1:1').close()"
    kept = {name: value for name, value in os.environ.items() if not name.startswith("GRPC_")}

    def said(**settings: str) -> str:
        command = [sys.executable, "-c", code]
        return subprocess.run(command, env={**kept, **settings}, capture_output=True, text=True, check=True).stderr

    assert "Unknown experiment" in said(GRPC_EXPERIMENTS="-no_such_experiment")
    assert said() == ""

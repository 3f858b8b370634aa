from __future__ import annotations

from dataclasses import fields

import pytest

from server.services import SERVICES
from server.upstream.endpoint import (
    EndpointError,
    ServiceEndpoint,
    Target,
    parse_address,
)
from streaming.ports import Services


@pytest.mark.parametrize(
    ("text", "name", "tls"),
    [
        ("localhost:50051", "dns:///localhost:50051", False),
        ("stt.voice.svc.cluster.local:443", "dns:///stt.voice.svc.cluster.local:443", False),
        ("[::1]:50051", "dns:///[::1]:50051", False),
        ("grpc://stt:50051", "dns:///stt:50051", False),
        ("http://stt:50051/", "dns:///stt:50051", False),
        ("grpcs://stt.example.org:443", "dns:///stt.example.org:443", True),
        ("https://stt.example.org:443", "dns:///stt.example.org:443", True),
        ("unix:/run/stt.sock", "unix:/run/stt.sock", False),
        ("unix:///run/stt.sock", "unix:///run/stt.sock", False),
        ("dns:///stt:50051", "dns:///stt:50051", False),
        ("ipv4:10.0.0.1:50051", "ipv4:10.0.0.1:50051", False),
    ],
)
def test_what_people_write_is_understood(text: str, name: str, tls: bool) -> None:
    assert parse_address(text) == Target(name, tls)


@pytest.mark.parametrize(
    "text",
    ["localhost", "localhost:", "localhost:0", "localhost:65536", ":50051", "ftp://a:1", "a b:1", "::1:50051", ""],
)
def test_what_is_no_address_is_said_so(text: str) -> None:
    with pytest.raises(EndpointError, match="is not an address"):
        parse_address(text)


def test_several_addresses_are_separated_by_commas() -> None:
    endpoint = ServiceEndpoint("stt", " a:1, b:2,unix:/x ,", 1000)
    assert [target.name for target in endpoint.targets()] == ["dns:///a:1", "dns:///b:2", "unix:/x"]


def test_no_address_at_all_names_the_service() -> None:
    with pytest.raises(EndpointError, match="stt: the address is empty"):
        ServiceEndpoint("stt", " , ", 1000).targets()


def test_every_service_has_a_name_a_title_and_a_deadline() -> None:
    assert all(service.full_name and service.title and service.deadline_ms for service in SERVICES.values())
    assert list(SERVICES) == [field.name for field in fields(Services)]
    assert len(SERVICES) == 9

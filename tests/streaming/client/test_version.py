"""Compatible versions of client and gateway."""

from __future__ import annotations

import pytest

from server.version import __version__ as server_version
from streaming.client.version import __version__, disagreement


def test_client_and_gateway_of_one_source_have_one_version() -> None:
    assert __version__ == server_version


@pytest.mark.parametrize(
    ("client", "server"), [("0.1.0", "0.1.7"), ("1.4.0", "1.0.0"), ("0.1.0", "unknown"), ("0.1", "")]
)
def test_they_go_together(client: str, server: str) -> None:
    assert disagreement(client, server) == ""


@pytest.mark.parametrize(("client", "server"), [("0.1.0", "0.2.0"), ("1.9.0", "2.0.0"), ("0.9.0", "1.0.0")])
def test_an_older_client_is_told_how_to_renew_itself(client: str, server: str) -> None:
    assert "pip install -U jarvis-client" in disagreement(client, server)


def test_a_newer_client_is_told_what_may_be_missing() -> None:
    assert "may lack" in disagreement("2.0.0", "1.0.0")

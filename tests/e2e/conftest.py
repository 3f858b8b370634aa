"""One gateway with all nine services for the tests that don't break it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.support.gateway import GatewayProcess, running_gateway

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(scope="session")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[GatewayProcess]:
    with running_gateway(tmp_path_factory.mktemp("gateway")) as running:
        yield running

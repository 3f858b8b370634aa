"""What the package offers by name."""

from __future__ import annotations

from streaming import client
from streaming.protocol.snapshot import PARAMS


def test_every_kind_of_channel_has_its_parameters() -> None:
    assert {params.__name__ for params in PARAMS.values()} <= set(client.__all__)

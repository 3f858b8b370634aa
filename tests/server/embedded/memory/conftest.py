"""Hundreds of databases with a whole reserve each would take gigabytes."""

from __future__ import annotations

import pytest


@pytest.fixture(autouse=True)
def small_reserve(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("server.embedded.memory.reserve.RESERVE_BYTES", 4_096)

"""Hundreds of databases with a whole reserve each would take gigabytes; and no test is to depend on how long the look at the pages takes."""

from __future__ import annotations

import pytest


@pytest.fixture(autouse=True)
def small_reserve(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("server.embedded.memory.reserve.RESERVE_BYTES", 4_096)


@pytest.fixture(autouse=True)
def unhurried_look(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("server.embedded.memory.database.HELD_S", 60)

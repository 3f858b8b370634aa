"""Fixtures: a clock, and one user."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from argon2 import PasswordHasher

from server.identity.users import Users
from tests.server.signing import PASSWORD, Clock

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def users(tmp_path: Path) -> Users:
    """One user, with a hash that is quick to verify: the parameters are the hash's own."""
    quick = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1).hash(PASSWORD)
    entry = {"user_id": "ada", "username": "ada", "roles": ["user", "operator"], "password_hash": quick}
    (tmp_path / "users.json").write_text(json.dumps({"users": [entry]}), encoding="utf-8")
    return Users(tmp_path / "users.json")

"""Tokens for tests, and a clock that tests set."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import jwt
import pytest

from server.config import load_settings
from server.errors import ApiError
from server.identity.auth import TokenError

if TYPE_CHECKING:
    from server.config import Settings

KEY = "0123456789abcdef0123456789abcdef"
PASSWORD = "correct horse"
START = 1_800_000_000.0


class Clock:
    def __init__(self) -> None:
        self.now = START

    def __call__(self) -> float:
        return self.now


def settings(**more: Any) -> Settings:
    return load_settings(_env_file=None, **{"jwt_secret_key": KEY, **more})


def signed(key: Any = KEY, algorithm: str = "HS256", headers: dict[str, Any] | None = None, **claims: Any) -> str:
    told = {"sub": "ada", "username": "Ada", "roles": ["user"], "iat": int(START), "exp": int(START) + 60, **claims}
    return jwt.encode({name: value for name, value in told.items() if value is not ...}, key, algorithm, headers)


async def refusal(awaitable: Any) -> ApiError:
    with pytest.raises(ApiError) as refused:
        await awaitable
    return refused.value


async def reason(awaitable: Any) -> str:
    refused = await refusal(awaitable)
    assert isinstance(refused, TokenError)
    assert refused.status == 401
    assert refused.headers["WWW-Authenticate"].startswith("Bearer ")
    return refused.reason

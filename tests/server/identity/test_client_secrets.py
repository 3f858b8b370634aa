"""What client secrets take of a Redis."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from server.errors import ApiError
from server.identity import auth as auth_module
from server.identity.auth import Authenticator
from server.shared.state import RedisState
from tests.server.redis_support import running_link
from tests.server.signing import settings, signed

if TYPE_CHECKING:
    from tests.server.signing import Clock


async def test_client_secrets_of_one_user_do_not_fill_a_redis(
    redis_url: str, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They are counted as they are stored. What is refused is not stored."""
    monkeypatch.setattr(auth_module, "MOST_SECRETS_BYTES", 100_000)
    async with running_link(redis_url) as link:
        nobody: Any = None  # signs in
        auth = Authenticator(settings(), RedisState(link), nobody, clock)
        bob, eve = await auth.verify(signed(sub="bob")), await auth.verify(signed(sub="eve"))
        faces = {"instructions": "\N{GRINNING FACE}" * 10_000}
        with pytest.raises(ApiError, match="at most 98304 bytes") as refused:
            await auth.issue_client_secret(eve, 7_200, {"instructions": "\N{GRINNING FACE}" * 25_000})
        assert refused.value.code == "VALIDATION_ERROR"
        assert await link.call("KEYS", "jarvis:secret:*") == []
        for _ in range(2):
            secret = await auth.issue_client_secret(eve, 7_200, faces)
        assert (await auth.client_secret(secret))[1] == faces
        with pytest.raises(ApiError, match="too many client secrets") as refused:
            await auth.issue_client_secret(eve, 7_200, faces)
        assert (refused.value.code, refused.value.headers) == ("RATE_LIMITED", {"Retry-After": "7200"})
        assert await auth.issue_client_secret(bob, 7_200, faces)
        sizes = [await link.call("STRLEN", key) for key in await link.call("KEYS", "jarvis:secret:*")]
        assert len(sizes) == 3
        assert max(sizes) < 41_000

"""What is derived from the settings."""

from __future__ import annotations

from typing import Any

import pytest

from server.composition import session_limits
from server.config import Settings
from streaming.jarvis import Limits
from tests.support.rest import SECRET


@pytest.mark.parametrize(
    ("settings", "burst"),
    [
        ({}, 800.0),
        ({"ws_max_sockets_per_user": 400}, 2 * Limits().open_price * 400),
        ({"rate_limit_requests": 5_000}, Limits().work_price * 5_000),
        ({"rate_limit_roles": {"admin": 6_000}}, Limits().work_price * 6_000),
        ({"rate_limit_routes": {"agent.intent": 7_000}}, Limits().work_price * 7_000),
    ],
)
def test_a_user_may_start_as_much_as_other_settings_allow(settings: dict[str, Any], burst: float) -> None:
    """Two channels on each socket, and all calls of the rate limit."""
    limits = session_limits(Settings(_env_file=None, jwt_secret_key=SECRET, **settings))
    assert (limits.user_work_burst, limits.user_work_per_s) == (burst, burst / 4)
    assert limits.user_work_burst >= limits.command_burst

"""When a client is told that its token ends soon: a minute before, and half way for a token of less than two."""

from __future__ import annotations

import time
from unittest.mock import Mock

import pytest

from streaming.expiry import TokenTimer


@pytest.mark.parametrize(("left_s", "warned_after_s"), [(3600, 3540), (120, 60), (60, 30), (10, 5), (-5, 0)])
def test_the_warning_leaves_time_to_renew(
    left_s: float, warned_after_s: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(time, "time", lambda: 1000.0)
    loop = Mock()
    warn, expire = Mock(), Mock()
    TokenTimer(loop, warn, expire).start(1000.0 + left_s)
    asked = [call.args for call in loop.call_later.call_args_list]
    assert asked == [(warned_after_s, warn), (max(0, left_s), expire)]

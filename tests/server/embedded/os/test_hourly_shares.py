"""What a user may have within an hour."""

from __future__ import annotations

from server.embedded.os.hourly_shares import MANY_USERS, SHARE_S, HourlyShares

MOST = 1_000


def test_the_share_grows_back_and_is_the_users_own() -> None:
    now = 0.0
    shares = HourlyShares(MOST, lambda: now)
    assert shares.take("one", MOST)
    assert not shares.take("one", 1)
    assert shares.take("one", 0)
    assert shares.take("other", 1)
    now = SHARE_S / 2
    assert shares.take("one", MOST // 2)
    assert not shares.take("one", 1)


def test_users_are_forgotten_when_their_share_is_whole() -> None:
    now = 0.0
    shares = HourlyShares(MOST, lambda: now)
    for number in range(10 * MANY_USERS):
        assert shares.take(str(number), MOST)
        now += SHARE_S
    assert len(shares._full_at) <= MANY_USERS

"""State and limits over Cluster and Sentinel: with one real server each."""

from __future__ import annotations

import asyncio
import subprocess
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest
import redis

from server.shared.rate_limits import RateLimiter
from server.shared.session_records import SessionRecords
from server.shared.store_epoch import StoreEpoch
from streaming.jarvis.journal import DECIDE, Change, SessionHead, Writer
from tests.conftest import redis_server_binary
from tests.server.redis_support import replica
from tests.support.gateway import free_port

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.conftest import RedisServer


def wait_until(ready: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while True:
        try:
            if ready():
                return
        except redis.RedisError:
            pass
        assert time.monotonic() < deadline
        time.sleep(0.01)


@contextmanager
def running(*arguments: str) -> Iterator[None]:
    process = subprocess.Popen([redis_server_binary(), *arguments], stdout=subprocess.DEVNULL)
    try:
        yield
    finally:
        process.kill()
        process.wait()


@pytest.fixture
def cluster_url(tmp_path: Path) -> Iterator[str]:
    port = free_port()
    arguments = (
        "--port",
        str(port),
        "--bind",
        "127.0.0.1",
        "--save",
        "",
        "--dir",
        str(tmp_path),
        "--cluster-enabled",
        "yes",
    )
    with running(*arguments), redis.Redis(port=port, decode_responses=True) as client:
        wait_until(client.ping)
        client.execute_command("CLUSTER", "ADDSLOTS", *range(16384))
        wait_until(lambda: client.execute_command("CLUSTER INFO")["cluster_state"] == "ok")
        yield f"redis+cluster://127.0.0.1:{port}"


@pytest.fixture
def sentinel_url(tmp_path: Path, own_redis: RedisServer) -> Iterator[str]:
    port = free_port()
    conf = tmp_path / "sentinel.conf"
    conf.write_text(f"port {port}\nbind 127.0.0.1\nsentinel monitor voice 127.0.0.1 {own_redis.port} 1\n")
    with running(str(conf), "--sentinel"), redis.Redis(port=port) as client:
        wait_until(client.ping)
        yield f"redis+sentinel://127.0.0.1:{port}/voice/0"


@pytest.mark.usefixtures("unhurried_redis")
@pytest.mark.parametrize("kind", ["cluster_url", "sentinel_url"])
async def test_everything_works_over(kind: str, request: pytest.FixtureRequest) -> None:
    url = request.getfixturevalue(kind)
    async with replica(url) as here, replica(url) as there:
        limiters = [RateLimiter(state._link) for state in (here, there)]
        decisions = await asyncio.gather(*(limiters[n % 2].check("u", 5, 60) for n in range(20)))
        assert sum(d.allowed for d in decisions) == 5
        assert {d.backend for d in decisions} == {"redis"}
        assert await here.put("k", "v", 60, only_new=True)
        assert not await there.put("k", "w", 60, only_new=True)
        assert await there.replace("k", "v", "w", 60)
        assert (await here.take("k"), await there.take("k")) == ("w", None)
        old, new = (SessionRecords(state._link, StoreEpoch(state._link, "r"), state, 60) for state in (here, there))
        head = SessionHead("ada", "token", 0.0, "e1")
        whole = Change({"core": "{}", "t1": "x"}, [], whole=True, version=1, builds_on=0, order=DECIDE)
        update = Change({"core": "{}"}, [], whole=False, version=2, builds_on=1, order=DECIDE)
        assert (await old.write("kitchen", Writer("a"), head, whole)).written == "kept"
        assert "t1" in await new.claim("kitchen", "b", "ada", "token", "")
        assert (await old.write("kitchen", Writer("a"), head, update)).written == "taken"
        await here.revoke("t", time.time() + 60)
        assert await there.revocation("other", "t")
        assert not await there.revocation("other")
        await there.load_revoked()
        assert there.revoked("t")
        assert await here.ping() is not None

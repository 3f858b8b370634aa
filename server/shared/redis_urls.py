"""Redis addresses: a single server, a unix socket, Sentinel or Cluster. Each gives a wire that runs batches of commands.

`redis://host:port/db` · `rediss://…` (TLS) · `unix:///path?db=0` · `redis+sentinel://host:port,host:port/service/db` ·
`redis+cluster://host:port,host:port`; user and password before the host, redis-py's options after `?`.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Protocol
from urllib.parse import parse_qsl, unquote, urlsplit, urlunsplit

from server.process.lean import without

# For metrics of redis-py's own, which are off: the SDK takes 2.4 MB. Our traces import it when they are configured.
with without("opentelemetry"):
    import hiredis
    import redis.asyncio
    from redis.asyncio.cluster import ClusterNode, RedisCluster
    from redis.asyncio.retry import Retry
    from redis.asyncio.sentinel import Sentinel
    from redis.backoff import NoBackoff
    from redis.exceptions import RedisError, ResponseError

if TYPE_CHECKING:
    from collections.abc import Sequence

RedisCommand = tuple[str | bytes | int | float, ...]

CONNECT_TIMEOUT_S = 1.0
SCHEMES = ("redis", "rediss", "unix", "redis+sentinel", "redis+cluster")
SENTINEL_PORT = 26379
DEFAULT_PORT = 6379


class RedisUrlError(ValueError):
    """The address cannot be used. The text says why, without the password."""


class Wire(Protocol):
    """A connection to Redis that runs batches."""

    client: redis.asyncio.Redis
    """For subscriptions; the wire's own commands do not use it."""

    async def run(self, commands: Sequence[RedisCommand]) -> list[Any]:
        """Send all commands and read all replies; an error reply is returned in its place. Raises RedisError, OSError on loss."""

    async def drop(self) -> None:
        """Drop the connection with everything under way; the next `run` opens another."""

    async def close(self) -> None:
        """Close for good."""


class SingleWire:
    """One connection to one server, or to the master that Sentinel names. A batch is one write, then one read per reply."""

    def __init__(self, client: redis.asyncio.Redis) -> None:
        self.client = client
        self._connection: Any = None  # a redis.asyncio.connection.Connection, parts of which have no types

    async def run(self, commands: Sequence[RedisCommand]) -> list[Any]:
        connection = self._connection
        if connection is not None and _closed_by_peer(connection):
            await self.drop()  # idle for too long, or Redis restarted; nothing was lost
            connection = None
        if connection is None:
            pool: Any = self.client.connection_pool  # Sentinel's pool makes connections that look up the master
            connection = self._connection = pool.make_connection()
            await connection.connect()
        # redis-py's own packer is pure Python
        packed = b"".join(hiredis.pack_command(command) for command in commands)  # type: ignore[arg-type]  # its stub knows one-tuples only
        await connection.send_packed_command(packed, check_health=False)
        return [await _reply(connection) for _ in commands]

    async def drop(self) -> None:
        """Disconnect. A cancelled redis-py command leaves its connection in the middle of a reply, so it is never reused."""
        connection, self._connection = self._connection, None
        if connection is not None:
            await connection.disconnect(nowait=True)

    async def close(self) -> None:
        await self.drop()
        await self.client.aclose()


def _closed_by_peer(connection: Any) -> bool:
    reader = connection._reader  # noqa: SLF001 - redis-py itself notices only after sending a command
    return reader is None or reader.at_eof()


async def _reply(connection: Any) -> Any:
    try:
        return await connection.read_response()
    except ResponseError as refused:
        return refused


_ITS_OWN = ("CLUSTER", "COMMAND", "INFO", "READ")  # commands that redis-py sends itself, to find the nodes


def _text(name: Any) -> Any:
    return name.decode("ascii") if isinstance(name, bytes) else name


class ClusterWire:
    """Redis Cluster: each command goes to the node of its key."""

    def __init__(self, cluster: RedisCluster, client: redis.asyncio.Redis) -> None:
        self.client = client
        self._cluster = cluster
        callbacks: dict[str, Any] = cluster.response_callbacks
        for name in [name for name in callbacks if not name.startswith(_ITS_OWN)]:
            del callbacks[name]  # return replies unparsed, like the other wire

    async def run(self, commands: Sequence[RedisCommand]) -> list[Any]:
        # redis-py looks up the command's name as text
        calls = (self._cluster.execute_command(_text(name), *rest) for name, *rest in commands)
        replies = await asyncio.gather(*calls, return_exceptions=True)
        torn = [reply for reply in replies if isinstance(reply, Exception) and not isinstance(reply, ResponseError)]
        if torn:
            raise torn[0]
        return list(replies)

    async def drop(self) -> None:
        """Close; the next command asks the nodes again."""
        try:
            await self._cluster.aclose()
        except (RedisError, OSError):
            return

    async def close(self) -> None:
        await self.drop()
        await self.client.aclose()


_OPTIONS: dict[str, Any] = {
    "socket_connect_timeout": CONNECT_TIMEOUT_S,
    "socket_timeout": None,  # RedisLink limits every batch; a subscription may wait for ever
    "protocol": 2,  # the same reply shapes on all servers
    "retry": Retry(NoBackoff(), 0),  # retries are left to the caller, who knows the reason
}


def check_url(url: str) -> None:
    """Raises RedisUrlError if `open_wire` cannot use the address."""
    scheme = urlsplit(url).scheme
    if scheme not in SCHEMES:
        raise RedisUrlError(f"the address has to begin with {', '.join(f'{name}://' for name in SCHEMES)}")
    try:
        open_wire(url)
    except (ValueError, TypeError, RedisError):
        raise RedisUrlError(f"this is not a {scheme}:// address") from None


async def answers(url: str, within_s: float) -> bool:
    """True if a Redis answers. Asked without a RedisLink, which would log a loss."""
    client = redis.asyncio.Redis.from_url(url, socket_connect_timeout=within_s, socket_timeout=within_s)
    try:
        return bool(await client.ping())
    except (RedisError, OSError):
        return False
    finally:
        await client.aclose()


def open_wire(url: str) -> Wire:
    """The wire of an address; it connects with its first batch. Raises ValueError."""
    scheme = urlsplit(url).scheme
    if scheme == "redis+sentinel":
        return SingleWire(_sentinel(url))
    if scheme == "redis+cluster":
        return _cluster(url)
    return SingleWire(redis.asyncio.Redis.from_url(url, **_OPTIONS))


def _hosts(netloc: str, default_port: int) -> list[tuple[str, int]]:
    """`user:password@a:1,b:2` → [(a, 1), (b, 2)]."""
    parts = [urlsplit(f"//{host}") for host in netloc.rpartition("@")[2].split(",")]
    return [(part.hostname or "localhost", part.port or default_port) for part in parts]


def _login(netloc: str) -> dict[str, str]:
    user, _, password = netloc.rpartition("@")[0].partition(":")
    named = {"username": unquote(user), "password": unquote(password)}
    return {name: value for name, value in named.items() if value}


def _sentinel(url: str) -> redis.asyncio.Redis:
    parts = urlsplit(url)
    service, _, database = parts.path.strip("/").partition("/")
    options: dict[str, Any] = _OPTIONS | _login(parts.netloc) | dict(parse_qsl(parts.query))
    hosts = _hosts(parts.netloc, SENTINEL_PORT)
    watchers = {"socket_timeout": CONNECT_TIMEOUT_S, "socket_connect_timeout": CONNECT_TIMEOUT_S}
    sentinel = Sentinel(hosts, sentinel_kwargs=watchers)  # type: ignore[no-untyped-call] # redis-py has no types here
    master: redis.asyncio.Redis = sentinel.master_for(service or "mymaster", db=int(database or 0), **options)
    return master


def _cluster(url: str) -> ClusterWire:
    parts = urlsplit(url)
    hosts = _hosts(parts.netloc, DEFAULT_PORT)
    login = _login(parts.netloc)
    # A RedisCluster cannot be dropped in the middle of a command, so commands on a cut connection need a timeout of their own.
    options: dict[str, Any] = {
        **login,
        "socket_timeout": CONNECT_TIMEOUT_S,
        "socket_connect_timeout": CONNECT_TIMEOUT_S,
    }
    nodes = [ClusterNode(host, port) for host, port in hosts]
    cluster = RedisCluster(startup_nodes=nodes, protocol=2, retry=Retry(NoBackoff(), 0), **options)
    host, port = hosts[0]
    first = urlunsplit(("redis", f"{parts.netloc.rpartition('@')[0]}@{host}:{port}".removeprefix("@"), "", "", ""))
    return ClusterWire(cluster, redis.asyncio.Redis.from_url(first, **_OPTIONS))

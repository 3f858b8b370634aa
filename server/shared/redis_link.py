"""The way to Redis: one round trip for all that is asked in one tick of the loop, bounded in time, behind a breaker.

A Redis that hangs is worse than one that is down. So nobody waits for it long: a decision fails after 50 ms, and until
replies come again decisions fail at once. What is kept for others (a session's record) waits for a second. A batch later than
that fails all its commands, and its connection is given up as a whole (a command of redis-py that is cancelled leaves its
connection in the middle of a reply). While Redis is lost every command fails at once, and one probe at a time looks whether
it answers again.
"""

from __future__ import annotations

import asyncio
import contextlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

import structlog
from redis.exceptions import (
    ClusterDownError,
    MasterDownError,
    NoPermissionError,
    ReadOnlyError,
    RedisError,
    ResponseError,
)

from server.shared.redis_urls import open_wire

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from redis.asyncio import Redis

    from server.shared.redis_urls import Command, Wire

log = structlog.get_logger(__name__)

COMMAND_TIMEOUT_S = 0.05  # a decision may not wait longer for Redis (contract, section 5)
PATIENT_TIMEOUT_S = 1.0  # plain CPU load delays replies by some hundred milliseconds: no reason to take Redis for lost
# Of these 50 ms, the last ones are for our own sake: when the loop was held up, timers fire before replies that have long
# arrived are read.
GRACE_S = 0.01
MAX_GRACES = 5
PROBE_S = (0.05, 0.1, 0.2, 0.5, 1.0)  # pauses between probes; the last one repeats
PROBE_TIMEOUT_S = 1.0  # for connecting; what is then asked has to be answered within COMMAND_TIMEOUT_S
PROBE_KEY = "jarvis:probe"

# Replies that are about the server, not about the command: it cannot be worked with just now. redis-py has classes for some;
# of the others it gives the text: too few replicas are connected, the disk is full, another client's script runs on and on.
_OF_THE_SERVER = (ReadOnlyError, MasterDownError, ClusterDownError, NoPermissionError)
_CODES_OF_THE_SERVER = ("NOREPLICAS ", "MISCONF ", "BUSY ")


class RedisDownError(Exception):
    """Redis does not answer in time, or not at all."""


class Spawner(Protocol):
    """Where background work lives: an asyncio.TaskGroup."""

    def create_task(self, coro: Coroutine[Any, Any, None], *, name: str | None = None) -> asyncio.Task[None]:
        """Run it beside."""


@dataclass(slots=True, eq=False)
class _Batch:
    """Commands that leave together, and where their replies go."""

    commands: list[Command] = field(default_factory=list)
    replies: list[asyncio.Future[Any]] = field(default_factory=list)
    hasty: list[asyncio.Future[Any]] = field(default_factory=list)  # those of `replies` that wait for 50 ms only
    over: bool = False

    def settle(self, values: list[Any]) -> None:
        self.over = True
        for reply, value in zip(self.replies, values, strict=True):
            if reply.done():
                continue
            if isinstance(value, Exception):
                _fail(reply, value)
            else:
                reply.set_result(value)

    def fail_hasty(self) -> None:
        """Whoever can't wait goes on without."""
        for reply in self.hasty:
            if not reply.done():
                _fail(reply, RedisDownError())


def _fail(reply: asyncio.Future[Any], error: Exception) -> None:
    reply.set_exception(error)
    reply.exception()  # looked at: a caller who has gone away is no news for the log


class RedisLink:
    """One process's way to Redis. `on_error` counts losses; `on_back` are called whenever Redis answers again, in time.

    Connects with its first command. `probe()` has to run in the group, `close()` ends everything.
    """

    def __init__(self, url: str, group: Spawner, on_error: Callable[[], None]) -> None:
        self._connected = True
        self._overdue = False  # is a batch later than a decision can wait?
        self.on_back: list[Callable[[], Coroutine[Any, Any, None]]] = []
        self._wire: Wire = open_wire(url)
        self._group = group
        self._on_error = on_error
        self._lost = asyncio.Event()
        self._back = asyncio.Event()
        self._back.set()
        self._next = _Batch()  # gathers what this tick asks
        self._running: _Batch | None = None
        self._closed = False

    @property
    def up(self) -> bool:
        """Does it answer in the time that a decision has?"""
        return self._connected and not self._overdue

    @property
    def client(self) -> Redis:
        """For subscriptions only: they have connections of their own."""
        return self._wire.client

    # --- asking ---

    def submit(self, *command: str | bytes | float, patient: bool = False) -> asyncio.Future[Any]:
        """Queue a command now; its reply as redis-py's parser gives it (bytes, int, list, None), RESP2 shapes.

        Everything submitted in one tick of the loop is one round trip. The future fails with RedisDownError within 50 ms
        (`patient`: a second), or with redis.ResponseError when Redis refuses the command. Raises UnicodeEncodeError for text with lone surrogates:
        in a batch it would fail everybody's commands and look like a lost connection.
        """
        command = tuple(part.encode() if isinstance(part, str) else part for part in command)
        loop = asyncio.get_running_loop()
        reply: asyncio.Future[Any] = loop.create_future()
        if not (self._connected if patient else self.up):
            _fail(reply, RedisDownError())
            return reply
        batch = self._next
        if not batch.commands:
            wait_s = COMMAND_TIMEOUT_S - GRACE_S
            loop.call_later(wait_s, self._late, batch, loop.time() + wait_s)
            loop.call_soon(self._send)
        if not patient:
            batch.hasty.append(reply)
        batch.commands.append(command)
        batch.replies.append(reply)
        return reply

    async def call(self, *command: str | bytes | float, patient: bool = False) -> Any:
        """Submit, and wait. Raises RedisDownError, redis.ResponseError."""
        return await self.submit(*command, patient=patient)

    async def patiently(self, ask: Callable[[], Coroutine[Any, Any, Any]], within_s: float) -> Any:
        """`ask` again when Redis is back, for what only Redis knows. Raises RedisDownError when it is not back in time."""
        try:
            async with asyncio.timeout(within_s):
                while True:
                    with contextlib.suppress(RedisDownError):
                        return await ask()
                    await self._back.wait()
        except TimeoutError:
            raise RedisDownError from None

    def _send(self) -> None:
        """The tick is over: its batch leaves, or waits for the one that is under way and grows meanwhile."""
        if self._running is None and self._next.commands and not self._next.over:
            self._running, self._next = self._next, _Batch()
            self._spawn(self._run(self._running), "redis batch")

    def _spawn(self, work: Coroutine[Any, Any, None], name: str) -> None:
        """In the group; when that has ended the process is going, and nobody needs Redis any more."""
        try:
            self._group.create_task(work, name=name)
        except RuntimeError:
            work.close()
            self._closed, self._connected = True, False
            self._fail_waiting()

    def _given_up(self, batch: _Batch) -> bool:
        """Its commands have failed meanwhile: closed, or too late."""
        return self._running is not batch

    async def _run(self, batch: _Batch) -> None:
        if self._given_up(batch):
            return
        try:
            replies = await self._wire.run(batch.commands)
        except Exception as error:  # noqa: BLE001 - whatever a torn connection raises means one thing: Redis is lost
            if not self._given_up(batch):
                self._lose(type(error).__name__)
            return
        if self._given_up(batch):
            return
        unfit = next((reply for reply in replies if _of_the_server(reply)), None)
        batch.settle([RedisDownError() if _of_the_server(reply) else reply for reply in replies])
        self._running = None
        if self._overdue:
            self._overdue = False
            self._spawn(self._tell_back(), "redis answers again")
        if unfit is not None:
            self._lose(str(unfit))
        self._send()

    # --- losing it ---

    def _late(self, batch: _Batch, due: float, graces: int = 0) -> None:
        """It is time. What our own loop was late by is no fault of Redis: that much longer it may take."""
        if batch.over:
            return
        loop = asyncio.get_running_loop()
        lag_s = loop.time() - due
        if graces == 0 or (lag_s > GRACE_S and graces < MAX_GRACES):
            wait_s = max(GRACE_S, min(lag_s, COMMAND_TIMEOUT_S))
            loop.call_later(wait_s, self._late, batch, loop.time() + wait_s, graces + 1)
        else:
            self._overdue = True
            self._on_error()
            batch.fail_hasty()
            wait_s = PATIENT_TIMEOUT_S - COMMAND_TIMEOUT_S
            loop.call_later(wait_s, self._too_late, batch, loop.time() + wait_s)

    def _too_late(self, batch: _Batch, due: float, graces: int = 0) -> None:
        """The same for those who are patient: then it is lost."""
        if batch.over:
            return
        loop = asyncio.get_running_loop()
        lag_s = loop.time() - due
        if lag_s > GRACE_S and graces < MAX_GRACES:
            loop.call_later(lag_s, self._too_late, batch, loop.time() + lag_s, graces + 1)
        else:
            self._lose("timeout")

    def _lose(self, reason: str) -> None:
        """Whoever waits goes on without Redis; the connection is given up."""
        self._on_error()
        self._overdue = False
        if self._connected:
            self._connected = False
            self._lost.set()
            self._back.clear()
            log.warning("redis is lost: this process decides alone", reason=reason)
        self._fail_waiting()
        self._spawn(self._drop(), "redis connection given up")

    def _fail_waiting(self) -> None:
        waiting = [self._running, self._next]
        self._running, self._next = None, _Batch()
        for batch in waiting:
            if batch is not None:
                batch.settle([RedisDownError() for _ in batch.replies])

    async def _drop(self) -> None:
        with contextlib.suppress(RedisError, OSError):
            await self._wire.drop()

    # --- finding it again ---

    async def probe(self) -> None:
        """Looks, while Redis is lost, whether it is back; runs until cancelled or closed."""
        while not self._closed:
            await self._lost.wait()
            failures = 0
            while not self._connected and not self._closed:
                await asyncio.sleep(PROBE_S[min(failures, len(PROBE_S) - 1)])
                failures += 1
                if await self._answers():
                    await self._found()

    async def _found(self) -> None:
        self._lost.clear()
        self._back.set()
        self._connected = True
        log.info("redis is back")
        await self._tell_back()

    async def _tell_back(self) -> None:
        for call in self.on_back:
            await call()

    async def _answers(self) -> bool:
        """Connect, then write something in the time that every command has: a replica that became read-only is not back."""
        try:
            await self._bounded(self._wire.run([("PING",)]), PROBE_TIMEOUT_S)
            replies = await self._bounded(self._wire.run([("SET", PROBE_KEY, "1", "PX", "1000")]), COMMAND_TIMEOUT_S)
        except Exception:  # noqa: BLE001 - as in _run
            return False
        return not any(isinstance(reply, ResponseError) for reply in replies)

    async def _bounded(self, work: Coroutine[Any, Any, list[Any]], seconds: float) -> list[Any]:
        """Its result in time; else its connection is dropped, which ends it. Never cancelled."""
        replies: list[Any] = []
        task = self._group.create_task(_into(replies, work), name="redis probe")
        done, _ = await asyncio.wait({task}, timeout=seconds)
        if not done or not replies:
            await self._drop()
            raise RedisDownError
        return replies

    async def close(self) -> None:
        """Fail what waits, end the probe, close every connection."""
        self._closed, self._connected = True, False
        self._fail_waiting()
        self._lost.set()
        with contextlib.suppress(RedisError, OSError):
            await self._wire.close()


def _of_the_server(reply: object) -> bool:
    """Is it a refusal that any other command might have got?"""
    if isinstance(reply, _OF_THE_SERVER):
        return True
    return isinstance(reply, ResponseError) and str(reply).startswith(_CODES_OF_THE_SERVER)


async def _into(replies: list[Any], work: Coroutine[Any, Any, list[Any]]) -> None:
    """A task that nobody waits for any more must not end its group: a failure leaves `replies` empty."""
    with contextlib.suppress(Exception):
        replies.extend(await work)

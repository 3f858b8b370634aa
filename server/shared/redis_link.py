"""The connection to Redis: one round trip per tick of the event loop, with bounded waits, behind a circuit breaker.

A Redis that hangs is worse than one that is down, so nobody waits long for it. A decision fails after 50 ms, and further
decisions fail at once until replies come again. Records kept for others (a session's, for example) wait up to a second. A batch
that takes longer fails all its commands, and its connection is dropped: a cancelled redis-py command would leave it in the
middle of a reply. While Redis is lost every command fails at once, and a probe checks whether it answers again.
"""

from __future__ import annotations

import asyncio
import contextlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

import structlog
from redis import exceptions
from redis.exceptions import RedisError, ResponseError

from server.shared.redis_errors import NoScriptError, RedisDownError, RedisFullError, RedisRefusedError
from server.shared.redis_subscription import Subscription
from server.shared.redis_urls import SingleWire, open_wire

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from server.shared.redis_urls import RedisCommand, Wire

log = structlog.get_logger(__name__)

COMMAND_TIMEOUT_S = 0.05  # the longest that a decision may wait for Redis (contract, section 5)
PATIENT_TIMEOUT_S = 1.0  # CPU load alone can delay replies by some hundred milliseconds
# The last part of these 50 ms is for our own delay: after the loop was blocked, timers fire before replies that have already
# arrived are read.
GRACE_S = 0.01
MAX_GRACES = 5
PROBE_S = (0.05, 0.1, 0.2, 0.5, 1.0)  # pauses between probes; the last one repeats
PROBE_TIMEOUT_S = 1.0  # for connecting; the probe's commands must be answered within COMMAND_TIMEOUT_S
PROBE_KEY = "jarvis:probe"
SETTLED_S = 3.0  # a probe and its pause take two, and within another one the other replicas tell it what they have kept

# Error replies about the server rather than the command: it is unusable just now. redis-py has classes for some of them.
# The others are recognised by their text: too few replicas, a full disk, another client's script that does not end.
_OF_THE_SERVER = (
    exceptions.ReadOnlyError,
    exceptions.MasterDownError,
    exceptions.ClusterDownError,
    exceptions.NoPermissionError,
)
_REFUSALS = ((exceptions.NoScriptError, NoScriptError), (exceptions.OutOfMemoryError, RedisFullError))
_CODES_OF_THE_SERVER = ("NOREPLICAS ", "MISCONF ", "BUSY ")


class Spawner(Protocol):
    """What runs background work: an asyncio.TaskGroup."""

    def create_task(self, coro: Coroutine[Any, Any, None], *, name: str | None = None) -> asyncio.Task[None]:
        """Run the coroutine in the background."""


@dataclass(slots=True, eq=False)
class _Batch:
    """Commands that are sent together, and the futures of their replies."""

    commands: list[RedisCommand] = field(default_factory=list)
    replies: list[asyncio.Future[Any]] = field(default_factory=list)
    hasty: list[asyncio.Future[Any]] = field(default_factory=list)  # the part of `replies` that waits for 50 ms only
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
        """Fail the replies that cannot wait any longer."""
        for reply in self.hasty:
            if not reply.done():
                _fail(reply, RedisDownError())


def _fail(reply: asyncio.Future[Any], error: Exception) -> None:
    reply.set_exception(error)
    reply.exception()  # mark it as retrieved: a caller that has gone is not worth a log line


class RedisLink:
    """This process's connection to Redis. `on_error` counts losses; `on_back` are called when Redis answers in time again.

    Connects with its first command. `probe()` has to run in the group; `close()` ends everything.
    """

    def __init__(self, url: str, group: Spawner, on_error: Callable[[], None]) -> None:
        self._connected = True
        self._overdue = False  # True while a batch takes longer than a decision may wait
        self.on_back: list[Callable[[], Coroutine[Any, Any, None]]] = []
        self._wire: Wire = open_wire(url)
        self._group = group
        self._on_error = on_error
        self._lost = asyncio.Event()
        self._answering = asyncio.Event()  # set while `up`, and when closed: nobody waits for what will not come
        self._answering.set()
        self._next = _Batch()  # gathers the commands of this tick
        self._running: _Batch | None = None
        self._closed = False
        self._amiss_at = float("-inf")  # on the loop's clock: when it was last found or told to be full, or was lost

    @property
    def settled(self) -> bool:
        """True if it is up, and has been long enough that no replica still keeps for itself what a lost or full one did not take."""
        return self.up and asyncio.get_running_loop().time() - self._amiss_at > SETTLED_S

    def note_amiss(self) -> None:
        """It does not take everything just now, here or at another replica."""
        self._amiss_at = asyncio.get_running_loop().time()

    @property
    def up(self) -> bool:
        """True if Redis answers within the time that a decision may wait."""
        return self._connected and not self._overdue

    def subscription(self) -> Subscription:
        """A subscription that is not yet open. It uses a connection of its own."""
        return Subscription(self._wire.client)

    @property
    def one_server(self) -> bool:
        """True if a script may use any keys, because all of them are on the same server."""
        return isinstance(self._wire, SingleWire)

    # --- asking ---

    def submit(self, *command: str | bytes | float, patient: bool = False) -> asyncio.Future[Any]:
        """Queue a command; the future's result is the reply as redis-py's parser returns it (bytes, int, list, None; RESP2 shapes).

        All commands submitted in one tick of the event loop share one round trip. The future fails with RedisDownError within 50 ms
        (`patient`: a second), or with RedisRefusedError if Redis refuses the command. Raises UnicodeEncodeError for text with lone
        surrogates, which would fail the whole batch and look like a lost connection.
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
        """Submit a command and wait for its reply. Raises RedisDownError, RedisRefusedError."""
        return await self.submit(*command, patient=patient)

    async def patiently(self, ask: Callable[[], Coroutine[Any, Any, Any]], within_s: float) -> Any:
        """Retry `ask` when Redis is back, for data that only Redis has.

        Raises RedisDownError if it is not back in time, and at once if the link is closed.
        """
        try:
            async with asyncio.timeout(within_s):
                while not self._closed:
                    with contextlib.suppress(RedisDownError):
                        return await ask()
                    await self._answering.wait()
        except TimeoutError:
            pass
        raise RedisDownError

    def _send(self) -> None:
        """Called at the end of the tick. Send the batch, unless another one is under way: then this one waits and keeps growing."""
        if self._running is None and self._next.commands and not self._next.over:
            self._running, self._next = self._next, _Batch()
            self._spawn(self._run(self._running), "redis batch")

    def _spawn(self, work: Coroutine[Any, Any, None], name: str) -> None:
        """Run it in the group. If the group has ended, the process is shutting down and nobody needs Redis any more."""
        try:
            self._group.create_task(work, name=name)
        except RuntimeError:
            work.close()
            self._end()

    def _given_up(self, batch: _Batch) -> bool:
        """True if the batch's commands have already failed, by timeout or close."""
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
        answers = [_ours(reply) for reply in replies]
        if any(isinstance(answer, RedisFullError) for answer in answers):
            self.note_amiss()
        batch.settle(answers)
        self._running = None
        if self._overdue:
            self._overdue = False
            self._answering.set()
            self._spawn(self._tell_back(), "redis answers again")
        if unfit is not None:
            self._lose(str(unfit))
        self._send()

    # --- losing it ---

    def _late(self, batch: _Batch, due: float, graces: int = 0) -> None:
        """A decision's time is up. Extend it by the time that our own loop was late, which is not the fault of Redis."""
        if batch.over:
            return
        loop = asyncio.get_running_loop()
        lag_s = loop.time() - due
        if graces == 0 or (lag_s > GRACE_S and graces < MAX_GRACES):
            wait_s = max(GRACE_S, min(lag_s, COMMAND_TIMEOUT_S))
            loop.call_later(wait_s, self._late, batch, loop.time() + wait_s, graces + 1)
        else:
            self._overdue = True
            self._answering.clear()
            self._on_error()
            batch.fail_hasty()
            wait_s = PATIENT_TIMEOUT_S - COMMAND_TIMEOUT_S
            loop.call_later(wait_s, self._too_late, batch, loop.time() + wait_s)

    def _too_late(self, batch: _Batch, due: float, graces: int = 0) -> None:
        """The same for patient commands; after that Redis counts as lost."""
        if batch.over:
            return
        loop = asyncio.get_running_loop()
        lag_s = loop.time() - due
        if lag_s > GRACE_S and graces < MAX_GRACES:
            loop.call_later(lag_s, self._too_late, batch, loop.time() + lag_s, graces + 1)
        else:
            self._lose("timeout")

    def _lose(self, reason: str) -> None:
        """Fail all waiting commands, so that their callers continue without Redis, and drop the connection."""
        self._on_error()
        self._overdue = False
        self._answering.clear()
        if self._connected:
            self._connected = False
            self._lost.set()
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
        """Check whether a lost Redis is back. Runs until cancelled or closed."""
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
        self._answering.set()
        self._connected = True
        self.note_amiss()
        log.info("redis is back")
        await self._tell_back()

    async def _tell_back(self) -> None:
        for call in self.on_back:
            with contextlib.suppress(RedisRefusedError):  # one that is refused ends neither the others nor this process
                await call()

    async def _answers(self) -> bool:
        """Connect and write a key within a command's time limit. A replica that became read-only does not count as back."""
        try:
            await self._bounded(self._wire.run([("PING",)]), PROBE_TIMEOUT_S)
            replies = await self._bounded(self._wire.run([("SET", PROBE_KEY, "1", "PX", "1000")]), COMMAND_TIMEOUT_S)
        except Exception:  # noqa: BLE001 - as in _run
            return False
        return not any(isinstance(reply, ResponseError) for reply in replies)

    async def _bounded(self, work: Coroutine[Any, Any, list[Any]], seconds: float) -> list[Any]:
        """The work's result, if in time. Otherwise drop the connection, which ends the work; it is never cancelled."""
        replies: list[Any] = []
        task = self._group.create_task(_into(replies, work), name="redis probe")
        done, _ = await asyncio.wait({task}, timeout=seconds)
        if not done or not replies:
            await self._drop()
            raise RedisDownError
        return replies

    def _end(self) -> None:
        self._closed, self._connected = True, False
        self._answering.set()
        self._fail_waiting()

    async def close(self) -> None:
        """Fail waiting commands, end the probe and close all connections."""
        self._end()
        self._lost.set()
        with contextlib.suppress(RedisError, OSError):
            await self._wire.close()


def _of_the_server(reply: object) -> bool:
    """True for an error reply that any other command could have got as well."""
    if isinstance(reply, _OF_THE_SERVER):
        return True
    return isinstance(reply, ResponseError) and str(reply).startswith(_CODES_OF_THE_SERVER)


def _ours(reply: Any) -> Any:
    """The reply, or what an error reply means."""
    if not isinstance(reply, ResponseError):
        return reply
    if _of_the_server(reply):
        return RedisDownError()
    for theirs, kind in _REFUSALS:
        if isinstance(reply, theirs):
            return kind(str(reply))
    return RedisRefusedError(str(reply))


async def _into(replies: list[Any], work: Coroutine[Any, Any, list[Any]]) -> None:
    """Run the work. A failure leaves `replies` empty: it must not end the group of a task that nobody awaits."""
    with contextlib.suppress(Exception):
        replies.extend(await work)

"""JarvisClient: the client without async. The session runs in a thread of its own, and calls wait for it."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from concurrent.futures import CancelledError, Future
from typing import TYPE_CHECKING, Any, Literal, TypeVar

from tornado.ioloop import IOLoop

from streaming.client import arguments
from streaming.client.address import socket_url
from streaming.client.errors import GatewayError
from streaming.client.talking import ANSWER_TIMEOUT_S, AsyncJarvisClient

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Iterator
    from typing import Self

    from streaming.client.dialogue import Approve, Dialogue, Reply
    from streaming.client.gateway import TokenSource
    from streaming.client.sound import Sink, Source
    from streaming.protocol.events import AudioReceived
    from streaming.protocol.messages import Message, TaskConfirmationRequired

    Ask = Callable[[TaskConfirmationRequired], bool]

T = TypeVar("T")

LEAVE_S = 5.0  # how long to wait for a connection that was interrupted: looking up a name cannot be


class JarvisClient:
    """with JarvisClient("http://127.0.0.1:8000", token=token) as client: print(client.say("what time is it")).

    The arguments are those of GatewayClient. Every failure is a GatewayError. Use it from any thread.
    """

    def __init__(
        self,
        url: str = "http://127.0.0.1:8000",
        *,
        session_id: str = "",
        token: TokenSource = "",
        user_id: str = "",
        record: bool = False,
    ) -> None:
        socket_url(url)
        arguments.check_session_id(session_id)
        arguments.check_user(token, user_id)
        arguments.check_flag("record", record)
        self._arguments: dict[str, Any] = {
            "url": url,
            "session_id": session_id,
            "token": token,
            "user_id": user_id,
            "record": record,
        }
        self._client: AsyncJarvisClient | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._ended: asyncio.Event | None = None
        self._thread: threading.Thread | None = None
        self._left = threading.Event()  # whoever waited for the connection was interrupted
        self._connecting: tuple[asyncio.AbstractEventLoop, asyncio.Task[None]] | None = None
        # Held while a call is handed to the loop, so that the loop does not end meanwhile
        self._lock = threading.Lock()

    def __enter__(self) -> Self:
        """Connect. Raises GatewayError on failure."""
        if self._thread is not None:
            raise GatewayError("WRONG_STATE", "the client is connected already", "Make one client for each `with`.")
        opened: Future[None] = Future()
        self._left.clear()
        thread = self._thread = threading.Thread(target=self._live, args=(opened,), name="jarvis client", daemon=True)
        try:
            thread.start()
            opened.result()
        except GatewayError:
            self._thread = None
            raise
        except BaseException:  # Ctrl-C while connecting: nothing may go on behind the program's back
            self._thread = None
            self._leave()
            thread.join(LEAVE_S)
            raise
        return self

    def _leave(self) -> None:
        """Give up connecting."""
        with self._lock:
            self._left.set()
            if self._connecting is not None:
                loop, task = self._connecting
                loop.call_soon_threadsafe(task.cancel)

    def __exit__(self, *_error: object) -> None:
        """Close the session."""
        with self._lock:
            if self._loop is not None and self._ended is not None:
                self._loop.call_soon_threadsafe(self._ended.set)
            self._loop = None  # what was handed to it before is cancelled when it ends
        thread, self._thread = self._thread, None
        self._client = None
        if thread is not None:
            thread.join()

    def _live(self, opened: Future[None]) -> None:
        try:
            asyncio.run(self._hold(opened))
        except BaseException as error:  # noqa: BLE001 - the thread ends with it, and whoever waits must be told
            if not opened.done():
                opened.set_exception(error)

    async def _hold(self, opened: Future[None]) -> None:
        loop, task = asyncio.get_running_loop(), asyncio.current_task()
        assert task is not None, "this coroutine is one"
        self._ended = asyncio.Event()
        with self._lock:
            if self._left.is_set():
                return
            self._connecting = loop, task
        try:
            async with AsyncJarvisClient(**self._arguments) as client:
                with self._lock:
                    if self._left.is_set():
                        return
                    self._connecting, self._client, self._loop = None, client, loop
                opened.set_result(None)
                await self._ended.wait()
        finally:
            with self._lock:
                self._connecting = self._loop = None
            # Tornado leaves sockets open, also one that was being connected. The loop itself is closed by who runs it.
            with contextlib.suppress(RuntimeError):
                IOLoop.current().close(all_fds=True)

    def _connected(self) -> AsyncJarvisClient:
        if self._client is None:
            raise GatewayError("CLOSED", "the client is not connected")
        return self._client

    def wait_for(self, work: Coroutine[Any, Any, T]) -> T:
        """Run a coroutine in the session's thread and return its result. Raises what it raises, and GatewayError if the client is closed."""
        with self._lock:
            running = None if self._loop is None else asyncio.run_coroutine_threadsafe(work, self._loop)
        if running is None:
            work.close()
            raise GatewayError("CLOSED", "the client is not connected")
        try:
            return running.result()
        except CancelledError:
            raise GatewayError("CLOSED", "the client was closed meanwhile") from None
        except BaseException:  # including Ctrl-C while waiting
            running.cancel()
            raise

    # --- operations ---

    @property
    def session_id(self) -> str:
        """Id of the conversation; pass it again to continue the conversation."""
        return self._connected().session_id

    @property
    def server_version(self) -> str | None:
        """The gateway's version, once it is known."""
        return self._connected().server_version

    def call(self, op: str, **params: Any) -> Any:
        """Call an operation (`agent.intent`, `memory.store` …) and return its result. Raises GatewayError."""
        return self.wait_for(self._connected().call(op, **params))

    def say(
        self,
        text: str,
        *,
        reply: Literal["text", "audio"] = "text",
        approve: Ask | None = None,
        timeout_s: float = ANSWER_TIMEOUT_S,
    ) -> Reply:
        """Send text and return the answer. Raises GatewayError."""
        client = self._connected()
        return self.wait_for(client.say(text, reply=reply, approve=_in_a_thread(approve), timeout_s=timeout_s))

    def say_audio(
        self,
        pcm: bytes,
        sample_rate: int = 16_000,
        *,
        reply: Literal["text", "audio"] = "audio",
        approve: Ask | None = None,
        timeout_s: float = ANSWER_TIMEOUT_S,
    ) -> Reply:
        """Send speech as 16-bit mono PCM and return the answer. Raises GatewayError."""
        client, ask = self._connected(), _in_a_thread(approve)
        return self.wait_for(client.say_audio(pcm, sample_rate, reply=reply, approve=ask, timeout_s=timeout_s))

    def turn(
        self, source: Source | None = None, sink: Sink | None = None, *, approve: Ask | None = None, **params: Any
    ) -> BlockingDialogue:
        """A conversation, for `with` and `for`. `params` are those of TurnParams. Raises GatewayError."""
        return BlockingDialogue(self, self._connected().turn(source, sink, approve=_in_a_thread(approve), **params))


class BlockingDialogue:
    """A `Dialogue` for `with` and `for`."""

    def __init__(self, client: JarvisClient, turn: Dialogue) -> None:
        self._client = client
        self._turn = turn

    def __enter__(self) -> Self:
        self._client.wait_for(self._turn.__aenter__())
        return self

    def __exit__(self, *_error: object) -> None:
        with contextlib.suppress(GatewayError):  # the client was closed, and the turn with it
            self._client.wait_for(self._turn.close())

    def __iter__(self) -> Iterator[Message | AudioReceived]:
        """Every message of the conversation until it ends. Raises GatewayError."""
        events = aiter(self._turn)

        async def next_event() -> Message | AudioReceived | None:
            return await anext(events, None)

        while (event := self._client.wait_for(next_event())) is not None:
            yield event


def _in_a_thread(ask: Ask | None) -> Approve | None:
    """Run a question to the user in a thread of its own, so that it blocks neither the session nor the program's end."""
    arguments.check_callback("approve", ask)
    if ask is None:
        return None

    async def approve(question: TaskConfirmationRequired) -> bool:
        loop = asyncio.get_running_loop()
        said: asyncio.Future[tuple[bool, Exception | None]] = loop.create_future()

        def settle(answer: bool, broken: Exception | None) -> None:
            if not said.done():
                said.set_result((answer, broken))

        def work() -> None:
            answer, broken = False, None
            try:
                answer = ask(question)
            except Exception as error:  # noqa: BLE001 - raised below: a future takes no StopIteration
                broken = error
            except SystemExit as leaving:
                broken = RuntimeError(f"SystemExit: {leaving}")
            with contextlib.suppress(RuntimeError):  # the session has ended
                loop.call_soon_threadsafe(settle, answer, broken)

        threading.Thread(target=work, name="jarvis question", daemon=True).start()
        answer, broken = await said
        if broken is not None:
            raise broken
        return answer

    return approve

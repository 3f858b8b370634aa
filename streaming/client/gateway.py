"""A gateway client: `jarvis.v1` over one WebSocket, with reconnection and resume. Small, as a base for other clients.

async with GatewayClient("http://127.0.0.1:8000", token=token) as gateway:
    turn = gateway.open(TurnParams())
    turn.send_audio(pcm)  # 16-bit mono at 16 kHz, 20 ms or so at a time
    turn.end()
    async for event in turn:  # messages of the channel and AudioReceived, until channel.closed
        ...
"""

from __future__ import annotations

import asyncio
import contextlib
import inspect
import logging
import random
import secrets
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlencode

from pydantic_core import PydanticSerializationError, ValidationError
from tornado.httpclient import HTTPClientError, HTTPRequest
from tornado.websocket import WebSocketClientConnection, WebSocketClosedError, WebSocketError, websocket_connect

from streaming.client import arguments, refusal
from streaming.client.address import socket_url
from streaming.client.channel import GatewayChannel
from streaming.client.errors import GatewayError
from streaming.client.pause import Activity
from streaming.protocol import events, messages
from streaming.protocol.client import ClientConnection
from streaming.protocol.close_codes import CLOSE_CODES, CloseCode
from streaming.protocol.errors import LocalProtocolError, RemoteProtocolError
from streaming.protocol.limits import MIB

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Coroutine
    from typing import Self

    from streaming.protocol.messages import ChannelParams, Message

    TokenSource = str | Callable[[], str | Awaitable[str]]

MAX_MESSAGE_BYTES = 16 * MIB  # a full-page screenshot in one result
FIRST_DELAY_S = 0.1
LONGEST_DELAY_S = 10.0  # with full jitter (AWS Architecture Blog, "Exponential backoff and jitter")
CONNECT_TIMEOUT_S = 10.0
CALL_TIMEOUT_S = 330.0  # longer than the longest `timeout_ms` of an operation, 300 s
GREETING_TIMEOUT_S = 15.0  # the gateway gives a client without a token 10 s for it, and then says so
# Tornado logs a failed TLS handshake, which our exception tells. Without a handler of the program's own, Python would print the line.
logging.getLogger("tornado.general").addHandler(logging.NullHandler())


class GatewayClient:
    """A session with a gateway at an http:// or ws:// URL. Every failure is a GatewayError.

    `token` is a string, or a function (async or not) that returns a fresh one. It is called before each connection and before the
    old token expires. `user_id` replaces the token if the gateway runs under DEBUG. `record`: consent to being recorded.
    """

    def __init__(
        self, url: str, *, session_id: str = "", token: TokenSource = "", user_id: str = "", record: bool = False
    ) -> None:
        self.address = socket_url(url)
        arguments.check_session_id(session_id)
        arguments.check_user(token, user_id)
        arguments.check_flag("record", record)
        self.session_id = session_id or f"client-{secrets.token_hex(6)}"
        self.ready: messages.SessionReady | None = None
        self._url = f"{self.address}/ws/{quote(self.session_id, safe='')}"
        self._token = token
        self._query: dict[str, str] = {}
        if not token:  # with neither, a proxy may add the token: the gateway is not to wait for a message with one
            self._query = {"user_id": user_id} if user_id else {"auth": "none"}
        if record:
            self._query["record"] = "true"
        try:
            self._clock = asyncio.get_running_loop().time
        except RuntimeError:
            advice = "Make it inside of an async function, or take JarvisClient."
            raise GatewayError("WRONG_STATE", "no event loop runs", advice) from None
        self.connection = ClientConnection(self._clock(), id_prefix=secrets.token_hex(4))
        self._channels: dict[int, GatewayChannel] = {}
        self._answers: dict[str, asyncio.Future[Any]] = {}
        self._pongs: list[asyncio.Future[float]] = []
        self._conversation = Activity()
        self._leave_at: float | None = (
            None  # set when the gateway drains; from this time on, leave it at the next pause
        )
        self._wake = asyncio.Event()
        self._greeted = asyncio.Event()
        self._failed: GatewayError | None = None
        self._away_since = 0.0
        self._socket: WebSocketClientConnection | None = None
        self._stack = AsyncExitStack()
        self._group: asyncio.TaskGroup | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Self:
        """Connect and wait until the session is ready. Raises GatewayError if the gateway refuses."""
        if self._group is not None and self._failed is None:
            raise GatewayError("WRONG_STATE", "the client is connected already", "Make one client for each `with`.")
        self._group = await self._stack.enter_async_context(asyncio.TaskGroup())
        self.start(self._stay_connected, name="gateway connection")
        self.start(self._write, name="gateway writer")
        try:
            await self._greeted.wait()
        except asyncio.CancelledError:  # by a timeout of the caller's: nothing may go on connecting behind its back
            await self.__aexit__()
            raise
        if self._failed is not None:
            await self.__aexit__()
            raise self._failed
        return self

    async def __aexit__(self, *_error: object) -> None:
        """Close the session. What waits for an answer, in other tasks too, ends with CLOSED."""
        self._fail(GatewayError("CLOSED", "the session was closed"))
        for task in self._tasks:
            task.cancel()
        if self._socket is not None:
            self._socket.close(CloseCode.NORMAL)
        await self._stack.aclose()

    @property
    def failed(self) -> GatewayError | None:
        """Why the session ended; None while it lives."""
        return self._failed

    def start(self, work: Callable[[], Coroutine[Any, Any, None]], name: str) -> asyncio.Task[None]:
        """Run `work()` in the background. An exception ends the session with a GatewayError."""
        if self._group is None:
            raise GatewayError("CLOSED", "the client is not connected")
        task = self._group.create_task(self._guarded(work), name=name)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def _guarded(self, work: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """Turn exceptions into a failed session. In a task group they would cancel the client's user without a reason."""
        try:
            await work()
        except GatewayError as failed:
            self._fail(failed)
        except Exception as broken:  # noqa: BLE001 - a bug of the client or of its user's callbacks
            ours = GatewayError("INTERNAL", f"the client failed: {type(broken).__name__}: {broken}")
            ours.__cause__ = broken
            self._fail(ours)

    # --- operations ---

    async def call(self, op: str, **params: Any) -> Any:
        """Call an operation and return its result. Raises GatewayError; TIMEOUT also while the gateway is away."""
        self._check_open()  # what is refused must not be sent later
        try:
            command_id = self.connection.call(op, params)
        except PydanticSerializationError as wrong:
            raise GatewayError("INVALID_ARGUMENT", f"{op}: {wrong}", "Parameters are what JSON can hold.") from None
        except ValidationError:
            advice = "Its name is a string, such as 'agent.intent'."
            raise GatewayError("INVALID_ARGUMENT", f"no operation is called {arguments.shown(op)}", advice) from None
        try:
            async with asyncio.timeout(CALL_TIMEOUT_S):
                return await self._answer(command_id)
        except TimeoutError:
            raise GatewayError("TIMEOUT", f"{op}: no answer within {CALL_TIMEOUT_S:g} s") from None

    async def confirm(self, confirmation_id: str, *, approve: bool, action_hash: str | None = None) -> Any:
        """Approve or decline a risky action; `action_hash`: from the question. Raises GatewayError."""
        self._check_open()
        try:
            command_id = self.connection.confirm(confirmation_id, approve=approve, action_hash=action_hash)
        except ValidationError as wrong:
            first = wrong.errors()[0]
            advice = "Pass the question's confirmation_id, and approve=True or False."
            raise GatewayError("INVALID_ARGUMENT", f"{first['loc'][0]}: {first['msg']}", advice) from None
        return await self._answer(command_id)

    async def ping(self) -> float:
        """Round-trip time to the gateway in seconds. Raises GatewayError."""
        self._check_open()
        pong: asyncio.Future[float] = asyncio.get_running_loop().create_future()
        self._pongs.append(pong)
        self.connection.ping(self._clock())
        self.wake()
        try:
            return await asyncio.wait_for(pong, CONNECT_TIMEOUT_S)
        except TimeoutError:
            raise GatewayError("UNAVAILABLE", "the gateway does not answer a ping") from None
        finally:
            self._pongs.remove(pong)

    def _check_open(self) -> None:
        """Raises GatewayError if nobody would ever answer."""
        if self._failed is not None:
            raise self._failed
        if self._group is None:
            raise GatewayError("CLOSED", "the client is not connected")

    async def _answer(self, command_id: str) -> Any:
        future = self._answers[command_id] = asyncio.get_running_loop().create_future()
        self.wake()
        try:
            return await future
        finally:
            del self._answers[command_id]
            self.wake()

    def open(self, params: ChannelParams) -> GatewayChannel:
        """Open a channel of the parameters' kind: SttParams, TtsParams, ExecuteParams, TurnParams, ObserveParams.

        Raises GatewayError.
        """
        self._check_open()
        if isinstance(params, type) or getattr(params, "kind", None) not in messages.OPEN_COMMANDS:
            advice = "Pass SttParams, TtsParams, ExecuteParams, TurnParams or ObserveParams."
            raise arguments.wrong("params", params, advice)
        try:
            number = self.connection.open_channel(params)
        except LocalProtocolError as wrong:
            raise GatewayError("WRONG_STATE", str(wrong)) from None
        self._conversation.opened(number, params)
        channel = self._channels[number] = GatewayChannel(self.connection, self.wake, number)
        self.wake()
        return channel

    def cut(self) -> None:
        """Drop the socket like a bad network would; the client reconnects and resumes."""
        if self._socket is not None and self._socket.stream is not None:
            self._socket.stream.close()

    # --- the connection ---

    def wake(self) -> None:
        """There may be something to send."""
        self._wake.set()

    async def _stay_connected(self) -> None:
        delay_s = FIRST_DELAY_S
        while self._failed is None:
            try:
                socket = await self._connect()
            except (OSError, HTTPClientError, WebSocketError) as error:
                if self.ready is None:
                    raise refusal.of_handshake(self.address, error) from error
                if self._clock() > self._away_since + self.ready.resume_window_ms / 1000:
                    self._give_up()
            else:
                delay_s = FIRST_DELAY_S
                await self._read(socket)
            asked_s = self._leave_at - self._clock() if self._leave_at is not None else 0.0
            self._leave_at = None
            await asyncio.sleep(max(asked_s, random.uniform(0, delay_s)))  # noqa: S311 - spreads load, guards nothing
            delay_s = min(LONGEST_DELAY_S, delay_s * 2)

    async def _fresh_token(self) -> str:
        """The token to connect with. Raises GatewayError if it is unusable, ConnectionError if there is none at the moment."""
        token = self._token
        if callable(token):
            try:
                given = token()
                token = await given if inspect.isawaitable(given) else given
            except GatewayError:
                raise
            except Exception as error:  # the user's function, which may use a network
                raise refusal.NoTokenError(f"no token: {error}") from error
        checked = arguments.check_token(token)
        if not checked and callable(self._token):
            raise GatewayError("UNAUTHENTICATED", "the function for tokens gave an empty one")
        return checked

    async def _renew(self) -> None:
        """The token expires soon: send a new one."""
        # The gateway will close the socket, and the next connection asks again.
        with contextlib.suppress(ConnectionError):
            self.connection.refresh_auth(await self._fresh_token())
            self.wake()

    async def _connect(self) -> WebSocketClientConnection:
        query = dict(self._query)
        resume = self.connection.resume_token
        if resume:
            query |= {"resume": resume, "last_seq": str(self.connection.last_seq)}
        token = await self._fresh_token()
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        request = HTTPRequest(
            f"{self._url}?{urlencode(query)}",
            headers=headers,
            connect_timeout=CONNECT_TIMEOUT_S,
            request_timeout=CONNECT_TIMEOUT_S,
        )
        socket = await websocket_connect(
            request, max_message_size=MAX_MESSAGE_BYTES, subprotocols=["jarvis.v1"], ping_interval=None
        )
        assert socket.protocol is not None, "the handshake has just been done"
        # Without it, a frame waits up to 40 ms for the acknowledgement of the previous one.
        socket.protocol.set_nodelay(True)
        self.connection.attach(self._clock(), "url" if resume else None)
        self._socket = socket
        self.wake()
        return socket

    async def _read(self, socket: WebSocketClientConnection) -> None:
        """Read until the socket closes."""
        greet_by = self._clock() + GREETING_TIMEOUT_S
        try:
            while True:
                async with asyncio.timeout_at(greet_by if self.ready is None else None):
                    data = await socket.read_message()
                if data is None:
                    break
                self._receive(data)
        except TimeoutError:
            socket.close()
        except RemoteProtocolError as broken:
            socket.close(broken.close_code, broken.message)
        self._socket = None
        self._away_since = self._clock()
        self.connection.detach()
        code, reason = socket.close_code, socket.close_reason
        if self.ready is None:
            self._fail(refusal.of_greeting(self.address, code, reason))
        elif code is not None and self._is_final(code):
            self._fail(refusal.of_close(code, reason))

    def _is_final(self, code: int) -> bool:
        """True if the gateway would refuse a new attempt as well."""
        if code == CloseCode.TOKEN_EXPIRED:
            return isinstance(self._token, str)  # there is no other token
        known = CLOSE_CODES.get(code)
        return known is None or not known.reconnect

    def _fail(self, error: GatewayError) -> None:
        """End the session for good."""
        self._failed = self._failed or error
        for future in self._answers.values():
            if not future.done():
                future.set_exception(error)
        for channel in self._channels.values():
            channel.lose()
        self._greeted.set()

    def _give_up(self) -> None:
        """No gateway for longer than a session is kept: end what waits for it. The client itself goes on trying."""
        for channel in self._channels.values():
            channel.lose()
        self._channels.clear()
        self._conversation.lost()
        for command_id in self._answers:
            self._settle(command_id, GatewayError("SESSION_LOST", f"no gateway answers any more at {self.address}"))

    def _receive(self, data: str | bytes) -> None:
        now = self._clock()
        told = (
            self.connection.receive_binary(data, now)
            if isinstance(data, bytes)
            else self.connection.receive_text(data, now)
        )
        for event in told:
            self._handle(event)
        self.wake()

    def _handle(self, event: events.Event) -> None:
        if isinstance(event, events.AudioReceived):
            if event.channel in self._channels:
                self._channels[event.channel].deliver(event)
        elif isinstance(event, events.MessageReceived):
            self._on_message(event.message)
        elif isinstance(event, events.PongReceived):
            for pong in self._pongs:
                if not pong.done():
                    pong.set_result(event.rtt_s)
        elif isinstance(event, events.SessionStarted):
            self._on_started(event)

    def _on_started(self, event: events.SessionStarted) -> None:
        self.ready = event.ready
        self._conversation.lost()
        for number in event.lost_channels:
            if (channel := self._channels.pop(number, None)) is not None:  # else it was given up before
                channel.lose()
        for command_id in event.lost_commands:
            self._settle(
                command_id,
                GatewayError("SESSION_LOST", f"the session could not be resumed: {event.ready.resume_error}"),
            )
        self._greeted.set()

    def _settle(self, command_id: str | None, answer: Any) -> None:
        future = self._answers.get(command_id or "")
        if future is None or future.done():
            return
        if isinstance(answer, GatewayError):
            future.set_exception(answer)
        else:
            future.set_result(answer)

    def _on_message(self, message: Message) -> None:
        self._conversation.note(message)
        if isinstance(message, messages.Result):
            self._settle(message.id, message.data)
        elif isinstance(message, messages.SessionDraining):
            self._leave_at = self._clock() + message.reconnect_after_ms / 1000
        elif isinstance(message, messages.AuthExpiring) and not isinstance(self._token, str):
            self.start(self._renew, name="gateway token")
        elif isinstance(message, messages.Error) and message.channel is None:
            self._settle(message.id, refusal.of_command(message.code, message.message, message.details))
        number = getattr(message, "channel", None)
        channel = self._channels.get(number) if number is not None else None
        if channel is not None:
            channel.deliver(message)
            if isinstance(message, messages.ChannelClosed):
                del self._channels[message.channel]

    async def _write(self) -> None:
        """The only writer; it also runs the connection's timer."""
        while True:
            deadline = min((at for at in (self.connection.next_deadline(), self._leaves_at) if at), default=None)
            try:
                async with asyncio.timeout_at(deadline):
                    await self._wake.wait()
            except TimeoutError:
                if self.connection.handle_timeout(self._clock()):  # PeerSilent: the network is gone without a word
                    self.cut()
            self._wake.clear()
            await self._flush()
            if self._leaves_at is not None and self._clock() >= self._leaves_at:
                self.cut()

    @property
    def _leaves_at(self) -> float | None:
        """When to leave a draining gateway; None if it does not drain, or during a conversation. The gateway closes the socket in the end."""
        pauses = self._socket is not None and self._conversation.pauses and not self._answers
        return self._leave_at if pauses else None

    async def _flush(self) -> None:
        socket = self._socket
        while socket is not None and (batch := self.connection.data_to_send()):
            try:
                for item in batch:
                    await socket.write_message(item, binary=isinstance(item, bytes))
            except WebSocketClosedError:
                return  # the reader notices, and everything unacknowledged is sent again

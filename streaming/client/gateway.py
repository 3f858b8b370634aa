"""A client of the gateway: `jarvis.v1` over one WebSocket, with reconnection and resume. Small, for people to build on.

async with GatewayClient("ws://127.0.0.1:8000", token=token) as gateway:
    turn = gateway.open(TurnParams())
    turn.send_audio(pcm)  # 16-bit mono at 16 kHz, 20 ms or so at a time
    turn.end()
    async for event in turn:  # messages of the channel and AudioReceived, until channel.closed
        ...
"""

from __future__ import annotations

import asyncio
import random
import secrets
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

from tornado.httpclient import HTTPError, HTTPRequest
from tornado.websocket import WebSocketClientConnection, WebSocketClosedError, websocket_connect

from streaming.protocol import events, messages
from streaming.protocol.client import ClientConnection
from streaming.protocol.errors import CLOSE_CODES, RemoteProtocolError
from streaming.protocol.limits import MIB

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from typing import Self

    from streaming.protocol.messages import ChannelParams, Message

MAX_MESSAGE_BYTES = 16 * MIB  # a full-page screenshot in one result
FIRST_DELAY_S = 0.1
LONGEST_DELAY_S = 10.0  # full jitter below that (AWS Architecture Blog, "Exponential backoff and jitter")
CONNECT_TIMEOUT_S = 10.0


class GatewayError(Exception):
    """The gateway refused a command, or the connection for good. `code` is the wire's UPPER_SNAKE."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(f"{code}: {message}")
        self.code = code
        self.message = message


class ClientChannel:
    """One stream of work. Iterate it for its messages and frames; it ends behind `channel.closed`, kept in `closed`."""

    def __init__(self, client: GatewayClient, number: int) -> None:
        self.number = number
        self.closed: messages.ChannelClosed | None = None
        self._client = client
        self._events: asyncio.Queue[Message | events.AudioReceived | None] = asyncio.Queue()

    def send_audio(self, frame: bytes, pts_ms: int = 0) -> None:
        """Queue a microphone frame."""
        self._client.connection.send_audio(self.number, frame, pts_ms)
        self._client.wake()

    def send_text(self, text: str) -> None:
        """Queue a piece of text to speak."""
        self._client.connection.send_text(self.number, text)
        self._client.wake()

    def commit(self) -> None:
        """The utterance ends here (push-to-talk)."""
        self._client.connection.commit(self.number)
        self._client.wake()

    def end(self) -> None:
        """No more input."""
        self._client.connection.end_channel(self.number)
        self._client.wake()

    def cancel(self) -> None:
        """Stop now."""
        self._client.connection.cancel_channel(self.number)
        self._client.wake()

    def credit(self, frame: bytes) -> None:
        """A frame went on to a loudspeaker that can't say how far it is."""
        self._client.connection.played(self.number, len(frame))
        self._client.wake()

    def played(self, frame: bytes, played_ms: int) -> None:
        """A frame was played, or thrown away: gives its credit back and tells how far the utterance is."""
        self._client.connection.played(self.number, len(frame))
        self._client.connection.report_playback(self.number, played_ms)
        self._client.wake()

    def deliver(self, event: Message | events.AudioReceived) -> None:
        """From the client's reader."""
        if isinstance(event, messages.TurnPaused | messages.TurnInterrupted):
            self._drop_stale(event.generation)
        self._events.put_nowait(event)
        if isinstance(event, messages.ChannelClosed):
            self.closed = event
            self._events.put_nowait(None)

    def _drop_stale(self, generation: int) -> None:
        """Audio that waits here behind a slow loudspeaker is not to be heard any more."""
        for _ in range(self._events.qsize()):
            event = self._events.get_nowait()
            if isinstance(event, events.AudioReceived) and event.generation < generation:
                self.credit(event.payload)
            else:
                self._events.put_nowait(event)

    def lose(self) -> None:
        """The session is gone, and the channel with it."""
        self._events.put_nowait(None)

    async def __aiter__(self) -> AsyncIterator[Message | events.AudioReceived]:
        """Until the channel is closed, or lost with its session."""
        while (event := await self._events.get()) is not None:
            yield event


class GatewayClient:
    """A session with a gateway. `token`, or `user_id` for a gateway in DEBUG. `record`: consent to being recorded there."""

    def __init__(
        self, url: str, *, session_id: str = "", token: str = "", user_id: str = "", record: bool = False
    ) -> None:
        self.session_id = session_id or f"client-{secrets.token_hex(6)}"
        self.ready: messages.SessionReady | None = None
        self._url = f"{url.rstrip('/')}/ws/{self.session_id}"
        self._token = token
        self._query = {"user_id": user_id} if user_id and not token else {}
        if record:
            self._query["record"] = "true"
        self._clock = asyncio.get_running_loop().time
        self.connection = ClientConnection(self._clock(), id_prefix=secrets.token_hex(4))
        self._channels: dict[int, ClientChannel] = {}
        self._answers: dict[str, asyncio.Future[Any]] = {}
        self._wake = asyncio.Event()
        self._greeted = asyncio.Event()
        self._failed: GatewayError | None = None
        self._socket: WebSocketClientConnection | None = None
        self._stack = AsyncExitStack()
        self._tasks: list[asyncio.Task[None]] = []

    async def __aenter__(self) -> Self:
        """Connect; returns when the session is ready. Raises GatewayError when the gateway refuses."""
        group = await self._stack.enter_async_context(asyncio.TaskGroup())
        self._tasks = [
            group.create_task(self._stay_connected(), name="gateway connection"),
            group.create_task(self._write(), name="gateway writer"),
        ]
        await self._greeted.wait()
        if self._failed is not None:
            await self.__aexit__()
            raise self._failed
        return self

    async def __aexit__(self, *_error: object) -> None:
        """Say goodbye: the session ends."""
        for task in self._tasks:
            task.cancel()
        if self._socket is not None:
            self._socket.close(1000)
        await self._stack.aclose()

    # --- what one can do ---

    async def call(self, op: str, **params: Any) -> Any:
        """One operation by name. Raises GatewayError."""
        return await self._answer(self.connection.call(op, params))

    async def confirm(self, confirmation_id: str, *, approve: bool) -> Any:
        """Approve or decline a risky action. Raises GatewayError."""
        return await self._answer(self.connection.confirm(confirmation_id, approve=approve))

    async def _answer(self, command_id: str) -> Any:
        if self._failed is not None:
            raise self._failed
        future = self._answers[command_id] = asyncio.get_running_loop().create_future()
        self.wake()
        try:
            return await future
        finally:
            del self._answers[command_id]

    def open(self, params: ChannelParams) -> ClientChannel:
        """Open a channel of the kind that `params` is for: SttParams, TtsParams, ExecuteParams, TurnParams."""
        number = self.connection.open_channel(params)
        channel = self._channels[number] = ClientChannel(self, number)
        self.wake()
        return channel

    def cut(self) -> None:
        """Drop the socket as a bad network would; the client comes back and resumes."""
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
            except (OSError, HTTPError) as error:
                if self.ready is None:
                    self._fail(GatewayError("UNAVAILABLE", f"no gateway at {self._url}: {error}"))
                    return
            else:
                delay_s = FIRST_DELAY_S
                await self._read(socket)
            await asyncio.sleep(random.uniform(0, delay_s))  # noqa: S311 - spreads load, guards nothing
            delay_s = min(LONGEST_DELAY_S, delay_s * 2)

    async def _connect(self) -> WebSocketClientConnection:
        query = dict(self._query)
        resume = self.connection.resume_token
        if resume:
            query |= {"resume": resume, "last_seq": str(self.connection.last_seq)}
        headers = {"Authorization": f"Bearer {self._token}"} if self._token else {}
        request = HTTPRequest(
            f"{self._url}?{urlencode(query)}", headers=headers, connect_timeout=CONNECT_TIMEOUT_S, request_timeout=0
        )
        socket = await websocket_connect(
            request, max_message_size=MAX_MESSAGE_BYTES, subprotocols=["jarvis.v1"], ping_interval=None
        )
        assert socket.protocol is not None, "the handshake has just been done"
        socket.protocol.set_nodelay(True)  # else a frame waits up to 40 ms for the acknowledgement of the one before
        self.connection.attach(self._clock(), "url" if resume else None)
        self._socket = socket
        self.wake()
        return socket

    async def _read(self, socket: WebSocketClientConnection) -> None:
        """Until the socket closes."""
        try:
            while (data := await socket.read_message()) is not None:
                self._receive(data)
        except RemoteProtocolError as broken:
            socket.close(broken.close_code, broken.message)
        self._socket = None
        self.connection.detach()
        code = socket.close_code
        known = CLOSE_CODES.get(code) if code is not None else None
        if code is not None and (known is None or not known.reconnect):
            reason = socket.close_reason or (known.meaning if known else "")
            self._fail(GatewayError(known.name if known else str(code), reason))

    def _fail(self, error: GatewayError) -> None:
        """The gateway will not have us back."""
        self._failed = error
        for future in self._answers.values():
            future.set_exception(error)
        for channel in self._channels.values():
            channel.lose()
        self._greeted.set()

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
        elif isinstance(event, events.SessionStarted):
            self._on_started(event)

    def _on_started(self, event: events.SessionStarted) -> None:
        self.ready = event.ready
        for number in event.lost_channels:
            self._channels.pop(number).lose()
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
        if isinstance(message, messages.Result):
            self._settle(message.id, message.data)
        elif isinstance(message, messages.Error) and message.channel is None:
            self._settle(message.id, GatewayError(message.code, message.message))
        number = getattr(message, "channel", None)
        channel = self._channels.get(number) if number is not None else None
        if channel is not None:
            channel.deliver(message)
            if isinstance(message, messages.ChannelClosed):
                del self._channels[message.channel]

    async def _write(self) -> None:
        """The one writer, and the connection's timer."""
        while True:
            deadline = self.connection.next_deadline()
            try:
                async with asyncio.timeout_at(deadline):
                    await self._wake.wait()
            except TimeoutError:
                self.connection.handle_timeout(self._clock())
            self._wake.clear()
            await self._flush()

    async def _flush(self) -> None:
        socket = self._socket
        while socket is not None and (batch := self.connection.data_to_send()):
            try:
                for item in batch:
                    await socket.write_message(item, binary=isinstance(item, bytes))
            except WebSocketClosedError:
                return  # the reader notices, and everything unacknowledged is sent again

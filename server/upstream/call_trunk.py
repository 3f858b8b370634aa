"""Unary calls in a trunk: CallMany (protos/calls.proto). Each is answered, cancelled and timed like a call of its own."""

from __future__ import annotations

import asyncio
import math
from functools import cache, partial
from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

import grpc
import grpc.aio
from google.protobuf import message_factory

from protos import calls_pb2
from protos.calls_pb2_grpc import CallsStub
from server.services import SERVICES
from server.upstream.call import UnsentError
from server.upstream.pool import MAX_MESSAGE_BYTES
from server.upstream.status import failed_status, rpc_error
from server.upstream.trunk import SILENT_S, Trunk, Trunks
from server.upstream.trunk_items import ItemWriter, whole
from server.upstream.trunk_method import TrunkMethod

if TYPE_CHECKING:
    from collections.abc import Callable

    from google.protobuf.message import Message

    from protos.calls_pb2_grpc import CallsAsyncStub
    from server.upstream.background import Background
    from server.upstream.call import ServiceLine

MAX_REQUEST_BYTES: Final = 64 * 1024  # more goes as a call of its own: others would wait behind it


class CarriedCall:
    """A unary call in a trunk."""

    __slots__ = (
        "_answer",
        "_broken",
        "_first",
        "_limit_s",
        "_parse",
        "_parts",
        "_parts_bytes",
        "_timer",
        "_trunk",
        "items",
        "lost_trunk",
        "number",
    )

    def __init__(
        self, trunk: CallTrunk, number: int, first: bytes, parse: Callable[[bytes], Any], limit_s: float
    ) -> None:
        loop = asyncio.get_running_loop()
        self.number = number
        self.items = ItemWriter(number)
        self.lost_trunk = False
        self._trunk = trunk
        self._first: bytes | None = first  # None: it has left
        self._parse = parse
        self._answer: asyncio.Future[bytes | None] = loop.create_future()  # None: it failed
        self._broken: Exception | None = None
        self._parts: list[bytes] = []
        self._parts_bytes = 0
        self._limit_s = limit_s
        self._timer = loop.call_later(limit_s, self._expire)

    async def answer(self) -> Any:
        """The response. Raises AioRpcError, DecodeError, UnsentError, and CancelledError after `cancel`."""
        try:
            response = await self._answer
        except asyncio.CancelledError:
            self._hang_up()
            raise
        finally:
            self._timer.cancel()
        if response is None:
            raise self._told()
        return self._parse(response)

    def _told(self) -> Exception:
        """Take the error, to raise it. Its traceback refers to this call, so keeping it here would be a reference cycle."""
        broken, self._broken = self._broken, None
        assert broken is not None, "it failed"
        return broken

    def cancel(self) -> None:
        """Cancel the call; `answer` raises CancelledError."""
        self._answer.cancel()

    def _hang_up(self) -> None:
        """Leave the trunk, and tell the service if it knows the call."""
        if self._first is None and self._trunk.carries(self):
            self._trunk.cancel(self)
        self._trunk.forget(self)

    def _expire(self) -> None:
        self._fail(rpc_error(grpc.StatusCode.DEADLINE_EXCEEDED, "Deadline Exceeded"))
        self._hang_up()
        self._trunk.doubt(self._limit_s)

    def _fail(self, broken: Exception) -> None:
        if not self._answer.done():
            self._broken = broken
            self._answer.set_result(None)

    # --- what the trunk calls ---

    def gather(self, into: list[bytes]) -> int:
        """Append the request to a message; returns its size."""
        first = self._first
        if first is None or self._answer.done():
            return 0
        self._first = None
        into.append(first)
        return len(first)

    def take(self, item: calls_pb2.StreamResponse) -> None:
        """Take a received StreamResponse."""
        what = item.WhichOneof("what")
        if what == "response":
            self._trunk.forget(self)
            self._take_last(item.response)
        elif what == "part":
            self._take_part(item.part)
        elif what == "end":
            self._trunk.forget(self)
            self._fail(rpc_error(failed_status(item.end.code), item.end.message, item.end.trailing.items()))

    def _take_part(self, part: bytes) -> None:
        self._parts.append(part)
        self._parts_bytes += len(part)
        if self._is_too_long(self._parts_bytes):
            self._hang_up()

    def _take_last(self, response: bytes) -> None:
        if self._parts:
            if self._is_too_long(self._parts_bytes + len(response)):
                return
            response = b"".join((*self._parts, response))
        if not self._answer.done():
            self._answer.set_result(response)

    def _is_too_long(self, n_bytes: int) -> bool:
        """True if a call of its own would not take so long a response; this one has failed then."""
        too_long = n_bytes > MAX_MESSAGE_BYTES
        if too_long:
            words = f"Received message larger than max ({n_bytes} vs. {MAX_MESSAGE_BYTES})"
            self._fail(rpc_error(grpc.StatusCode.RESOURCE_EXHAUSTED, words))
        return too_long

    def over(self, broken: BaseException | None, *, blameless: bool = False) -> None:  # noqa: ARG002 - each call counts, as one of its own does
        """The trunk is over, and what it carried is lost."""
        self._trunk.forget(self)
        if self._first is not None:
            self._fail(UnsentError())
        else:
            words = broken.details() if isinstance(broken, grpc.aio.AioRpcError) else ""
            self._fail(rpc_error(grpc.StatusCode.UNAVAILABLE, words or "Socket closed"))


class CallTrunk(Trunk):
    """One gRPC call with many unary calls."""

    # On the loop's clock: when the first call was made that has not been answered since anything was heard
    _in_vain_since = -math.inf

    def _take_other(self, item: calls_pb2.StreamResponse) -> None:
        if item.draining:
            self.retire()

    def call(
        self, request: calls_pb2.Request, metadata: dict[str, str], parse: Callable[[bytes], Any], limit_s: float
    ) -> CarriedCall:
        """Make a call. `parse`: its response. `limit_s`: until its deadline."""
        number = next(self._numbers)
        first = whole(self._method.first(number, request, metadata))
        call = self._streams[number] = CarriedCall(self, number, first, parse, limit_s)
        self.enlist(call)
        self.hurry()
        return call

    def carries(self, call: CarriedCall) -> bool:
        """True until the call has ended."""
        return call.number in self._streams

    def doubt(self, waited_s: float) -> None:
        """A call was not answered in time. If nothing else was heard either, make new calls elsewhere; these may still be answered.

        Silence counts from the first of the calls that waited in vain: before it, nothing may have been asked.
        """
        now = asyncio.get_running_loop().time()
        if self.heard_at >= self._in_vain_since:
            self._in_vain_since = now - waited_s
        if now - max(self.heard_at, self._in_vain_since) >= SILENT_S:
            self.retire()


class CallTrunks(Trunks[CallTrunk]):
    """The trunks of one service's unary calls. They take turns."""

    def __init__(self, line: ServiceLine[Any], background: Background) -> None:
        super().__init__(line, partial(CallTrunk, line, CALLS, background))
        self._turn = 0

    def pick(self) -> CallTrunk | None:
        """The next trunk in turn. None if there is none: the caller then makes a call of its own."""
        usable = self.usable()
        self._turn += 1
        return usable[self._turn % len(usable)] if usable else None

    def carry(
        self, method: str, request: Message, metadata: tuple[tuple[str, str], ...], limit_s: float
    ) -> CarriedCall | None:
        """Make the call in a trunk. None if it needs a call of its own."""
        trunk = self.pick()
        if trunk is None or request.ByteSize() > MAX_REQUEST_BYTES:
            return None
        path, parse = _described(self._line.name, method)
        timeout_ms = max(1, round(limit_s * 1000))
        asked = calls_pb2.Request(method=path, message=request.SerializeToString(), timeout_ms=timeout_ms)
        return trunk.call(asked, dict(metadata), parse, limit_s)


def _connect(channel: grpc.aio.Channel) -> Callable[[], grpc.aio.StreamStreamCall[Any, Any]]:
    stub: CallsAsyncStub = CallsStub(channel)
    return stub.CallMany


def _first(number: int, request: calls_pb2.Request, metadata: dict[str, str]) -> bytes:
    return calls_pb2.StreamRequest(stream=number, request=request, metadata=metadata).SerializeToString()


CALLS = TrunkMethod(_connect, "", _first)


@cache
def _described(service: str, method: str) -> tuple[str, Callable[[bytes], Message]]:
    """A method as gRPC names it, and the parser of its responses. `service`: its short name."""
    full_name = SERVICES[service].full_name
    contract = import_module(f"protos.{service}_pb2").DESCRIPTOR  # the stubs of the executors do not import theirs
    described = contract.services_by_name[full_name.rpartition(".")[2]].methods_by_name[method]
    return f"/{full_name}/{method}", message_factory.GetMessageClass(described.output_type).FromString

"""Turns what gRPC raises into `ServiceError`: a stable code, a message for people, and whether to retry."""

from __future__ import annotations

import asyncio
import re
from functools import cache
from typing import TYPE_CHECKING

import grpc
import grpc.aio

from server.services import title
from streaming.ports import ServiceError

if TYPE_CHECKING:
    from collections.abc import Iterable

MAX_MESSAGE_CHARS = 300
PUSHBACK_KEY = "grpc-retry-pushback-ms"  # gRFC A6: how long the server wants no retries
RETRY_AFTER_KEY = "retry-after"  # seconds, as sent by proxies in front of a service
MAX_RETRY_AFTER_MS = 3_600_000

# gRPC's runtimes put the exception of a crashed handler into the status. It is not for people, and may contain users' words.
_CRASH = re.compile(r"Traceback|<class |Exception|Error:|\bat [\w.$]+\(|File \"|panic")
_UNPRINTABLE = re.compile(r"[\s\x00-\x1f\x7f-\x9f]+")
# Messages of gRPC's core, with addresses and errno texts: true, but not for people. A service's own message is kept.
_CORE = re.compile(
    r"failed to connect|connections to all|no connection established|connection (refused|reset|aborted)|broken pipe|"
    r"socket closed|stream removed|goaway|rst_stream|http2|endpoint (closing|closed)|transport closed|cancelling all calls|"
    r"(ipv4|ipv6|unix|dns):|dns resolution|domain name|handshake|keepalive|ping timeout|recvmsg|sendmsg|deadline exceeded|"
    r"larger than max|metadata size|channel (closed|is closed)|error (de)?serializing|exception (de)?serializing|"
    r"internal error from core|locally cancelled|method not found|peer hung up|empty update",
    re.IGNORECASE,
)

# The transport's words when a call is cut off, by a process that dies or a proxy that loses it. Its status then depends on who
# noticed first: INTERNAL, UNKNOWN, and for some reasons PERMISSION_DENIED.
_CUT_OFF = re.compile(r"stream removed|received rst_stream|transport closed|socket closed", re.IGNORECASE)
_MAY_BE_CUT_OFF = frozenset({"INTERNAL", "UNKNOWN", "PERMISSION_DENIED"})

# The transport's words when it has found no connection for a call, which has then not left.
_UNSENT = re.compile(
    r"connections to all|failed to connect to all|errors resolving|dns resolution failed", re.IGNORECASE
)

_OWN_WORDS = {
    "UNAVAILABLE": "cannot be reached",
    "DEADLINE_EXCEEDED": "did not answer in time",
    "UNIMPLEMENTED": "does not offer this",
    "RESOURCE_EXHAUSTED": "has too much to do, or its answer is too long",
}


def clean_text(text: str) -> str:
    """The text as one line of limited length, without control characters."""
    line = _UNPRINTABLE.sub(" ", text).strip()
    return line if len(line) <= MAX_MESSAGE_CHARS else line[: MAX_MESSAGE_CHARS - 1] + "…"


def own_words(service: str, code: str) -> str:
    """A message for when the service sent none that can be shown."""
    return f"{title(service)} {_OWN_WORDS.get(code, 'failed')}"


def failure(
    service: str, code: str, message: str = "", retry_after_ms: int | None = None, *, unsent: bool = False
) -> ServiceError:
    """A ServiceError with the given message, or our own. `unsent`: the call never reached the service."""
    words = message or own_words(service, code)
    return ServiceError(code, words, service=service, retry_after_ms=retry_after_ms, unsent=unsent)


def _milliseconds(metadata: Iterable[tuple[str, str | bytes]]) -> int | None:
    for key, value in metadata:
        scale = {PUSHBACK_KEY: 1, RETRY_AFTER_KEY: 1_000}.get(key)
        if scale is not None and isinstance(value, str) and value.isascii() and value.isdigit():
            return min(int(value[:9]) * scale, MAX_RETRY_AFTER_MS)
    return None


def _words(service: str, code: str, error: grpc.aio.AioRpcError) -> str:
    details = clean_text(error.details() or "")
    if details in {"", "CANCELLED"} or code == "UNKNOWN" or _CRASH.search(details) or _CORE.search(details):
        return own_words(service, code)
    return details


def _code(error: grpc.aio.AioRpcError) -> str:
    """The status' name, or UNAVAILABLE if the service stopped in the middle.

    CANCELLED is what a Python service tells its callers when it ends. If this process cancels a call, gRPC raises CancelledError instead.
    """
    code = error.code().name
    cut_off = code in _MAY_BE_CUT_OFF and _CUT_OFF.search(error.details() or "")
    return "UNAVAILABLE" if code == "CANCELLED" or cut_off else code


def from_rpc_error(service: str, error: grpc.aio.AioRpcError) -> ServiceError:
    """The error of a gRPC status, with the service's message if it can be shown."""
    code = _code(error)
    retry_after_ms = _milliseconds(error.trailing_metadata() or ())
    unsent = code == "UNAVAILABLE" and _UNSENT.match(error.details() or "") is not None
    return failure(service, code, _words(service, code, error), retry_after_ms, unsent=unsent)


@cache
def failed_status(number: int) -> grpc.StatusCode:
    """The status of a failed call. UNKNOWN if there is none of that number; nor is 0, OK, one of a failed call."""
    failed = (code for code in grpc.StatusCode if code is not grpc.StatusCode.OK)
    return next((code for code in failed if code.value[0] == number), grpc.StatusCode.UNKNOWN)


def rpc_error(code: grpc.StatusCode, details: str, trailing: Iterable[tuple[str, str]] = ()) -> grpc.aio.AioRpcError:
    """What a call of its own would raise, for one that was carried by a trunk."""
    return grpc.aio.AioRpcError(code, grpc.aio.Metadata(), grpc.aio.Metadata(*trailing), details)


def service_error(service: str, error: BaseException) -> ServiceError:
    """Whatever a call raised, as ServiceError. Must not be given a cancellation of the caller's own task."""
    if isinstance(error, ServiceError):
        return error
    if isinstance(error, grpc.aio.AioRpcError):
        return from_rpc_error(service, error)
    if isinstance(error, asyncio.CancelledError | asyncio.InvalidStateError | grpc.aio.BaseError):
        return failure(service, "UNAVAILABLE", f"the connection to {title(service)} was closed")
    return failure(service, "INTERNAL", f"{title(service)} sent an answer that cannot be read")


def cancelled_from_outside() -> bool:
    """True if the running task is being cancelled, rather than only the gRPC call it waits for."""
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0

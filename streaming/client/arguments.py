"""Looks at what the user passes: a wrong argument is told at once, by its name, and not by what breaks on it later."""

from __future__ import annotations

import math
import operator
import os
import re
from numbers import Real
from os import PathLike
from typing import SupportsIndex

from streaming.client.errors import GatewayError

SESSION_ID_ADVICE = "Use 1 to 128 letters, digits, and _ . : -"
SESSION_ID = re.compile(r"[A-Za-z0-9_.:-]{1,128}")
SAMPLE_BYTES = 2
POSITIONS = 2**32  # of a frame's header


def shown(given: object) -> str:
    """What was given, for a message."""
    try:
        return f"{given!r:.80}"
    except Exception:  # noqa: BLE001 - the user's own `__repr__`; or an integer of more digits than Python writes
        return f"<{type(given).__name__}>"


def wrong(name: str, given: object, advice: str) -> GatewayError:
    """The error to raise."""
    return GatewayError("INVALID_ARGUMENT", f"{name}: {shown(given)}", advice)


def check_session_id(given: object) -> None:
    """Raises GatewayError. An empty one is made up."""
    if not isinstance(given, str) or (given and not SESSION_ID.fullmatch(given)):
        raise wrong("session_id", given, SESSION_ID_ADVICE)


def check_user(token: object, user_id: object) -> None:
    """Raises GatewayError if no gateway would let them in. With neither, a proxy may add the token."""
    if not isinstance(user_id, str) or not _is_text(user_id):
        raise wrong("user_id", user_id, "Pass a string.")
    if not callable(token):
        check_token(token)


def _is_text(given: str) -> bool:
    """False if half a surrogate pair is in it, which nothing sends."""
    return given == given.encode(errors="replace").decode()


def check_token(given: object) -> str:
    """The token. Raises GatewayError if it is none, such as None from an environment variable that is not set."""
    if not isinstance(given, str):
        raise GatewayError("UNAUTHENTICATED", f"the token must be a string, not {shown(given)}")
    if not (given.isascii() and given.isprintable()) or " " in given:
        raise GatewayError("UNAUTHENTICATED", "the token has characters that no token has")
    return given


def check_flag(name: str, given: object) -> None:
    """Raises GatewayError."""
    if not isinstance(given, bool):
        raise wrong(name, given, "Pass True or False.")


def check_callback(name: str, given: object) -> None:
    """Raises GatewayError."""
    if given is not None and not callable(given):
        raise wrong(name, given, "Pass a function, or nothing.")


def check_frame(given: object) -> bytes:
    """The frame. Raises GatewayError."""
    if not isinstance(given, bytes | bytearray | memoryview):
        raise wrong("frame", given, "Pass bytes.")
    return bytes(given)


def check_pcm(given: object) -> bytes:
    """The samples. Raises GatewayError."""
    if not isinstance(given, bytes | bytearray | memoryview):
        raise GatewayError("INVALID_ARGUMENT", f"say_audio takes bytes, not {shown(given)}", "Pass 16-bit mono PCM.")
    pcm = bytes(given)
    if len(pcm) % SAMPLE_BYTES:
        raise GatewayError("INVALID_AUDIO", f"{len(pcm)} bytes are no whole 16-bit samples")
    return pcm


def check_rate(given: object) -> int:
    """The rate, as an `int` if it is one of numpy. Raises GatewayError for what is no number of samples.

    Which rates are taken, the parameters of a channel know.
    """
    rate = _whole(given)
    if rate is None or rate <= 0:
        raise wrong("sample_rate", given, "Pass a whole number of Hz, such as 16000.")
    return rate


def check_position(name: str, given: object) -> int:
    """A position in milliseconds. Raises GatewayError."""
    position_ms = _whole(given)
    if position_ms is None or not 0 <= position_ms < POSITIONS:
        raise wrong(name, given, "Pass whole milliseconds.")
    return position_ms


def _whole(given: object) -> int | None:
    """None if it is no whole number."""
    if isinstance(given, bool) or not isinstance(given, SupportsIndex):
        return None
    try:
        return operator.index(given)
    except TypeError:  # an array of numpy
        return None


def check_seconds(name: str, given: object) -> float | None:
    """The seconds; None for endless ones. Raises GatewayError."""
    try:
        seconds = float(given) if not isinstance(given, bool) and isinstance(given, Real) else math.nan
    except OverflowError:
        seconds = math.nan
    if not seconds >= 0:
        raise wrong(name, given, "Pass a number of seconds.")
    return None if seconds == math.inf else seconds


def check_path(given: object) -> str:
    """The path. Raises GatewayError."""
    path = given.__fspath__() if isinstance(given, PathLike) else given
    try:
        if isinstance(path, str) and b"\0" not in os.fsencode(path):
            return path
    except UnicodeEncodeError:
        pass
    raise wrong("path", given, "Name a file.")  # a number would be an open file of the program's

"""Looks at what the user passes: a wrong argument is told at once, by its name, and not by what breaks on it later."""

from __future__ import annotations

import math
import re

from streaming.client.errors import GatewayError

SESSION_ID_ADVICE = "Use 1 to 128 letters, digits, and _ . : -"
SESSION_ID = re.compile(r"[A-Za-z0-9_.:-]{1,128}")
SAMPLE_BYTES = 2


def wrong(name: str, given: object, advice: str) -> GatewayError:
    """The error to raise."""
    return GatewayError("INVALID_ARGUMENT", f"{name}: {given!r:.80}", advice)


def check_session_id(given: object) -> None:
    """Raises GatewayError. An empty one is made up."""
    if not isinstance(given, str) or (given and not SESSION_ID.fullmatch(given)):
        raise wrong("session_id", given, SESSION_ID_ADVICE)


def check_user(token: object, user_id: object) -> None:
    """Raises GatewayError if no gateway would let them in; otherwise it would wait ten seconds for a token, and then say so."""
    if not isinstance(user_id, str):
        raise wrong("user_id", user_id, "Pass a string.")
    if callable(token):
        return
    check_token(token)
    if not token and not user_id:
        raise GatewayError("UNAUTHENTICATED", "neither a token nor a user_id was given")


def check_token(given: object) -> str:
    """The token. Raises GatewayError if it is none, such as None from an environment variable that is not set."""
    if not isinstance(given, str):
        raise GatewayError("UNAUTHENTICATED", f"the token must be a string, not {given!r:.40}")
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


def check_pcm(given: object, sample_rate: object) -> bytes:
    """The samples. Raises GatewayError."""
    if not isinstance(given, bytes | bytearray | memoryview):
        raise GatewayError("INVALID_ARGUMENT", f"say_audio takes bytes, not {given!r:.40}", "Pass 16-bit mono PCM.")
    check_rate(sample_rate)
    pcm = bytes(given)
    if len(pcm) % SAMPLE_BYTES:
        raise GatewayError("INVALID_AUDIO", f"{len(pcm)} bytes are no whole 16-bit samples")
    return pcm


def check_rate(given: object) -> None:
    """Raises GatewayError for what is no number of samples. Which rates are taken, the parameters of a channel know."""
    if not isinstance(given, int) or isinstance(given, bool) or given <= 0:
        raise wrong("sample_rate", given, "Pass a whole number of Hz, such as 16000.")


def check_seconds(name: str, given: object) -> float | None:
    """The seconds; None for endless ones. Raises GatewayError."""
    if not isinstance(given, int | float) or isinstance(given, bool) or not given >= 0:
        raise wrong(name, given, "Pass a number of seconds.")
    return None if given == math.inf else given

"""The client's version, and whether a gateway's goes with it."""

from __future__ import annotations

__version__ = "0.1.0"


def disagreement(client: str, server: str) -> str:
    """What to tell the user; empty when both go together.

    Semantic versioning: the first number that is not 0 has to be the same (0.1 and 0.2 differ, 1.1 and 1.2 do not).
    """
    ours, theirs = _line(client), _line(server)
    if ours is None or theirs is None or ours == theirs:
        return ""
    if ours < theirs:
        return f"the gateway is version {server}, this client {client}: a newer client is there (pip install -U jarvis-client)"
    return f"the gateway is version {server}, this client {client}: the gateway may lack what this client asks for"


def _line(version: str) -> tuple[int, ...] | None:
    """The numbers that have to be equal; None for something that is no version."""
    try:
        major, minor = (int(number) for number in version.split(".")[:2])
    except ValueError:
        return None
    return (major,) if major else (major, minor)

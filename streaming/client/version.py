"""The client's version, and whether it is compatible with the gateway's."""

from __future__ import annotations

__version__ = "0.1.0"


def disagreement(client: str, server: str) -> str:
    """The warning for the user; empty if the versions are compatible.

    By semantic versioning, the first number other than 0 must be equal (0.1 and 0.2 differ, 1.1 and 1.2 do not).
    """
    ours, theirs = _line(client), _line(server)
    if ours is None or theirs is None or ours == theirs:
        return ""
    if ours < theirs:
        return f"the gateway is version {server}, this client {client}: a newer client is there (pip install -U jarvis-client)"
    return f"the gateway is version {server}, this client {client}: the gateway may lack what this client asks for"


def _line(version: str) -> tuple[int, ...] | None:
    """The numbers that must be equal; None if this is not a version."""
    try:
        major, minor = (int(number) for number in version.split(".")[:2])
    except ValueError:
        return None
    return (major,) if major else (major, minor)

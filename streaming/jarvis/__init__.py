"""The native dialect: `jarvis.v1` on one side, lanes on the other.

entry (brings a socket to its session) · registry (all sessions: start, resume, end) · live (one session on the wire) ·
socket (its interface to a WebSocket) · channels (its open channels, each an outlet and a lane) · outlet, translate (lane
events to messages) · commands (messages about the session itself) · journal (the session record from which other replicas
resume) · resume_notices (whether the client knows where it can resume) · observing (a live copy for an observer) ·
recording (the file format)
"""

from streaming.protocol.close_codes import CLOSE_CODES
from streaming.protocol.limits import Limits

__all__ = ["CLOSE_CODES", "Limits"]

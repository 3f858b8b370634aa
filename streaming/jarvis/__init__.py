"""The native dialect: `jarvis.v1` on one side, lanes on the other.

entry (a socket's way into its session) · registry (all sessions: begun, resumed, ended) · live (a session on the wire) ·
socket (what that needs of its WebSocket) ·
channels (its open channels, each an outlet and a lane) · outlet, translate (lane events to messages) · commands (what is
asked of the session itself) · journal (the session record that other replicas resume from) · observing (a live copy for an
observer) · redaction · recording (the file format)
"""

from streaming.protocol.close_codes import CLOSE_CODES
from streaming.protocol.limits import Limits

__all__ = ["CLOSE_CODES", "Limits"]

"""`jarvis.v1` without I/O: text, frames and `now` in, events and messages out. The wire format is in PROTOCOL.md.

server: ServerConnection, a session's side that outlives its sockets · client: ClientConnection, the other side.
messages: the text messages · frame: the binary header · events: what the owner is told · errors: mistakes, error and close
codes · limits: every bound · channel: a channel's life as a table · window: credit · replay: sent and not acknowledged ·
sendqueue: what waits · client_outbox, acknowledger: the client's halves · outbox, inbox, microphone: the server's halves and its hot path · inbound, strict_json: from text to
command · recall: commands seen · rate: token bucket · snapshot: a session as JSON.
"""

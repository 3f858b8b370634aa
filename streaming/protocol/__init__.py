"""`jarvis.v1` without I/O: text, frames and `now` in, events and messages out. The wire format is in PROTOCOL.md.

server: ServerConnection, a session that outlives its sockets · client: ClientConnection, its counterpart · messages: the text
messages · frame: the binary header · events: what the owner is told · errors, close_codes: exceptions, error and close codes ·
limits: all limits · channel: a channel's states as a table · window: credit · unacknowledged: sent, kept until it arrived ·
receipts: whether speech has arrived · heartbeat: whether a silent client is there · sendqueue: waiting to be sent · outbox, inbox, microphone: the server's halves and its hot path · client_outbox, acknowledger:
the client's halves · inbound: text to commands · recall: commands seen · snapshot: a session as JSON.
"""

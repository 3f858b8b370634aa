"""The HTTP and WebSocket shell: parse, authorise, delegate. Each module ends with its `routes`; only `server.app` imports them.

base         what all HTTP handlers share, on tornado.httputil.HTTPMessageDelegate
operation    operations over HTTP; effects: those with an Idempotency-Key
voice, agent, executor, memory, auth, ops, console, openai_audio   routes by group
unserved     requests that no handler serves
problem      the error form
answer       headers, metric and log line of an answer
socket, realtime, openai, openai_duplex, twilio   WebSockets, by dialect
handshake, admission   how they open, and who may open one
writer       the task-free writer of a socket
uploads, events, negotiation, assets   multipart forms, Server-Sent Events, Accept, files
"""

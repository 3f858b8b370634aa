"""The shell: parse, authorise, delegate. Each module ends with its `routes`; `server.app` is the only importer.

base         what every answer has: a tornado.httputil.HTTPMessageDelegate
operation    operations over HTTP
voice, agent, executor, memory, auth, ops, console   routes by group
unserved     requests that no handler serves
problem      the one error form
answer       headers, metric and log line of an answer
realtime, handshake, admission   the WebSocket, its handshake, and who may open it
uploads, events, negotiation, assets   multipart forms, Server-Sent Events, Accept, files
"""

"""The shell: parse, authorise, delegate. Each module ends with its `routes`; `server.app` is the only importer.

base: what every answer has · operation: operations over HTTP · voice, agent, executor, memory, auth, ops, console: by group ·
realtime, handshake, admission: the WebSocket, its beginning as a request, and who may open it · problems: the one error form · uploads, events, negotiation, assets: parts.
"""

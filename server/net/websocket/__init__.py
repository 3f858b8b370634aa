"""RFC 6455 on the loop's own transport, behind Tornado's `WebSocketProtocol`.

frames     a client's bytes to messages, and frames to send: no I/O, no clock
events     what a client's frames make, besides messages
mask       the XOR of a client's payload
limits     what one WebSocket may cost
slots      the attributes of one WebSocket
socket     one WebSocket: messages to its handler, batches out, pings, rate limits, closing
transport  what a socket asks of the HTTP connection that it takes over
rounds     reads sockets that keep sending together, some milliseconds apart
fall_back  Tornado's own protocol, with our checks
"""

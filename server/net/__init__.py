"""Bytes of clients: HTTP/1.1 and WebSocket.

http       llhttp on the loop's own transport
websocket  RFC 6455: frames without I/O
"""

"""Bytes of clients, and who they are on the network.

http            HTTP/1.1: llhttp on the loop's own transport
websocket       RFC 6455: frames without I/O
client_address  the client's address behind proxies
served_names    which Host names are answered to
strict_json     bodies, read strictly
handshakes      how many WebSocket handshakes an address may make
"""

"""Bytes of clients: HTTP/1.1.

http (llhttp on the loop's own transport)
"""

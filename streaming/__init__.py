"""The main interface: everything about a live session.

protocol: the wire as pure code · ports: what lanes need from services · lanes: one module per channel kind · session: lanes that live and
die alone · live, registry: sessions on the wire, takeover and resume · translate: domain events to messages and back · turns, steps,
tasks: what a spoken turn does · listening, speaking, playout, audio: sound · client: the Python client.
"""

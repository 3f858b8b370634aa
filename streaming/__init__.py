"""The main interface: everything about a live session.

protocol: the wire as pure code · ports: what lanes need from services · lanes: one module per channel kind · session: lanes that live and
die alone · live, registry, traffic: sessions on the wire, takeover and resume · commands: what a client asks of the session itself ·
journal, ledger, microphone_trail: what another replica needs to go on · tap, observing, recording: who looks on · translate: domain events to messages and back · turns, steps,
tasks, eager: what a spoken turn does · listening, speaking, playout, audio: sound · client: the Python client.
"""

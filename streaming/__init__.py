"""The main interface: everything about a live session.

session: lanes, each running and failing alone · domain: what lanes tell · outlet: what lanes are given · residents: sessions as the
gateway sees them · watch: what an observer sees of one · lanes: one module per kind of work · ports: what lanes need from services ·
agent: a turn · sound: audio of live channels · protocol: jarvis.v1 as pure code · jarvis, openai: sessions of the two dialects ·
client: the Python client.
"""

"""The main interface: everything about a live session.

session: lanes that live and die alone · domain: what lanes say · outlet: what a lane is given · sounding: does the gateway itself sound? ·
residents: what the gateway sees of any live session · unrecorded: what sessions without a record share · flaws: where a flaw stands ·
rfc6455: close codes of WebSockets · watch: an observer's look at one · lanes: one module per kind of work · ports: what lanes need from services · agent: a turn ·
sound: audio of live channels · protocol: jarvis.v1 as pure code · jarvis: sessions that speak it · openai: sessions that speak OpenAI
Realtime · client: the Python client.
"""

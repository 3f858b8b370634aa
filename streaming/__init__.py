"""The main interface: everything about a live session.

session: lanes that live and die alone · domain: what lanes say · outlet: what a lane is given · sounding: does the gateway itself sound, and what did it
say last? · open_questions: which of them a yes or no is about · stored_turns: what memory has of the conversation ·
residents: what the gateway sees of any live session · unrecorded: what sessions without a record share · flaws: where a flaw stands ·
watch: an observer's look at one · redaction: what nobody else is shown of it · secret_fields: which fields hold secrets · traffic: what crossed its wire · expiry: of its token · lanes: one module per kind of work · ports: what
lanes need from services · agent: a turn · sound: audio of live channels · protocol: jarvis.v1 as pure code · jarvis: sessions that speak
it · openai: sessions that speak OpenAI Realtime · twilio: telephone calls · client: the Python client.

Used everywhere: errors: all error codes · strict_json: JSON as every language reads it · rfc3339: times as text · rfc6455: close codes of
WebSockets · rate: a token bucket · flag: an event that costs little · listening: a clock that runs while the client listens · wakes: timers
that need not be exact · long_text: a text that nobody has decoded · task_group: tasks whose end leaves no garbage.
"""

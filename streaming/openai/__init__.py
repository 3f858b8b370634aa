"""The OpenAI Realtime protocol (GA) on the same lanes as jarvis.v1. docs/OPENAI.md says what is supported and what differs.

mistakes: what a client did wrong · settings: a session's configuration, merged and checked · inbox: client events in their order · room: how much may wait ·
client_events: the same, checked · appends: audio, without JSON · long_sound: the same in long events, step by step · conversation: items in their order · response: one reply as server events in their order · hearing: what is recognised, as items and
events · microphones: the input audio buffer · recognition: what is asked of the recogniser · recorded: audio inside items · remembering:
items in the agent's memory · replies: responses and their turns · utterances: which words they answer · telling: what went wrong with an event · pace: how fast events may come · event_queue: what waits to be sent · turns: a turn lane's way into a response · idle: the reply to silence · watching: observers ·
tool_lists: the agent's actions as an `mcp` server's tools ·
live: one session, a Resident · host: the same as its parts see it · closing: how its socket is closed · functions: what a turn stopped for · schema: fields of sessions and responses ·
duplex: a session of the Live API, with its timeline, live_schema and sideband · registry: all of them.
"""

"""The lanes: one module per channel kind, each pumps between its channel and its service.

base: what a lane is given and must do · stt: microphone to transcripts · tts: text to speech · execute: one task of an
executor · turn: the whole agent, speech in and speech out · observe: a live copy of another session.
"""

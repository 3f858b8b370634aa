"""The lanes: one module per channel kind. Each pumps between its channel and its service.

base: the interface of a lane · stt: microphone to transcripts · tts: text to speech · execute: one task of an executor ·
turn: the whole agent, speech in and out · observe: a live copy of another session.
"""

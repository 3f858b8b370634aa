"""M2, speech-to-text: Whisper over short windows in decoder processes, or PocketSphinx if Whisper's parts are missing.

service: the gRPC side · stream: one call · trunk: many streams in one call · endpoint, voice_detector: utterances by voice activity ·
pause, turn_model: how much silence ends a turn, and whether it sounds complete · answers: sent in order · utterance: one while it is spoken · pool, process, wire, worker: the decoder processes and
their queue · dictation: numbers digit by digit · engine: choice of recogniser · whisper, repeats, weights: the recogniser · sphinx: the light one · transcript: its
input and output, and the stable part of a transcript · config, audio: the caller's settings and sample rate.
"""

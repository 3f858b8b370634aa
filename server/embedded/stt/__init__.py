"""M2, speech-to-text: Whisper over short windows in decoder processes; PocketSphinx where Whisper's parts are missing.

service: the gRPC side · stream: one call · endpoint, voice_detector: utterances by voice activity · pause: how much silence ends
a turn · utterance: one while it is spoken · pool, process, wire, worker: the decoder processes and their queue · engine: which
recogniser · whisper, repeats, weights: the recogniser · sphinx: the light one · transcript: what it answers, what is promised ·
config, audio: what callers bring.
"""

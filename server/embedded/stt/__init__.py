"""M2, speech-to-text: PocketSphinx in decoder processes, faster-whisper for the finals when STT_MODEL_PATH names a model.

service: the gRPC side · stream: one call · endpoint: utterances by voice activity · pool, process, wire, worker: the decoder processes ·
decoding: two decoders over an utterance · transcript, growing: which to believe, what to promise · language: the domain
model · whisper: the better engine · config, audio: what callers bring.
"""

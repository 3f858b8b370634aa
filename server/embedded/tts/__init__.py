"""M3, text-to-speech: a natural voice (hibari), eSpeak NG as light engine and for other languages, Piper by TTS_VOICE_PATH.

service: the gRPC side · trunk: many utterances in one call · manner: the caller's settings · voices: ids, Google's names, languages · pieces: splitting text into
sentences · allowance: how much speech a text may come to · booth: sharing an engine among callers · speech: pieces to audio and words · engines: choice of engines · hibari,
espeak, piper: the engines, behind engine · espeak_worker, espeak_library: eSpeak NG's process · alignment, word_edges, onnx_outputs: hibari's word times · scripts, rates, runs: when
another engine helps out · tempo, level: speed and loudness.
"""

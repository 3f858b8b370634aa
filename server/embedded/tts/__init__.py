"""M3, text-to-speech: a natural voice (hibari), eSpeak NG as the light engine and for other languages, Piper by TTS_VOICE_PATH.

service: the gRPC side · manner: what callers may ask for · voices: ids, Google's names, languages · pieces: text in sentences ·
booth: engines shared by callers · speech: pieces to audio and words · engines: which ones speak · hibari, espeak, piper: the
engines, behind engine · alignment, word_edges, onnx_outputs: hibari's word times · scripts, rates: another engine helps out ·
tempo, level: speed and loudness.
"""

from server.embedded.tts.service import TextToSpeechService

__all__ = ["TextToSpeechService"]

"""M3, text-to-speech: eSpeak NG (GPL-3.0-or-later, see NOTICE), or Piper when TTS_VOICE_PATH names a voice.

service: the gRPC side · manner: what callers may ask for · voices: ids, Google's names, languages · pieces: text in sentences ·
speech: pieces to audio and words · espeak, piper: the engines, behind engine · tempo, level: speed and loudness.
"""

from server.embedded.tts.service import TextToSpeechService

__all__ = ["TextToSpeechService"]

"""Audio of live channels.

codecs (encodings to and from PCM) · microphone (a client's frames to the recogniser) · listening (recognition that survives a failing
stream) · echo (cancellation of the reply's sound) · trail (which frames may be needed again) · utterance (speech to the client) ·
playout (how far the client has played)
"""

"""Audio of live channels.

codecs (encodings to and from PCM) · microphone (a client's frames on their way to the recogniser) · echo (the reply
taken out of a microphone) · trail (which frames may be needed again) ·
utterance (speech on its way to the client) · playout (how far the client has played)
"""

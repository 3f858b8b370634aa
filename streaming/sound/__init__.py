"""Audio of live channels.

codecs (encodings to and from PCM, by ffmpeg) · pcm (the services' only format) · microphone (a client's frames to the recogniser;
microphone_format: as announced) · kept (audio that is not recognised yet) · listening (recognition that survives a failing
stream) · filters (between a microphone and its recogniser) · echo (cancellation of the reply's sound, by canceller: AEC3, and
what it suppresses of a voice, by room: the way of the sound; echo_path: whether it comes back at all) · wake ("Hey Jarvis") · trail (which frames may be needed again) · utterance (speech to the client) · playout (how far the client has played)
"""

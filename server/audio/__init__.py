"""Audio files in, audio files out; live channels have their own codecs in `streaming.sound.codecs`.

decode          an uploaded file → PCM at the recogniser's rate, piece by piece, in a thread
transcription   those pieces → speech-to-text, never more ahead than it can take → one transcript
encode          a voice's PCM → wav, mp3, ogg/opus, flac or bare PCM, as it is made
speech          synthesis → file, piece by piece
threads         where the codecs run, so that the event loop does not
"""

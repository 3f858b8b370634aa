"""Audio files in and out; live channels have their own codecs in `streaming.sound.codecs`.

upload          an uploaded file to PCM, in a process of its own
upload_room     how many uploads there are at once
decoder_process, decoder_wire   that process, and what it answers
decode, demux   a file to PCM at the recogniser's rate, in pieces
sections, mp3   joined files; damaged MP3 files
mono            any number of channels to one
transcription   decoded pieces to one transcript, no faster than the recogniser takes them
formats         the kinds of files that are written
encode          a voice's PCM to wav, mp3, ogg/opus, aac, flac or bare PCM, as it is made
errors          what is wrong with an uploaded file
speech          synthesis to a file, in pieces
"""

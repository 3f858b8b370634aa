"""M2, speech-to-text, by PocketSphinx.

service: the gRPC side · worker: a process with decoders (they hold the GIL) · pool: the workers, and which stream is where ·
recogniser: one stream inside a worker · endpoint: where utterances begin and end · model: the domain language model.
"""

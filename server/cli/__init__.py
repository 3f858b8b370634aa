"""The command line, as far as it is more than starting the gateway.

banner (what the start prints) · reload (`make dev`) · environment (what the commands know before they are told) · people (`user`) · doctor · talk, screen,
keyboard (a spoken turn in the terminal) · replay, replay_script, replay_player, replay_outcome (play a recording to a gateway and compare) · bench,
bench_report (many talkers at once, and how they fared)
"""

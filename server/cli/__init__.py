"""The command line, apart from starting the gateway.

banner (start-up message) · reload (`make dev`) · environment (the commands' default settings) · people (`user`) · doctor · talk, screen,
keyboard (a spoken turn in the terminal) · replay, replay_script, replay_player, replay_outcome, replay_openai (replaying a recording and comparing) ·
bench, bench_report (simulating many talkers, and the results)
"""

"""M8, the OS executor: whitelisted commands below one folder.

service (gRPC) · commands (the whitelist and its rules) · lasting_names (where a name leads, and why it leads there until the command ends) ·
closed (paths that no command may touch) · hiding (keeping them out of listings) · made_names (how many a user may make) ·
places (for commands that run) · disk (what commands write of it) · hourly_shares (of a user) · copies (whole, or not there) ·
process (running a command) · nothing_done (saying so)
"""

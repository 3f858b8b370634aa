"""M8, the OS executor: whitelisted commands below one folder.

service (gRPC) · commands (the whitelist and its rules) · held_names (names stay as they are from a command's check to its end) ·
closed (paths that no command may touch) · hiding (keeping them out of listings) · secret_names · process (running a command)
"""

"""M8, the OS executor: whitelisted commands below one folder.

service (gRPC) · commands (the whitelist and its rules) · closed (paths that no command may touch) · process (running a command)
"""

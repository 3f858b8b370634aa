"""M8, the OS executor: whitelisted commands below one folder.

service (gRPC) · commands (the whitelist and its rules) · process (run one, bounded)
"""

"""Who somebody is.

auth (credentials to a principal) · tokens (JWT) · jwks (keys of an outside identity provider) · users (the users file)
"""

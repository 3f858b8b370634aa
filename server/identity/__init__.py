"""Who somebody is.

auth    credentials to an identity
tokens  JSON Web Tokens
jwks    keys of an outside identity provider
users   the users file
roles   what tokens and users may be
"""

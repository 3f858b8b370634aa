"""Who a caller is.

auth             verify, issue, refresh and revoke tokens; tickets and client secrets
tokens           read and write JSON Web Tokens
jwks             public keys of an outside identity provider
users            the users file
passwords        their hashes
twilio           Twilio's signature of a request
development_key  the signing key under DEBUG
"""

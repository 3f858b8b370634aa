"""Who a caller is.

auth             verify, issue, refresh and revoke tokens; tickets and client secrets
tokens           read and write JSON Web Tokens
jwks             public keys of an outside identity provider
users            the users file
passwords        their hashes
sealing          records that only the holder of their secret can read
twilio           Twilio's signature of a request
development_key  the signing key under DEBUG
"""

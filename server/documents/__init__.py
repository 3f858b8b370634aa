"""Documents generated from the code.

openapi      /openapi.json
asyncapi     /asyncapi.json, and its page
dialects     the sockets of other dialects in it
env_example  .env.example
typescript   types for the JavaScript client
"""

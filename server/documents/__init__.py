"""Documents generated from the code.

openapi      /openapi.json
asyncapi     /asyncapi.json, and its page
env_example  .env.example
typescript   types for the JavaScript client
"""

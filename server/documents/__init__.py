"""Documents made from the code.

openapi · asyncapi · env_example (.env.example)
"""

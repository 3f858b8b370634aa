"""The Python client.

gateway (GatewayClient: one socket, reconnect, resume)
"""

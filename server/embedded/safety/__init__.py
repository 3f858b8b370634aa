"""M6, the safety service: allow, confirm or deny an action.

service (gRPC) · facts (the input of policies) · policy (Cedar evaluates policies/*.cedar)
"""

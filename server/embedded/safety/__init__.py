"""M6, the safety service: allow, confirm or deny an action.

service (gRPC) · facts (what a policy may look at) · policy (Cedar evaluates policies/*.cedar)
"""

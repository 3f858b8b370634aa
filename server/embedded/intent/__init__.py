"""M4, intent recognition: hassil templates, near misses by likeness.

service (gRPC) · templates (en.yaml) · recognition · entities · likeness
"""

"""M4, intent recognition: hassil templates, and similarity for near misses.

service (gRPC) · templates (en.yaml) · recognition · entities · likeness · normalise, words (the forms of a sentence) · sums
"""

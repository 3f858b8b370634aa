"""M4, intent recognition: hassil templates, and similarity for near misses.

service (gRPC) · templates (en.yaml) · recognition · entities · file_names · likeness · mending (mistyped words) · normalise, words (the forms of
a sentence) · introductions (names told) · several (requests in one sentence) · corrections (what is taken back) · answers (yes or no with more behind it) ·
refusals (what is a no as a whole) · sums, sum_forms, sum_trees (arithmetic) · conversions, units (of measurement) · dates (questions
about other days and times) · moments (the day or time that words name) · figures (number words of days and times) · beyond (what this
agent cannot do) · sources (what it cannot look up)
"""

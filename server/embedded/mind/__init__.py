"""A language model behind M5: any chat endpoint that speaks OpenAI's wire format (LLM_BASE_URL).

config (which, and how long it is waited for) · messages (what it is told) · sentences (its words, cut as they come) · chat (one answer,
streamed) · rounds (one round of a turn) · errors (what it can do wrong)
"""

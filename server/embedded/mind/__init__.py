"""A language model behind M5: any chat endpoint with OpenAI's wire format (LLM_BASE_URL).

config (endpoint, model, time limits) · messages (the model's input) · sentences (splitting its output) · chat (one streamed answer) ·
rounds (one round of a turn) · schemas (checking the arguments of its tool calls) · errors (its failures)
"""

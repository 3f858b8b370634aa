"""What operators see.

log          JSON lines
metrics      Prometheus
scrapes      their page, made for all who ask at once
tracing      spans around service calls
otel         the exporter of the spans
traceparent  the W3C header
audit        who approved which action
recordings   sessions in files
"""

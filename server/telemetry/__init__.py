"""What operators see.

log          JSON lines
metrics      Prometheus
scrapes      their page, made once for all who ask within a second
tracing      spans around service calls
otel         the exporter of the spans
traceparent  the W3C header
audit        who approved which action
recordings   sessions in files
"""

"""What operators see.

log         JSON lines
metrics     Prometheus
tracing     spans around calls of services; otel: where they are sent; traceparent: the header
audit       who approved which action
recordings  sessions in files
"""

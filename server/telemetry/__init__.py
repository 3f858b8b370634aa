"""What operators see.

log (JSON lines) · metrics, tallies (Prometheus) · tracing, otel, traceparent · audit (who approved what) · recordings (sessions in files)
"""

"""The OpenTelemetry provider that sends spans by OTLP, configured by the standard variables only."""

from __future__ import annotations

import importlib
import logging
import os
from typing import Any

log = logging.getLogger(__name__)

ENDPOINTS = ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")


def make_provider(service_name: str) -> Any | None:
    """A TracerProvider; None if no endpoint is set, or the `otel` extra is not installed."""
    if not any(os.environ.get(name) for name in ENDPOINTS):
        return None
    try:
        sdk = importlib.import_module("opentelemetry.sdk.trace")
        export = importlib.import_module("opentelemetry.sdk.trace.export")
        otlp = importlib.import_module("opentelemetry.exporter.otlp.proto.grpc.trace_exporter")
        resources = importlib.import_module("opentelemetry.sdk.resources")
    except ImportError:
        log.warning("traces are wanted but not recorded: pip install 'jarvis-gateway[otel]'")
        return None
    resource = resources.Resource.create({"service.name": os.environ.get("OTEL_SERVICE_NAME", service_name)})
    provider = sdk.TracerProvider(resource=resource)
    provider.add_span_processor(export.BatchSpanProcessor(otlp.OTLPSpanExporter()))
    return provider

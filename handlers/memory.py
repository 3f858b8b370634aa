"""Memory: JSON in, JSON out."""

from __future__ import annotations

from handlers.effects import EffectHandler
from handlers.operation import OperationHandler
from server.operations import memory
from server.routes import operation_routes

routes = operation_routes((op for op in memory.OPERATIONS if op.idempotency_key), EffectHandler)
routes += operation_routes((op for op in memory.OPERATIONS if not op.idempotency_key), OperationHandler)

"""Memory: JSON in, JSON out."""

from __future__ import annotations

from handlers.operation import OperationHandler
from server.operations import memory
from server.routes import operation_routes

routes = operation_routes(memory.OPERATIONS, OperationHandler)

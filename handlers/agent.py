"""Intent, plan, safety: JSON in, JSON out."""

from __future__ import annotations

from handlers.operation import OperationHandler
from server.operations import agent
from server.routes import operation_routes

routes = operation_routes(agent.OPERATIONS, OperationHandler)

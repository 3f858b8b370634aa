"""Sign-in, refresh, sign-out and tickets: JSON in, JSON out."""

from __future__ import annotations

from handlers.operation import OperationHandler
from server.operations import auth
from server.routes import operation_routes

routes = operation_routes(auth.OPERATIONS, OperationHandler)

"""The table of operations. REST routes, socket calls, documents, role rules and metric labels are derived from it.

operation      one entry: name, method and path, models, access, `run`
table          all entries
voice, agent, executor, memory, auth, sessions, openai, ops    their models, and what they do
fields         the kinds of text in requests, with their limits
validation     client input to a request model, or to a 422
roles          which roles an operation requires
quota          how often a caller may run operations
openai_errors  the error form of /v1
refusals       the errors that an operation can answer with
invoke         calling an operation by name
"""

from server.operations.invoke import caller_of, invoke, require_access
from server.operations.operation import Access, Caller, Operation, Streaming
from server.operations.roles import RolePermissions
from server.operations.table import BY_NAME, OPERATIONS

__all__ = [
    "BY_NAME",
    "OPERATIONS",
    "Access",
    "Caller",
    "Operation",
    "RolePermissions",
    "Streaming",
    "caller_of",
    "invoke",
    "require_access",
]

"""The one table of operations. REST routes, socket calls, documents, role rules and metric labels come from it.

operation    what an entry is: name, method and path, models, access, `run`
table        all entries
voice, agent, executor, memory, auth, realtime, openai, ops    their models, and what they do
fields       the kinds of text in requests, with their bounds
validation   from what a client sent to a request model, or to a 422
roles        who may do what
quota        how often a caller may run operations
openai_errors  the error form of /v1
refusals     every way an operation may end in an error
invoke       calling one by name
"""

from server.operations.invoke import caller_of, invoke, require_access
from server.operations.operation import Access, Caller, Operation, Streaming
from server.operations.roles import RolePermissions, may_execute
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
    "may_execute",
    "require_access",
]

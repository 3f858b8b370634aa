"""The roles that tokens, users and policies know, in ascending order. Each includes the rights of those before it."""

from __future__ import annotations

USER = "user"
OPERATOR = "operator"
ADMIN = "admin"

ROLES = (USER, OPERATOR, ADMIN)

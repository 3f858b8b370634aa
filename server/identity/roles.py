"""The roles that tokens carry, in ascending order. Each includes the rights of those before it."""

from __future__ import annotations

ROLES = ("user", "operator", "admin")

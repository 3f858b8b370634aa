"""The roles that tokens carry. Each may do everything that those before it may."""

from __future__ import annotations

ROLES = ("user", "operator", "admin")

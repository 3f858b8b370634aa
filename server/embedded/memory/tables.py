"""Memory's tables of what is stored. Everything else in its database is made of them."""

from __future__ import annotations

TABLES = """
CREATE TABLE IF NOT EXISTS items (
  id INTEGER PRIMARY KEY, user_id TEXT NOT NULL, key TEXT NOT NULL, value TEXT NOT NULL, session_id TEXT NOT NULL,
  tags TEXT NOT NULL, metadata TEXT NOT NULL, created_at REAL NOT NULL, expires_at REAL, UNIQUE (user_id, key));
CREATE INDEX IF NOT EXISTS items_expire ON items (expires_at) WHERE expires_at IS NOT NULL;
CREATE INDEX IF NOT EXISTS items_newest ON items (user_id, created_at, expires_at);
CREATE TABLE IF NOT EXISTS turns (
  user_id TEXT NOT NULL, session_id TEXT NOT NULL, turn_id TEXT NOT NULL, number INTEGER NOT NULL, role TEXT NOT NULL,
  text TEXT NOT NULL, at REAL NOT NULL, PRIMARY KEY (user_id, session_id, turn_id));
CREATE INDEX IF NOT EXISTS turns_order ON turns (user_id, session_id, number);
CREATE INDEX IF NOT EXISTS turns_of ON turns (user_id);
"""

"""How the answer of pip-audit is read; the run itself is `make audit`."""

from __future__ import annotations

import json

import pytest

from tests.attacks.audit import judged

FLAW = {"id": "PYSEC-1", "fix_versions": ["2.0"], "aliases": [], "description": "x"}
SOUND = {"name": "a", "version": "1.0", "vulns": []}
FLAWED = {"name": "b", "version": "1.0", "vulns": [FLAW]}
UNKNOWN = {"name": "c", "skip_reason": "not found"}


@pytest.mark.parametrize(
    ("output", "errors", "code", "last"),
    [
        ("", "x\nConnectionError: no route", 0, "pip-audit was skipped: ConnectionError: no route"),
        ("", "", 0, "pip-audit was skipped: no answer"),
        (
            json.dumps({"dependencies": [UNKNOWN]}),
            "",
            0,
            "pip-audit was skipped: its database knows none of the packages",
        ),
        (json.dumps({"dependencies": [SOUND, UNKNOWN]}), "", 0, "pip-audit: 0 vulnerabilities in 1 packages"),
        (json.dumps({"dependencies": [SOUND, FLAWED]}), "", 1, "pip-audit: 1 vulnerabilities in 2 packages"),
    ],
)
def test_only_a_known_vulnerability_fails(output: str, errors: str, code: int, last: str) -> None:
    judged_code, lines = judged(output, errors)
    assert (judged_code, lines[-1]) == (code, last)

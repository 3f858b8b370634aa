"""Known vulnerabilities of the installed packages, by pip-audit. Skipped where its database cannot be reached.

python -m tests.attacks.audit
"""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

TIMEOUT_S = 5  # of one request
LONGEST_S = 120.0
COMMAND = (
    "-m",
    "pip_audit",
    "--local",
    "--skip-editable",
    "--format=json",
    "--progress-spinner=off",
    f"--timeout={TIMEOUT_S}",
)


def judged(output: str, errors: str) -> tuple[int, list[str]]:
    """Exit code and lines to print, from what pip-audit wrote. No package known there: the database was not reached."""
    try:
        packages: list[dict[str, Any]] = json.loads(output)["dependencies"]
    except (ValueError, KeyError):
        return 0, [f"pip-audit was skipped: {(errors.strip().splitlines() or ['no answer'])[-1][:200]}"]
    known = [package for package in packages if "skip_reason" not in package]
    if not known:
        return 0, ["pip-audit was skipped: its database knows none of the packages"]
    found = [(package, vulnerability) for package in known for vulnerability in package["vulns"]]
    lines = [
        f"{package['name']} {package['version']}: {vulnerability['id']}, fixed in {vulnerability['fix_versions'] or 'no version'}"
        for package, vulnerability in found
    ]
    return int(bool(found)), [*lines, f"pip-audit: {len(found)} vulnerabilities in {len(known)} packages"]


def main() -> int:
    """Run pip-audit and tell what it found."""
    try:
        ran = subprocess.run([sys.executable, *COMMAND], capture_output=True, text=True, timeout=LONGEST_S, check=False)
        output, errors = ran.stdout, ran.stderr
    except subprocess.TimeoutExpired:
        output, errors = "", "it took too long"
    code, lines = judged(output, errors)
    sys.stdout.write("\n".join(lines) + "\n")
    return code


if __name__ == "__main__":
    sys.exit(main())

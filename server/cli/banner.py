"""The message shown when the gateway is up: its address, how to sign in, and what works."""

from __future__ import annotations

from typing import TYPE_CHECKING

from server import hot_path

if TYPE_CHECKING:
    from server.lifecycle import Started

ANY_ADDRESS = {"0.0.0.0", "::", ""}  # noqa: S104 - for comparison, not for binding


async def banner(started: Started) -> str:
    """The lines for the terminal; under DEBUG with a token to paste and a link that signs in once."""
    settings = started.gateway.settings
    host = "127.0.0.1" if settings.host in ANY_ADDRESS else settings.host
    base = f"http://{host}:{started.port}"
    lines = ["", f"Jarvis Gateway is listening on {base}", f"  redis     {started.redis}"]
    lines.append(f"  hot path  {hot_path.described()}")
    lines += _services(started)
    if settings.debug and started.gateway.authenticator.issues:
        authenticator = started.gateway.authenticator
        lines += [
            f"  token     TOKEN={authenticator.issue_development()}",
            f'  try       curl -s {base}/api/v1/agent/intent -H "Authorization: Bearer $TOKEN" '
            "-H 'Content-Type: application/json' -d '{\"text\": \"what time is it\"}'",
            f"  console   {base}/console#code={await authenticator.issue_sign_in_code()}  (signs in once)",
        ]
    else:
        lines.append(f"  console   {base}/console")
    return "\n".join([*lines, ""])


def _services(started: Started) -> list[str]:
    up = [name for name in started.gateway.upstream.health.services if name not in started.down]
    where = "embedded" if started.embedded else "remote"
    lines = [f"  services  {', '.join(up) or 'none'} up ({where})"]
    told = [
        f"{name} by {seen.engine}" for name, seen in started.gateway.upstream.health.services.items() if seen.engine
    ]
    if told:
        lines.append(f"  engines   {', '.join(told)}")
    lines += [f"            {name} down: {reason or 'it does not answer'}" for name, reason in started.down.items()]
    return lines
